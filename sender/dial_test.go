package sender_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/route"
	"github.com/reputemail/repute/sender/transport"
)

// TestHostsOfAnAttempt: one attempt dials up to five times, and no address again that was raced already and does not answer.
func TestHostsOfAnAttempt(t *testing.T) {
	breaks := func(stage bounce.Stage) func(transport.Target) error { // the first of the raced answers, and then closes
		return func(target transport.Target) error {
			return &transport.Error{Reply: bounce.Reply{
				Status: bounce.Status{Class: 4, Subject: 4, Detail: 2}, Stage: stage, Host: target.Host, Local: true, Lines: []string{"the host closed the connection"},
			}}
		}
	}
	for _, c := range []struct {
		name  string
		addrs []int // of each host
		dial  func(transport.Target) error
		want  []string // the last octet of the addresses, with those that are raced
	}{
		{"one address each", []int{1, 1}, unreachable, []string{"1[]", "2[]"}},
		{"all are raced", []int{3, 1}, unreachable, []string{"1[2 3]", "4[]"}},
		{"more than are raced", []int{5, 1}, unreachable, []string{"1[2 3]", "4[5]", "6[]"}},
		{"no greeting", []int{3, 1}, breaks(bounce.StageConnect), []string{"1[2 3]", "2[3]", "3[]", "4[]"}},
		{"no reply to EHLO", []int{3, 1}, breaks(bounce.StageEHLO), []string{"1[2 3]", "2[3]", "3[]", "4[]"}},
		{"many hosts", []int{1, 1, 1, 1, 1, 1, 1}, unreachable, []string{"1[]", "2[]", "3[]", "4[]", "5[]"}},
		{"many addresses", []int{9, 1}, breaks(bounce.StageEHLO), []string{"1[2 3]", "2[3 4]", "3[4 5]", "4[5 6]", "5[6 7]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.dial = c.dial
				st.resolve = func(_ context.Context, domain string) (route.Destination, error) {
					dest, last := found(domain), byte(0)
					dest.Hosts = nil
					for i, n := range c.addrs {
						h := route.Host{Name: fmt.Sprintf("mx%d.%s", i, domain)}
						for range n {
							last++
							h.Addrs = append(h.Addrs, netip.AddrFrom4([4]byte{192, 0, 2, last}))
						}
						dest.Hosts = append(dest.Hosts, h)
					}
					return dest, nil
				}
				s := st.start(st.config("a"))
				st.enqueue(s, "", "one@x.example")
				time.Sleep(time.Second)
				var got []string
				for _, target := range get(st, func() []transport.Target { return st.targets }) {
					var others []byte
					for _, o := range target.Others {
						others = append(others, o.Addr().As4()[3])
					}
					got = append(got, fmt.Sprintf("%d%v", target.Addr.Addr().As4()[3], others))
				}
				if fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Errorf("dialled %v, want %v", got, c.want)
				}
			})
		})
	}
}
