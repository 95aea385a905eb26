package sendertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// connectTimeout is how long a dial to a black hole lasts when its context does not end before: what Linux takes to send
// its six SYN retries (tcp_syn_retries in tcp(7)).
const connectTimeout = 127 * time.Second

// backlog is how many connections a listener holds that nobody has accepted yet. A dial beyond it is refused.
const backlog = 4096

// Network is a small internet of virtual addresses: the servers of this package listen on it and the code under test dials
// through it. Nothing on it ever reaches a real network, whatever the names and addresses look like.
//
// A Network is either in memory (NewNetwork) or carried by TCP and UDP sockets on the loopback interface (NewTCPNetwork).
// All methods may be called concurrently.
type Network struct {
	real bool
	done chan struct{}
	open atomic.Int64

	mu        sync.Mutex
	closed    bool
	delay     time.Duration
	blackHole map[netip.Addr]bool
	listeners map[netip.AddrPort]socket
	packets   map[netip.AddrPort]netip.AddrPort // real UDP address of a virtual one
	conns     map[resetter]struct{}
	ports     map[netip.Addr]uint16 // last ephemeral port by address
	sources   sources
}

// socket is a listener that can be dialled.
type socket interface {
	net.Listener
	connect(ctx context.Context, call call) (net.Conn, error)
}

// call is a dial on its way to a listener.
type call struct {
	local, remote net.Addr
	delay         time.Duration
}

// resetter is a connection that can be cut.
type resetter interface {
	net.Conn
	Reset() error
}

// NewNetwork returns a network in memory. Made inside a testing/synctest bubble it belongs to that bubble: a goroutine
// that waits on one of its connections is durably blocked, so time moves on. Close it when done.
func NewNetwork() *Network {
	return &Network{
		done:      make(chan struct{}),
		blackHole: map[netip.Addr]bool{},
		listeners: map[netip.AddrPort]socket{},
		packets:   map[netip.AddrPort]netip.AddrPort{},
		conns:     map[resetter]struct{}{},
		ports:     map[netip.Addr]uint16{},
	}
}

// NewTCPNetwork returns a network whose connections are real sockets on 127.0.0.1, for benchmarks, for demonstrations and
// for other programs to take part. Each virtual address gets a port of its own, so no alias addresses are needed and it
// works on every system with an IPv4 loopback interface. The virtual source address of a connection dialled by this
// Network is told to the listener within the process; a connection from another process shows its real address.
// An address that nobody listens on is refused, but for one of the loopback interface, which is dialled as it is.
func NewTCPNetwork() *Network {
	n := NewNetwork()
	n.real = true
	n.sources.init()
	return n
}

// DefaultSource is the source address of a connection to addr for which the dialler named none.
func DefaultSource(addr netip.Addr) netip.Addr {
	if addr.Unmap().Is4() {
		return netip.AddrFrom4([4]byte{203, 0, 113, 254})
	}
	return netip.MustParseAddr("2001:db8::fe")
}

// Listen listens on a virtual address. Port 0 takes a free one. It fails when somebody listens there already or the network
// is closed. The listener's Addr is the virtual address.
func (n *Network) Listen(addr netip.AddrPort) (net.Listener, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if !addr.Addr().IsValid() {
		return nil, fmt.Errorf("sendertest: Listen: no address")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, opError("listen", addr, net.ErrClosed)
	}
	if addr.Port() == 0 {
		addr = netip.AddrPortFrom(addr.Addr(), n.ephemeral(addr.Addr()))
	}
	if n.listeners[addr] != nil {
		return nil, opError("listen", addr, os.NewSyscallError("bind", syscall.EADDRINUSE))
	}
	if !n.real {
		l := newMemListener(n, addr)
		n.listeners[addr] = l
		return l, nil
	}
	l, err := newTCPListener(n, addr)
	if err != nil {
		return nil, err
	}
	n.listeners[addr] = l
	return l, nil
}

// Dial connects from local (the zero Addr: DefaultSource) to addr. Its signature is that of a transport's DialFunc. It fails
// at once with ECONNREFUSED when nobody listens on addr. A context that ends is reported as a *net.OpError around the
// context's error.
func (n *Network) Dial(ctx context.Context, local netip.Addr, addr netip.AddrPort) (net.Conn, error) {
	return n.dial(ctx, "tcp", local, addr)
}

// DialContext connects to address, an IP address and a port. It is meant for DNS clients, for example net.Resolver.Dial.
// In memory "udp" gives a stream connection too, and DNS messages travel over it with the two-octet length of RFC 1035
// section 4.2.2 before them; net.Resolver and other clients do that by themselves for a connection that is no
// net.PacketConn. On a TCP network "udp" gives a real UDP socket.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("sendertest: DialContext: %w", err)
	}
	return n.dial(ctx, network, netip.Addr{}, addr)
}

