package auth

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/reputemail/repute/internal/interop"
)

// perlVerifier reads a message and prints a line for each signature, algorithm and result, and then the result of the whole. The argument is the
// one TXT record there is: its name and its strings, with a tab between.
const perlVerifier = `
use strict; use warnings;
use Mail::DKIM::DNS; use Mail::DKIM::Verifier;
my ($name, @strings) = split /\t/, $ARGV[0];
package TXT { sub type { 'TXT' } sub txtdata { my $self = shift; return @$self } }
{
	no warnings 'redefine';
	*Mail::DKIM::DNS::query_async = sub {
		my ($domain, $type, %prms) = @_;
		my @records = $domain eq $name && $type eq 'TXT' ? (bless [@strings], 'TXT') : ();
		return sub { return $prms{Callbacks}{Success}->(@records) };
	};
}
my $dkim = Mail::DKIM::Verifier->new();
binmode STDIN;
while (my $line = <STDIN>) { $dkim->PRINT($line) }
$dkim->CLOSE;
print $_->algorithm, ' ', $_->result, "\n" for $dkim->signatures;
print $dkim->result, "\n";
`

// An independent verifier, Perl's Mail::DKIM, agrees. It knows RSA only and so also shows that the Ed25519 signature beside does no harm.
func TestInteropPerl(t *testing.T) {
	perl, err := exec.LookPath("perl")
	ok := err == nil && exec.Command(perl, "-MMail::DKIM::Verifier", "-e", "1").Run() == nil
	interop.Need(t, "Perl module Mail::DKIM (Debian package libmail-dkim-perl)", ok)

	cfg := bothKeys()
	cfg.Identifier = "@example.com"
	header := sign(t, newSigner(t, cfg), plain)
	record, err := Record(testRSA().Public())
	if err != nil {
		t.Fatal(err)
	}
	published := strings.Join(append([]string{RecordName("rsa", "example.com")}, SplitTXT(record)...), "\t")
	check := func(message string) []string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), perl, "-e", perlVerifier, published)
		cmd.Stdin = strings.NewReader(message)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.Split(strings.TrimSpace(string(out)), "\n")
	}
	lines := check(header + plain)
	if len(lines) != 3 || lines[0] != "rsa-sha256 pass" || lines[2] != "pass" {
		t.Errorf("got %q, want the RSA signature first, and a pass", lines)
	}
	// Forms in which two readings of the canonicalisation could differ.
	long := strings.Repeat("long words ", 900)
	for name, message := range map[string]string{
		"no body":                  "From: a@example.com\r\n\r\n",
		"empty lines only":         "From: a@example.com\r\n\r\n\r\n\r\n",
		"white space only":         "From: a@example.com\r\n\r\n \t\r\n \r\n",
		"no line end":              "From: a@example.com\r\n\r\nlast",
		"white space, no line end": "From: a@example.com\r\n\r\nlast \t",
		"empty lines first":        "From: a@example.com\r\n\r\n\r\n \r\nx\r\n",
		"white space in lines":     "From: a@example.com\r\n\r\n\ta  b\t c \r\n\r\n d\r\n",
		"long lines":               "From: a@example.com\r\n\r\n" + long + "\r\n" + long,
		"dots":                     "From: a@example.com\r\n\r\n.\r\n..\r\n",
		"octets over 127":          "From: a@example.com\r\nSubject: gr\xc3\xbc\xdfe\r\n\r\n\x80\xff\x00\r\n",
		"folds":                    "From:\r\n\ta@example.com\r\nSubject:a\r\n \tb\r\n  \r\n\tc \r\nTo:\r\n\r\nx\r\n",
		"space before colons":      "From : a@example.com\r\nSUBJECT\t:  x\r\n\r\nx\r\n",
		"fields twice":             "References: 1\r\nFrom: a@example.com\r\nTo: 1\r\nReferences: 2\r\nTo: 2\r\n\r\nx\r\n",
		"a signature already":      header + "From: a@example.com\r\n\r\nx\r\n",
	} {
		signed := sign(t, newSigner(t, cfg), message) + message
		if name != "a signature already" && !verified(t, signed, 2) {
			t.Errorf("%s: does not verify here", name)
		}
		if lines := check(signed); lines[0] != "rsa-sha256 pass" || lines[len(lines)-1] != "pass" {
			t.Errorf("%s: got %q", name, lines)
		}
	}
	for name, message := range map[string]string{
		"a second From":    "From: evil@example.org\r\n" + header + plain,
		"a second Subject": header + "Subject: evil\r\n" + plain,
		"a first Cc":       header + "Cc: evil@example.org\r\n" + plain,
		"another body":     header + plain + "more\r\n",
	} {
		if lines := check(message); lines[0] != "rsa-sha256 fail" || lines[len(lines)-1] == "pass" {
			t.Errorf("%s: got %q, want a failure", name, lines)
		}
	}
}
