package engagement

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := record{
			state: rapid.SampledFrom([]State{StateInvited, StateActive, stateLapsing, StateLapsed}).Draw(t, "state"),
			sent:  rapid.IntRange(0, maxMessages).Draw(t, "sent"),
			since: rapid.Int64Range(0, maxStamp).Draw(t, "since"),
			last:  rapid.Int64Range(0, maxStamp).Draw(t, "last"),
		}
		if got, err := decode(r.encode()); got != r || err != nil {
			t.Fatalf("%s: %+v, %v; want %+v", r.encode(), got, err, r)
		}
	})
}

func TestRecordFormat(t *testing.T) {
	r := record{StateInvited, 2, stamp(start), stamp(start.Add(time.Second))}
	if got := string(r.encode()); got != "1 invited 2 1772442000000000000 1772442001000000000" {
		t.Errorf("%s", got)
	}
	for _, bad := range []string{
		"", "1", "1 ", "2 invited 0 0 0", "1 unknown 0 0 0", "1  0 0 0", "1 invited", "1 invited 0", "1 invited 0 0", "1 invited 0 0 0 ",
		"1 invited 0 0 0 0", "1 invited -1 0 0", "1 invited 11 0 0", "1 invited 0 -1 0", "1 invited 0 0 9223372036854775807", "1 invited +1 0 0",
		"1 invited 01 0 0", "1 invited 0 0 0\n", "1 invited 99999999999999999999 0 0",
	} {
		if r, err := decode([]byte(bad)); err != errRecord {
			t.Errorf("%q: %+v, %v", bad, r, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("1 invited 2 1772442000000000000 1772442001000000000"))
	f.Add([]byte("1 lapsing 10 0 0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decode(b); err == nil && !bytes.Equal(r.encode(), b) {
			t.Errorf("%q is read as %q", b, r.encode())
		}
	})
}

func TestStamp(t *testing.T) {
	for _, c := range []struct{ t, want time.Time }{
		{start, start},
		{start.Add(1).Local(), start.Add(1)},
		{time.Time{}, time.Unix(0, 0)},
		{time.Unix(-1, 999), time.Unix(0, 0)},
		{time.Date(2099, 12, 31, 23, 59, 59, 999, time.UTC), time.Date(2099, 12, 31, 23, 59, 59, 999, time.UTC)},
		{time.Date(2600, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if got := unstamp(stamp(c.t)); !got.Equal(c.want) || got.Location() != time.UTC {
			t.Errorf("%v: %v, want %v", c.t, got, c.want)
		}
	}
}
