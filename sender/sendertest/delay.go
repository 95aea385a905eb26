package sendertest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// delayRoom is how many octets may be under way in each direction of a delayed connection: enough for 300 MB a second over a
// round trip of 50 ms.
const delayRoom = 16 << 20

// DelayConfig configures a Delay.
type DelayConfig struct {
	// Target is where connections go: host and port, on a loopback address.
	Target string
	// RoundTrip is how much later an answer comes. Negative counts as 0. Defaults to 0.
	RoundTrip time.Duration
}

// Delay is a proxy on loopback TCP that makes a server near by look far away: what either side sends arrives half a round
// trip later, with no limit to the rate. It is for measurements in real time and for other programs; Network.SetDelay does
// the same to connections of a Network, also in bubbles.
//
// A client is connected at once, since the kernel does that, but its first octets come as late as if the three packets of TCP's
// handshake had taken their time too. The methods may be called concurrently.
type Delay struct {
	config   DelayConfig
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{}
}

// StartDelay starts a proxy on a free port of 127.0.0.1. It runs until Close.
func StartDelay(config DelayConfig) (*Delay, error) {
	config.RoundTrip = max(config.RoundTrip, 0)
	addr, err := net.ResolveTCPAddr("tcp", config.Target)
	if err != nil {
		return nil, fmt.Errorf("sendertest: DelayConfig.Target: %w", err)
	}
	if !addr.IP.IsLoopback() {
		return nil, errors.New("sendertest: DelayConfig.Target: not a loopback address")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sendertest: %w", err)
	}
	d := &Delay{config: config, listener: l, open: map[net.Conn]struct{}{}}
	d.running.Go(d.accept)
	return d, nil
}

// Addr is the host:port to connect to.
func (d *Delay) Addr() string { return d.listener.Addr().String() }

// Close stops listening, cuts all connections and waits until they are gone. A second Close does nothing.
func (d *Delay) Close() error {
	d.mu.Lock()
	d.closed = true
	for conn := range d.open {
		conn.Close()
	}
	d.mu.Unlock()
	d.listener.Close()
	d.running.Wait()
	return nil
}

func (d *Delay) accept() {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return
		}
		if d.add(conn) {
			d.running.Go(func() { d.serve(conn) })
		}
	}
}

// add takes note of a connection, or closes it when the proxy is closed.
func (d *Delay) add(conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		conn.Close()
		return false
	}
	d.open[conn] = struct{}{}
	return true
}

func (d *Delay) remove(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	conn.Close()
	delete(d.open, conn)
}

// serve carries one connection.
func (d *Delay) serve(client net.Conn) {
	defer d.remove(client)
	time.Sleep(d.config.RoundTrip * 3 / 2) // SYN, SYN-ACK and ACK, of which the client has waited for none
	server, err := net.Dial("tcp", d.config.Target)
	if err != nil {
		Reset(&tcpConn{Conn: client})
		return
	}
	if !d.add(server) {
		return
	}
	defer d.remove(server)
	var both sync.WaitGroup
	both.Go(func() { d.carry(server, client) })
	both.Go(func() { d.carry(client, server) })
	both.Wait()
}

// late is what was read, or the end, and when it is to be written.
type late struct {
	octets []byte
	at     time.Time
}

// carry copies from one side to the other. What it reads waits in a queue, so that reading goes on meanwhile.
func (d *Delay) carry(to, from net.Conn) {
	queue := make(chan late, delayRoom/(32<<10))
	var writing sync.WaitGroup
	writing.Go(func() {
		dead := false
		for l := range queue {
			if dead {
				continue
			}
			time.Sleep(time.Until(l.at))
			if len(l.octets) == 0 {
				to.(*net.TCPConn).CloseWrite()
			} else if _, err := to.Write(l.octets); err != nil {
				dead = true
				from.Close()
			}
		}
	})
	for {
		buf := make([]byte, 32<<10)
		n, err := from.Read(buf)
		at := time.Now().Add(d.config.RoundTrip / 2)
		if n > 0 {
			queue <- late{buf[:n:n], at}
		}
		if err != nil {
			queue <- late{nil, at}
			if !errors.Is(err, io.EOF) {
				from.Close()
			}
			break
		}
	}
	close(queue)
	writing.Wait()
}
