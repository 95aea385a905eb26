package transport

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/reputemail/repute/bounce"
)

const (
	// blockSize is how much content is collected before it is written.
	blockSize = 32 << 10
	// readSize is the read buffer of a connection. Replies are short; longer lines are read in pieces.
	readSize = 2 << 10
	// keepText is how much room for a reply's text a session keeps between replies.
	keepText = 4 << 10
	// lastWordsWait is how long a broken connection is read on. What there is was sent before it broke.
	lastWordsWait = 2 * time.Second
	// contentRate is the slowest rate, in bytes a second, at which a host may take the content as a whole.
	contentRate = 4 << 10
)

// What is wrong with a reply that is none.
var (
	errGarbage   = errors.New("not an SMTP reply")
	errLongReply = errors.New("reply too long")
	errManyLines = errors.New("reply has too many lines")
	errUnasked   = errors.New("reply to nothing that was asked")
)

// wire is one connection. It collects what is written, writes it out when a reply is wanted, reads one bounded reply at a
// time, and is the only one to set deadlines: each exchange is armed with its stage and time-out first. What is collected may
// be several commands, whose replies are then read by as many exchanges.
//
// All methods but abort belong to one goroutine.
type wire struct {
	// raw is the network connection; closing it ends every call on it. rw is raw or the TLS connection over it.
	raw, rw net.Conn
	br      *bufio.Reader
	closed  atomic.Bool
	// readable says whether raw has something to read, or its end, without waiting; nil where that cannot be told.
	readable func() bool

	maxBytes, maxLines int

	// out is what was not written yet.
	out []byte
	// stage and wait are those of the exchange that runs; block is the time-out of a write, or 0 to have wait cover both
	// the writing and the reply; until ends the writing of the content.
	stage       bounce.Stage
	wait, block time.Duration
	until       time.Time

	// code and text are the last reply; replied says that there was one since arm. Texts are separated by line feeds.
	code    int
	text    []byte
	replied bool
	// err is the first failure of the connection. Nothing can be exchanged after it.
	err error
	// sending says that err, if any, came up while writing, not while waiting for the reply; heardBy is until when the rest of
	// the replies is read in that case.
	sending bool
	heardBy time.Time

	// partial says that the host has not got the whole content.
	partial bool
	// lineStart and afterCR say where in a line the content is.
	lineStart, afterCR bool
}

func newWire(raw net.Conn, config *Config) *wire {
	return &wire{
		raw: raw, rw: raw, br: bufio.NewReaderSize(raw, readSize),
		readable: readability(raw), maxBytes: config.MaxReplyBytes, maxLines: config.MaxReplyLines,
	}
}

// arm prepares the next exchange.
func (w *wire) arm(stage bounce.Stage, wait time.Duration) {
	w.stage, w.wait, w.block, w.replied, w.partial = stage, wait, 0, false, false
	w.code, w.text = 0, w.text[:0]
	if cap(w.text) > keepText {
		w.text = nil
	}
}

// armContent prepares sending size bytes of content, then the reply to its end.
func (w *wire) armContent(size int, block, dot time.Duration) {
	w.arm(bounce.StageDot, dot)
	w.block = block
	w.until = time.Now().Add(block + time.Duration(size/contentRate)*time.Second)
	w.lineStart, w.afterCR = true, false
}

// command sends one line and reads its reply. When the host has said 421 before, that is the reply, and nothing is sent.
func (w *wire) command(line string) error {
	if err := w.quiet(); err != nil || w.replied {
		return err
	}
	w.out = append(append(w.out, line...), "\r\n"...)
	return w.exchange()
}

// exchange writes what is pending and reads one reply. When the host has closed the connection, what it said before that
// is still read: there is an err then, and replies nevertheless.
func (w *wire) exchange() error {
	if w.err == nil {
		if w.block == 0 {
			w.raw.SetDeadline(time.Now().Add(w.wait))
		}
		if w.flush() == nil && w.block != 0 {
			w.raw.SetReadDeadline(time.Now().Add(w.wait))
		}
	}
	if w.err != nil {
		if !w.sending || isTimeout(w.err) {
			return w.err
		}
		if w.heardBy.IsZero() {
			w.heardBy = time.Now().Add(lastWordsWait)
		}
		w.raw.SetReadDeadline(w.heardBy)
	}
	if err := w.readReply(); err != nil {
		return w.fail(err)
	}
	return nil
}

