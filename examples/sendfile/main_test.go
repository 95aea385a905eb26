package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/reputemail/repute/auth"
	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// The files of testdata arrive as they are, signed with both keys, over real DNS, TCP and TLS.
func TestDelivers(t *testing.T) {
	ca, err := sendertest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	mx, port := newServer(t, sendertest.ServerConfig{CA: ca, RequireTLS: true})
	dns := newZone(t, "example.org")
	rsa, ed := keyFiles(t)
	publish(t, dns)
	p := start(t, nil, "-dns", dns.Addr(), "-port", port, "-helo", "mta.example.com", "-from", "bounces@example.com",
		"-dkim-domain", "example.com", "-dkim-selector", "s1", "-dkim-rsa", rsa, "-dkim-ed25519", ed,
		"testdata/japanese.eml", "testdata/attachment.eml")
	if code := p.exit(t); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, p.stdout.String(), p.stderr.String())
	}
	out := p.stdout.String()
	if !strings.Contains(out, "4 delivered, 0 bounced") || strings.Count(out, "TLS 1.3") != 4 {
		t.Errorf("table:\n%s", out)
	}
	arrived := mx.Inbox().Messages()
	if len(arrived) != 2 {
		t.Fatalf("%d messages arrived, want one for each file", len(arrived))
	}
	for _, m := range arrived {
		file := "testdata/japanese.eml"
		if len(m.To) == 3 {
			file = "testdata/attachment.eml"
		}
		if want := crlf(t, file); !bytes.HasSuffix(m.Data, want) || !strings.HasPrefix(string(m.Data), "DKIM-Signature:") {
			t.Errorf("%s did not arrive as it is", file)
		}
		if m.From != "bounces@example.com" || m.Hostname != "mta.example.com" || m.Params["BODY"] != "8BITMIME" {
			t.Errorf("%s: from %s, greeted as %s, %v", file, m.From, m.Hostname, m.Params)
		}
		if signatures, err := m.VerifyDKIM(dns); err != nil || len(signatures) != 2 {
			t.Errorf("%s: %v, %v", file, signatures, err)
		}
	}
	if stats := mx.Stats(); stats.Violations > 0 {
		t.Errorf("%d violations of the protocol", stats.Violations)
	}
}

// publish adds the keys' records, under the selectors s1 and s1-ed25519 of example.com.
func publish(t *testing.T, dns *sendertest.DNS) {
	t.Helper()
	made, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	for i, selector := range []string{"s1", "s1-ed25519"} {
		record, err := auth.Record(made[i].Public())
		if err != nil {
			t.Fatal(err)
		}
		if err := dns.AddTXT(auth.RecordName(selector, "example.com"), record); err != nil {
			t.Fatal(err)
		}
	}
}

// One file is refused and one recipient bounces: both are named, the rest is delivered, and the status is 1.
func TestPartlyDelivered(t *testing.T) {
	mx, port := newServer(t, sendertest.ServerConfig{Script: sendertest.UnknownUsers(sendertest.AnyOf("gone@example.org"))})
	dns := newZone(t, "example.org")
	if err := dns.AddNullMX("nomail.example.org"); err != nil {
		t.Fatal(err)
	}
	bad := write(t, "From: a@example.com\nFrom: b@example.com\n\nHello\n")
	p := start(t, nil, "-dns", dns.Addr(), "-port", port, "-helo", "mta.example.com",
		"-to", "a@example.org,gone@example.org", "-to", "a@nomail.example.org,a@nowhere.example.org", bad, write(t, small))
	code, out, progress := p.exit(t), p.stdout.String(), p.stderr.String()
	if code != 1 || mx.Inbox().Len() != 1 {
		t.Errorf("exit %d, %d arrived\n%s%s", code, mx.Inbox().Len(), out, progress)
	}
	for _, want := range []string{
		bad + ": refused: Data header From: stands twice (RFC 5322 section 3.6.2)",
		"gone@example.org: bounced: 550 5.1.1",
		"a@nomail.example.org: bounced: 556 5.1.10",
		"a@nowhere.example.org: bounced: 550 5.1.2",
		"a@example.org: delivered: 250",
	} {
		if !strings.Contains(progress, want) {
			t.Errorf("progress lacks %q:\n%s", want, progress)
		}
	}
	if !strings.Contains(out, "1 delivered, 3 bounced, 0 expired, 0 waiting; of 2 files 1 refused, 0 not taken") {
		t.Errorf("table:\n%s", out)
	}
}

func TestUsageStatus(t *testing.T) {
	for args, want := range map[string]int{
		"":                                    2,
		"-nonsense x.eml":                     2,
		"-helo localhost x.eml":               2,
		"-dkim-domain example.com x.eml":      2,
		"-h":                                  0,
		"-relay 127.0.0.1:1 missing.eml":      1,
		"-relay 127.0.0.1:1 testdata missing": 1,
	} {
		p := start(t, nil, strings.Fields(args)...)
		if code := p.exit(t); code != want || p.stderr.String() == "" {
			t.Errorf("sendfile %s: exit %d, want %d: %s", args, code, want, p.stderr.String())
		}
	}
}

