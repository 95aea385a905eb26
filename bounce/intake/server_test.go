package intake_test

import (
	"context"
	"errors"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/intake"
)

// serve starts a Server on loopback, and returns where.
func serve(t *testing.T, cfg intake.ServerConfig) string {
	t.Helper()
	cfg.Hostname = "bounces.example.org"
	srv, err := intake.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, intake.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		if err := srv.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := srv.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		wg.Wait()
	})
	return l.Addr().String()
}

// deliver sends a message by SMTP. The error is the first refusal.
func deliver(addr, from, to string, data []byte) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

func TestServerTakesOnlyWhatIsForUs(t *testing.T) {
	c, s := tokens(t), &sink{}
	in := newIntake(t, intake.Config{Sink: s, Tokens: c})
	addr := serve(t, intake.ServerConfig{Intake: in, Addresses: []string{"FBL@bounces.example.org"}})
	address := func(at time.Time) string {
		a, err := c.AddressAt(at, "m1/1", "bounces.example.org")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	data := notice("anna@example.com", "5.1.1", "550 5.1.1 user unknown")
	for name, tt := range map[string]struct{ to, refusal string }{
		"a token":          {address(time.Now()), ""},
		"the loop":         {"fbl@Bounces.example.org", ""},
		"an expired token": {address(time.Now().Add(-90 * 24 * time.Hour)), "550"},
		"a changed token":  {strings.Replace(address(time.Now()), "b-t", "b-x", 1), "550"},
		"postmaster":       {"postmaster@bounces.example.org", "550"},
		"another domain":   {"anna@example.com", "550"},
	} {
		err := deliver(addr, "", tt.to, data)
		if (err == nil) != (tt.refusal == "") || err != nil && !strings.HasPrefix(err.Error(), tt.refusal) {
			t.Errorf("%s: %v, want %q", name, err, tt.refusal)
		}
	}
	got := s.all()
	if len(got) != 2 {
		t.Fatalf("%d reports", len(got))
	}
	tied := 0
	for _, r := range got {
		if r.Kind != bounce.KindBounce || len(r.Records) != 1 {
			t.Errorf("%+v", r)
		}
		if r.Delivery == "m1/1" {
			tied++
		}
	}
	if tied != 1 {
		t.Errorf("%d are tied", tied)
	}
}

func TestServerBounds(t *testing.T) {
	s := &sink{}
	in := newIntake(t, intake.Config{Sink: s})
	addr := serve(t, intake.ServerConfig{Intake: in, Addresses: []string{"fbl@bounces.example.org"}, MaxBytes: 10_000, PerMinute: 3})
	if err := deliver(addr, "", "fbl@bounces.example.org", []byte("Subject: x\r\n\r\n"+strings.Repeat("a line of text\r\n", 1000))); err == nil || !strings.HasPrefix(err.Error(), "552") {
		t.Errorf("too large: %v", err)
	}
	s.fail(errors.New("store is away"))
	if err := deliver(addr, "", "fbl@bounces.example.org", complaint("f@x.example")); err == nil || !strings.HasPrefix(err.Error(), "451") {
		t.Errorf("a sink that is away: %v", err)
	}
	s.fail(nil)
	if err := deliver(addr, "", "fbl@bounces.example.org", complaint("f@x.example")); err != nil {
		t.Errorf("sent again: %v", err)
	}
	if err := deliver(addr, "", "fbl@bounces.example.org", complaint("f@x.example")); err == nil || !strings.HasPrefix(err.Error(), "451") {
		t.Errorf("the fourth in a minute: %v", err)
	}
	if len(s.all()) != 1 {
		t.Errorf("%d reports", len(s.all()))
	}
}

// start serves on loopback and returns the Server and where it listens; the channel has what Serve returned.
func start(t *testing.T, cfg intake.ServerConfig) (*intake.Server, string, <-chan error) {
	t.Helper()
	cfg.Hostname = "bounces.example.org"
	srv, err := intake.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	return srv, l.Addr().String(), done
}

// TestServerStops: with and without connections, in any order, more than once.
func TestServerStops(t *testing.T) {
	in := newIntake(t, intake.Config{})
	srv, addr, done := start(t, intake.ServerConfig{Intake: in})
	c, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown with a connection that does not end: %v", err)
	}
	if err := c.Noop(); err == nil {
		t.Error("the connection is still served")
	}
	if err := <-done; !errors.Is(err, intake.ErrServerClosed) {
		t.Errorf("serve: %v", err)
	}
	if err := errors.Join(srv.Shutdown(t.Context()), srv.Close(), srv.Close()); err != nil {
		t.Errorf("stopped again: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Serve(l); !errors.Is(err, intake.ErrServerClosed) {
		t.Errorf("serve after close: %v", err)
	}

	srv, addr, done = start(t, intake.ServerConfig{Intake: in})
	c, err = smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Shutdown(t.Context()) }()
	if err := errors.Join(<-done, c.Quit()); !errors.Is(err, intake.ErrServerClosed) { // Serve has ended, the connection has not
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// TestOneAddressCannotHoldTheServer: its connections are few, and end.
func TestOneAddressCannotHoldTheServer(t *testing.T) {
	in := newIntake(t, intake.Config{})
	srv, addr, _ := start(t, intake.ServerConfig{Intake: in, MaxConnections: 5, MaxPerAddress: 2, Timeout: 200 * time.Millisecond})
	defer srv.Close()
	for range 2 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Read(make([]byte, 3)); err != nil {
			t.Fatalf("no greeting: %v", err)
		}
		go func() { // it talks for as long as it may
			for {
				if _, err := c.Write([]byte("NOOP\r\n")); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
	}
	third, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := third.Read(make([]byte, 3)); n > 0 || err == nil {
		t.Errorf("a third connection is greeted")
	}
	third.Close()
	for range 1000 { // the two end although they never rest
		c, err := smtp.Dial(addr)
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("connections that talk for ever are never ended")
}

// TestServerResets: what came before RSET is forgotten, also amid a message in pieces (BDAT).
func TestServerResets(t *testing.T) {
	s := &sink{}
	in := newIntake(t, intake.Config{Sink: s})
	srv, addr, _ := start(t, intake.ServerConfig{Intake: in, Addresses: []string{"fbl@bounces.example.org"}})
	defer srv.Close()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := textproto.NewConn(c)
	say := func(code int, line string) {
		t.Helper()
		if line != "" {
			if err := text.PrintfLine("%s", line); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := text.ReadResponse(code); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	say(220, "")
	say(250, "EHLO x.example")
	say(250, "MAIL FROM:<>")
	say(250, "RCPT TO:<fbl@bounces.example.org>")
	say(250, "RSET")
	say(502, "DATA")
	say(250, "MAIL FROM:<>")
	say(250, "RCPT TO:<fbl@bounces.example.org>")
	if _, err := c.Write([]byte("BDAT 4\r\nFrom")); err != nil { // no line end behind the piece
		t.Fatal(err)
	}
	say(250, "")
	say(250, "RSET")
	if len(s.all()) != 0 {
		t.Errorf("%d reports of what was reset", len(s.all()))
	}
}
