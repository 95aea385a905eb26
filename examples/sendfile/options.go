package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/sender"
)

// usage is the help. Flags stand by what they are for.
const usage = `usage: sendfile [flags] FILE...

Sends each FILE, a message as mail programs save it (.eml), to its recipients: to their mail exchangers, or through a relay.

Envelope:
  -from ADDRESS          reverse-path, where bounces go; "" or "<>" for none
                         (default: the message's From)
  -to ADDRESS[,...]      recipients of every file; may be given several times
                         (default: the message's To, Cc and Bcc)

Direct to mail exchangers, the default:
  -dns HOST:PORT         name server (default: those of the system)
  -port PORT             port of the mail exchangers (default 25)
  -helo NAME             name to greet with: the one that the source address resolves to
                         (default: this host's name, where it is fully qualified)
  -source ADDRESS        source address (default: the system's choice)

Through a relay:
  -relay HOST:PORT       smarthost; implicit TLS at port 465, else STARTTLS
  -user NAME             authenticates as NAME (AUTH PLAIN), over verified TLS only
  -pass PASSWORD         its password; better in the environment variable SENDFILE_PASS,
                         since other users of this host can see command lines

DKIM signatures:
  -dkim-domain DOMAIN    signing domain
  -dkim-rsa FILE         RSA private key, in PEM
  -dkim-ed25519 FILE     Ed25519 private key, in PEM; both keys together make two signatures
  -dkim-selector NAME    selector; with both keys that of the RSA key, and NAME-ed25519 that of the other,
                         unless there are two: RSA,ED25519

And:
  -expire DURATION       how long a deferred message is tried again, at least 1m (default 30m)
  -json                  one JSON object for each event on standard output, and one with the sums at the end

Exit status: 0 all delivered; 1 something bounced, expired, still waits, or could not be read or accepted; 2 usage.
A first SIGINT or SIGTERM lets attempts in flight finish and reports what still waits; a second one ends at once.
`

// options is the command line.
type options struct {
	from    string
	fromSet bool
	to      []string

	dns, helo, source string
	port              int
	relay, user, pass string

	dkimDomain, dkimSelector, dkimRSA, dkimEd25519 string

	expire time.Duration
	json   bool
	files  []string

	stderr io.Writer
}

// parse reads the command line. The error is flag.ErrHelp when help was asked for and given.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{stderr: stderr}
	flags := flag.NewFlagSet("sendfile", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run tells errors, and the usage is our own
	flags.Func("from", "", func(v string) error {
		o.from, o.fromSet = strings.TrimSpace(v), true
		if o.from == "<>" {
			o.from = ""
		}
		return nil
	})
	flags.Func("to", "", func(v string) error {
		o.to = append(o.to, splitAddresses(v)...)
		return nil
	})
	flags.StringVar(&o.dns, "dns", "", "")
	flags.IntVar(&o.port, "port", 25, "")
	flags.StringVar(&o.helo, "helo", "", "")
	flags.StringVar(&o.source, "source", "", "")
	flags.StringVar(&o.relay, "relay", "", "")
	flags.StringVar(&o.user, "user", "", "")
	flags.StringVar(&o.pass, "pass", "", "")
	flags.StringVar(&o.dkimDomain, "dkim-domain", "", "")
	flags.StringVar(&o.dkimSelector, "dkim-selector", "", "")
	flags.StringVar(&o.dkimRSA, "dkim-rsa", "", "")
	flags.StringVar(&o.dkimEd25519, "dkim-ed25519", "", "")
	flags.DurationVar(&o.expire, "expire", 30*time.Minute, "")
	flags.BoolVar(&o.json, "json", false, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(stderr, usage)
		}
		return nil, err
	}
	o.files = flags.Args()
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return o, o.validate(given)
}

// splitAddresses cuts a list at its commas, but not at those inside quotes.
func splitAddresses(list string) []string {
	quoted, escaped := false, false
	parts := strings.FieldsFunc(list, func(r rune) bool {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = quoted
		case r == '"':
			quoted = !quoted
		}
		return r == ',' && !quoted
	})
	var found []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			found = append(found, p)
		}
	}
	return found
}

// validate finds flags that do not go together. What the Sender checks itself is left to it.
func (o *options) validate(given map[string]bool) error {
	if len(o.files) == 0 {
		return errors.New("no FILE is given")
	}
	if given["to"] && len(o.to) == 0 {
		return errors.New("-to: has no address")
	}
	if o.relay != "" && given["port"] {
		return errors.New("-port: is for mail exchangers; the port of a relay stands in -relay")
	}
	if o.relay == "" && (o.user != "" || given["pass"]) {
		return errors.New("-user and -pass: are for a relay, and there is no -relay")
	}
	if o.user == "" && given["pass"] {
		return errors.New("-pass: there is no -user")
	}
	if o.user != "" && !given["pass"] {
		if o.pass = os.Getenv("SENDFILE_PASS"); o.pass == "" {
			return errors.New("-user: there is no password, neither in -pass nor in SENDFILE_PASS")
		}
	}
	if o.port < 1 || o.port > 65535 {
		return fmt.Errorf("-port: %d is not in 1 to 65535", o.port)
	}
	return nil
}

// config is the Sender's configuration: one route, one stream.
func (o *options) config() (sender.Config, error) {
	signer, err := o.signer()
	if err != nil {
		return sender.Config{}, err
	}
	route := sender.Route{Name: "direct", LocalAddr: o.source, Hostname: o.greeting()}
	if o.relay != "" {
		route.Name, route.Relay = "relay", &sender.Relay{Addr: o.relay}
		if o.user != "" {
			route.Relay.Auth = sasl.NewPlainClient("", o.user, o.pass)
		}
	}
	stream := sender.Stream{Name: "files", ExpireAfter: o.expire}
	if signer != nil {
		stream.Signer = signer
	}
	cfg := sender.Config{
		Routes:         []sender.Route{route},
		Streams:        []sender.Stream{stream},
		Port:           o.port,
		AllowLoopback:  o.onOneMachine(),
		PlainAddresses: true, // they are on the command line and in the files
		Logger:         slog.New(slog.NewTextHandler(o.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if o.dns != "" {
		cfg.DNS = []string{o.dns}
	}
	return cfg, nil
}

// greeting is the name for EHLO. A relay's clients need none.
func (o *options) greeting() string {
	if o.helo != "" || o.relay != "" {
		return o.helo
	}
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") {
		return name
	}
	return "" // which the Sender refuses
}

// onOneMachine reports whether the mail exchangers, too, may be on this machine: only for a trial set up on it, with a name
// server of its own. A name server on the loopback interface is not enough, since many systems have a caching one there, and
// that passes on what strangers say of their domains; but such a one listens at port 53.
func (o *options) onOneMachine() bool {
	host, port, err := net.SplitHostPort(o.dns)
	if err != nil || port == "53" {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// flagError names the flag in place of the field of sender.Config that came from it.
func flagError(err error) error {
	var wrong *sender.ConfigError
	if !errors.As(err, &wrong) {
		return err
	}
	name, ok := map[string]string{
		"DNS[0]": "-dns", "Port": "-port", "Routes[0].Hostname": "-helo", "Routes[0].LocalAddr": "-source",
		"Routes[0].Relay.Addr": "-relay", "Streams[0].ExpireAfter": "-expire",
	}[wrong.Field]
	if !ok {
		return err
	}
	return errors.New(name + ": " + wrong.Reason)
}
