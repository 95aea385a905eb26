package sqlqueue

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// dialect is what differs between the engines. Statements are written once, with marks:
//
//	?            the next argument
//	{n}          the next argument, in a LIMIT: SQLite would prepare the statement anew for each other bare one
//	{now}        the queue's time in microseconds since 1970 (see clock)
//	{skip}       locks the rows that a SELECT finds, but for those that others have locked
//	{in}         begins a list of values that a SELECT finds, {end} ends it
//	{pos}        the function that finds a string in a string
//	{min}        the function that returns the least of its arguments
type dialect struct {
	name     string
	postgres bool
	writers  int   // connections that write at the same time
	chunks   []int // how many rows a statement may carry; the last is 1
	compiled sync.Map
}

var (
	sqliteMarks   = strings.NewReplacer("{n}", "CAST(? AS INTEGER)", "{skip}", "", "{in}", "IN (", "{end}", ")", "{pos}", "instr", "{min}", "min")
	postgresMarks = strings.NewReplacer("{n}", "?", "{skip}", "FOR UPDATE SKIP LOCKED", "{in}", "= ANY (ARRAY(", "{end}", "))",
		"{pos}", "strpos", "{min}", "least", "{now}", "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint")
)

func sqliteDialect() *dialect {
	return &dialect{name: "sqlite", writers: 1, chunks: []int{16, 4, 1}}
}

func postgresDialect() *dialect {
	return &dialect{name: "postgres", postgres: true, writers: 2, chunks: []int{64, 16, 4, 1}}
}

// statement is a compiled text: with the engine's own placeholders, and for each of them the index of its argument, or -1 for
// the time.
type statement struct {
	text  string
	order []int // nil: the arguments as they are
}

// compile replaces the marks of a text.
func (d *dialect) compile(text string) *statement {
	if s, ok := d.compiled.Load(text); ok {
		return s.(*statement)
	}
	s := &statement{}
	if d.postgres {
		var b strings.Builder
		n := 0
		for _, r := range postgresMarks.Replace(text) {
			if r == '?' {
				n++
				b.WriteString("$" + strconv.Itoa(n))
				continue
			}
			b.WriteRune(r)
		}
		s.text = b.String()
	} else {
		rest := sqliteMarks.Replace(text)
		var b strings.Builder
		n, timed := 0, false
		for rest != "" {
			switch {
			case rest[0] == '?':
				s.order = append(s.order, n)
				n++
				b.WriteByte('?')
				rest = rest[1:]
			case strings.HasPrefix(rest, "{now}"):
				s.order = append(s.order, -1)
				timed = true
				b.WriteByte('?')
				rest = rest[len("{now}"):]
			default:
				b.WriteByte(rest[0])
				rest = rest[1:]
			}
		}
		s.text = b.String()
		if !timed {
			s.order = nil
		}
	}
	d.compiled.Store(text, s)
	return s
}

// args brings the arguments into the statement's order.
func (s *statement) args(now time.Time, args []any) []any {
	if s.order == nil {
		return args
	}
	out := make([]any, len(s.order))
	for i, k := range s.order {
		if k < 0 {
			out[i] = now.UnixMicro()
		} else {
			out[i] = args[k]
		}
	}
	return out
}

// detect asks the database what it is.
func detect(ctx context.Context, db *sql.DB) (*dialect, error) {
	var version string
	sqliteErr := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version)
	if sqliteErr == nil {
		var major, minor int
		if fmt.Sscanf(version, "%d.%d", &major, &minor); major < 3 || major == 3 && minor < 37 {
			return nil, fmt.Errorf("sqlqueue: SQLite %s is too old: 3.37 is needed", version)
		}
		return sqliteDialect(), nil
	}
	var number string
	err := db.QueryRowContext(ctx, "SHOW server_version_num").Scan(&number)
	if err != nil && (ctx.Err() != nil || err.Error() == sqliteErr.Error()) { // it says nothing of what it is
		return nil, fmt.Errorf("sqlqueue: open: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("sqlqueue: neither SQLite (%v) nor PostgreSQL: %w", sqliteErr, err)
	}
	if n, err := strconv.Atoi(number); err != nil || n < 130000 {
		return nil, fmt.Errorf("sqlqueue: PostgreSQL %s is too old: 13 is needed", number)
	}
	return postgresDialect(), nil
}

// fault is what can be done about an error.
type fault int

const (
	faultHard fault = iota // trying again does not help
	faultBusy              // nothing was written: try again
	faultHeld              // the same, and somebody's transaction may be in the way for long
	faultLost              // the connection is of no use; if it broke at the commit, nobody knows what was written
)

// fault judges an error. Drivers are told apart by what their errors have in common.
func (d *dialect) fault(err error) fault {
	switch {
	case err == nil, errors.Is(err, errCorrupt):
		return faultHard
	case errors.Is(err, errAbandoned):
		return faultBusy
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		return faultLost
	}
	if d.postgres {
		state := sqlState(err)
		switch {
		case state == "", strings.HasPrefix(state, "08"), state == "57P01", state == "57P02", state == "57P03", state == "53300", state == "25P03":
			return faultLost // without a state it does not come from the server
		case state == "40001", state == "40P01":
			return faultBusy
		case state == "55P03":
			return faultHeld
		}
		return faultHard
	}
	switch sqliteCode(err) {
	case 5, 6: // SQLITE_BUSY, SQLITE_LOCKED
		return faultBusy
	}
	return faultHard
}

// suspect reports whether after an error that does not go away the connection may be to blame: for what is neither wrong with the values nor refused by
// a constraint. After a failover, say, it may be one to a server that only reads.
func (d *dialect) suspect(err error) bool {
	state := sqlState(err)
	return d.postgres && state != "" && !strings.HasPrefix(state, "22") && !strings.HasPrefix(state, "23")
}

// full reports whether an error says that there is no room.
func (d *dialect) full(err error) bool {
	if d.postgres {
		return sqlState(err) == "53100"
	}
	return sqliteCode(err) == 13
}

// sqlState is the five characters of a PostgreSQL error, or empty.
func sqlState(err error) string {
	var e interface{ SQLState() string }
	if errors.As(err, &e) {
		return e.SQLState()
	}
	return ""
}

// sqliteCode is the primary result code of a SQLite error, or 0. Drivers that have no method for it say it in words.
func sqliteCode(err error) int {
	var e interface{ Code() int }
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	for code, words := range map[int]string{5: "database is locked", 6: "table is locked", 13: "disk is full"} {
		if strings.Contains(err.Error(), words) {
			return code
		}
	}
	return 0
}

// values is "(?, ?), (?, ?)" for n rows. The first row has the types that casts name, or PostgreSQL would not know them.
func values(n int, casts ...string) string {
	var b strings.Builder
	for row := range n {
		if row > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for i, c := range casts {
			if i > 0 {
				b.WriteString(", ")
			}
			if row > 0 || c == "" {
				b.WriteByte('?')
			} else {
				b.WriteString("CAST(? AS " + c + ")")
			}
		}
		b.WriteByte(')')
	}
	return b.String()
}

// holders is "?, ?" for n arguments.
func holders(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// each cuts n rows into chunks of the sizes for which there are statements.
func (d *dialect) each(n int, f func(from, size int) error) error {
	for from := 0; from < n; {
		size := 1
		for _, c := range d.chunks {
			if c <= n-from {
				size = c
				break
			}
		}
		if err := f(from, size); err != nil {
			return err
		}
		from += size
	}
	return nil
}
