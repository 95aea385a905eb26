package dsn_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/dsn"
)

func ExampleParse() {
	n, err := dsn.Parse([]byte(`From: MAILER-DAEMON@mx.example.net
To: news+k7f3@example.com
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

Your message could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Original-Recipient: rfc822; info@example.net
Final-Recipient: rfc822; anna@example.net
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 user unknown

--b
Content-Type: text/rfc822-headers

Message-ID: <june.4711@example.com>
--b--
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(n.Form, n.ReportingMTA, n.Original.MessageID)
	for _, r := range n.Recipients {
		fmt.Println(r.Final, r.Original, r.Action, r.Status, r.Reply().Text())
	}
	// Output:
	// rfc3464 mx.example.net june.4711@example.com
	// anna@example.net info@example.net failed 5.1.1 user unknown
}

func ExampleCompose() {
	raw, err := dsn.Compose(&dsn.Notification{
		ReportingMTA: "relay.example.org",
		Recipients: []dsn.Recipient{{
			Final: "anna@example.net", Action: bounce.ActionFailed, Status: bounce.Status{Class: 5, Subject: 1, Detail: 1},
			Diagnostic: "550 5.1.1 user unknown", RemoteMTA: "mx.example.net",
		}},
	}, dsn.ComposeConfig{
		ReversePath: "news@example.com", // send it there, with "MAIL FROM:<>"
		Message:     []byte("From: news@example.com\r\nMessage-ID: <june.4711@example.com>\r\n\r\nHello\r\n"),
		MessageID:   "<1@relay.example.org>", Date: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	header, _, _ := strings.Cut(string(raw), "Content-Type:")
	fmt.Print(strings.ReplaceAll(header, "\r\n", "\n"))
	// Output:
	// From: Mail Delivery System <MAILER-DAEMON@relay.example.org>
	// To: <news@example.com>
	// Subject: Mail could not be delivered
	// Date: Mon, 01 Jun 2026 12:00:00 +0000
	// Message-ID: <1@relay.example.org>
	// In-Reply-To: <june.4711@example.com>
	// References: <june.4711@example.com>
	// Auto-Submitted: auto-replied
	// MIME-Version: 1.0
}
