package sqlqueue_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

var update = flag.Bool("update", false, "write the plans into docs/queue.md")

// samples are arguments for statements whose plan may depend on them: PostgreSQL plans for the arguments until it has run a statement some
// times, SQLite does where the host has run ANALYZE. The lane is the one that holds nearly everything.
var samples = []struct {
	statement string // part of its source
	args      []string
}{
	{"WHERE d.state = 0 AND d.stream = ?", []string{"'news'", "'example.com'", "''", "11"}},
	{"WHERE state = 1 AND stream = ? AND domain = ? AND route = ? AND due <= {now}", []string{"'news'", "'example.com'", "''", "256"}},
	{"SELECT due - {now}", []string{"'news'", "'example.com'", "''"}},
	{"AND d.state = 0 AND d.stream = ?", []string{"1000000", "'news'", "'example.com'", "''", "257"}},
	{"AND d.state = 1 AND d.stream = ?", []string{"1000000", "'news'", "'example.com'", "''", "257"}},
	{"WHERE state = 2 AND due <= {now} ORDER BY due LIMIT {n}", []string{"256"}},
	{"d.state < 2 AND d.expires <= {now}", []string{"256"}},
	{"AND stream = ? AND domain = ? AND route > ?", []string{"'news'", "'example.com'", "''", "1000"}},
	{"AND stream = ? AND domain > ?", []string{"'news'", "'example.com'", "1000"}},
	{"AND stream > ?", []string{"''", "1000"}},
	{"AND stream > ?", []string{"'news'", "1000"}},
	{"ON d.seq = (m.seq << 20) + CAST(? AS BIGINT)", []string{"1", "'fill-7'"}},
	{"ON d.seq BETWEEN m.seq << 20", []string{"'fill-7'"}},
	{"JOIN repute_body b", []string{"'fill-7'"}},
	{"FROM repute_message WHERE seq > ? ORDER BY seq LIMIT {n}", []string{"1000000", "0", "500", "1000000"}},
	{"FROM repute_state WHERE kind = ? AND name > ?", []string{"'suppression'", "''", "1000"}},
}

// allowed are the plans that walk over more than they return, or sort, and why that is right.
var allowed = []struct {
	statement string         // part of its source
	lines     *regexp.Regexp // of the plan
	why       string
}{
	{"count(", regexp.MustCompile(`repute_(delivery|ready|waiting|leased)|USE TEMP B-TREE FOR GROUP BY|Sort`), "Lanes counts all that is open"},
	{" l GROUP BY", regexp.MustCompile(`Sort`), "at most 1000 rows, after the LIMIT"},
	{"ON d.seq BETWEEN m.seq << 20", regexp.MustCompile(`Sort`), "the deliveries of one message"},
	{"state = 2 AND lease = ?", regexp.MustCompile(`repute_leased`), "what is in flight; only after a connection broke in a commit"},
	{"state = 2 AND owner = ?", regexp.MustCompile(`repute_leased`), "what is in flight; only when a process ends"},
	{"+ 1,\n\tdue", regexp.MustCompile(`SCAN repute_delivery USING INDEX repute_leased`), "what is in flight; only when a process starts"},
	{"repute_news ORDER BY message LIMIT", regexp.MustCompile(`repute_news`), "from the front, up to the LIMIT"},
	{"repute_owner WHERE expires", regexp.MustCompile(`repute_owner`), "a row for each process"},
	{"sqlite_master", regexp.MustCompile(`sqlite_master`), "a row for each table and index"},
	{"repute_schema", regexp.MustCompile(`repute_schema`), "a row for each version"},
	{"pragma_database_list", regexp.MustCompile(`pragma_database_list`), "a row for each file"},
	{"FROM repute_state WHERE kind = ? AND name > ?", regexp.MustCompile(`Sort`), "the names of a kind, as long as PostgreSQL has no statistics of them"},
	{"WITH v (item", regexp.MustCompile(`Join`), "some settlements with as many deliveries"},
}

