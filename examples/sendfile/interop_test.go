//go:build unix

package main

import (
	"bytes"
	"encoding/base64"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-message"
	"github.com/emersion/go-msgauth/dkim"

	"github.com/reputemail/repute/internal/interop"
	"github.com/reputemail/repute/sender/sendertest"
)

// The files of testdata, and what readers of them see: the decoded parts.
var testFiles = map[string]struct {
	recipients []string
	parts      []string
}{
	"testdata/japanese.eml": {
		recipients: []string{"customer@example.org"},
		parts:      []string{"text/plain", "text/html"},
	},
	"testdata/attachment.eml": {
		recipients: []string{"operators@example.org", "duty+night@example.org", "archive@example.org"},
		parts:      []string{"text/plain", "text/html", "image/png chart.png", "text/csv figures of last night – 送信数.csv"},
	},
}

// sendBoth sends the files of testdata, signed with both keys, by the built program.
func sendBoth(t *testing.T, way ...string) []event {
	t.Helper()
	rsa, ed := keyFiles(t)
	args := append([]string{"-from", "bounces@example.com", "-helo", "mta.example.com", "-json",
		"-dkim-domain", "example.com", "-dkim-selector", "s1", "-dkim-rsa", rsa, "-dkim-ed25519", ed}, way...)
	p := start(t, nil, append(args, "testdata/japanese.eml", "testdata/attachment.eml")...)
	code := p.exit(t)
	events, sums := readJSON(t, p.stdout.String())
	if code != 0 || sums.Delivered != 4 {
		t.Fatalf("exit %d, %+v\n%s", code, sums, p.stderr.String())
	}
	return slices.DeleteFunc(events, func(e event) bool { return e.Type != "delivered" })
}

// check checks a message that another mail server took: everything of the file is there as it was, at the end, and the
// signatures before it are valid.
func check(t *testing.T, data []byte, dns *sendertest.DNS) (file string) {
	t.Helper()
	for name, want := range testFiles {
		original := crlf(t, name)
		if !bytes.HasSuffix(data, original) {
			continue
		}
		if got := parts(t, data); !slices.Equal(got, parts(t, original)) || !slices.Equal(names(got), want.parts) {
			t.Errorf("%s: parts are %q", name, got)
		}
		checkDKIM(t, name, data, dns)
		return name
	}
	t.Errorf("neither of the files arrived intact:\n%s", data)
	return ""
}

