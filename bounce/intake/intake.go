package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/verp"
	"github.com/reputemail/repute/internal/keyed"
)

// Sink is told what came in. A Sender is one.
type Sink interface {
	// Report is called once for each message, in no order and concurrently; again for the same message, with the same ID, when it has returned an
	// error, or after a crash. An error says that it could not be kept: whoever sent the message is asked to send it again.
	Report(ctx context.Context, r bounce.Report) error
}

// SinkFunc is a Sink of one function.
type SinkFunc func(ctx context.Context, r bounce.Report) error

// Report calls f.
func (f SinkFunc) Report(ctx context.Context, r bounce.Report) error { return f(ctx, r) }

// Classifier says what a reply means. [*bounce.Classifier] is the implementation.
type Classifier interface {
	Classify(provider string, r bounce.Reply) bounce.Verdict
}

// Providers names the operator of a domain or of its mail hosts, for rules that are a provider's own. throttle.Table has this.
type Providers interface {
	Provider(domain string, mx []string) string
}

// Message is a message as it came in.
type Message struct {
	// From is the reverse-path, without angle brackets; empty for the null reverse-path, which bounces have.
	From string
	// To is the recipient to whom it came, if that is known: it ties the report to a delivery.
	To string
	// Data is header and body. It is not changed.
	Data []byte
}

// Config configures an Intake.
type Config struct {
	// Sink is told of every report. Required.
	Sink Sink
	// Tokens read the tokens in return paths and headers that the Sender made. Defaults to none: nothing is tied.
	Tokens *verp.Codec
	// Field is the name of the header field with the token. Defaults to verp.FieldName.
	Field string
	// Classifier understands replies. Defaults to bounce's rules.
	Classifier Classifier
	// Providers finds rules that are a provider's own. Defaults to none, so that only general rules apply.
	Providers Providers
	// Trusted are the domains whose valid DKIM signature makes a feedback report authentic: those of the feedback loops that the
	// host takes part in, such as "arf.mail.yahoo.com". They must sign reports only: who can have any mail signed by a trusted domain can
	// suppress whom he likes. Only reports in the form of RFC 5965 can be authentic. Defaults to none.
	Trusted []string
	// LookupTXT looks up the keys of those signatures. Defaults to the net package's resolver.
	LookupTXT func(ctx context.Context, name string) ([]string, error)
	// Keep is called with each message that was not understood or is of none of the kinds, before the Sink: mail of
	// people above all. An error is handled like one of the Sink; it is called again when the Sink has failed. Defaults to none.
	Keep func(ctx context.Context, m Message, r bounce.Report) error
	// Remember is how many reports are remembered so that the same one is not told twice. Defaults to 10,000.
	Remember int
	// Logger gets what an operator should know, without addresses. Defaults to discarding it.
	Logger *slog.Logger
}

// Intake reads what comes back and hands it over. It is safe for concurrent use.
type Intake struct {
	cfg  Config
	log  *slog.Logger
	seen *keyed.Map[string, struct{}] // the IDs of reports that were handed over
	busy singleflight.Group           // one call at a time for a report
}

// How long a report is remembered: a host that did not hear our 250 tries again within days.
const rememberFor = 5 * 24 * time.Hour

// New checks the configuration and makes an Intake. An error names the field.
func New(cfg Config) (*Intake, error) {
	switch {
	case cfg.Sink == nil:
		return nil, errors.New("intake: Config.Sink: is missing")
	case cfg.Remember < 0:
		return nil, fmt.Errorf("intake: Config.Remember: %d is negative", cfg.Remember)
	case cfg.Field != "" && !isFieldName(cfg.Field):
		return nil, fmt.Errorf("intake: Config.Field: %q is no name of a header field", cfg.Field)
	}
	if cfg.Field == "" {
		cfg.Field = verp.FieldName
	}
	if cfg.Remember == 0 {
		cfg.Remember = 10_000
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Classifier == nil {
		c, err := bounce.NewClassifier(bounce.Config{})
		if err != nil {
			return nil, fmt.Errorf("intake: %w", err)
		}
		cfg.Classifier = c
	}
	trusted := make([]string, 0, len(cfg.Trusted))
	for i, d := range cfg.Trusted {
		if d == "" {
			return nil, fmt.Errorf("intake: Config.Trusted[%d]: is empty", i)
		}
		trusted = append(trusted, lower(d))
	}
	cfg.Trusted = trusted
	return &Intake{
		cfg: cfg, log: cfg.Logger,
		seen: keyed.New(keyed.Config[string, struct{}]{Max: cfg.Remember, Idle: rememberFor}),
	}, nil
}

// isFieldName reports whether s can name a header field (RFC 5322 section 3.6.8).
func isFieldName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ':' {
			return false
		}
	}
	return s != ""
}

// Take reads a message and hands its report to the Sink, unless that was done before. It returns the report. An error is the Sink's, or that of Config.Keep:
// the message should come again then. No message is an error by itself.
func (in *Intake) Take(ctx context.Context, m Message) (bounce.Report, error) {
	now := time.Now()
	r := in.ReadAt(ctx, now, m)
	_, err, _ := in.busy.Do(r.ID, func() (any, error) { return nil, in.handOver(ctx, now, m, r) })
	return r, err
}

// handOver tells of a report, unless that was done.
func (in *Intake) handOver(ctx context.Context, now time.Time, m Message, r bounce.Report) error {
	if _, ok := in.seen.Get(now, r.ID); ok {
		return nil
	}
	if in.cfg.Keep != nil && (r.Kind == bounce.KindNone || r.Kind == bounce.KindNotUnderstood) {
		if err := in.cfg.Keep(ctx, m, r); err != nil {
			return fmt.Errorf("intake: keep: %w", err)
		}
	}
	if err := in.cfg.Sink.Report(ctx, r); err != nil {
		return fmt.Errorf("intake: %w", err)
	}
	in.seen.Put(now, r.ID, struct{}{})
	in.log.Debug("report taken", "report", r.ID, "kind", r.Kind, "form", r.Form, "tied", r.Delivery != "", "records", len(r.Records))
	return nil
}