// documented are the statements whose plans are in docs/queue.md.
var documented = []struct{ title, statement string }{
	{"Claim: retries that have become due take their place", "SET state = 0 WHERE seq {in}"},
	{"Claim: the first of a lane", "WHERE d.state = 0 AND d.stream = ?"},
	{"Claim: when the next one is due", "SELECT due - {now}"},
	{"Claim, early: the first of a lane that are old enough", "AND d.state = 0 AND d.stream = ?"},
	{"Claim, early: those that are due next", "AND d.state = 1 AND d.stream = ?"},
	{"Claim by ID, four at a time", "WHERE d.seq IN (?, ?, ?, ?) AND d.state - 2 < 0"},
	{"Claim: the leases, four at a time", "owner = ?, due = {now} + ? WHERE seq IN (?, ?, ?, ?)"},
	{"Claim: what expired, in any lane", "d.state < 2 AND d.expires <= {now}"},
	{"Leases that ran out", "WHERE state = 2 AND due <= {now} ORDER BY due LIMIT {n}"},
	{"Settle: the messages, four at a time", "FROM repute_message WHERE id IN (?, ?, ?, ?)"},
	{"Settle: the deliveries, one at a time", "WITH v (item"},
	{"Due: the lanes after a domain that hold ready deliveries", "state = 0 AND stream = ? AND domain > ?"},
	{"Message", "JOIN repute_body b"},
	{"Get: one delivery", "ON d.seq = (m.seq << 20) + CAST(? AS BIGINT)"},
	{"Prune: which of the next 500 messages can be forgotten", "FROM repute_message WHERE seq > ? ORDER BY seq LIMIT {n}"},
	{"Prune: a message's deliveries", "DELETE FROM repute_delivery WHERE seq BETWEEN"},
	{"Lanes", "0, count(*), 0, min(seq)"},
}

