// Command classify says what SMTP replies mean: the category, whose fault it is, what a sender does about it, and the rule
// that decided.
//
// With plain text on standard input, one reply a line, it prints a table:
//
//	echo '550 5.1.1 <a@example.com>: user unknown' | go run ./examples/classify
//
// With -replies FILE it reads JSON lines and writes predictions as JSON lines, in the order of the file:
//
//	{"id":"1","text":"550 5.1.1 user unknown","status":"5.1.1","remote":"mx.example.com","stage":"RCPT"}
//	{"id":"1","cats":["bad-mailbox"],"raw":"mailbox/unknown"}
//
// Of the fields, id and text are needed. Status is the enhanced code when the text has none (a DSN's Status field); remote
// is the host that replied; stage is one of CONN, EHLO, MAIL, RCPT and DATA. Unknown fields are ignored.
//
// The exit status is 0, 1 when the input cannot be read or a line of it is malformed (the error has the line's number), and 2
// when the command line is wrong.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/throttle"
)

// maxLine bounds a line of input, in bytes.
const maxLine = 16 << 20

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments. It returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("classify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: classify [-replies FILE.jsonl]\nWithout -replies, reads replies from standard input, one a line.")
		flags.PrintDefaults()
	}
	replies := flags.String("replies", "", "classify the replies in this file of JSON lines")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "classify: unexpected argument %q\n", flags.Arg(0))
		flags.Usage()
		return 2
	}
	c, err := bounce.NewClassifier(bounce.Config{})
	if err == nil {
		if *replies != "" {
			err = predict(c, *replies, stdout)
		} else {
			err = table(c, stdin, stdout)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "classify:", err)
		return 1
	}
	return 0
}

// input is one line of the file of replies.
type input struct {
	ID     string `json:"id"`
	Text   string `json:"text"`
	Status string `json:"status"`
	Remote string `json:"remote"`
	Stage  string `json:"stage"`
}

// prediction is one line of output.
type prediction struct {
	ID   string            `json:"id"`
	Cats []bounce.Category `json:"cats"`
	Raw  string            `json:"raw"`
}

// reply makes a Reply of an input.
func (in *input) reply() (bounce.Reply, error) {
	r := bounce.ParseReply(in.Text)
	if st, ok := bounce.ParseStatus(in.Status); ok && r.Status.IsZero() {
		r.Status = st
	}
	switch strings.ToUpper(in.Stage) {
	case "":
	case "CONN":
		r.Stage = bounce.StageConnect
	case "EHLO":
		r.Stage = bounce.StageEHLO
	case "MAIL":
		r.Stage = bounce.StageMail
	case "RCPT":
		r.Stage = bounce.StageRcpt
	case "DATA": // the command, or the message behind it
		r.Stage = bounce.StageDot
	default:
		return r, fmt.Errorf("stage %q is not one of CONN, EHLO, MAIL, RCPT, DATA", in.Stage)
	}
	return r, nil
}

// predict classifies the replies in the file and writes one prediction each.
func predict(c *bounce.Classifier, file string, w io.Writer) error {
	providers, err := throttle.NewTable(throttle.TableConfig{})
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		var in input
		if err := json.Unmarshal(lines.Bytes(), &in); err != nil {
			return errors.Join(fmt.Errorf("%s: line %d: %w", file, n, err), out.Flush())
		}
		r, err := in.reply()
		if err != nil {
			return errors.Join(fmt.Errorf("%s: line %d: %w", file, n, err), out.Flush())
		}
		v := c.Classify(provider(providers, in.Remote), r)
		if err := enc.Encode(prediction{ID: in.ID, Cats: []bounce.Category{v.Category}, Raw: v.Rule}); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return errors.Join(fmt.Errorf("%s: line %d: %w", file, n+1, err), out.Flush())
	}
	return out.Flush()
}

// provider names the operator of a host; empty for one that the table does not know.
func provider(t *throttle.Table, host string) string {
	host = strings.TrimSpace(host)
	name := t.Provider(host, []string{host})
	if strings.Contains(name, ".") { // an organisational domain, or the host itself
		return ""
	}
	return name
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
		v := c.Classify("", bounce.ParseReply(lines.Text()))
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
