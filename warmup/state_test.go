package warmup

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestStateJSON(t *testing.T) {
	plan := Conservative(1000)
	plan.Stages[0] = Stage{Day: 50, Hour: 7, Minute: 1}
	l := mustOpen(t, Config{Plans: plans(plan)})
	a := l.ReserveAt(start, google, 1)
	l.CommitAt(start.Add(time.Second), a)
	l.ReserveAt(start.Add(time.Minute*2), google, 1)
	for _, o := range []Outcome{Delivered, Bounced, Deferred, Blocked, Complained, Other, "whatever"} {
		l.ObserveAt(start.Add(time.Minute*2), google, o, 1)
	}
	data, err := json.Marshal(l.StateAt(start.Add(time.Minute*2), google))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"route":"new","provider":"google","plan":"braze-conservative","phase":"warming","stage":1,"stages":10,` +
		`"day":{"cap":50,"used":2},"hour":{"cap":7,"used":2},"minute":{"cap":1,"used":1},"outstanding":1,` +
		`"outcomes":{"delivered":1,"bounced":1,"deferred":1,"blocked":1,"complained":1,"other":2},"needed":45,` +
		`"since":"2026-03-02T09:00:00Z","period":"2026-03-02T09:00:00Z","last_sent":"2026-03-02T09:02:00Z"}`
	if string(data) != want {
		t.Errorf("got  %s\nwant %s", data, want)
	}
	data, err = json.Marshal(l.StateAt(start, Path{"new", "unknown"}))
	if err != nil || !strings.Contains(string(data), `"phase":"warming","stage":1,`) || strings.Contains(string(data), "since") {
		t.Errorf("got %s, error %v", data, err)
	}
}
