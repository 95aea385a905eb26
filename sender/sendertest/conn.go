package sendertest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferSize is how much one direction of an in-memory connection holds before a write blocks, in octets.
const bufferSize = 256 << 10

// pipeConn is one end of an in-memory connection. It behaves like a TCP connection with a large socket buffer: a write
// returns once its octets are buffered, a close lets the peer read what was sent before it sees io.EOF, and a reset throws
// that away. All waiting is on a sync.Cond, so a blocked goroutine is durably blocked in the sense of testing/synctest.
type pipeConn struct {
	local, remote net.Addr
	in, out       *half
	once          sync.Once
	closed        func(*pipeConn)
}

// newPipe returns the two ends of a connection: the dialling end and the accepting end. Octets take delay to arrive.
// The function closed is called once for each end when it is closed.
func newPipe(client, server net.Addr, delay time.Duration, closed func(*pipeConn)) (dialled, accepted *pipeConn) {
	up, down := newHalf(delay), newHalf(delay)
	dialled = &pipeConn{local: client, remote: server, in: down, out: up, closed: closed}
	accepted = &pipeConn{local: server, remote: client, in: up, out: down, closed: closed}
	return dialled, accepted
}

// Read reads what has arrived. It waits until there is something, the peer closes or the deadline passes.
func (c *pipeConn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

// Write buffers p for the peer. It waits only while the buffer is full.
func (c *pipeConn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

// CloseWrite ends the outgoing direction: the peer reads what is buffered and then io.EOF.
func (c *pipeConn) CloseWrite() error {
	c.out.finish()
	return nil
}

// Close ends both directions. Blocked calls of either end return. A second Close does nothing.
func (c *pipeConn) Close() error {
	c.once.Do(func() {
		c.in.closeRead()
		c.out.finish()
		c.closed(c)
	})
	return nil
}

// Reset ends the connection as a TCP reset does on Linux: the peer may still read what had arrived, and then gets ECONNRESET.
func (c *pipeConn) Reset() error {
	c.once.Do(func() {
		c.in.reset(true)
		c.out.reset(false)
		c.closed(c)
	})
	return nil
}

// Readable reports whether Read would return at once.
func (c *pipeConn) Readable() bool { return c.in.ready() }

func (c *pipeConn) LocalAddr() net.Addr  { return c.local }
func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *pipeConn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}

// SetReadDeadline bounds blocked and future reads.
func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	return nil
}

// SetWriteDeadline bounds blocked and future writes.
func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.out.setWriteDeadline(t)
	return nil
}

// wrap gives an error the form that the net package's connections give it. io.EOF stays bare.
func (c *pipeConn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// segment says when the octets before position end arrive.
type segment struct {
	end uint64
	at  time.Time
}

// half is one direction: a ring buffer that grows up to bufferSize, its two deadlines, and how each side has ended.
type half struct {
	delay time.Duration

	mu       sync.Mutex
	readable sync.Cond // for the reader: octets, an end or a deadline
	writable sync.Cond // for writers: room, an end, a deadline, or their turn

	buf       []byte
	head      uint64    // position of the next octet to read
	tail      uint64    // position behind the last octet written
	landed    uint64    // only with a delay: position behind the last octet that arrived
	arriving  []segment // only with a delay: what is still under way, in order
	finAt     time.Time // when the end of the stream arrives
	writing   bool      // a Write holds the turn, so that concurrent writes do not mix
	finished  bool      // the writing side closed
	readEnded bool      // the reading side closed
	dropped   bool      // a write after readEnded was swallowed, as TCP does before the reset comes back
	readErr   error     // reset: what reads return
	writeErr  error     // reset: what writes return

	readBy, writeBy       time.Time
	readAlarm, writeAlarm alarm
	readers, writers      int // goroutines waiting
}

func newHalf(delay time.Duration) *half {
	h := &half{delay: delay}
	h.readable.L, h.writable.L = &h.mu, &h.mu
	h.readAlarm.wake, h.writeAlarm.wake = &h.readable, &h.writable
	return h
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readErr != nil && h.head == h.tail:
			return 0, h.readErr
		case h.readEnded:
			return 0, net.ErrClosed
		case expired(h.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		}
		n, next := h.arrived()
		if n > 0 {
			n = h.take(p[:min(n, len(p))])
			if h.writers > 0 {
				h.writable.Broadcast()
			}
			return n, nil
		}
		if h.finished && h.head == h.tail && !time.Now().Before(h.finAt) {
			return 0, io.EOF
		}
		h.readAlarm.set(earlier(h.readBy, next))
		h.readers++
		h.readable.Wait()
		h.readers--
	}
}

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	written, turn := 0, false
	defer func() {
		if turn {
			h.writing = false
			if h.writers > 0 {
				h.writable.Broadcast()
			}
		}
	}()
	for {
		switch {
		case h.writeErr != nil:
			return written, h.writeErr
		case h.finished:
			return written, net.ErrClosed
		case expired(h.writeBy):
			return written, os.ErrDeadlineExceeded
		case h.readEnded && (h.dropped || turn):
			return written, syscall.EPIPE
		case h.readEnded:
			h.dropped = true
			return len(p), nil
		}
		if turn || !h.writing {
			turn, h.writing = true, true
			written += h.put(p[written:])
			if written == len(p) {
				return written, nil
			}
		}
		h.writeAlarm.set(h.writeBy)
		h.writers++
		h.writable.Wait()
		h.writers--
	}
}

