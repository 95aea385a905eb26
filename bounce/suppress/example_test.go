package suppress_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/suppress"
)

var (
	ctx = context.Background()
	now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
)

// Two receivers refuse for good. One says that the mailbox is not there; the other one has our address on a blocklist, which is no fault of the
// recipient's.
func Example() {
	l, err := suppress.New(suppress.Config{})
	if err != nil {
		log.Fatal(err)
	}
	classifier, err := bounce.NewClassifier(bounce.Config{})
	if err != nil {
		log.Fatal(err)
	}
	for i, refusal := range []struct{ address, reply string }{
		{"anna@example.com", "550 5.1.1 User unknown"},
		{"bert@example.org", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"},
	} {
		reply := bounce.ParseReply(refusal.reply)
		reply.Stage = bounce.StageRcpt
		_, _, err := l.ObserveAt(ctx, now, suppress.Incident{
			ID: fmt.Sprint("delivery ", i), Stream: "news", Address: refusal.address, Kind: suppress.Bounced, Verdict: classifier.Classify("", reply),
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	for _, address := range []string{"Anna@Example.com", "bert@example.org"} {
		entry, suppressed, err := l.CheckAt(ctx, now.Add(24*time.Hour), "receipts", address)
		if err != nil {
			log.Fatal(err)
		}
		if suppressed {
			fmt.Println(address, "is", entry.Reason)
		} else {
			fmt.Println(address, "may be mailed")
		}
	}
	// Output:
	// Anna@Example.com is dead
	// bert@example.org may be mailed
}

// A full mailbox is suppressed only when it stays full. This policy is stricter than the default one.
func ExamplePolicy() {
	l, err := suppress.New(suppress.Config{Policy: suppress.Policy{
		Full: suppress.Rule{Strikes: 3, Within: 10 * 24 * time.Hour, Apart: 24 * time.Hour, For: 30 * 24 * time.Hour},
	}})
	if err != nil {
		log.Fatal(err)
	}
	full := bounce.Verdict{Category: bounce.MailboxFull, Scope: bounce.ScopeRecipient, Rule: "full"}
	for day := range 4 {
		at := now.Add(time.Duration(day) * 24 * time.Hour)
		entry, suppressed, err := l.ObserveAt(ctx, at, suppress.Incident{Address: "anna@example.com", Kind: suppress.Deferred, Verdict: full})
		if err != nil {
			log.Fatal(err)
		}
		if suppressed {
			fmt.Printf("day %d: %v\n", day+1, entry)
			break
		}
	}
	// Output:
	// day 3: suppressed since 2026-03-04: full, mailbox-full (full) until 2026-04-03
}

// An operator lets an address in again. The bounce that put it on the list does not do so once more, should it be told again.
func ExampleList_ReleaseAt() {
	l, err := suppress.New(suppress.Config{})
	if err != nil {
		log.Fatal(err)
	}
	dead := suppress.Incident{
		ID: "bounce 17", Address: "anna@example.com", Kind: suppress.Bounced,
		Verdict: bounce.Verdict{Category: bounce.BadMailbox, Scope: bounce.ScopeRecipient, Permanent: true, Suppress: true, Rule: "mailbox/unknown"},
	}
	l.ObserveAt(ctx, now, dead)
	l.ReleaseAt(ctx, now.Add(time.Hour), suppress.Release{Address: "anna@example.com", Actor: "olga", Note: "the account was restored"})
	_, again, _ := l.ObserveAt(ctx, now.Add(2*time.Hour), dead)
	status, err := l.Lookup(ctx, "anna@example.com")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again, len(status.Entries), status.Releases[0].Actor, status.Releases[0].Note)
	// Output:
	// false 0 olga the account was restored
}

// A list from another system goes in, and the whole list comes out, without an address in it.
func ExampleList_Import() {
	l, err := suppress.New(suppress.Config{HashKey: []byte("at least sixteen bytes, from your secrets")})
	if err != nil {
		log.Fatal(err)
	}
	result, err := l.Import(ctx, now, strings.NewReader("Email,Reason,Since\nanna@example.com,unsubscribe,2025-12-24\nnobody\n"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Added, "added;", result.Errors[0])
	if err := l.Export(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 added; line 3: suppress: address: not a mail address
	// address,stream,reason,category,since,until,detail
	// hmac:9c5326a26649fef83f97dbcacac93d5c14311dcb731a056ced235f56b21f0d62,,unsubscribe,,2025-12-24T00:00:00Z,,
}
