package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// cut are the rows of connections that end at each octet of the dialogue, in either direction.
func cut() []hostile {
	var rows []hostile
	for _, mode := range modes {
		for _, direction := range []string{"read", "written"} {
			for octets := 0; octets < 700; octets++ {
				row := hostile{name: fmt.Sprintf("cut/%s/%s %d", mode.name, direction, octets), host: &fakeHost{ext: mode.ext}}
				row.host.on = func(c *fakeConn, at bounce.Stage, line string) bool {
					if strings.Contains(line, "<b@") {
						c.say("550 5.1.1 no such user")
						return true
					}
					return false
				}
				row.wrap = func(conn net.Conn) net.Conn {
					cut := &cutConn{Conn: conn, toRead: 1 << 30, toWrite: 1 << 30}
					if direction == "read" {
						cut.toRead = octets
					} else {
						cut.toWrite = octets
					}
					return cut
				}
				row.check = checkCut
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// checkCut: nobody is told more than what is known. A message that arrived is either said to be accepted or to be perhaps.
func checkCut(t *testing.T, o *outcome) {
	if o.dialled != nil {
		if r := o.reply(t); !r.Local || r.Status != statusLost || r.Stage != bounce.StageConnect && r.Stage != bounce.StageEHLO {
			t.Errorf("reply is %+v", r)
		}
		return
	}
	arrived := o.host.messages()
	for i, results := range [][]Result{o.results, o.again} {
		for n, r := range results {
			known := r.Reply.Code == 550 && r.Reply.Stage == bounce.StageRcpt && i == 0 && n == 1
			perhaps := r.Reply.Local && r.Reply.Stage == bounce.StageDot && strings.Contains(r.Reply.Text(), "unknown")
			switch {
			case known:
			case r.Accepted && (len(arrived) <= i || i == 0 && n == 1):
				t.Errorf("message %d, recipient %d did not arrive: %+v", i, n, r)
			case !r.Accepted && len(arrived) > i && !perhaps && !(i == 0 && n == 1):
				t.Errorf("message %d, recipient %d arrived: %+v", i, n, r)
			case !r.Accepted && (!r.Reply.Local || r.Reply.Status != statusLost):
				t.Errorf("message %d, recipient %d: %+v", i, n, r)
			}
		}
	}
}

// cutConn breaks after some octets.
type cutConn struct {
	net.Conn
	toRead, toWrite int
}

func (c *cutConn) Readable() bool {
	return c.toRead == 0 || c.Conn.(interface{ Readable() bool }).Readable()
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.toRead == 0 {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p[:min(len(p), c.toRead)])
	c.toRead -= n
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p[:min(len(p), c.toWrite)])
	if c.toWrite -= n; err == nil && n < len(p) {
		sendertest.Reset(c.Conn)
		err = &net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}
	}
	return n, err
}

// stalledConn takes no more after some octets.
type stalledConn struct {
	*cutConn
}

func (c stalledConn) Write(p []byte) (int, error) {
	if len(p) <= c.toWrite {
		return c.cutConn.Write(p)
	}
	return c.toWrite, os.ErrDeadlineExceeded
}

// TestJoinedStalls: a host that stops reading amid a content that is in one group with the commands has not got the message.
func TestJoinedStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sendertest.NewNetwork()
		h := &fakeHost{ext: []string{"PIPELINING", "CHUNKING"}}
		h.start(t, n)
		tr, err := New(Config{Dial: func(ctx context.Context, local netip.Addr, addr netip.AddrPort) (net.Conn, error) {
			conn, err := n.Dial(ctx, local, addr)
			return stalledConn{&cutConn{Conn: conn, toRead: 1 << 30, toWrite: 1000}}, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		s := dial(t, tr, target())
		env := envelope()
		env.Data = make([]byte, 10_000)
		_, err = s.Send(context.Background(), env)
		if r := asError(t, err).Reply; r.Stage != bounce.StageDot || r.String() != "4.4.2 lost the connection while sending the content: the host did not take what was sent in time" {
			t.Errorf("reply is %+v", r)
		}
	})
}