// flush writes what is pending.
func (w *wire) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	if w.block != 0 {
		end := time.Now().Add(w.block)
		if end.After(w.until) {
			end = w.until
		}
		w.raw.SetWriteDeadline(end)
	}
	_, err := w.rw.Write(w.out)
	w.out = w.out[:0]
	if err != nil {
		w.sending = true
		return w.fail(err)
	}
	return nil
}

// fail keeps the first error.
func (w *wire) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// readReply reads one reply (RFC 5321 section 4.2) under the deadline that is set. A line without a code inside a
// multi-line reply is taken for more text. Where the codes of the lines differ, the last one counts.
func (w *wire) readReply() error {
	left := w.maxBytes
	for n := 1; ; n++ {
		if n > w.maxLines {
			return errManyLines
		}
		if n > 1 {
			w.text = append(w.text, '\n')
		}
		start := len(w.text)
		if err := w.readLine(&left); err != nil {
			return err
		}
		line := w.text[start:]
		code, last, ok := parseLine(line)
		switch {
		case ok:
			w.code = code
			rest := line[min(len(line), 4):]
			w.text = append(w.text[:start], rest...)
			if last {
				w.replied = true
				return nil
			}
		case n == 1:
			return fmt.Errorf("%w: %q", errGarbage, line[:min(len(line), 80)])
		}
	}
}

// readLine appends one line to text, without its end. left is how many bytes the reply may still have.
func (w *wire) readLine(left *int) error {
	start := len(w.text)
	for {
		part, err := w.br.ReadSlice('\n')
		if *left -= len(part); *left < 0 {
			return errLongReply
		}
		w.text = append(w.text, part...)
		switch {
		case err == nil:
			w.text = w.text[:start+len(bytes.TrimRight(w.text[start:], "\r\n"))]
			return nil
		case err != bufio.ErrBufferFull:
			return err
		}
	}
}

// parseLine reads the code of a reply's line, and whether it is the reply's last.
func parseLine(line []byte) (code int, last, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !isDigit(line[1]) || !isDigit(line[2]) {
		return 0, false, false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	switch {
	case len(line) == 3 || line[3] == ' ':
		return code, true, true
	case line[3] == '-':
		return code, false, true
	}
	return 0, false, false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// positive says whether the last reply is the one that the stage goes on with.
func (w *wire) positive() bool {
	if w.stage == bounce.StageData {
		return w.code/100 == 3
	}
	return w.code/100 == 2
}

// startTLS does the handshake. It fails when the host sent anything before it in clear text, which an attacker may have
// put there to be read as if it had come by TLS (CVE-2011-0411).
func (w *wire) startTLS(config *tls.Config, wait time.Duration) (*tls.Conn, error) {
	if n := w.br.Buffered(); n > 0 {
		return nil, w.fail(fmt.Errorf("%d bytes in clear text before the handshake", n))
	}
	w.arm(bounce.StageTLS, wait)
	w.raw.SetDeadline(time.Now().Add(wait))
	conn := tls.Client(w.raw, config)
	// The connection is closed when the context ends, so that Handshake needs none.
	if err := conn.Handshake(); err != nil {
		return nil, w.fail(err)
	}
	w.rw = conn
	w.br.Reset(conn)
	return conn, nil
}

// closeWait is how long quit waits for the other side to close first.
const closeWait = time.Second

// quit says QUIT if the conversation is in step, waits for the other side to close the connection (RFC 5321 section
// 4.1.1.10 has it close first), so that it does not count one connection more than we have, and closes it.
func (w *wire) quit(wait time.Duration) {
	if w.err == nil && !w.closed.Load() {
		w.arm(bounce.StageDot, wait)
		if w.command("QUIT") == nil && w.code != 421 {
			w.raw.SetReadDeadline(time.Now().Add(min(wait, closeWait)))
			io.Copy(io.Discard, io.LimitReader(w.raw, readSize))
			if w.rw != w.raw {
				w.rw.Close() // close_notify
			}
		}
	}
	w.abort()
}

// abort closes the connection at once. It may be called from any goroutine, and more than once.
func (w *wire) abort() {
	if w.closed.CompareAndSwap(false, true) {
		w.raw.Close()
	}
}
