package transport

import (
	"io"
	"net"
	"time"

	"github.com/emersion/go-smtp"
)

// client hands the conversation over to go-smtp's client: it reads a greeting and an EHLO reply with those extensions that
// it needs, and what it says meanwhile is dropped.
func (w *wire) client(name string, e extensions) (*smtp.Client, error) {
	feed := "220 \r\n250-\r\n"
	if e.eightBit {
		feed += "250-8BITMIME\r\n"
	}
	if e.utf8 {
		feed += "250-SMTPUTF8\r\n"
	}
	if e.hasSize {
		feed += "250-SIZE\r\n"
	}
	w.mute, w.replay, w.feed = true, true, []byte(feed+"250 HELP\r\n")
	c := smtp.NewClient(w)
	err := c.Hello(name)
	w.mute, w.replay = false, false
	return c, err
}

// The lines that go-smtp's client reads: that it may go on. The replies are read and judged elsewhere.
var (
	feedYes  = []byte("250 \r\n")
	feedData = []byte("354 \r\n")
)

// Read gives go-smtp's client what is being replayed, or a yes to what it has just written.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.feed) == 0 {
		if w.replay {
			return 0, io.ErrUnexpectedEOF
		}
		if !w.ahead {
			return 0, io.ErrUnexpectedEOF
		}
		w.feed = feedYes
	}
	n := copy(p, w.feed)
	w.feed = w.feed[n:]
	return n, nil
}

// Write collects what go-smtp's client writes, until a reply is read.
func (w *wire) Write(p []byte) (int, error) {
	if !w.mute {
		w.out = append(w.out, p...)
	}
	return len(p), w.err
}

// Close closes the connection.
func (w *wire) Close() error {
	w.abort()
	return nil
}

// LocalAddr is the connection's.
func (w *wire) LocalAddr() net.Addr { return w.raw.LocalAddr() }

// RemoteAddr is the connection's.
func (w *wire) RemoteAddr() net.Addr { return w.raw.RemoteAddr() }

// SetDeadline does nothing: deadlines are set by exchange and flush alone.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// ask has go-smtp's client write DATA. The content is written by this package: the client's own writer takes five times as long, a byte at a time. It thinks that the
// content was empty.
func (w *wire) ask(c *smtp.Client) {
	w.feed = feedData
	content, err := c.Data()
	if err != nil {
		return
	}
	w.mute = true
	content.Close()
	w.mute = false
}
