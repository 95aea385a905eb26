// Command classify says what SMTP replies mean: the category, whose fault it is, what a sender does about it, and the rule
// that decided.
//
// With plain text on standard input, it prints a table. A mail log of Postfix, Exim or sendmail is counted by provider and category;
// -each has a row for each line instead. A line that is no line of a log is a reply.
//
//	go run ./examples/classify </var/log/mail.log
//	echo '550 5.1.1 <a@example.com>: user unknown' | go run ./examples/classify -each
//
// With -replies FILE it reads JSON lines and writes predictions as JSON lines, in the order of the file:
//
//	{"id":"1","text":"550 5.1.1 user unknown","status":"5.1.1","remote":"mx.example.com","stage":"RCPT"}
//	{"id":"1","cats":["bad-mailbox"],"raw":"mailbox/unknown"}
//
// With -messages FILE it reads JSON lines that name files with raw messages, relative to FILE, and says what each is and what it tells of whom:
//
//	{"id":"1","file":"returned/1.eml"}
//	{"id":"1","kind":"bounce","records":[{"rcpt":"a@example.com","cats":["bad-mailbox"],"raw":"mailbox/unknown"}]}
//
// Of the fields of a reply, id and text are needed. Status is the enhanced code when the text has none (a DSN's Status field); remote
// is the host that replied; stage is one of CONN, EHLO, MAIL, RCPT and DATA. Unknown fields are ignored.
//
// The exit status is 0, 1 when the input cannot be read or a line of it is malformed (the error has the line's number), and 2
// when the command line is wrong.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/examples/internal/show"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments. It returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("classify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: classify [-each | -replies FILE.jsonl | -messages FILE.jsonl]\nWithout a file, reads a mail log or replies from standard input.")
		flags.PrintDefaults()
	}
	each := flags.Bool("each", false, "print a row for each line of standard input, with rule and remedy")
	replies := flags.String("replies", "", "classify the replies in this `FILE.jsonl`")
	messages := flags.String("messages", "", "classify the messages that this `FILE.jsonl` names")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "classify: unexpected argument %q\n", flags.Arg(0))
		flags.Usage()
		return 2
	case more(*each, *replies != "", *messages != ""):
		fmt.Fprintln(stderr, "classify: -each, -replies and -messages cannot be used together")
		flags.Usage()
		return 2
	}
	c, err := bounce.NewClassifier(bounce.Config{})
	if err == nil {
		switch {
		case *replies != "":
			err = predictReplies(c, *replies, stdout)
		case *messages != "":
			err = predictMessages(c, *messages, stdout)
		case *each:
			err = table(c, stdin, stdout)
		default:
			err = summarise(c, stdin, stdout, show.New(stdout, false))
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "classify:", err)
		return 1
	}
	return 0
}

// more reports whether more than one is true.
func more(flags ...bool) bool {
	n := 0
	for _, f := range flags {
		if f {
			n++
		}
	}
	return n > 1
}

// table prints what each reply on r means, for people.
func table(c *bounce.Classifier, r io.Reader, w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "CATEGORY\tSCOPE\tWHAT TO DO\tRULE\tREMEDY")
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		e, ok := readLine(lines.Text())
		if !ok || e.delivered {
			continue
		}
		v := c.Classify("", bounce.ParseReply(e.reply))
		remedy := v.Remedy
		if remedy == "" {
			remedy = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", v.Category, v.Scope, todo(v), v.Rule, remedy)
	}
	if err := lines.Err(); err != nil {
		return errors.Join(fmt.Errorf("standard input: line %d: %w", n+1, err), t.Flush())
	}
	return t.Flush()
}

// todo says in a few words what a sender does about a verdict.
func todo(v bounce.Verdict) string {
	switch {
	case v.Suppress:
		return "suppress the address"
	case v.RetryAfter > 0:
		return "retry after " + v.RetryAfter.String()
	case !v.Permanent:
		return "retry later"
	case v.Scope == bounce.ScopeRoute:
		return "try another route"
	case v.Scope == bounce.ScopeDomain:
		return "fix the sender domain"
	}
	return "give this message up"
}
