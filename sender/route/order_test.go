package route

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// An IPv4 address in IPv6 clothes is what it is.
func TestOrderMapped(t *testing.T) {
	r, err := New(Config{Servers: []string{"192.0.2.53:53"}})
	if err != nil {
		t.Fatal(err)
	}
	mapped := func(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }
	got := r.order([]netip.Addr{six1, mapped(loop), mapped(four1)}, false)
	if want := []netip.Addr{four1, six1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMXNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{MaxHosts: 1})
		w.mx("example.com", 20, "b.example.com", four1)
		w.mx("example.com", 10, "c.example.com", four1)
		w.mx("example.com", 30, "a.example.com")
		d, err := w.r.Resolve(t.Context(), "example.com")
		if want := []string{"a.example.com", "b.example.com", "c.example.com"}; err != nil || !slices.Equal(d.MX, want) {
			t.Errorf("got %v, %v; want %v", d.MX, err, want)
		}
		if !slices.Equal(d.Names(), []string{"c.example.com"}) {
			t.Errorf("the names are %v", d.Names())
		}
	})
}

// Whatever the records, the hosts come sorted by preference, none is lost or doubled, and each call deals them anew.
func TestOrderProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		preferences := rapid.SliceOfN(rapid.Uint16Range(0, 3), 1, 8).Draw(rt, "preferences")
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Config{MaxHosts: 8})
			want := map[string]uint16{}
			for i, p := range preferences {
				name := fmt.Sprintf("mx%d.example.com", i)
				w.mx("example.com", p, name, four1)
				want[name] = p
			}
			for range 3 {
				d, err := w.r.Resolve(t.Context(), "example.com")
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]uint16{}
				last := uint16(0)
				for _, h := range d.Hosts {
					got[h.Name] = h.Preference
					if h.Preference < last {
						t.Fatalf("not sorted: %s", show(d))
					}
					last = h.Preference
				}
				if !reflect.DeepEqual(got, want) || len(d.Hosts) != len(want) {
					t.Fatalf("got %v, want %v", got, want)
				}
			}
		})
	})
}

// Equal hosts share the load, though the answer is remembered; a lone better host stays first.
func TestShuffle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.mx("example.com", 5, "best.example.com", four1)
		const equal, calls = 4, 4000
		for i := range equal {
			w.mx("example.com", 10, fmt.Sprintf("mx%d.example.com", i), four1)
		}
		second := map[string]int{}
		for range calls {
			d, err := w.r.Resolve(t.Context(), "example.com")
			if err != nil || d.Hosts[0].Name != "best.example.com" {
				t.Fatalf("got %s, %v", show(d), err)
			}
			second[d.Hosts[1].Name]++
		}
		for name, n := range second {
			// 1000 expected; 5 standard deviations are 137.
			if n < calls/equal-137 || n > calls/equal+137 {
				t.Errorf("%s came %d times of %d", name, n, calls)
			}
		}
		if n := w.dns.Queries("example.com", "MX"); n != 1 || len(second) != equal {
			t.Errorf("%d questions, %d hosts", n, len(second))
		}
	})
}
