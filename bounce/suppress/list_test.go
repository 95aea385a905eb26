package suppress

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
)

const anna = "anna@example.com"

var day0 = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

var (
	deadVerdict  = bounce.Verdict{Category: bounce.BadMailbox, Scope: bounce.ScopeRecipient, Permanent: true, Suppress: true, Rule: "mailbox/unknown"}
	doubtVerdict = bounce.Verdict{Category: bounce.BadMailbox, Scope: bounce.ScopeRecipient, Permanent: true, Rule: "mailbox/unsure"}
	fullVerdict  = bounce.Verdict{Category: bounce.MailboxFull, Scope: bounce.ScopeRecipient, Permanent: true, Rule: "mailbox/full"}
)

func list(t testing.TB, cfg Config) *List {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func observe(t testing.TB, l *List, now time.Time, i Incident) (Entry, bool) {
	t.Helper()
	e, on, err := l.ObserveAt(t.Context(), now, i)
	if err != nil {
		t.Fatalf("observe %+v: %v", i, err)
	}
	return e, on
}

func suppressed(t testing.TB, l *List, now time.Time, stream, address string) bool {
	t.Helper()
	_, on, err := l.CheckAt(t.Context(), now, stream, address)
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	return on
}

func lookup(t testing.TB, l *List, address string) Status {
	t.Helper()
	s, err := l.Lookup(t.Context(), address)
	if err != nil {
		t.Fatalf("look up: %v", err)
	}
	return s
}

func add(t testing.TB, l *List, now time.Time, e Entry) bool {
	t.Helper()
	added, err := l.AddAt(t.Context(), now, e)
	if err != nil {
		t.Fatalf("add %+v: %v", e, err)
	}
	return added
}

func release(t testing.TB, l *List, now time.Time, r Release) bool {
	t.Helper()
	released, err := l.ReleaseAt(t.Context(), now, r)
	if err != nil {
		t.Fatalf("release: %v", err)
	}
	return released
}

func TestConfigIsChecked(t *testing.T) {
	for _, key := range []string{"", "fifteen bytes.."} {
		if _, err := New(Config{HashKey: []byte(key)}); err == nil || !strings.Contains(err.Error(), "Config.HashKey") {
			t.Errorf("%d bytes: %v", len(key), err)
		}
	}
	if _, err := New(Config{HashKey: []byte("sixteen bytes...")}); err != nil {
		t.Error(err)
	}
}

func TestTheSameIncidentCountsOnce(t *testing.T) {
	// IDs come from strangers' messages: at any length, in any bytes.
	for _, id := range []string{"a", "<1@example.com>", "\xff\xfe", "\x00", strings.Repeat("x", 5000)} {
		l := list(t, Config{})
		for i := range 10 {
			if _, on := observe(t, l, day0.Add(time.Duration(i)*2*days), Incident{ID: id, Address: anna, Kind: Bounced, Verdict: doubtVerdict}); on {
				t.Fatalf("%.20q: suppressed by one incident", id)
			}
		}
		if s := lookup(t, l, anna); len(s.Strikes) != 1 {
			t.Errorf("%.20q: %d strikes", id, len(s.Strikes))
		}
		observe(t, l, day0.Add(2*days), Incident{ID: id + "b", Address: anna, Kind: Bounced, Verdict: doubtVerdict})
		if _, on := observe(t, l, day0.Add(4*days), Incident{ID: id + "c", Address: anna, Kind: Bounced, Verdict: doubtVerdict}); !on {
			t.Errorf("%.20q: three incidents do not suppress", id)
		}
	}
	l := list(t, Config{})
	for i := range 3 {
		_, on := observe(t, l, day0.Add(time.Duration(i)*days), Incident{Address: anna, Kind: Bounced, Verdict: doubtVerdict})
		if on != (i == 2) {
			t.Errorf("without an ID, incident %d: %v", i, on)
		}
	}
}

func TestUnknownKind(t *testing.T) {
	l := list(t, Config{})
	for _, kind := range []Kind{"", "returned"} {
		if _, _, err := l.ObserveAt(t.Context(), day0, Incident{Address: anna, Kind: kind, Verdict: deadVerdict}); err == nil || !strings.Contains(err.Error(), "Incident.Kind") {
			t.Errorf("%q: %v", kind, err)
		}
	}
}

func TestDeliveryTakesStrikes(t *testing.T) {
	l := list(t, Config{})
	at := func(n int) time.Time { return day0.Add(time.Duration(n) * days) }
	doubt := Incident{Address: anna, Kind: Bounced, Verdict: doubtVerdict}
	observe(t, l, at(0), doubt)
	observe(t, l, at(1), doubt)
	if e, on, err := l.CheckAt(t.Context(), at(1), "", anna); on || err != nil || e.Strikes != 2 {
		t.Errorf("%+v, %v, %v", e, on, err)
	}
	observe(t, l, at(2), Incident{Address: anna, Kind: Delivered})
	if s := lookup(t, l, anna); len(s.Strikes) != 0 {
		t.Errorf("left %v", s.Strikes)
	}
	for i := range 2 {
		if _, on := observe(t, l, at(3+i), doubt); on {
			t.Error("strikes from before the delivery count")
		}
	}
	if _, on := observe(t, l, at(5), doubt); !on {
		t.Error("three strikes after it do not")
	}
	observe(t, l, at(6), Incident{Address: anna, Kind: Delivered})
	if !suppressed(t, l, at(6), "", anna) {
		t.Error("a delivery ended a suppression")
	}
	// Nothing is kept of those to whom mail just goes.
	observe(t, l, at(0), Incident{ID: "1", Address: "bert@example.com", Kind: Delivered})
	if value, _ := l.store.Get(t.Context(), "bert@example.com"); value != nil {
		t.Errorf("kept %s", value)
	}
}

// TestLateStrikesOutliveDeliveries: a receiver that accepts all mail and returns it later must not clear itself.
func TestLateStrikesOutliveDeliveries(t *testing.T) {
	l := list(t, Config{})
	for i := range 3 {
		now := day0.Add(time.Duration(i) * 2 * days)
		observe(t, l, now, Incident{ID: fmt.Sprint("sent", i), Address: anna, Kind: Delivered})
		_, on := observe(t, l, now.Add(time.Minute), Incident{ID: fmt.Sprint("back", i), Address: anna, Kind: Bounced, Verdict: doubtVerdict, Late: true})
		if on != (i == 2) {
			t.Errorf("return %d: %v", i, on)
		}
	}
}

func TestStreams(t *testing.T) {
	l := list(t, Config{})
	observe(t, l, day0, Incident{Stream: "news", Address: anna, Kind: Complained, Verdict: bounce.Verdict{Category: "made up", Rule: "made up"}})
	if !suppressed(t, l, day0, "news", anna) || suppressed(t, l, day0, "receipts", anna) || suppressed(t, l, day0, "", anna) {
		t.Error("a complaint about a stream is not about that stream only")
	}
	if s := lookup(t, l, anna); len(s.Entries) != 1 || s.Entries[0].Category != "" || s.Entries[0].Detail != "" {
		t.Errorf("a complaint took over a verdict: %+v", s.Entries)
	}
	e, on := observe(t, l, day0, Incident{Address: "bert@example.com", Kind: Unsubscribed})
	if !on || e.Stream != "" || e.Address != "bert@example.com" || !suppressed(t, l, day0, "news", "bert@example.com") {
		t.Errorf("of no known stream: %+v, %v", e, on)
	}
	all := list(t, Config{Policy: Policy{Complaint: Rule{Strikes: 1}}})
	if observe(t, all, day0, Incident{Stream: "news", Address: anna, Kind: Complained}); !suppressed(t, all, day0, "receipts", anna) {
		t.Error("a rule for all streams is not")
	}
	none := list(t, Config{Policy: Policy{Complaint: Rule{Never: true}}})
	if observe(t, none, day0, Incident{Stream: "news", Address: anna, Kind: Complained}); suppressed(t, none, day0, "news", anna) {
		t.Error("a rule that is off is not")
	}
	// The entry for all streams is the one that is told.
	add(t, l, day0, Entry{Address: anna, Reason: Manual})
	if e, _, _ := l.CheckAt(t.Context(), day0, "news", anna); e.Reason != Manual || e.Stream != "" {
		t.Errorf("%+v", e)
	}
	for _, bad := range []string{"\xff", "a\nb", strings.Repeat("x", maxStream+1)} {
		_, _, err1 := l.ObserveAt(t.Context(), day0, Incident{Stream: bad, Address: anna, Kind: Complained})
		_, err2 := l.AddAt(t.Context(), day0, Entry{Stream: bad, Address: anna, Reason: Manual})
		_, err3 := l.ReleaseAt(t.Context(), day0, Release{Stream: bad, Address: anna})
		for i, err := range []error{err1, err2, err3} {
			if err == nil || !strings.Contains(err.Error(), "stream") {
				t.Errorf("stream %.10q, call %d: %v", bad, i, err)
			}
		}
		if _, on, err := l.CheckAt(t.Context(), day0, bad, "carl@example.com"); on || err != nil {
			t.Errorf("check of stream %.10q: %v", bad, err)
		}
	}
}

func TestExpiry(t *testing.T) {
	l := list(t, Config{})
	doubt := Incident{Address: anna, Kind: Bounced, Verdict: doubtVerdict}
	var e Entry
	for i := range 3 {
		e, _ = observe(t, l, day0.Add(time.Duration(i)*days), doubt)
	}
	// It begins at none then.
	for i := range 3 {
		now := e.Until.Add(time.Duration(i) * days)
		if suppressed(t, l, now, "", anna) {
			t.Fatalf("strike %d: suppressed", i)
		}
		if _, on := observe(t, l, now, doubt); on != (i == 2) {
			t.Errorf("strike %d: %v", i, on)
		}
	}
	if s := lookup(t, l, anna); len(s.Entries) != 1 {
		t.Errorf("entries %+v", s.Entries)
	}
}

func TestAdd(t *testing.T) {
	l := list(t, Config{})
	e := Entry{Address: anna, Stream: "news", Reason: Manual, Detail: "asked by\nletter \xff" + strings.Repeat("ü", 200), Until: day0.Add(days)}
	if !add(t, l, day0, e) || add(t, l, day0, e) {
		t.Error("not new once")
	}
	s := lookup(t, l, anna)
	if len(s.Entries) != 1 || !s.Entries[0].Since.Equal(day0) || !strings.HasPrefix(s.Entries[0].Detail, "asked by letter \uFFFDü") || len(s.Entries[0].Detail) > maxDetail {
		t.Errorf("%+v", s.Entries)
	}
	// The later end stays.
	for _, c := range []struct{ until, want time.Time }{
		{day0.Add(time.Hour), day0.Add(days)},
		{day0.Add(2 * days), day0.Add(2 * days)},
		{time.Time{}, time.Time{}},
		{day0.Add(3 * days), time.Time{}},
	} {
		e.Until = c.until
		if add(t, l, day0.Add(time.Minute), e) {
			t.Error("new")
		}
		if s := lookup(t, l, anna); len(s.Entries) != 1 || !s.Entries[0].Until.Equal(c.want) || !s.Entries[0].Since.Equal(day0) {
			t.Errorf("until %v: %+v", c.until, s.Entries)
		}
	}
	// One that has ended is none.
	if add(t, l, day0, Entry{Address: "bert@example.com", Reason: Manual, Since: day0.Add(-2 * days), Until: day0}) {
		t.Error("put in what had ended")
	}
	for _, c := range []struct {
		e    Entry
		want string
	}{
		{Entry{Address: anna}, "reason"},
		{Entry{Address: anna, Reason: "because"}, "reason"},
		{Entry{Address: anna, Reason: Manual, Category: "made up"}, "category"},
		{Entry{Address: anna, Reason: Manual, Until: day0}, "until"},
		{Entry{Address: anna, Reason: Manual, Until: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "until"},
		{Entry{Address: anna, Reason: Manual, Until: time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -3*3600))}, "until"},
		{Entry{Address: anna, Reason: Manual, Since: time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))}, "since"},
		{Entry{Address: anna, Reason: Manual, Since: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "since"},
	} {
		if _, err := l.AddAt(t.Context(), day0, c.e); err == nil || !strings.HasPrefix(err.Error(), "suppress: "+c.want+": ") {
			t.Errorf("%+v: %v, want %s", c.e, err, c.want)
		}
	}
}