// TestPlans: every statement has its index, with an empty database, with one that holds 20,000 deliveries, with and without statistics of it, and with
// statistics of when it was empty. Nothing that is large is walked over, nothing is sorted, but for what is allowed.
func TestPlans(t *testing.T) {
	used := map[string]bool{}
	both(t, func(t *testing.T, db database) {
		q := everything(t, db)
		writing, done, err := sqlqueue.WritingConn(q)
		must(t, err)
		defer done()
		pool, err := q.DB().Conn(bg)
		must(t, err)
		defer pool.Close()
		postgres := db.engine == "postgres"
		run := func(text string) {
			t.Helper()
			if _, err := q.DB().Exec(text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		analyze := func() {
			if run("ANALYZE"); postgres {
				for _, table := range []string{"delivery", "message", "body", "news", "state"} {
					run("VACUUM ANALYZE repute_" + table)
				}
			}
		}
		latest := map[string]string{}
		for _, stage := range []struct {
			name string
			make func()
		}{
			{"empty", func() {
				for _, table := range []string{"delivery", "message", "body", "news", "state"} {
					run("DELETE FROM repute_" + table)
				}
			}},
			{"filled", func() { fill(t, q.DB(), db.engine, 20_000) }},
			{"filled and analyzed", analyze},
			{"empty again and analyzed", func() {
				for _, table := range []string{"delivery", "message", "body", "news", "state"} {
					run("DELETE FROM repute_" + table)
				}
				analyze()
			}},
			{"filled, with old statistics", func() { fill(t, q.DB(), db.engine, 20_000) }},
			{"filled and analyzed again", analyze},
		} {
			stage.make()
			for _, s := range sqlqueue.Statements(q) {
				if !planForm.MatchString(s.Text) || insertForm.MatchString(s.Text) {
					continue
				}
				p := &planner{t: t, postgres: postgres, c: writing}
				var plans []string
				if s.Pool {
					// PostgreSQL plans a read for the size that the tables have then, and a small table it just reads.
					if p.c = pool; postgres && strings.HasPrefix(stage.name, "empty") {
						continue
					}
				}
				plans = append(plans, p.plan(s))
				before, known := latest[s.Source]
				mayDiffer := postgres && (s.Pool || strings.Contains(s.Source, "WITH v (item") || strings.Contains(s.Source, "repute_schema"))
				if known && before != plans[0] && !mayDiffer {
					t.Errorf("%s: %s\nthe plan was\n%sand is\n%s", stage.name, s.Text, before, plans[0])
				}
				latest[s.Source] = plans[0]
				for _, sample := range samples {
					if strings.Contains(s.Source, sample.statement) {
						used[sample.statement] = true
						plans = append(plans, p.sample(s, sample.args))
					}
				}
				for _, plan := range plans {
					for _, bad := range planFaults(plan, postgres) {
						if why := reason(used, s.Source, bad); why == "" {
							t.Errorf("%s: %s\n%s: in the plan\n%s", stage.name, s.Text, bad, plan)
						}
					}
				}
			}
		}
		if !t.Failed() {
			document(t, q, db.engine, latest)
		}
	})
	if used["repute_owner WHERE expires"] { // both engines ran
		for _, s := range samples {
			if !used[s.statement] {
				t.Errorf("sample %q is of no statement", s.statement)
			}
		}
		for _, a := range allowed {
			if !used[a.statement] {
				t.Errorf("nothing needs to be allowed for %q", a.statement)
			}
		}
	}
}

// reason is why a line of a plan is allowed; empty when it is not.
func reason(used map[string]bool, source, line string) string {
	for _, a := range allowed {
		if strings.Contains(source, a.statement) && a.lines.MatchString(line) {
			used[a.statement] = true
			return a.why
		}
	}
	return ""
}

var (
	scanForm  = regexp.MustCompile(`^SCAN (\w+)`)
	indexForm = regexp.MustCompile(`Index (Only )?Scan`)
)

// planFaults are the lines of a plan that walk over a table or an index without a bound, join without an index, or sort.
func planFaults(plan string, postgres bool) (bad []string) {
	lines := strings.Split(plan, "\n")
	for i, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case !postgres && scanForm.MatchString(line):
			name := scanForm.FindStringSubmatch(line)[1]
			made := slices.ContainsFunc(lines, func(l string) bool {
				return strings.HasSuffix(l, "CO-ROUTINE "+name) || strings.HasSuffix(l, "MATERIALIZE "+name)
			})
			if !made && !strings.Contains(line, "CONSTANT ROW") {
				bad = append(bad, line)
			}
		case strings.Contains(line, "TEMP B-TREE"), strings.Contains(line, "AUTOMATIC"), strings.Contains(line, "Seq Scan on repute_"),
			strings.HasSuffix(line, "Sort"), strings.HasPrefix(line, "Join Filter"), strings.Contains(line, "Hash Join"), strings.Contains(line, "Merge Join"):
			bad = append(bad, line)
		case postgres && indexForm.MatchString(line) && !strings.Contains(lines[i+1], "Index Cond:"):
			bad = append(bad, line)
		}
	}
	return bad
}

// TestFaultsOfPlans: the plans that must not be are recognised.
func TestFaultsOfPlans(t *testing.T) {
	for _, plan := range []string{
		"SCAN repute_delivery\n", "SCAN d\n", "SCAN repute_delivery USING INDEX repute_ready\n", "SEARCH d USING INDEX x (a=?)\nUSE TEMP B-TREE FOR ORDER BY\n",
		"SEARCH m USING AUTOMATIC COVERING INDEX (seq=?)\n",
	} {
		if len(planFaults(plan, false)) != 1 {
			t.Errorf("sqlite: no fault is found in\n%s", plan)
		}
	}
	for _, plan := range []string{
		"Limit\n  ->  Seq Scan on repute_delivery d\n        Filter: (state = 0)\n", "Sort\n  Sort Key: seq\n",
		"Update on x\n  ->  Index Scan using repute_leased on repute_delivery\n        Filter: (state = 2)\n", "Bitmap Index Scan on repute_ready\n",
		"Nested Loop\n  Join Filter: (a = b)\n", "Hash Join\n  Hash Cond: (a = b)\n",
	} {
		if len(planFaults(plan, true)) != 1 {
			t.Errorf("postgres: no fault is found in\n%s", plan)
		}
	}
}

