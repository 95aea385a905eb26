package show

import (
	"fmt"
	"strings"
	"testing"
)

func ExampleTable() {
	t := Table{
		Head: []string{"provider", "delivered", "half within", "note"},
		Rows: [][]string{{"google", "98", "0.5 s", "cold"}, {"alpine.example", "1255", "10.0 s"}},
		Foot: []string{"total", "1353"},
	}
	fmt.Println(strings.Join(t.Lines(), "\n"))
	// Output:
	// provider        delivered  half within  note
	// --------------------------------------------
	// google                 98        0.5 s  cold
	// alpine.example       1255       10.0 s
	// --------------------------------------------
	// total                1353
}

func TestTableWithoutRows(t *testing.T) {
	got := strings.Join(Table{Head: []string{"a", "bc"}, Foot: []string{"x"}}.Lines(), "|")
	if got != "a  bc|-----|x" {
		t.Errorf("got %q", got)
	}
	if got := (Table{}).Lines(); len(got) != 1 {
		t.Errorf("the empty table has %q", got)
	}
}

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		width, done, total int
		want               string
	}{
		{4, 0, 8, "░░░░"}, {4, 2, 8, "█░░░"}, {4, 7, 8, "███░"}, {4, 8, 8, "████"},
		{4, 9, 8, "████"}, {4, -1, 8, "░░░░"}, {4, 0, 0, "░░░░"}, {0, 1, 2, ""}, {-1, 1, 2, ""},
		{10, 1 << 30, 1 << 30, "██████████"},
	} {
		if got := Bar(tt.width, tt.done, tt.total); got != tt.want {
			t.Errorf("Bar(%d, %d, %d) = %q, want %q", tt.width, tt.done, tt.total, got, tt.want)
		}
	}
}