// arrived returns how many octets the reader may have now and, if none, when the next ones or the end come.
func (h *half) arrived() (n int, next time.Time) {
	if h.delay == 0 || h.readErr != nil {
		return int(h.tail - h.head), time.Time{}
	}
	now := time.Now()
	for len(h.arriving) > 0 && !h.arriving[0].at.After(now) {
		h.landed = h.arriving[0].end
		h.arriving = h.arriving[1:]
	}
	if h.landed > h.head {
		return int(h.landed - h.head), time.Time{}
	}
	if len(h.arriving) > 0 {
		return 0, h.arriving[0].at
	}
	return 0, h.finAt
}

// ready reports whether a read would return at once: octets, the end, or an error.
func (h *half) ready() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, _ := h.arrived()
	return n > 0 || h.readErr != nil || h.readEnded || h.finished && h.head == h.tail && !time.Now().Before(h.finAt)
}

// take moves len(p) octets out of the ring.
func (h *half) take(p []byte) int {
	at := int(h.head % uint64(len(h.buf)))
	n := copy(p, h.buf[at:])
	n += copy(p[n:], h.buf)
	h.head += uint64(n)
	return n
}

// put moves as much of p into the ring as it may hold, and wakes the reader.
func (h *half) put(p []byte) int {
	used := int(h.tail - h.head)
	if len(p) > len(h.buf)-used && len(h.buf) < bufferSize {
		h.grow(used + len(p))
	}
	p = p[:min(len(p), len(h.buf)-used)]
	if len(p) == 0 {
		return 0
	}
	at := int(h.tail % uint64(len(h.buf)))
	n := copy(h.buf[at:], p)
	copy(h.buf, p[n:])
	h.tail += uint64(len(p))
	if h.delay > 0 {
		h.arriving = append(h.arriving, segment{end: h.tail, at: time.Now().Add(h.delay)})
	}
	if h.readers > 0 {
		h.readable.Broadcast()
	}
	return len(p)
}

// grow makes room for want octets, at most bufferSize, by doubling. An octet at position i stands at index i modulo the size.
func (h *half) grow(want int) {
	size := max(len(h.buf), 4<<10)
	for size < want && size < bufferSize {
		size *= 2
	}
	buf := make([]byte, size)
	for i := h.head; i < h.tail; {
		from := h.buf[i%uint64(len(h.buf)):]
		from = from[:min(uint64(len(from)), h.tail-i)]
		i += uint64(copy(buf[i%uint64(size):], from))
	}
	h.buf = buf
}

// finish ends the writing side.
func (h *half) finish() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.finished {
		return
	}
	h.finished = true
	if h.delay > 0 {
		h.finAt = time.Now().Add(h.delay)
	}
	h.writeAlarm.stop()
	h.wakeAll()
}

// closeRead ends the reading side: what is buffered is gone and writers learn that nobody listens.
func (h *half) closeRead() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readEnded = true
	h.buf, h.head, h.arriving = nil, h.tail, nil
	h.readAlarm.stop()
	h.wakeAll()
}

// reset ends both sides of the direction. The side that resets gets net.ErrClosed, the other one ECONNRESET: as a reader when it
// has read what had arrived.
func (h *half) reset(byReader bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readErr, h.writeErr = syscall.ECONNRESET, net.ErrClosed
	if byReader {
		h.readErr, h.writeErr = net.ErrClosed, syscall.ECONNRESET
		h.buf, h.head = nil, h.tail
	} else if h.delay > 0 {
		h.arrived()
		h.tail = max(h.landed, h.head)
	}
	h.arriving = nil
	h.readAlarm.stop()
	h.writeAlarm.stop()
	h.wakeAll()
}

func (h *half) setReadDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readBy = t
	if h.readers > 0 {
		h.readable.Broadcast()
	}
}

func (h *half) setWriteDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writeBy = t
	if h.writers > 0 {
		h.writable.Broadcast()
	}
}

func (h *half) wakeAll() {
	h.readable.Broadcast()
	h.writable.Broadcast()
}

// alarm wakes the goroutines waiting on a cond at some time. It is lazy: SMTP clients set a deadline minutes ahead before
// every command and clear it afterwards, so a timer that already goes off no later than wanted is left alone, and the
// goroutine that it wakes too early sets it again. Its methods are called with the cond's lock held.
type alarm struct {
	wake  *sync.Cond
	timer *time.Timer
	at    time.Time
	armed bool
}

func (a *alarm) set(t time.Time) {
	if t.IsZero() || a.armed && !a.at.After(t) {
		return
	}
	a.at, a.armed = t, true
	if a.timer != nil {
		a.timer.Reset(time.Until(t))
		return
	}
	a.timer = time.AfterFunc(time.Until(t), func() {
		a.wake.L.Lock()
		defer a.wake.L.Unlock()
		a.armed = false
		a.wake.Broadcast()
	})
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
	a.armed = false
}

func expired(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// earlier returns the earlier of two times, of which the zero Time means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
