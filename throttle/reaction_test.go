package throttle

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseReactions(t *testing.T) {
	got, err := ParseReactions([]byte(`[{
		"name": "acme/slow", "providers": ["acme.example"], "codes": ["421"], "any": ["a"], "all": ["b"], "none": ["c"],
		"trigger": "2/h", "message_rate": "10/m", "connections": 1, "messages_per_connection": 2, "for": "90m", "scope": "path",
		"source": "s", "date": "2026-01-02", "match": ["421 a b"], "miss": ["421 a c"]
	}, {"name": "acme/stop", "any": ["a"], "suspend": true, "for": "168h", "match": [], "miss": []}]`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Reaction{{
		Name: "acme/slow", Providers: []string{"acme.example"}, Codes: []string{"421"}, Any: []string{"a"}, All: []string{"b"}, None: []string{"c"},
		Trigger: Rate{2, time.Hour}, MessageRate: Rate{10, time.Minute}, Connections: 1, MessagesPerConnection: 2, For: 90 * time.Minute,
		Scope: ScopePath, Source: "s", Date: "2026-01-02", Match: []string{"421 a b"}, Miss: []string{"421 a c"},
	}, {Name: "acme/stop", Any: []string{"a"}, Suspend: true, For: 7 * 24 * time.Hour, Match: []string{}, Miss: []string{}}}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseReactions(data); err != nil || !reflect.DeepEqual(again, want) {
		t.Fatalf("%s: %+v, %v", data, again, err)
	}
	for data, want := range map[string]string{
		``:                                  "throttle: reactions: ",
		`{}`:                                "throttle: reactions: ",
		`[] []`:                             "throttle: reactions: ",
		`[1]`:                               `throttle: reaction 0 "": `,
		`[{"name": "a/b", "fro": 1}]`:       `throttle: reaction 0 "a/b": json: unknown field "fro"`,
		`[{"name": "a/b", "for": "x"}]`:     `throttle: reaction 0 "a/b": for: `,
		`[{"name": "a/b", "trigger": "2"}]`: `throttle: reaction 0 "a/b": `,
	} {
		if _, err := ParseReactions([]byte(data)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: want %s, got %v", data, want, err)
		}
	}
}

func TestParseCode(t *testing.T) {
	for code, want := range map[string]codeRange{"421": {421, 421}, "45x": {450, 459}, "5xx": {500, 599}} {
		if got, err := parseCode(code); err != nil || got != want {
			t.Errorf("%s: %v, %v", code, got, err)
		}
	}
	for _, code := range []string{"", "4", "4x", "42", "4211", "x21", "xxx", "4x1", "+21", "250", "3xx", "6xx", "42X"} {
		if got, err := parseCode(code); err == nil {
			t.Errorf("%q: %v", code, got)
		}
	}
}

func TestParseSample(t *testing.T) {
	for reply, want := range map[string]struct {
		code int
		text string
	}{
		"421 4.7.0 [TS02] x":   {421, "[TS02] x"},
		"421 [TS02] x":         {421, "[TS02] x"},
		"550 10.0.0.1 refused": {550, "10.0.0.1 refused"},
		"550 5.7 x":            {550, "5.7 x"},
		"550 5.7.1":            {550, ""},
		"550":                  {550, ""},
	} {
		code, text, err := parseSample(reply)
		if err != nil || code != want.code || text != want.text {
			t.Errorf("%q: %d %q, %v", reply, code, text, err)
		}
	}
}

// What was read and passes NewReactions keeps its promises: its evidence leads to it, and writing it loses nothing.
func FuzzParseReactions(f *testing.F) {
	f.Add(reactionsJSON)
	f.Add([]byte(`[{"name": "a/b", "any": ["x*"], "trigger": "2/h", "connections": 1, "for": "1h", "match": ["421 xy"], "miss": ["421 y"]}]`))
	table := newTable(f, TableConfig{})
	f.Fuzz(func(t *testing.T, data []byte) {
		reactions, err := ParseReactions(data)
		if err != nil {
			return
		}
		written, err := json.Marshal(reactions)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseReactions(written); err != nil || !reflect.DeepEqual(clean(again), clean(reactions)) {
			t.Fatalf("%s: %v", written, err)
		}
		r, err := NewReactions(ReactionsConfig{Reactions: reactions, NoBuiltin: true, Table: table})
		if err != nil {
			return
		}
		for _, c := range r.All() {
			provider := ""
			if len(c.Providers) > 0 {
				provider = c.Providers[0]
			}
			for _, sample := range c.Match {
				if got := match(t, r, provider, sample); got != c.Name {
					t.Fatalf("%s: %q leads to %q", c.Name, sample, got)
				}
			}
		}
	})
}

// clean makes empty lists nil, since JSON leaves them out.
func clean(reactions []Reaction) []Reaction {
	var out []Reaction
	for _, r := range reactions {
		for _, list := range []*[]string{&r.Providers, &r.Codes, &r.Any, &r.All, &r.None, &r.Match, &r.Miss} {
			if len(*list) == 0 {
				*list = nil
			}
		}
		out = append(out, r)
	}
	return out
}
