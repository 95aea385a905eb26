package main

import (
	"context"
	"fmt"
	"net/netip"
	"net/smtp"
	"strings"
	"sync"
	"time"

	"github.com/reputemail/repute/bounce/verp"
	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender/sendertest"
)

// Where everything is. The addresses are of TEST-NET-1 (RFC 5737), which only the fake network knows.
const (
	mailDomain      = "example.net"
	mailHost        = "mx.example.net"
	bouncesDomain   = "bounces.example.com"
	bouncesHost     = "bounces.example.com"
	feedbackAddress = "fbl@bounces.example.com"
)

var (
	mailAddr    = netip.MustParseAddrPort("192.0.2.10:25")
	bouncesAddr = netip.MustParseAddrPort("192.0.2.20:25")
)

// internet is the fake one: a network on the loopback interface, a name server, and one mailbox provider.
type internet struct {
	network *sendertest.Network
	dns     *sendertest.DNS
	server  *sendertest.Server
	groups  map[string]group

	mu       sync.Mutex
	received []sendertest.Received // of the mailing that is under way
	arrived  map[group]int         // of the second mailing
	back     bool                  // the first one was sent back
}

func startInternet(readers []reader) (*internet, error) {
	w := &internet{network: sendertest.NewTCPNetwork(), groups: map[string]group{}, arrived: map[group]int{}}
	for _, r := range readers {
		w.groups[r.address] = r.group
	}
	if err := w.start(); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *internet) start() (err error) {
	if w.dns, err = sendertest.StartDNS(w.network, netip.AddrPort{}); err != nil {
		return err
	}
	inbox, err := sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepCount, OnMessage: w.receive})
	if err != nil {
		return err
	}
	if w.server, err = sendertest.StartServer(w.network, sendertest.ServerConfig{Hostname: mailHost, Addr: mailAddr, Inbox: inbox}); err != nil {
		return err
	}
	if err := w.dns.AddMX(mailDomain, 10, mailHost); err != nil {
		return err
	}
	return w.dns.AddA(mailHost, mailAddr.Addr())
}

func (w *internet) close() {
	if w.server != nil {
		w.server.Close()
	}
	if w.dns != nil {
		w.dns.Close()
	}
	w.network.Close()
}

// receive notes what the provider has accepted.
func (w *internet) receive(r sendertest.Received) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.back {
		w.arrived[w.groups[r.To[0]]]++
		return
	}
	w.received = append(w.received, r)
}

// sendBack sends back what the provider and its users do not want, each message in the way of its group.
func (w *internet) sendBack(ctx context.Context, screen *show.Screen) error {
	w.mu.Lock()
	received := w.received
	w.back = true
	w.mu.Unlock()
	for i, r := range received {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		to, data := answer(w.groups[r.To[0]], r)
		if data == "" {
			continue
		}
		if err := w.deliver(ctx, to, data); err != nil {
			return fmt.Errorf("what comes back is not taken: %w", err)
		}
		screen.Draw([]string{"mail comes back: " + show.Bar(30, i+1, len(received))})
	}
	screen.Draw(nil)
	return nil
}

// answer is the message with which the provider or its user answers, and where it goes; nothing for who just reads.
func answer(g group, r sendertest.Received) (to, data string) {
	const boundary = "next"
	recipient, returnPath := r.To[0], r.From
	head := func(from, to, subject, kind string) string {
		return fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s.%s>\r\nMIME-Version: 1.0\r\n%s\r\n",
			from, to, subject, r.Time.Format(time.RFC1123Z), strings.ReplaceAll(string(g), " ", "-"), recipient, kind)
	}
	part := func(kind, body string) string {
		return "--" + boundary + "\r\nContent-Type: " + kind + "\r\n\r\n" + body + "\r\n"
	}
	header, _, _ := strings.Cut(string(r.Data), "\r\n\r\n")
	notice := func(status, diagnostic string) string {
		return head("MAILER-DAEMON@"+mailHost, returnPath, "Undelivered mail", `Content-Type: multipart/report; report-type=delivery-status; boundary="`+boundary+`"`) + "\r\n" +
			part("text/plain", "Your message could not be delivered.") +
			part("message/delivery-status", fmt.Sprintf("Reporting-MTA: dns; %s\r\n\r\nFinal-Recipient: rfc822; %s\r\nAction: failed\r\nStatus: %s\r\nDiagnostic-Code: smtp; %s\r\n", mailHost, recipient, status, diagnostic)) +
			part("text/rfc822-headers", header+"\r\n") + "--" + boundary + "--\r\n"
	}
	switch g {
	case dead:
		return returnPath, notice("5.1.1", "550 5.1.1 <"+recipient+">: user unknown")
	case full:
		return returnPath, notice("5.2.2", "552 5.2.2 <"+recipient+">: mailbox full")
	case blocked:
		return returnPath, notice("5.7.1", "550 5.7.1 message refused, 198.51.100.10 is listed at zen.spamhaus.org")
	case complains:
		return feedbackAddress, head("feedback@"+mailDomain, feedbackAddress, "Complaint", `Content-Type: multipart/report; report-type=feedback-report; boundary="`+boundary+`"`) + "\r\n" +
			part("text/plain", "This is a report of abuse.") +
			part("message/feedback-report", "Feedback-Type: abuse\r\nUser-Agent: Example/1\r\nVersion: 1\r\n") + // the recipient is left out, as reporters do
			part("message/rfc822", strings.ReplaceAll(string(r.Data), recipient, "redacted@"+mailDomain)) + "--" + boundary + "--\r\n"
	case away:
		return returnPath, head(recipient, returnPath, "Out of office", "Auto-Submitted: auto-replied") + "\r\nI am away until Monday.\r\n"
	case forged: // somebody writes it who has seen no token
		forger := strings.ReplaceAll(notice("5.1.1", "550 5.1.1 user unknown"), r.Header(verp.FieldName)[0], "tx0000000000000000000000000")
		return feedbackAddress, strings.ReplaceAll(forger, returnPath, "news@example.com")
	}
	return "", ""
}

// deliver sends a message to the host that takes what comes back.
func (w *internet) deliver(ctx context.Context, to, data string) error {
	conn, err := w.network.Dial(ctx, mailAddr.Addr(), bouncesAddr)
	if err != nil {
		return err
	}
	c, err := smtp.NewClient(conn, bouncesHost)
	if err != nil {
		conn.Close()
		return err
	}
	defer c.Close()
	if err := c.Hello(mailHost); err != nil {
		return err
	}
	if err := c.Mail(""); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	body, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := body.Write([]byte(data)); err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	return c.Quit()
}