const page = "../../../docs/queue.md"

// document holds the plans in docs/queue.md against those that are, or writes them. Plans of another version of an engine may read differently.
func document(t *testing.T, q *sqlqueue.Queue, engine string, plans map[string]string) {
	t.Helper()
	version := ""
	name, ask := "SQLite", "SELECT sqlite_version()"
	if engine == "postgres" {
		name, ask = "PostgreSQL", "SELECT split_part(current_setting('server_version'), '.', 1)"
	}
	must(t, q.DB().QueryRow(ask).Scan(&version))
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s %s:\n", name, version)
	for _, d := range documented {
		var found *sqlqueue.Statement
		for _, s := range sqlqueue.Statements(q) {
			if strings.Contains(s.Source, d.statement) && plans[s.Source] != "" && (found == nil || len(s.Source) < len(found.Source)) {
				found = &s
			}
		}
		if found == nil {
			t.Errorf("%s: there is no statement %q", d.title, d.statement)
			continue
		}
		fmt.Fprintf(&b, "\n%s:\n\n```text\n%s\n\n%s```\n", d.title, brief(*found), plans[found.Source])
	}
	text, err := os.ReadFile(page)
	must(t, err)
	begin, end := "<!-- plans of "+name+": written by go test -run TestPlans ./sender/queue/sqlqueue -update -->\n", "\n<!-- end of plans -->"
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no %q with its end", page, begin)
	}
	switch {
	case old == b.String():
	case *update:
		must(t, os.WriteFile(page, []byte(before+begin+b.String()+end+after), 0o644))
	case strings.HasPrefix(old, fmt.Sprintf("\n%s %s:\n", name, version)):
		t.Errorf("docs/queue.md has other plans: run this with -update. Now they are\n%s", b.String())
	default:
		t.Logf("docs/queue.md has the plans of another version than %s, they are not compared", version)
	}
}

// briefs shorten the text of a statement.
var briefs = []struct {
	form *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\(extract\(epoch FROM statement_timestamp\(\)\) \* 1000000\)::bigint`), "now"},
	{regexp.MustCompile(`d\.stream, d\.domain.*?d\.history`), "…"},
	{regexp.MustCompile(`LIMIT CAST\(\? AS INTEGER\)`), "LIMIT ?"},
	{regexp.MustCompile(`(?s)\(VALUES .*?\)\s*UPDATE`), "(VALUES …) UPDATE"},
	{regexp.MustCompile(`(?s)due = \S+ \+ CASE .*? END WHERE`), "due = … WHERE"},
	{regexp.MustCompile(`(?s)(attempts = ).*?\s+FROM v`), "… FROM v"},
	{regexp.MustCompile(`\s+`), " "},
}

// brief is a statement for readers: with "now" for the clock, without long lists, and a line for each clause.
func brief(s sqlqueue.Statement) string {
	text := s.Text
	if marks, i := markForm.FindAllString(s.Source, -1), 0; !strings.Contains(text, "$") && strings.Count(text, "?") == len(marks) {
		text = markForm.ReplaceAllStringFunc(text, func(string) string {
			if i++; marks[i-1] == "{now}" {
				return "now"
			}
			return "?"
		})
	}
	for _, b := range briefs {
		text = b.form.ReplaceAllString(text, b.by)
	}
	var b strings.Builder
	depth := 0
	for word := range strings.SplitSeq(strings.TrimSpace(text), " ") {
		switch {
		case b.Len() == 0:
		case depth == 0 && slices.Contains([]string{"FROM", "WHERE", "SET", "ORDER", "GROUP", "RETURNING", "UPDATE", "UNION"}, word) && !strings.HasSuffix(b.String(), "DELETE") &&
			!strings.HasSuffix(b.String(), "FOR"):
			b.WriteString("\n  ")
		default:
			b.WriteByte(' ')
		}
		depth += strings.Count(word, "(") - strings.Count(word, ")")
		b.WriteString(word)
	}
	return b.String()
}
