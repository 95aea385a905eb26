package intake_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/intake"
	"github.com/reputemail/repute/bounce/suppress"
)

// replies are the lines of a file of package bounce's tests.
func replies(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

// forms are bounces about anna@example.com with a diagnostic, as different systems write them.
var forms = map[string]func(diagnostic string) []byte{
	"standard": func(d string) []byte { return notice("anna@example.com", "5.0.0", d) },
	"Postfix": func(d string) []byte {
		return fmt.Appendf(nil, `Return-Path: <>
From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied

This is the mail system at host mx.example.com.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients.

<anna@example.com>: host mx.example.com[192.0.2.1] said: %s (in reply to end of DATA command)
`, d)
	},
	"Exim": func(d string) []byte {
		return fmt.Appendf(nil, `Return-Path: <>
From: Mail Delivery System <Mailer-Daemon@mx.example.com>
Subject: Mail delivery failed: returning message to sender
X-Failed-Recipients: anna@example.com

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  anna@example.com
    host mx.example.com [192.0.2.1]
    SMTP error from remote mail server after end of data: %s

------ This is a copy of the message, including all the headers. ------

From: news@example.org
To: anna@example.com
`, d)
	},
	"qmail": func(d string) []byte {
		return fmt.Appendf(nil, `Return-Path: <>
From: MAILER-DAEMON@mx.example.com
Subject: failure notice

Hi. This is the qmail-send program at mx.example.com.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<anna@example.com>:
192.0.2.1 failed after I sent the message.
Remote host said: %s

--- Below this line is a copy of the message.

From: news@example.org
`, d)
	},
}

// ours are the replies of a file with categories that are not about the recipient.
func ours(t *testing.T, file string) []string {
	var out []string
	for _, line := range replies(t, file) {
		category, reply, ok := strings.Cut(line, ": ")
		switch bounce.Category(category) {
		case bounce.BadMailbox, bounce.BadDomain, bounce.InactiveMailbox, bounce.MailboxFull:
		default:
			if ok {
				out = append(out, reply)
			}
		}
	}
	return out
}

// TestNoInnocentAddressIsSuppressed: of the bounces that were not the recipient's fault, in any form, none suppresses. What only sounds like a dead address does not at once;
// what is plainly about us, not by strikes either.
func TestNoInnocentAddressIsSuppressed(t *testing.T) {
	in := newIntake(t, intake.Config{})
	dead, bounces := 0, 0
	about := replies(t, "dead.txt")
	for _, set := range []struct {
		lines []string
		times int // told on so many days
		guilt bool
	}{{replies(t, "innocent.txt"), 1, false}, {ours(t, "replies.txt"), 6, false}, {about, 1, true}} {
		if len(set.lines) < 50 {
			t.Fatalf("only %d replies", len(set.lines))
		}
		for _, line := range set.lines {
			for form, write := range forms {
				r := in.ReadAt(t.Context(), now, intake.Message{Data: write(line)})
				if r.Kind != bounce.KindBounce || len(r.Records) != 1 || r.Records[0].Recipient != "anna@example.com" {
					t.Errorf("%s, %q: %+v", form, line, r)
					continue
				}
				bounces++
				list, err := suppress.New(suppress.Config{})
				if err != nil {
					t.Fatal(err)
				}
				suppressed := false
				for day := range set.times {
					i := suppress.Incident{Address: "anna@example.com", Kind: suppress.Bounced, Verdict: r.Records[0].Verdict}
					_, hit, err := list.ObserveAt(t.Context(), now.Add(time.Duration(day)*4*24*time.Hour), i)
					if err != nil {
						t.Fatal(err)
					}
					suppressed = suppressed || hit
				}
				switch {
				case suppressed && !set.guilt:
					t.Errorf("%s suppresses by %s: %q", form, r.Records[0].Verdict.Rule, line)
				case suppressed:
					dead++
				}
			}
		}
	}
	if all := len(about) * len(forms); dead < all/2 {
		t.Errorf("of %d bounces about dead addresses only %d suppress: this test would find nothing", all, dead)
	}
	t.Logf("%d bounces, of %d about dead addresses %d suppress at once", bounces, len(about)*len(forms), dead)
}