func TestRelease(t *testing.T) {
	l := list(t, Config{})
	hard := Incident{ID: "1", Stream: "news", Address: anna, Kind: Bounced, Verdict: deadVerdict}
	observe(t, l, day0, hard)
	observe(t, l, day0, Incident{ID: "2", Stream: "news", Address: anna, Kind: Complained})
	observe(t, l, day0, Incident{ID: "3", Stream: "offers", Address: anna, Kind: Complained})
	observe(t, l, day0, Incident{ID: "4", Address: anna, Kind: Bounced, Verdict: doubtVerdict})

	if !release(t, l, day0.Add(1), Release{Address: "ANNA@example.com", Stream: "news", Actor: "op\x00", Note: strings.Repeat("n", 300)}) {
		t.Error("nothing released for the stream")
	}
	s := lookup(t, l, anna)
	if len(s.Entries) != 2 || len(s.Strikes) != 0 || len(s.Releases) != 1 {
		t.Fatalf("after a release of a stream: %+v", s)
	}
	if r := s.Releases[0]; r.Stream != "news" || r.Actor != "op" || len(r.Note) != maxDetail || r.Address != anna || !r.At.Equal(day0.Add(1)) {
		t.Errorf("release %+v", r)
	}
	if !release(t, l, day0.Add(2), Release{Address: anna}) || suppressed(t, l, day0.Add(2), "news", anna) || suppressed(t, l, day0.Add(2), "offers", anna) {
		t.Error("not released for all")
	}
	if release(t, l, day0.Add(3), Release{Address: anna}) || release(t, l, day0, Release{Address: "nobody@example.com"}) {
		t.Error("released what was not suppressed")
	}
	if n := len(lookup(t, l, anna).Releases); n != 2 {
		t.Errorf("%d releases noted", n)
	}
	// What was told before does nothing; what is new does.
	if _, on := observe(t, l, day0.Add(4), hard); on || suppressed(t, l, day0.Add(4), "news", anna) {
		t.Error("suppressed by an incident from before the release")
	}
	hard.ID = "5"
	if _, on := observe(t, l, day0.Add(5), hard); !on {
		t.Error("not suppressed by a new one")
	}
	for i := range 10 {
		add(t, l, day0, Entry{Address: anna, Reason: Manual})
		release(t, l, day0, Release{Address: anna, Actor: fmt.Sprint(i)})
	}
	if rs := lookup(t, l, anna).Releases; len(rs) != maxReleases || rs[maxReleases-1].Actor != "9" {
		t.Errorf("releases %+v", rs)
	}
}

func TestEach(t *testing.T) {
	l := list(t, Config{})
	add(t, l, day0, Entry{Address: anna, Stream: "b", Reason: Manual})
	add(t, l, day0, Entry{Address: anna, Stream: "a", Reason: Manual, Until: day0.Add(1)})
	add(t, l, day0, Entry{Address: "bert@example.com", Reason: Complaint})
	got := map[string]int{}
	err := l.Each(t.Context(), func(e Entry) error {
		got[e.Address]++
		return nil
	})
	if err != nil || len(got) != 2 || got[anna] != 2 {
		t.Errorf("%v, %v", got, err)
	}
	stop := errors.New("stop")
	if err := l.Each(t.Context(), func(Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}
