package intake

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// ErrServerClosed: Serve ended because of Close or Shutdown.
var ErrServerClosed = errors.New("intake: server closed")

// Serve takes mail from l until Close or Shutdown, and returns ErrServerClosed then; at once if one of them was called before. It closes l. It may
// be called with several listeners.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		l.Close()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	err := s.smtp.Serve(&listener{Listener: l, s: s, slots: s.slots})
	l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	if s.closed {
		return ErrServerClosed
	}
	return err
}

// Shutdown takes no new connections, and waits until those there are have ended or ctx has; then it closes them and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopListening()
	select {
	case <-s.idle:
		s.end()
		s.work.Wait()
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), s.Close())
	}
}

// Close ends all listeners and connections at once. What the Sink is doing is cancelled, and waited for.
func (s *Server) Close() error {
	s.stopListening()
	s.mu.Lock()
	s.end()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
	<-s.idle
	s.work.Wait()
	return nil
}

// begin reports whether a message may still be handed over; work.Done says that it was.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return false
	}
	s.work.Add(1)
	return true
}

// stopListening closes the listeners. A second call does nothing.
func (s *Server) stopListening() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for l := range s.listeners {
		l.Close()
	}
	if len(s.conns) == 0 {
		close(s.idle)
	}
}

// listener hands connections to go-smtp, as many as there may be.
type listener struct {
	net.Listener
	s     *Server
	slots chan struct{}
}

// Accept waits for a connection, and for a place for it.
func (l *listener) Accept() (net.Conn, error) {
	for {
		l.slots <- struct{}{}
		inner, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		if c := l.s.admit(inner); c != nil {
			return c, nil
		}
		inner.Close()
		<-l.slots
	}
}

// admit takes a connection in, or returns nil if its address has too many, or the server was closed.
func (s *Server) admit(inner net.Conn) *conn {
	from := addressOf(inner.RemoteAddr())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.perSource[from] >= s.cfg.MaxPerAddress {
		return nil
	}
	c := &conn{Conn: inner, s: s, from: from, end: time.Now().Add(3 * s.cfg.Timeout)}
	s.perSource[from]++
	s.conns[c] = struct{}{}
	return c
}

// conn is a connection that is counted, and ends at a time whatever its client does.
type conn struct {
	net.Conn
	s    *Server
	from netip.Prefix
	end  time.Time
	once sync.Once
}

// SetDeadline sets both deadlines, neither later than the connection's end.
func (c *conn) SetDeadline(t time.Time) error { return c.Conn.SetDeadline(c.bound(t)) }

// SetReadDeadline sets no deadline later than the connection's end.
func (c *conn) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(c.bound(t)) }

// SetWriteDeadline sets no deadline later than the connection's end.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.bound(t)) }

func (c *conn) bound(t time.Time) time.Time {
	if t.IsZero() || t.After(c.end) {
		return c.end
	}
	return t
}

// Close gives the connection's place back.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		s := c.s
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
		if s.perSource[c.from]--; s.perSource[c.from] == 0 {
			delete(s.perSource, c.from)
		}
		<-s.slots
		if s.closed && len(s.conns) == 0 {
			close(s.idle)
		}
	})
	return err
}
