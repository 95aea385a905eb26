package sendertest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// Keep says how much of an accepted message an Inbox keeps.
type Keep string

// How much to keep.
const (
	// KeepAll keeps the envelope and the whole content. The default.
	KeepAll Keep = "all"
	// KeepHeader keeps the envelope and the content up to the empty line, for large volumes.
	KeepHeader Keep = "header"
	// KeepCount keeps nothing but the number of messages; OnMessage still sees each message whole.
	KeepCount Keep = "count"
)

// InboxConfig configures an Inbox.
type InboxConfig struct {
	// Keep says how much of each message is kept. Defaults to KeepAll.
	Keep Keep
	// Limit is how many messages are kept; with more the oldest are forgotten, though still counted. Defaults to 0, no limit.
	Limit int
	// OnMessage is called for each accepted message, before the reply to its final dot, on the goroutine of its session and
	// so concurrently. Defaults to nil.
	OnMessage func(Received)
}

// Received is a message that a Server accepted.
type Received struct {
	// Session is the ID of the session it came in; see Session.ID.
	Session uint64
	// Server is the hostname of the server.
	Server string
	// Source is the client's address: the virtual one when it was dialled through the Network.
	Source netip.Addr
	// Hostname is the client's name in EHLO or HELO.
	Hostname string
	// User is who authenticated, or empty.
	User string
	// TLS is the state of the connection's TLS, or nil for clear text.
	TLS *tls.ConnectionState
	// From is the reverse-path without angle brackets.
	From string
	// To are the accepted recipients, in order.
	To []string
	// Params are the parameters of MAIL by upper-case keyword, for example "SIZE" or "BODY" (RFC 5321 section 4.1.2).
	// One without a value, such as "SMTPUTF8", has an empty one.
	Params map[string]string
	// Data is the content with CRLF line ends and dots unstuffed. It must not be changed.
	Data []byte
	// Time is when the final dot came.
	Time time.Time
}

// Header returns the values of a header field, unfolded, in order.
func (r Received) Header(name string) []string {
	var values []string
	header, _, _ := bytes.Cut(r.Data, []byte("\r\n\r\n"))
	current := false
	for line := range strings.SplitSeq(string(header), "\r\n") {
		if line != "" && (line[0] == ' ' || line[0] == '\t') {
			if current {
				values[len(values)-1] += line
			}
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if current = ok && strings.EqualFold(strings.TrimSpace(key), name); current {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

// Signature is what the check of one DKIM signature (RFC 6376) gave.
type Signature struct {
	// Domain is the signing domain, the tag d=.
	Domain string
	// Header are the names of the signed fields, the tag h=, with repetitions.
	Header []string
	// Err is nil when the signature is valid.
	Err error
}

// VerifyDKIM checks each DKIM signature of the message with the keys that dns has. The order is that of the header fields.
// It needs the whole content.
func (r Received) VerifyDKIM(dns *DNS) ([]Signature, error) {
	found, err := dkim.VerifyWithOptions(bytes.NewReader(r.Data), &dkim.VerifyOptions{LookupTXT: dns.LookupTXT})
	if err != nil {
		return nil, fmt.Errorf("sendertest: VerifyDKIM: %w", err)
	}
	signatures := make([]Signature, len(found))
	for i, v := range found {
		signatures[i] = Signature{Domain: v.Domain, Header: v.HeaderKeys, Err: v.Err}
	}
	return signatures, nil
}

// Inbox holds what servers accepted, in the order of acceptance. Several servers may share one. Its methods may be called
// concurrently.
type Inbox struct {
	config InboxConfig

	mu       sync.Mutex
	messages []Received
	count    int
}

// NewInbox returns an empty inbox.
func NewInbox(config InboxConfig) (*Inbox, error) {
	switch config.Keep {
	case "":
		config.Keep = KeepAll
	case KeepAll, KeepHeader, KeepCount:
	default:
		return nil, fmt.Errorf("sendertest: InboxConfig.Keep: unknown value %q", config.Keep)
	}
	if config.Limit < 0 {
		return nil, fmt.Errorf("sendertest: InboxConfig.Limit: %d is negative", config.Limit)
	}
	return &Inbox{config: config}, nil
}

// add files a message.
func (b *Inbox) add(r Received) {
	if b.config.OnMessage != nil {
		b.config.OnMessage(r)
	}
	if b.config.Keep == KeepHeader {
		header, _, _ := bytes.Cut(r.Data, []byte("\r\n\r\n"))
		r.Data = append(bytes.Clone(header), "\r\n\r\n"...)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	if b.config.Keep == KeepCount {
		return
	}
	// Up to twice the limit is held, so that forgetting costs little each time.
	if limit := b.config.Limit; limit > 0 && len(b.messages) >= 2*limit {
		b.messages = append([]Received(nil), b.messages[len(b.messages)-limit+1:]...)
	}
	b.messages = append(b.messages, r)
}

// Len returns how many messages were accepted, kept or not.
func (b *Inbox) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

// Messages returns the kept messages, oldest first.
func (b *Inbox) Messages() []Received {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.messages
	if limit := b.config.Limit; limit > 0 && len(kept) > limit {
		kept = kept[len(kept)-limit:]
	}
	return append([]Received(nil), kept...)
}

// WithRecipient returns the kept messages that addr is a recipient of. Letter case does not matter.
func (b *Inbox) WithRecipient(addr string) []Received {
	var found []Received
	for _, m := range b.Messages() {
		for _, to := range m.To {
			if strings.EqualFold(to, addr) {
				found = append(found, m)
				break
			}
		}
	}
	return found
}

// Reset forgets all messages and the count.
func (b *Inbox) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages, b.count = nil, 0
}

// VerifyDKIM checks that each kept message has a signature and that all signatures are valid. The error names the messages
// that fail, by recipient.
func (b *Inbox) VerifyDKIM(dns *DNS) error {
	var errs []error
	for _, m := range b.Messages() {
		signatures, err := m.VerifyDKIM(dns)
		if err == nil && len(signatures) == 0 {
			err = errors.New("no signature")
		}
		for _, s := range signatures {
			if s.Err != nil {
				err = errors.Join(err, fmt.Errorf("d=%s: %w", s.Domain, s.Err))
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("sendertest: message to %s: %w", strings.Join(m.To, ", "), err))
		}
	}
	return errors.Join(errs...)
}
