package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
)

// attemptDelay is the time between the attempts to connect to the addresses of a host (RFC 8305 section 5).
const attemptDelay = 250 * time.Millisecond

// addrs are the addresses to be tried, in order. One of another family than the source address cannot be reached from it.
func (t *Target) addrs() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, addr := range append([]netip.AddrPort{t.Addr}, t.Others...) {
		fits := !t.LocalAddr.IsValid() || t.LocalAddr.Unmap().Is4() == addr.Addr().Unmap().Is4()
		if fits && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return []netip.AddrPort{t.Addr} // the attempt says it best
	}
	return addrs
}

// dialled is the outcome of one attempt to connect.
type dialled struct {
	conn net.Conn
	err  error
	nth  int
}

// connect opens the connection to the address that answers first.
func (c *call) connect(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, c.config.Timeouts.Connect)
	defer cancel()
	addrs := c.target.addrs()
	var won dialled
	errs := make([]error, len(addrs))
	if len(addrs) == 1 {
		won.conn, errs[0] = c.open(within, c.target.LocalAddr, addrs[0])
	} else {
		won = c.race(within, addrs, errs)
	}
	switch {
	case won.conn != nil && ctx.Err() == nil:
		c.wire, c.addr = newWire(won.conn, c.config), addrs[won.nth]
		return nil
	case won.conn != nil:
		won.conn.Close()
		return ctx.Err()
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return c.unreachable(addrs, errs, within.Err() != nil)
}

// open opens one connection.
func (c *call) open(ctx context.Context, local netip.Addr, addr netip.AddrPort) (net.Conn, error) {
	if c.target.Dial != nil {
		return c.target.Dial(ctx, local, addr)
	}
	return c.config.Dial(ctx, local, addr)
}

// race connects to several addresses, each a moment after the one before, or at once when that one has failed. The first
// connection wins; those that come about later are closed without a word. It fills in the errors of the others.
func (c *call) race(ctx context.Context, addrs []netip.AddrPort, errs []error) dialled {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outcome := make(chan dialled, len(addrs))
	timer := time.NewTimer(attemptDelay)
	defer timer.Stop()
	begun, over := 0, 0
	begin := func() {
		nth := begun
		begun++
		timer.Reset(attemptDelay)
		go func() {
			conn, err := c.open(ctx, c.target.LocalAddr, addrs[nth])
			outcome <- dialled{conn, err, nth}
		}()
	}
	begin()
	for over < len(addrs) {
		select {
		case d := <-outcome:
			if over++; d.err == nil {
				go dismiss(outcome, begun-over)
				return d
			}
			errs[d.nth] = d.err
			if begun < len(addrs) && ctx.Err() == nil {
				begin()
			} else if ctx.Err() != nil && over == begun {
				return dialled{}
			}
		case <-timer.C:
			if begun < len(addrs) {
				begin()
			}
		}
	}
	return dialled{}
}

// dismiss closes the connections of those n attempts that were too slow.
func dismiss(outcome <-chan dialled, n int) {
	for range n {
		if d := <-outcome; d.err == nil {
			d.conn.Close()
		}
	}
}

// unreachable is the error for a host with no address that answers. It names those of several that were tried.
func (c *call) unreachable(addrs []netip.AddrPort, errs []error, timedOut bool) *Error {
	late := fmt.Sprintf("no connection within %v", c.config.Timeouts.Connect)
	if len(addrs) == 1 {
		if timedOut {
			return fault(bounce.StageConnect, c.target.Host, statusConnect, late, errs[0])
		}
		return fault(bounce.StageConnect, c.target.Host, statusConnect, "cannot connect: "+describe(errs[0]), errs[0])
	}
	var texts []string
	var cause error
	for i, err := range errs {
		if err == nil {
			continue // not tried
		}
		text := describe(err)
		if timedOut && isTimeout(err) {
			text = late
		}
		texts = append(texts, addrs[i].String()+": "+text)
		cause = err
	}
	return fault(bounce.StageConnect, c.target.Host, statusConnect, "cannot connect: "+strings.Join(texts, "; "), cause)
}
