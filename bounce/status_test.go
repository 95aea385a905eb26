package bounce

import "testing"

func TestParseStatus(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Status
	}{
		{"5.1.1", Status{5, 1, 1}},
		{"4.7.650", Status{4, 7, 650}},
		{"2.0.0", Status{2, 0, 0}},
		{"5.0.0 (permanent failure)", Status{5, 0, 0}},
		{"5.1.1: unknown", Status{5, 1, 1}},
		{"5.1.1.", Status{5, 1, 1}},
		{"5.7.1234", Status{}},
		{"5.1.1.1", Status{}},
		{"5.x.0", Status{}},
		{"5.1", Status{}},
		{"5.1.", Status{}},
		{"5..1", Status{}},
		{"3.1.1", Status{}},
		{"5.1.1a", Status{}},
		{"", Status{}},
	} {
		got, ok := ParseStatus(tt.in)
		if got != tt.want || ok == tt.want.IsZero() {
			t.Errorf("ParseStatus(%q) = %v, %v, want %v", tt.in, got, ok, tt.want)
		}
	}
}
