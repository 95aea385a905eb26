package docstest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/throttle"
)

// TestThrottleTables: the tables of docs/throttle.md are those of the built-in providers and reactions.
func TestThrottleTables(t *testing.T) {
	page := read(t, "docs/throttle.md")
	table, err := throttle.NewTable(throttle.TableConfig{})
	if err != nil {
		t.Fatal(err)
	}
	reactions, err := throttle.NewReactions(throttle.ReactionsConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{providersTable(table), reactionsTable(reactions.All())} {
		if !strings.Contains(page, want) {
			t.Errorf("docs/throttle.md does not have the table\n\n%s", want)
		}
	}
}

// TestThrottleFiles: the files that docs/throttle.md shows can be read and pass.
func TestThrottleFiles(t *testing.T) {
	page := read(t, "docs/throttle.md")
	providers, err := throttle.ParseProviders([]byte(block(t, page, "json", 0)))
	if err != nil {
		t.Fatal(err)
	}
	exceptions, err := throttle.ParseExceptions([]byte(block(t, page, "json", 1)))
	if err != nil {
		t.Fatal(err)
	}
	table, err := throttle.NewTable(throttle.TableConfig{Providers: providers, Exceptions: exceptions})
	if err != nil {
		t.Fatal(err)
	}
	reactions, err := throttle.ParseReactions([]byte(block(t, page, "json", 2)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := throttle.NewReactions(throttle.ReactionsConfig{Reactions: reactions, Table: table}); err != nil {
		t.Fatal(err)
	}
}

// providersTable is the table of providers.
func providersTable(table *throttle.Table) string {
	var b strings.Builder
	b.WriteString("| provider | MX hosts | connections | messages each | recipients | messages | TLS | idle | source |\n|---|---|---|---|---|---|---|---|---|\n")
	row := func(name, mx string, l throttle.Limits, source string) {
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %s | %s | %s | %s |\n", name, mx, l.Connections, l.MessagesPerConnection, l.Recipients,
			l.MessageRate, l.TLS, span(l.IdleTimeout), source)
	}
	for _, p := range table.Providers() {
		hosts := make([]string, len(p.MX))
		for i, suffix := range p.MX {
			hosts[i] = "`" + suffix + "`"
		}
		row("`"+p.Name+"`", strings.Join(hosts, " "), p.Limits, dated(p.Source, p.Date))
	}
	row("any other", "", throttle.DefaultLimits(), "see `DefaultLimits`")
	return b.String()
}

// reactionsTable is the table of reactions.
func reactionsTable(reactions []throttle.Reaction) string {
	var b strings.Builder
	b.WriteString("| reaction | of | replies | after | measure | for | source |\n|---|---|---|---|---|---|---|\n")
	for _, r := range reactions {
		of, after := strings.Join(r.Providers, ", "), "the first"
		if of == "" {
			of = "any"
		}
		if r.Trigger != (throttle.Rate{}) {
			after = r.Trigger.String()
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", r.Name, of, replies(r), after, measure(r), span(r.For), dated(r.Source, r.Date))
	}
	return b.String()
}

// replies tells by which codes and phrases a reaction knows its replies.
func replies(r throttle.Reaction) string {
	var parts []string
	if len(r.Codes) > 0 {
		parts = append(parts, strings.Join(r.Codes, ", "))
	}
	for _, f := range []struct {
		phrases []string
		word    string
	}{{r.Any, "or"}, {r.All, "and"}} {
		var quoted []string
		for _, p := range f.phrases {
			quoted = append(quoted, "`"+p+"`")
		}
		if len(quoted) > 0 {
			parts = append(parts, strings.Join(quoted, " "+f.word+" "))
		}
	}
	return strings.Join(parts, "; ")
}

// measure tells what a reaction does.
func measure(r throttle.Reaction) string {
	var parts []string
	if r.Suspend {
		parts = append(parts, "stop")
	}
	if r.MessageRate != (throttle.Rate{}) {
		parts = append(parts, r.MessageRate.String())
	}
	if r.Connections > 0 {
		parts = append(parts, fmt.Sprintf("connections: %d", r.Connections))
	}
	if r.MessagesPerConnection > 0 {
		parts = append(parts, fmt.Sprintf("messages each: %d", r.MessagesPerConnection))
	}
	if r.Scope == throttle.ScopeDomain {
		parts = append(parts, "only the recipient's domain")
	}
	return strings.Join(parts, ", ")
}

// dated is a source with its date.
func dated(source, date string) string {
	if date == "" {
		return source
	}
	return source + " (" + date + ")"
}

// span is a duration as people write it: "1h30m", "2h", "30s".
func span(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if rest := strings.TrimSuffix(s, zero); rest != s && strings.TrimRight(rest, "hm") != rest {
			s = rest
		}
	}
	return s
}
