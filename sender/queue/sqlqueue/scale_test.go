package sqlqueue_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

var buffersForm = regexp.MustCompile(`Buffers: shared (?:hit=(\d+))? ?(?:read=(\d+))?`)

// buffers is how many pages PostgreSQL looks at for a statement.
func (p *planner) buffers(s sqlqueue.Statement, args []string) int {
	p.t.Helper()
	tx, err := p.c.BeginTx(bg, nil)
	must(p.t, err)
	defer tx.Rollback()
	_, err = tx.Exec("PREPARE sample AS " + s.Text)
	must(p.t, err)
	rows, err := tx.Query("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, COSTS OFF, SUMMARY OFF) EXECUTE sample" + arguments(args))
	must(p.t, err)
	total, seen := 0, false
	for rows.Next() {
		var line string
		must(p.t, rows.Scan(&line))
		if m := buffersForm.FindStringSubmatch(line); m != nil && !seen { // the first is that of the whole
			seen = true
			for _, n := range m[1:] {
				k, _ := strconv.Atoi(n)
				total += k
			}
		}
	}
	must(p.t, rows.Err())
	if !seen {
		p.t.Fatalf("no buffers are told for %s", s.Text)
	}
	_, err = tx.Exec("DEALLOCATE sample")
	must(p.t, err)
	return total
}

// TestClaimLooksAtTheSamePages: what a claim reads does not grow with what waits behind it, but for the depth of the indexes.
func TestClaimLooksAtTheSamePages(t *testing.T) {
	db := postgres(t)
	q := everything(t, db)
	c, done, err := sqlqueue.WritingConn(q)
	must(t, err)
	defer done()
	p := &planner{t: t, postgres: true, c: c}
	const limit = 10
	// Of each: how often it goes down an index.
	descents := map[string]int{
		"WHERE d.state = 0 AND d.stream = ?": 1 + limit + 1, // and the message of each row
		"SELECT due - {now}":                 1,
		"WHERE state = 1 AND stream = ? AND domain = ? AND route = ? AND due <= {now}":          1,
		"WHERE state = 2 AND due <= {now} ORDER BY due LIMIT {n}":                               1,
		"SELECT seq FROM repute_delivery WHERE state = 2 AND due <= {now} ORDER BY due LIMIT 1": 1,
	}
	args := []string{"'news'", "'example.com'", "''", strconv.Itoa(limit + 1)}
	measure := func(waiting int) map[string]int {
		for _, table := range []string{"delivery", "message", "body", "news", "state"} {
			_, err := q.DB().Exec("TRUNCATE repute_" + table)
			must(t, err)
		}
		fill(t, q.DB(), db.engine, waiting)
		out := map[string]int{}
		for part := range descents {
			for _, s := range sqlqueue.Statements(q) {
				if !strings.Contains(s.Source, part) {
					continue
				}
				n := len(markForm.FindAllString(s.Source, -1)) - strings.Count(s.Source, "{now}")
				use := args[:n]
				if n == 1 {
					use = []string{"256"}
				}
				p.buffers(s, use) // marks rows as it meets them for the first time
				out[part] = p.buffers(s, use)
			}
		}
		return out
	}
	few, many := measure(200), measure(50_000)
	for part, n := range descents {
		const deeper = 2 // levels that an index has more
		if few[part] == 0 || many[part] > few[part]+deeper*n {
			t.Errorf("%s: looks at %d pages with 200 deliveries, at %d with 50,000", part, few[part], many[part])
		}
		t.Logf("%s: %d pages with 200 deliveries, %d with 50,000", part, few[part], many[part])
	}
}

// BenchmarkClaim claims ten deliveries of a lane and gives them back, with more and more waiting behind. A million wait only with REPUTE_SCALE=1.
func BenchmarkClaim(b *testing.B) {
	sizes := []int{100, 10_000, 100_000}
	if os.Getenv("REPUTE_SCALE") != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, engine := range []struct {
		name string
		open func(testing.TB) database
	}{{"sqlite", sqlite}, {"postgres", postgres}} {
		for _, waiting := range sizes {
			b.Run(fmt.Sprintf("%s/waiting=%d", engine.name, waiting), func(b *testing.B) {
				q := engine.open(b).queue(b, sqlqueue.Config{})
				fill(b, q.DB(), engine.name, waiting)
				for b.Loop() {
					got := claim(b, q, 10)
					if len(got) != 10 {
						b.Fatalf("%d deliveries", len(got))
					}
					settle(b, q, queue.Waiting, got...)
				}
			})
		}
	}
}

// BenchmarkDue finds the lanes, of which one in a hundred deliveries makes one.
func BenchmarkDue(b *testing.B) {
	for _, engine := range []struct {
		name string
		open func(testing.TB) database
	}{{"sqlite", sqlite}, {"postgres", postgres}} {
		for _, waiting := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/waiting=%d", engine.name, waiting), func(b *testing.B) {
				q := engine.open(b).queue(b, sqlqueue.Config{})
				fill(b, q.DB(), engine.name, waiting)
				began, n := time.Now(), 0
				for b.Loop() {
					lanes, err := q.Due(bg)
					must(b, err)
					n += len(lanes)
				}
				b.ReportMetric(float64(time.Since(began).Nanoseconds())/float64(n), "ns/lane")
			})
		}
	}
}
