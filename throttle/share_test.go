package throttle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDivide(t *testing.T) {
	for _, test := range []struct {
		name  string
		kind  shareKind
		limit int64
		wants []int64
		turns []uint64
		want  []int64
	}{
		{"alone", shareConnections, 10, []int64{100}, nil, []int64{10}},
		{"equal", shareConnections, 10, []int64{100, 100}, nil, []int64{5, 5}},
		{"odd", shareConnections, 11, []int64{100, 100, 100}, []uint64{3, 1, 2}, []int64{3, 4, 4}},
		{"modest", shareConnections, 10, []int64{2, 100, 100}, nil, []int64{2, 4, 4}},
		{"all modest", shareConnections, 20, []int64{2, 4}, nil, []int64{6, 7}},
		{"exact", shareConnections, 6, []int64{2, 4}, nil, []int64{2, 4}},
		{"foothold", shareConnections, 16, []int64{0, 100}, nil, []int64{1, 15}},
		{"no room for a foothold", shareConnections, 15, []int64{0, 100}, nil, []int64{0, 15}},
		{"nobody wants", shareConnections, 4, []int64{0, 0}, nil, []int64{0, 0}},
		{"more owners than there is", shareConnections, 2, []int64{100, 1, 100, 0}, []uint64{1, 4, 2, 3}, []int64{1, 0, 1, 0}},
		{"rate", shareRate, 100 * one, []int64{100 * one, 100 * one, 0, 0}, nil, []int64{495 * one / 10, 495 * one / 10, one / 2, one / 2}},
		{"wants more than the limit", shareRate, 10, []int64{maxShare, maxShare, maxShare}, []uint64{1, 2, 3}, []int64{4, 3, 3}},
	} {
		r := &shareRecord{Kind: test.kind}
		for i, want := range test.wants {
			e := shareEntry{Owner: fmt.Sprint(i), Want: want}
			if test.turns != nil {
				e.Turn = test.turns[i]
			}
			r.Owners = append(r.Owners, e)
		}
		got := r.divide(test.limit)
		if !slices.Equal(got.goals, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got.goals, test.want)
		}
	}
}

func TestParseShares(t *testing.T) {
	const entry = `{"o":"a","s":3,"w":4,"l":5,"b":6}`
	good := `{"v":1,"k":"connections","o":[` + entry + `]}`
	r, err := parseShares([]byte(good), shareConnections)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.bytes(); err != nil || string(again) != good {
		t.Errorf("%s became %s, %v", good, again, err)
	}
	if r, err := parseShares(nil, shareRate); err != nil || len(r.Owners) != 0 {
		t.Errorf("no record: %+v, %v", r, err)
	}
	many := `{"v":1,"k":"connections","o":[`
	for i := range maxOwners + 1 {
		many += fmt.Sprintf(`{"o":"%06d","s":0,"w":0,"l":5,"b":6},`, i)
	}
	for _, bad := range []string{
		"", "null", "{}", "[]", "{", good + good, good[1:],
		strings.Replace(good, `"v":1`, `"v":2`, 1),
		strings.Replace(good, `connections`, `rate`, 1),
		strings.Replace(good, entry, ``, 1),
		strings.Replace(good, entry, entry+","+entry, 1),
		strings.Replace(good, `"s":3`, `"s":-3`, 1),
		strings.Replace(good, `"s":3`, `"s":3.5`, 1),
		strings.Replace(good, `"s":3`, `"s":9000000000000000000`, 1),
		strings.Replace(good, `"w":4`, `"w":-1`, 1),
		strings.Replace(good, `"l":5`, `"l":0`, 1),
		strings.Replace(good, `"o":"a"`, `"o":""`, 1),
		strings.Replace(good, `"o":"a"`, `"o":"\n"`, 1),
		strings.Replace(good, `"k"`, `"p":-1,"k"`, 1),
		strings.TrimSuffix(many, ",") + "]}",
	} {
		if r, err := parseShares([]byte(bad), shareConnections); err == nil {
			t.Errorf("%.100q was read as %+v", bad, r)
		}
	}
}

func TestShareKey(t *testing.T) {
	seen := map[string]bool{}
	for _, names := range [][]string{{"a", "b"}, {"a/b"}, {"a%2Fb"}, {"a", ""}, {"a"}, {""}, {"é"}, {"\xff\n"}} {
		key := shareKey("messages", names...)
		if seen[key] || !utf8.ValidString(key) || strings.ContainsAny(key, "\n\x00") {
			t.Errorf("%q: %q", names, key)
		}
		seen[key] = true
	}
	if key := shareKey("messages", "mta1", "google"); key != "messages/mta1/google" {
		t.Error(key)
	}
	long := strings.Repeat("é", 1000)
	if a, b := shareKey("messages", long+"a"), shareKey("messages", long+"b"); len(a) > 1024 || a == b {
		t.Errorf("%d bytes, the same for another name: %v", len(a), a == b)
	}
}

func FuzzParseShares(f *testing.F) {
	f.Add([]byte(`{"v":1,"k":"rate","p":5,"o":[{"o":"a","s":3,"w":4,"l":5,"b":6,"t":1}]}`))
	f.Add([]byte(`{"v":1,"k":"rate","o":[{"o":"a","s":0,"w":0,"l":1,"b":0},{"o":"b","s":0,"w":0,"l":1,"b":0}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newSharedRate(start, Rate{100, 1e9}, "me", 0)
		record, err := r.exchange(start, data)
		if err != nil {
			return
		}
		if _, err := parseShares(record, shareRate); err != nil {
			t.Fatalf("%s became %s: %v", data, record, err)
		}
	})
}