// A signal lets the attempt in flight finish. The deferred message is told as waiting.
func TestSignalDrains(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent an interrupt on Windows")
	}
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		inFlight, goOn := make(chan struct{}), make(chan struct{})
		script := sendertest.Script{
			OnRcpt: func(_ *sendertest.Session, to string) *sendertest.Answer {
				if to == "later@example.org" {
					return sendertest.Say("450 4.7.1 Greylisted")
				}
				return nil
			},
			OnDot: func(*sendertest.Session, string) *sendertest.Answer {
				close(inFlight)
				<-goOn
				return nil
			},
		}
		mx, port := newServer(t, sendertest.ServerConfig{Script: script})
		dns := newZone(t, "example.org", "example.net")
		deferred := write(t, "From: a@example.com\nTo: later@example.org\n\nHello\n")
		p := start(t, nil, "-dns", dns.Addr(), "-port", port, "-helo", "mta.example.com", "-json", deferred,
			write(t, "From: a@example.com\nTo: now@example.net\n\nHello\n"))
		until(t, "a deferral", func() bool { return strings.Contains(p.stdout.String(), `"deferred"`) })
		<-inFlight
		if err := p.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		until(t, "the interruption to be told", func() bool { return strings.Contains(p.stderr.String(), "interrupted") })
		close(goOn)
		code := p.exit(t)
		events, sums := readJSON(t, p.stdout.String())
		want := summary{
			Type: "summary", Files: 2, Recipients: 2, Delivered: 1, Waiting: 1, Deferrals: 1, Interrupted: true, Exit: 1,
		}
		if code != 1 || sums != want || mx.Inbox().Len() != 1 {
			t.Errorf("%v: exit %d, %+v, want %+v\n%s", signal, code, sums, want, p.stderr.String())
		}
		i := slices.IndexFunc(events, func(e event) bool { return e.Type == "delivered" })
		if i < 0 || events[i].Recipient != "now@example.net" {
			t.Errorf("%v: the attempt in flight was not told of: %+v", signal, events)
		}
	}
}

// A second signal does not wait for anything.
func TestSecondSignal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent an interrupt on Windows")
	}
	inFlight := make(chan struct{})
	_, port := newServer(t, sendertest.ServerConfig{Script: sendertest.Compose(
		sendertest.Script{OnContent: func(*sendertest.Session, string) *sendertest.Answer { close(inFlight); return nil }},
		sendertest.HangAt(bounce.StageDot),
	)})
	p := start(t, nil, "-dns", newZone(t, "example.org").Addr(), "-port", port, "-helo", "mta.example.com", write(t, small))
	<-inFlight
	ended := make(chan error)
	go func() { ended <- p.cmd.Wait() }()
	until(t, "the end", func() bool {
		p.cmd.Process.Signal(os.Interrupt) // the first ones may be taken for one
		select {
		case err := <-ended:
			return err != nil
		default:
			return false
		}
	})
	if status := p.cmd.ProcessState; status.Exited() || p.stdout.String() != "" {
		t.Errorf("%v: %s", status, p.stdout.String())
	}
}

// A relay with AUTH is spoken to over verified TLS only, with the password from the environment.
func TestRelayWithPassword(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SSL_CERT_FILE is read on Linux, not on " + runtime.GOOS)
	}
	ca, err := sendertest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[1]}), 0o600); err != nil {
		t.Fatal(err)
	}
	const password = "correct horse"
	relay, port := newServer(t, sendertest.ServerConfig{
		TLS:  &tls.Config{Certificates: []tls.Certificate{cert}},
		Auth: map[string]string{"news": password}, RequireTLS: true, RequireAuth: true,
	})
	trusted := []string{"SSL_CERT_FILE=" + roots, "SSL_CERT_DIR=" + t.TempDir()}
	for _, test := range []struct {
		name string
		host string
		env  []string
		pass string
		exit int
		told string
	}{
		{"good", "localhost", trusted, password, 0, "delivered: 250"},
		{"good, by address", "127.0.0.1", trusted, password, 0, "delivered: 250"},
		{"wrong password", "localhost", trusted, "wrong battery", 1, "535"},
		{"unknown authority", "127.0.0.1", []string{"SSL_CERT_FILE=" + roots + ".none", "SSL_CERT_DIR=" + t.TempDir()}, password, 1, "certificate"},
	} {
		relay.Inbox().Reset()
		p := start(t, append(test.env, "SENDFILE_PASS="+test.pass), "-relay", test.host+":"+port, "-user", "news", "testdata/japanese.eml")
		if test.exit != 0 { // not for ever: such a failure may pass, so it is tried again
			until(t, "the failure of "+test.name, func() bool { return strings.Contains(p.stderr.String(), test.told) })
			p.cmd.Process.Signal(os.Interrupt)
		}
		code, out, progress := p.exit(t), p.stdout.String(), p.stderr.String()
		if code != test.exit || !strings.Contains(progress, test.told) {
			t.Errorf("%s: exit %d\n%s%s", test.name, code, out, progress)
		}
		if strings.Contains(out+progress, test.pass) {
			t.Errorf("%s: the password is told", test.name)
		}
		switch arrived := relay.Inbox().Messages(); {
		case test.exit != 0 && len(arrived) > 0, test.exit == 0 && len(arrived) != 1:
			t.Errorf("%s: %d messages arrived", test.name, len(arrived))
		case test.exit == 0:
			if m := arrived[0]; m.User != "news" || m.TLS == nil || !bytes.HasSuffix(m.Data, crlf(t, "testdata/japanese.eml")) {
				t.Errorf("%s: user %q, TLS %v", test.name, m.User, m.TLS != nil)
			}
		}
	}
}
