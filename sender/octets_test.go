package sender

import (
	"bytes"
	"net/mail"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestCleanOctets: the quick check and the one that names the fault agree.
func TestCleanOctets(t *testing.T) {
	long := strings.Repeat("x", maxLine-2)
	parts := []string{"\r", "\n", "\r\n", "\x00", "", "a", "line\r\n", long, long + "12\r\n", long + "123\r\n", "\r\r\n", "\n\r", "\xff"}
	seen := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		data := []byte(strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 8).Draw(t, "parts"), ""))
		clean, err := cleanOctets(data), checkOctets(data)
		if clean != (err == nil) {
			t.Fatalf("clean %v, but %v", clean, err)
		}
		seen[clean]++
	})
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("one-sided: %v", seen)
	}
}

func FuzzCleanOctets(f *testing.F) {
	for _, s := range []string{"", "a\r\nb", "a\nb", "a\rb\r\n", "a\r\n\r", "\x00", "\r\n\n", strings.Repeat("y", maxLine+1)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if clean, err := cleanOctets(data), checkOctets(data); clean != (err == nil) {
			t.Errorf("%q: clean %v, but %v", data, clean, err)
		}
	})
}

func TestHasEightBit(t *testing.T) {
	for n := range 40 {
		for at := -1; at < n; at++ {
			b := bytes.Repeat([]byte{0x7f}, n)
			if at >= 0 {
				b[at] = 0x80
			}
			if hasEightBit(b) != (at >= 0) {
				t.Errorf("octet %d of %d", at, n)
			}
		}
	}
}

// TestIsDate: the short way to the usual form takes nothing that net/mail does not take.
func TestIsDate(t *testing.T) {
	var forms []string
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.FixedZone("", -7200))
	for _, form := range []string{
		dateForm, "2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 02 Jan 06 15:04 MST", "02 Jan 2006 15:04:05 -0700 (MST)",
		"Mon, 02 Jan 2006 15:04:05.00 -07", "Mon Jan 02 15:04:05 2006 -0700xx", time.RFC3339, "Mon, 02 Jan 2006 15:04:05 +2500",
	} {
		forms = append(forms, at.Format(form), strings.ToUpper(at.Format(form)), strings.Replace(at.Format(form), "02", "31", 1))
	}
	forms = append(forms, "", "yesterday", strings.Repeat("x", len(dateForm)), "Mon, 31 Feb 2025 03:04:05 -0200", "Xxx, 02 Jan 2025 03:04:05 -0200")
	for _, text := range forms {
		_, err := mail.ParseDate(text)
		if isDate(text) != (err == nil) {
			t.Errorf("%q: %v, net/mail says %v", text, isDate(text), err)
		}
	}
	if !isDate(at.Format(dateForm)) {
		t.Error("the usual form is none")
	}
}

// TestOnceNamed: names are found whatever their case, and each has a bit of its own.
func TestOnceNamed(t *testing.T) {
	var all fieldSet
	for name, want := range once {
		for _, spelt := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if got := onceNamed([]byte(spelt)); got != want || got.bit == 0 || got.clause == "" {
				t.Errorf("%s: %+v", spelt, got)
			}
		}
		if all&want.bit != 0 || want.bit&(want.bit-1) != 0 {
			t.Errorf("%s shares its bit", name)
		}
		all |= want.bit
		if len(name) > longestOnce {
			t.Errorf("%s is longer than %d", name, longestOnce)
		}
	}
	for _, other := range []string{"", "received", "x-from", "fromm", "content-transfer-encodings", strings.Repeat("from", 50)} {
		if got := onceNamed([]byte(other)); got != (onceField{}) {
			t.Errorf("%q: %+v", other, got)
		}
	}
}
