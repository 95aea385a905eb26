package outlet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/proxy"
)

// The replies of RFC 1928 section 6, as far as they tell of the destination and not of the proxy.
var destinationFailures = map[byte]error{
	2: errors.New("the proxy's rules do not allow it"),
	3: os.NewSyscallError("connect", syscall.ENETUNREACH),
	4: os.NewSyscallError("connect", syscall.EHOSTUNREACH),
	5: os.NewSyscallError("connect", syscall.ECONNREFUSED),
	6: errors.New("the time to live expired"),
	8: errors.New("the proxy does not serve this type of address"),
}

// errLate is why a SOCKS proxy is not waited for any more.
var errLate = errors.New("no answer in time")

// socks opens a connection through a SOCKS proxy.
func (o *Outlet) socks(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(o.config.Timeout, func() { cancel(errLate) })
	defer timer.Stop()
	f := &forward{outlet: o, asked: func() {
		if timer.Stop() {
			timer.Reset(o.config.ReplyTimeout)
		}
	}}
	var auth *proxy.Auth
	if o.config.User != "" {
		auth = &proxy.Auth{User: o.config.User, Password: o.config.Password}
	}
	dialer, err := proxy.SOCKS5("tcp", o.config.Addr, auth, f)
	if err != nil {
		return nil, o.failed(ctx, err)
	}
	_, err = dialer.(proxy.ContextDialer).DialContext(within, "tcp", addr.String()) // it has been one since there is that interface
	late := within.Err() != nil
	if err == nil {
		return f.conn.Conn, nil // without what watches it
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, ctx.Err()
	case f.conn == nil && late:
		return nil, o.failed(ctx, context.DeadlineExceeded)
	case f.conn == nil:
		return nil, o.failed(ctx, f.err)
	}
	about := func(cause error) error {
		return &net.OpError{Op: "socks connect", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: cause}
	}
	reply, replied := f.conn.reply()
	switch {
	case replied && destinationFailures[reply] != nil:
		return nil, about(destinationFailures[reply])
	case late && f.conn.asked && !replied:
		return nil, about(os.ErrDeadlineExceeded)
	case late:
		return nil, o.failed(ctx, context.DeadlineExceeded)
	}
	return nil, o.failed(ctx, fmt.Errorf("SOCKS: %w", err))
}

// forward opens the connection for the SOCKS dialer, and watches it.
type forward struct {
	outlet *Outlet
	asked  func()
	conn   *watched
	err    error // why there is none
}

// Dial is not called, since there is DialContext; proxy.Dialer demands it.
func (f *forward) Dial(_, _ string) (net.Conn, error) {
	return f.DialContext(context.Background(), "", "")
}

// DialContext connects to the proxy, whatever the arguments say.
func (f *forward) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := f.outlet.connect(ctx)
	if err != nil {
		f.err = err
		return nil, err
	}
	f.conn = &watched{Conn: conn, onAsk: f.asked}
	return f.conn, nil
}

// watched keeps what the proxy says, since the dialer tells a reply's code in words only.
type watched struct {
	net.Conn
	onAsk func()
	asked bool // the destination was sent
	read  []byte
}

// maxWatched is more than all answers together that matter: method, authentication, and the reply's first bytes.
const maxWatched = 16

// Read keeps the first bytes.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.read = append(w.read, b[:min(n, maxWatched-len(w.read))]...)
	return n, err
}

// Write notices the request. Of what a client writes only that begins with 5 and is longer than a list of two methods.
func (w *watched) Write(b []byte) (int, error) {
	if len(b) >= 10 && b[0] == 5 {
		w.asked = true
		w.onAsk()
	}
	return w.Conn.Write(b)
}

// reply is the code of the reply to the request, if it came.
func (w *watched) reply() (byte, bool) {
	at := 2 // behind the answer about methods
	if len(w.read) > 1 && w.read[1] == 2 {
		at += 2 // and the one about the password
	}
	if !w.asked || len(w.read) < at+2 || w.read[at] != 5 {
		return 0, false
	}
	return w.read[at+1], true
}
