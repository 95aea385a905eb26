package intake

import (
	"io"
	"net/netip"
	"slices"
	"sync"

	"github.com/emersion/go-smtp"
)

// session is one SMTP conversation.
//
// With BDAT (RFC 3030) go-smtp reads the message in a goroutine of its own, so that a transaction may be reset while it is read.
type session struct {
	s    *Server
	from netip.Prefix

	mu     sync.Mutex
	sender string
	to     []string
}

// The refusals.
var (
	errNoToken = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such return path here, or no longer"}
	errRate    = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 28}, Message: "Too many messages from your network, try again in some minutes"}
	errSink    = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Cannot be kept for now, try again later"}
)

// Mail takes any reverse-path: bounces have none, complaints have one.
func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	if !c.s.allow(c.from) {
		return errRate
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sender = from
	return nil
}

// Rcpt takes addresses with a valid token, and those of ServerConfig.Addresses.
func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if !c.s.takes(to) {
		return errNoToken
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to = append(c.to, to)
	return nil
}

// Data reads the message and hands it over, for each recipient that it came to: each may stand for another delivery.
func (c *session) Data(r io.Reader) error {
	c.mu.Lock()
	sender, recipients := c.sender, slices.Clone(c.to)
	c.mu.Unlock()
	data, err := io.ReadAll(r) // go-smtp bounds it by MaxMessageBytes
	if err != nil {
		return err
	}
	if !c.s.begin() {
		return errSink
	}
	defer c.s.work.Done()
	for _, to := range recipients {
		if _, err := c.s.cfg.Intake.Take(c.s.life, Message{From: sender, To: to, Data: data}); err != nil {
			c.s.cfg.Logger.Error("a report cannot be kept", "err", err)
			return errSink
		}
	}
	return nil
}

// Reset forgets the transaction.
func (c *session) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sender, c.to = "", nil
}

// Logout does nothing: there is nothing to give back.
func (c *session) Logout() error { return nil }