func (n *Network) dial(ctx context.Context, network string, local netip.Addr, addr netip.AddrPort) (net.Conn, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if !local.IsValid() {
		local = DefaultSource(addr.Addr())
	}
	local = local.Unmap()
	if err := ctx.Err(); err != nil {
		return nil, opError("dial", addr, err)
	}
	n.mu.Lock()
	from := netip.AddrPortFrom(local, n.ephemeral(local))
	delay, hole := n.delay, n.blackHole[addr.Addr()]
	n.mu.Unlock()

	if hole {
		return nil, opError("dial", addr, n.wait(ctx, connectTimeout, os.NewSyscallError("connect", syscall.ETIMEDOUT)))
	}
	if local.Is4() != addr.Addr().Is4() {
		return nil, opError("dial", addr, os.NewSyscallError("connect", syscall.EAFNOSUPPORT))
	}
	if delay > 0 { // SYN and SYN-ACK
		if err := n.wait(ctx, 2*delay, nil); err != nil {
			return nil, opError("dial", addr, err)
		}
	}

	n.mu.Lock()
	l, packet := n.listeners[addr], n.packets[addr]
	closed := n.closed
	n.mu.Unlock()
	switch {
	case closed:
		return nil, opError("dial", addr, net.ErrClosed)
	case n.real && strings.HasPrefix(network, "udp"):
		return n.dialPacket(ctx, addr, packet)
	case l != nil:
		return l.connect(ctx, newCall(network, from, addr, delay))
	case n.real && addr.Addr().IsLoopback():
		return n.dialLoopback(ctx, addr)
	}
	return nil, opError("dial", addr, os.NewSyscallError("connect", syscall.ECONNREFUSED))
}

// Blackhole lets every new connection to addr hang until its context ends, as if a firewall swallowed the packets.
func (n *Network) Blackhole(addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blackHole[addr.Unmap()] = true
}

// Heal undoes Blackhole.
func (n *Network) Heal(addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.blackHole, addr.Unmap())
}

// SetDelay sets the one-way latency of connections made from now on: what is written arrives so much later, and connecting
// takes two of them. Negative counts as 0, which is also the initial value. Real UDP sockets are not delayed.
func (n *Network) SetDelay(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay = max(d, 0)
}

// OpenConns returns how many connection ends are open: one for each connection that Dial returned or a listener accepted
// and that was not closed. A test that ends with more than it began with has a leak.
func (n *Network) OpenConns() int { return int(n.open.Load()) }

// Close closes all listeners and cuts all connections. A second Close does nothing.
func (n *Network) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	close(n.done)
	listeners, conns := n.listeners, n.conns
	n.listeners, n.conns = map[netip.AddrPort]socket{}, map[resetter]struct{}{}
	n.mu.Unlock()
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	for c := range conns {
		c.Reset()
	}
	return errors.Join(errs...)
}

// Reset cuts a connection of a Network as a TCP reset does, also below a *tls.Conn: the peer gets ECONNRESET. Any other
// connection is closed.
func Reset(conn net.Conn) error {
	for {
		switch c := conn.(type) {
		case resetter:
			return c.Reset()
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return conn.Close()
		}
	}
}

// add counts a connection end as open; false when the network is closed.
func (n *Network) add(c resetter) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.conns[c] = struct{}{}
	n.open.Add(1)
	return true
}

// remove counts a connection end as closed.
func (n *Network) remove(c resetter) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
	n.open.Add(-1)
}

// forget takes a listener off the network, if it is still there.
func (n *Network) forget(addr netip.AddrPort, l socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[addr] == l {
		delete(n.listeners, addr)
	}
}

// ephemeral returns the next port of the dynamic range (RFC 6335 section 6) that nobody listens on. n.mu is held.
func (n *Network) ephemeral(addr netip.Addr) uint16 {
	port := n.ports[addr]
	for range 1 << 14 {
		if port = port + 1; port < 49152 {
			port = 49152
		}
		if n.listeners[netip.AddrPortFrom(addr, port)] == nil {
			break
		}
	}
	n.ports[addr] = port
	return port
}

// wait waits for d and then returns err, or sooner the reason why not.
func (n *Network) wait(ctx context.Context, d time.Duration, err error) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-n.done:
		return net.ErrClosed
	}
}

func newCall(network string, from, to netip.AddrPort, delay time.Duration) call {
	if strings.HasPrefix(network, "udp") {
		return call{local: net.UDPAddrFromAddrPort(from), remote: net.UDPAddrFromAddrPort(to), delay: delay}
	}
	return call{local: net.TCPAddrFromAddrPort(from), remote: net.TCPAddrFromAddrPort(to), delay: delay}
}

func opError(op string, addr netip.AddrPort, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
}

// memListener is a listener in memory.
type memListener struct {
	net  *Network
	addr netip.AddrPort

	mu     sync.Mutex
	cond   sync.Cond
	queue  []*pipeConn
	closed bool
}

func newMemListener(n *Network, addr netip.AddrPort) *memListener {
	l := &memListener{net: n, addr: addr}
	l.cond.L = &l.mu
	return l
}

// connect puts the far end into the queue. As with TCP the dialler does not wait for it to be accepted.
func (l *memListener) connect(_ context.Context, call call) (net.Conn, error) {
	dialled, accepted := newPipe(call.local, call.remote, call.delay, func(c *pipeConn) { l.net.remove(c) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.queue) >= backlog {
		return nil, opError("dial", l.addr, os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	if !l.net.add(dialled) {
		return nil, opError("dial", l.addr, net.ErrClosed)
	}
	l.queue = append(l.queue, accepted)
	l.cond.Signal()
	return dialled, nil
}

// Accept waits for a connection.
func (l *memListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.closed {
			return nil, opError("accept", l.addr, net.ErrClosed)
		}
		if len(l.queue) > 0 {
			break
		}
		l.cond.Wait()
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	if !l.net.add(c) {
		return nil, opError("accept", l.addr, net.ErrClosed)
	}
	return c, nil
}

// Close stops listening and cuts the connections that nobody accepted.
func (l *memListener) Close() error {
	l.net.forget(l.addr, l)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, c := range l.queue {
		c.in.reset(true)
		c.out.reset(false)
	}
	l.queue = nil
	l.cond.Broadcast()
	return nil
}

// Addr is the virtual address.
func (l *memListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }
