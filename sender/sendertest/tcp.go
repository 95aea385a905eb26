package sendertest

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
)

// sources tells a listener the virtual addresses of a connection that was dialled in the same process: the dialler files
// them under the real local port once it knows it. The kernel may hand the connection to the listener before that, so the
// listener waits while a dial that could be the one is still under way.
type sources struct {
	mu      sync.Mutex
	changed sync.Cond
	last    uint64              // number of the last dial begun
	dialing map[uint64]struct{} // dials under way
	calls   map[netip.AddrPort]call
}

func (s *sources) init() {
	s.changed.L = &s.mu
	s.dialing = map[uint64]struct{}{}
	s.calls = map[netip.AddrPort]call{}
}

// begin notes a dial; end must be called with its number.
func (s *sources) begin() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.dialing[s.last] = struct{}{}
	return s.last
}

// end notes that a dial is over and, when it succeeded, the virtual addresses of its connection.
func (s *sources) end(dial uint64, conn net.Conn, c call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dialing, dial)
	if conn != nil {
		s.calls[addrPort(conn.LocalAddr())] = c
	}
	s.changed.Broadcast()
}

// take returns the virtual addresses of an accepted connection; false when another process dialled it.
func (s *sources) take(conn net.Conn) (call, bool) {
	key := addrPort(conn.RemoteAddr())
	s.mu.Lock()
	defer s.mu.Unlock()
	for last := s.last; ; s.changed.Wait() {
		if c, ok := s.calls[key]; ok {
			delete(s.calls, key)
			return c, true
		}
		under := false
		for dial := range s.dialing {
			under = under || dial <= last
		}
		if !under {
			return call{}, false
		}
	}
}

// tcpListener is a listener on a real port of 127.0.0.1 that stands for a virtual address.
type tcpListener struct {
	net.Listener
	net  *Network
	addr netip.AddrPort
}

func newTCPListener(n *Network, addr netip.AddrPort) (*tcpListener, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &tcpListener{Listener: l, net: n, addr: addr}, nil
}

// connect dials the real port and, with a delay, puts a slow pipe before it.
func (l *tcpListener) connect(ctx context.Context, c call) (net.Conn, error) {
	dial := l.net.sources.begin()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp4", l.Listener.Addr().String())
	l.net.sources.end(dial, conn, c)
	if err != nil {
		return nil, opError("dial", l.addr, err)
	}
	if c.delay == 0 {
		return l.net.wrapTCP(conn, c)
	}
	near, far := newPipe(c.local, c.remote, c.delay, func(p *pipeConn) { l.net.remove(p) })
	far.closed = func(*pipeConn) {}
	if !l.net.add(near) {
		conn.Close()
		return nil, opError("dial", l.addr, net.ErrClosed)
	}
	go carry(conn, far)
	return near, nil
}

// Accept waits for a connection. Its addresses are virtual when this process dialled it.
func (l *tcpListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := call{local: conn.RemoteAddr()}
	if known, ok := l.net.sources.take(conn); ok {
		c = known
	}
	return l.net.wrapTCP(conn, call{local: l.Addr(), remote: c.local})
}

// Close stops listening.
func (l *tcpListener) Close() error {
	l.net.forget(l.addr, l)
	return l.Listener.Close()
}

// Addr is the virtual address.
func (l *tcpListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// carry copies in both directions until both have ended.
func carry(conn net.Conn, pipe *pipeConn) {
	var up sync.WaitGroup
	up.Go(func() {
		if _, err := io.Copy(conn, pipe); err != nil {
			Reset(&tcpConn{Conn: conn})
			return
		}
		conn.(*net.TCPConn).CloseWrite()
	})
	if _, err := io.Copy(pipe, conn); err != nil {
		pipe.Reset()
	} else {
		pipe.CloseWrite()
	}
	up.Wait()
	conn.Close()
	pipe.Close()
}

// wrapTCP counts a real connection and gives it virtual addresses.
func (n *Network) wrapTCP(conn net.Conn, c call) (net.Conn, error) {
	w := &tcpConn{Conn: conn, net: n, local: c.local, remote: c.remote}
	if !n.add(w) {
		conn.Close()
		return nil, net.ErrClosed
	}
	return w, nil
}

// dialLoopback connects to a server of another program on this machine.
func (n *Network) dialLoopback(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	return n.wrapTCP(conn, call{local: conn.LocalAddr(), remote: conn.RemoteAddr()})
}

// dialPacket opens a UDP socket connected to the real address to, which stands for addr.
func (n *Network) dialPacket(ctx context.Context, addr, to netip.AddrPort) (net.Conn, error) {
	if !to.IsValid() {
		if !addr.Addr().IsLoopback() {
			return nil, opError("dial", addr, os.NewSyscallError("connect", syscall.ECONNREFUSED))
		}
		to = addr
	}
	conn, err := new(net.Dialer).DialContext(ctx, "udp", to.String())
	if err != nil {
		return nil, opError("dial", addr, err)
	}
	w := &udpConn{UDPConn: conn.(*net.UDPConn), net: n}
	if !n.add(w) {
		conn.Close()
		return nil, opError("dial", addr, net.ErrClosed)
	}
	return w, nil
}

// listenBoth listens for TCP on a virtual address and, on a TCP network, for UDP on the same real port.
func (n *Network) listenBoth(addr netip.AddrPort) (net.Listener, *net.UDPConn, error) {
	for try := 0; ; try++ {
		l, err := n.Listen(addr)
		if err != nil || !n.real {
			return l, nil, err
		}
		at := addrPort(l.(*tcpListener).Listener.Addr())
		udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
		if err == nil {
			n.mu.Lock()
			n.packets[addr] = at
			n.mu.Unlock()
			return l, udp, nil
		}
		l.Close()
		if try == 20 { // The port is free for TCP and taken for UDP: try another one, but not for ever.
			return nil, nil, err
		}
	}
}

// realAddr is the real host:port of a listener, or the virtual one in memory.
func realAddr(l net.Listener) string {
	if t, ok := l.(*tcpListener); ok {
		return t.Listener.Addr().String()
	}
	return l.Addr().String()
}

// tcpConn is a real connection with virtual addresses.
type tcpConn struct {
	net.Conn
	net           *Network
	local, remote net.Addr
	once          sync.Once
}

func (c *tcpConn) LocalAddr() net.Addr  { return c.local }
func (c *tcpConn) RemoteAddr() net.Addr { return c.remote }

// Close closes the connection.
func (c *tcpConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		if c.net != nil {
			c.net.remove(c)
		}
	})
	return err
}

// SyscallConn is that of the socket.
func (c *tcpConn) SyscallConn() (syscall.RawConn, error) { return c.Conn.(*net.TCPConn).SyscallConn() }

// CloseWrite ends the outgoing direction.
func (c *tcpConn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// Reset closes the connection so that the peer gets a TCP reset.
func (c *tcpConn) Reset() error {
	c.Conn.(*net.TCPConn).SetLinger(0)
	return c.Close()
}

// udpConn is a real UDP socket that is counted.
type udpConn struct {
	*net.UDPConn
	net  *Network
	once sync.Once
}

// Close closes the socket.
func (c *udpConn) Close() error {
	err := c.UDPConn.Close()
	c.once.Do(func() { c.net.remove(c) })
	return err
}

// Reset closes the socket.
func (c *udpConn) Reset() error { return c.Close() }

// addrPort is the address of a TCP or UDP end point, without an IPv4-in-IPv6 form.
func addrPort(a net.Addr) netip.AddrPort {
	var p netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		p = a.AddrPort()
	case *net.UDPAddr:
		p = a.AddrPort()
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