// parts lists the leaves of a message: content type, file name, and the decoded content in base64.
func parts(t *testing.T, data []byte) []string {
	t.Helper()
	entity, err := message.Read(bytes.NewReader(data))
	if err != nil && !message.IsUnknownCharset(err) {
		t.Fatal(err)
	}
	var leaves []string
	err = entity.Walk(func(_ []int, e *message.Entity, err error) error {
		if err != nil && !message.IsUnknownCharset(err) {
			return err
		}
		if e.MultipartReader() != nil {
			return nil
		}
		kind, params, err := e.Header.ContentType()
		if err != nil {
			return err
		}
		name := params["name"]
		if _, params, err := e.Header.ContentDisposition(); err == nil && params["filename"] != "" {
			name = params["filename"]
		}
		content, err := io.ReadAll(e.Body)
		leaves = append(leaves, strings.TrimSpace(kind+" "+name)+"\t"+base64.StdEncoding.EncodeToString(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return leaves
}

// names are leaves without their content.
func names(leaves []string) []string {
	var out []string
	for _, leaf := range leaves {
		name, _, _ := strings.Cut(leaf, "\t")
		out = append(out, name)
	}
	return out
}

// checkDKIM verifies the signatures by two implementations: go-msgauth both, Perl's Mail::DKIM at least that of the RSA key.
func checkDKIM(t *testing.T, name string, data []byte, dns *sendertest.DNS) {
	t.Helper()
	verified, err := dkim.VerifyWithOptions(bytes.NewReader(data), &dkim.VerifyOptions{LookupTXT: dns.LookupTXT})
	if err != nil || len(verified) != 2 {
		t.Errorf("%s: go-msgauth: %d signatures, %v", name, len(verified), err)
	}
	for _, v := range verified {
		if v.Err != nil || v.Domain != "example.com" {
			t.Errorf("%s: go-msgauth: signature of %s: %v", name, v.Domain, v.Err)
		}
	}
	lines := perlDKIM(t, data, dns)
	if lines[0] != "rsa-sha256 s1 pass" || lines[len(lines)-1] != "pass" {
		t.Errorf("%s: Mail::DKIM: %q", name, lines)
	}
	// And it does look at them.
	if lines := perlDKIM(t, append(bytes.Clone(data), "One more line.\r\n"...), dns); lines[0] != "rsa-sha256 s1 fail" {
		t.Errorf("%s with another body: Mail::DKIM: %q", name, lines)
	}
}

// perlVerifier reads a message and prints a line for each signature: algorithm, selector, result; then the result of the
// whole. The arguments are the TXT records there are, each a name, a tab, and the value.
const perlVerifier = `
use strict; use warnings;
use Mail::DKIM::DNS; use Mail::DKIM::Verifier;
my %records = map { split /\t/, $_, 2 } @ARGV;
package TXT { sub type { 'TXT' } sub txtdata { my $self = shift; return @$self } }
{
	no warnings 'redefine';
	*Mail::DKIM::DNS::query_async = sub {
		my ($domain, $type, %prms) = @_;
		my @found = $type eq 'TXT' && exists $records{$domain} ? (bless [$records{$domain}], 'TXT') : ();
		return sub { return $prms{Callbacks}{Success}->(@found) };
	};
}
my $dkim = Mail::DKIM::Verifier->new();
binmode STDIN;
while (my $line = <STDIN>) { $dkim->PRINT($line) }
$dkim->CLOSE;
print $_->algorithm, ' ', $_->selector, ' ', $_->result, "\n" for $dkim->signatures;
print $dkim->result, "\n";
`

// perlDKIM runs perlVerifier.
func perlDKIM(t *testing.T, data []byte, dns *sendertest.DNS) []string {
	t.Helper()
	args := []string{"-e", perlVerifier}
	for _, selector := range []string{"s1", "s1-ed25519"} {
		name := selector + "._domainkey.example.com"
		texts, err := dns.LookupTXT(name)
		if err != nil || len(texts) != 1 {
			t.Fatalf("%q, %v", texts, err)
		}
		args = append(args, name+"\t"+texts[0])
	}
	cmd := exec.CommandContext(t.Context(), "perl", args...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func needPerl(t *testing.T) {
	t.Helper()
	err := exec.Command("perl", "-MMail::DKIM::Verifier", "-e", "1").Run()
	interop.Need(t, "Perl module Mail::DKIM (Debian package libmail-dkim-perl)", err == nil)
}

// Both files go to smtp-sink, Postfix's test server, over DNS. It writes each transaction into a file.
func TestInteropSink(t *testing.T) {
	_, err := exec.LookPath(tool("smtp-sink"))
	interop.Need(t, "Postfix's smtp-sink (Debian package postfix)", err == nil)
	needPerl(t)
	dir := openDir(t)
	dns := newZone(t, "example.org")
	publish(t, dns)
	delivered := sendBoth(t, "-dns", dns.Addr(), "-port", startSink(t, dir))
	for _, e := range delivered {
		if e.TLS != "" || e.Path.Route != "direct" || e.Reply.Host != "mx.example.org" {
			t.Errorf("%+v", e)
		}
	}
	dumps, err := filepath.Glob(filepath.Join(dir, "dump.*"))
	if err != nil || len(dumps) != len(testFiles) {
		t.Fatalf("%d transactions, want one for each file: %v", len(dumps), err)
	}
	seen := map[string]bool{}
	for _, dump := range dumps {
		data := bytes.TrimSuffix(crlf(t, dump), []byte("\r\n")) // smtp-sink ends with an empty line of its own
		file := check(t, data, dns)
		seen[file] = true
		head, _, _ := bytes.Cut(data, []byte("Received: "))
		want := []string{"X-Client-Proto: ESMTP", "X-Helo-Args: mta.example.com", "X-Mail-Args: <bounces@example.com> BODY=8BITMIME"}
		for _, to := range testFiles[file].recipients {
			want = append(want, "X-Rcpt-Args: <"+to+">")
		}
		for _, line := range want {
			if !bytes.Contains(head, []byte(line+"\r\n")) {
				t.Errorf("%s: the envelope lacks %q:\n%s", file, line, head)
			}
		}
	}
	if len(seen) != len(testFiles) {
		t.Errorf("only %v arrived", seen)
	}
}

// startSink starts smtp-sink and returns its port. It ends with the test.
func startSink(t *testing.T, dir string) (port string) {
	t.Helper()
	args := []string{"-d", filepath.Join(dir, "dump.")}
	if os.Geteuid() == 0 { // it refuses to run as root
		args = append(args, "-u", "nobody")
		if err := os.Chown(dir, number(t, lookUp(t, "nobody", "").Uid), -1); err != nil {
			t.Fatal(err)
		}
	}
	for try := 1; ; try++ { // another program may take the port before smtp-sink does
		port = freePort(t)
		var said screen
		cmd := exec.Command(tool("smtp-sink"), append(args, "127.0.0.1:"+port, "100")...)
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			cmd.Wait()
			close(ended)
		}()
		t.Cleanup(func() {
			cmd.Process.Kill()
			<-ended
		})
		listens := false
		until(t, "smtp-sink to listen", func() bool {
			select {
			case <-ended:
				return true
			default:
			}
			conn, err := net.Dial("tcp4", "127.0.0.1:"+port)
			if listens = err == nil; listens {
				conn.Close()
			}
			return listens
		})
		if listens {
			return port
		}
		if try == 3 {
			t.Fatalf("smtp-sink does not start: %s", said.String())
		}
	}
}

// Both files go to a receiving Postfix, directly over DNS and through it as a relay, with STARTTLS, and into a Maildir.
func TestInteropPostfix(t *testing.T) {
	needPerl(t)
	ca, err := sendertest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate("mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	server := startPostfix(t, cert)
	dns := newZone(t, "example.org")
	publish(t, dns)
	for _, test := range []struct {
		route string
		way   []string
	}{
		{"direct", []string{"-dns", dns.Addr(), "-port", server.port}},
		{"relay", []string{"-relay", "127.0.0.1:" + server.port}},
	} {
		t.Run(test.route, func(t *testing.T) {
			for _, e := range sendBoth(t, test.way...) {
				if e.TLS != "TLS 1.3" || e.Path.Route != test.route || e.Reply.Code != 250 {
					t.Errorf("%+v", e)
				}
			}
			var missing []string
			for file, f := range testFiles {
				for _, to := range f.recipients {
					missing = append(missing, file+" to "+to)
				}
			}
			for _, data := range server.arrived(t, len(missing)) {
				file := check(t, data, dns)
				received, _, _ := strings.Cut(string(data), "DKIM-Signature:")
				for _, want := range []string{
					"Return-Path: <bounces@example.com>", "Received: from mta.example.com (", "using TLSv1.3", "with ESMTPS id",
				} {
					if !strings.Contains(received, want) {
						t.Errorf("%s: Postfix's fields lack %q:\n%s", file, want, received)
					}
				}
				_, to, _ := strings.Cut(received, "\r\nDelivered-To: ")
				to, _, _ = strings.Cut(to, "\r\n")
				missing = slices.DeleteFunc(missing, func(m string) bool { return m == file+" to "+to })
			}
			if len(missing) > 0 {
				t.Errorf("did not arrive: %q", missing)
			}
		})
	}
}
