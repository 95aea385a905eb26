package sqlqueue_test

import (
	"database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// planner asks one connection for plans.
type planner struct {
	t        testing.TB
	postgres bool
	c        *sql.Conn
}

var (
	planForm   = regexp.MustCompile(`^\s*(SELECT|UPDATE|DELETE|WITH)\b`)
	insertForm = regexp.MustCompile(`\bINSERT INTO\b`)
	holderForm = regexp.MustCompile(`\$(\d+)`)
	markForm   = regexp.MustCompile(`\?|\{now\}|\{n\}`)
	// PostgreSQL's clock, as version 13 and as later ones write it.
	clockForm = regexp.MustCompile(`\(\((?i:EXTRACT\(epoch FROM|date_part\('epoch'::text,) statement_timestamp\(\)\) \* '1000000'::(?:numeric|double precision)\)\)::bigint`)
)

// plan is the plan of a statement whose arguments are not known.
func (p *planner) plan(s sqlqueue.Statement) string {
	p.t.Helper()
	if !p.postgres {
		return p.tree("EXPLAIN QUERY PLAN "+s.Text, make([]any, strings.Count(s.Text, "?"))...)
	}
	params := 0
	for _, m := range holderForm.FindAllStringSubmatch(s.Text, -1) {
		n, err := strconv.Atoi(m[1])
		must(p.t, err)
		params = max(params, n)
	}
	args := make([]string, params)
	for i := range args {
		args[i] = "NULL"
	}
	return p.execute(s, "force_generic_plan", args)
}

// sample is the plan of a statement with arguments.
func (p *planner) sample(s sqlqueue.Statement, args []string) string {
	p.t.Helper()
	if p.postgres {
		return p.execute(s, "force_custom_plan", args)
	}
	marks, i := markForm.FindAllString(s.Source, -1), 0
	return p.tree("EXPLAIN QUERY PLAN " + markForm.ReplaceAllStringFunc(s.Text, func(string) string {
		if i++; marks[i-1] == "{now}" {
			return "1800000000000000"
		}
		first := args[0]
		args = args[1:]
		return first
	}))
}

// execute is PostgreSQL's plan of a prepared statement.
func (p *planner) execute(s sqlqueue.Statement, mode string, args []string) string {
	p.t.Helper()
	for _, text := range []string{"SET plan_cache_mode = " + mode, "PREPARE sample AS " + s.Text} {
		if _, err := p.c.ExecContext(bg, text); err != nil {
			p.t.Fatalf("%s: %v", text, err)
		}
	}
	text := "EXPLAIN (COSTS OFF) EXECUTE sample" + arguments(args)
	rows, err := p.c.QueryContext(bg, text)
	if err != nil {
		p.t.Fatalf("%s of %s: %v", text, s.Text, err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var line string
		must(p.t, rows.Scan(&line))
		b.WriteString(clockForm.ReplaceAllString(line, "now") + "\n")
	}
	must(p.t, rows.Err())
	_, err = p.c.ExecContext(bg, "DEALLOCATE sample")
	must(p.t, err)
	return b.String()
}

// arguments is a list of arguments for EXECUTE, or nothing.
func arguments(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return "(" + strings.Join(args, ", ") + ")"
}

// tree is a plan of SQLite's, indented.
func (p *planner) tree(text string, args ...any) string {
	p.t.Helper()
	rows, err := p.c.QueryContext(bg, text, args...)
	if err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	var b strings.Builder
	depth := map[int]int{}
	for rows.Next() {
		var id, parent, unused int
		var detail string
		must(p.t, rows.Scan(&id, &parent, &unused, &detail))
		depth[id] = depth[parent] + 1
		fmt.Fprintf(&b, "%s%s\n", strings.Repeat("  ", depth[parent]), detail)
	}
	must(p.t, rows.Err())
	return b.String()
}

// fill puts n messages for one recipient each into a new or emptied database, nearly all of them into one lane, and names into the state.
func fill(t testing.TB, db *sql.DB, engine string, n int) {
	t.Helper()
	for _, text := range fillTexts(engine, n) {
		if _, err := db.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

func fillTexts(engine string, n int) []string {
	series, blob, own := fmt.Sprintf("generate_series(1, %d) AS s(n)", n), "'\\x41'::bytea", "OVERRIDING SYSTEM VALUE"
	if engine == "sqlite" {
		series = fmt.Sprintf("(WITH RECURSIVE s(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT n FROM s) AS s", n)
		blob, own = "x'41'", ""
	}
	// Of a hundred deliveries, 96 are ready in the lane, one each waits, is in flight, is delivered, is in a lane of its own.
	const base = 1 << 30 // above all that is there
	return []string{
		fmt.Sprintf(`INSERT INTO repute_message (seq, id, stream, sender, flags, recipients, open, nonce, created) %s
			SELECT %d + n, 'fill-' || n, 'news', 'a@example.org', 0, 1, 1, n, 1700000000000000 + n FROM %s`, own, base, series),
		fmt.Sprintf(`INSERT INTO repute_body (message, data) SELECT %d + n, %s FROM %s WHERE n %% 100 <> 3`, base, blob, series),
		fmt.Sprintf(`INSERT INTO repute_delivery (seq, stream, domain, route, recipient, rank, state, lease, owner, due, created, expires,
				attempts, losses, records, history)
			SELECT (%d + CAST(n AS BIGINT)) * 1048576 + 1, 'news', CASE WHEN n %% 100 = 4 THEN 'd' || n || '.example.net' ELSE 'example.com' END, '',
				'r@example.com', 0, CASE n %% 100 WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 ELSE 0 END, CASE n %% 100 WHEN 2 THEN n ELSE 0 END,
				CASE n %% 100 WHEN 2 THEN 'somebody' ELSE '' END, 1900000000000000 + n, 1700000000000000 + n, 2000000000000000 + n, 0, 0, 0, ''
			FROM %s`, base, series),
		fmt.Sprintf(`INSERT INTO repute_news (message) SELECT %d + n FROM %s WHERE n %% 10 = 0`, base, series),
		fmt.Sprintf(`INSERT INTO repute_state (kind, name, version, value) SELECT 'suppression', 'r' || n, n, %s FROM %s WHERE n %% 10 = 0`, blob, series),
	}
}
