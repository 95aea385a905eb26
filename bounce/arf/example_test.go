package arf_test

import (
	"fmt"

	"github.com/reputemail/repute/bounce/arf"
)

func ExampleParse() {
	f, err := arf.Parse([]byte(`From: fbl@feedback.example.net
To: complaints@example.com
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: text/plain

A member marked this message as spam.
--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: ExampleFeedback/2.1
Version: 1
Original-Rcpt-To: redacted@example.net
Source-IP: 192.0.2.25

--b
Content-Type: message/rfc822

Return-Path: <bounce+k7f3@example.com>
Message-ID: <june.4711@example.com>
X-Repute: k7f3

Hello
--b--
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Form, f.Type, f.Complaint())
	fmt.Println(f.OriginalRecipients, f.Redacted, f.SourceIP)
	fmt.Println(f.Original.MessageID, f.Original.ReturnPath, f.Original.Header("X-Repute"))
	// Output:
	// arf abuse true
	// [] [redacted@example.net] 192.0.2.25
	// june.4711@example.com bounce+k7f3@example.com k7f3
}
