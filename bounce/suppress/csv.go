package suppress

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reputemail/repute/bounce"
)

// columns are the header of the form that Export writes.
var columns = []string{"address", "stream", "reason", "category", "since", "until", "detail"}

// Export writes all entries as CSV (RFC 4180) with a header: address, stream, reason, category, since, until, detail. Times are as in RFC 3339. A cell that a
// spreadsheet would take for a formula has an apostrophe before it, which Import takes off. With Config.HashKey the addresses are "hmac:" and a hash.
func (l *List) Export(ctx context.Context, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	err := l.Each(ctx, func(e Entry) error {
		row := []string{e.Address, e.Stream, string(e.Reason), string(e.Category), e.Since.Format(time.RFC3339), "", e.Detail}
		if !e.Until.IsZero() {
			row[5] = e.Until.Format(time.RFC3339)
		}
		for i := range row {
			row[i] = guard(row[i])
		}
		return out.Write(row)
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// guarded are the characters with which a spreadsheet's formula begins.
const guarded = "=+-@\t\r"

func guard(cell string) string {
	if cell != "" && strings.IndexByte(guarded, cell[0]) >= 0 {
		return "'" + cell
	}
	return cell
}

func unguard(cell string) string {
	if len(cell) > 1 && cell[0] == '\'' && strings.IndexByte(guarded, cell[1]) >= 0 {
		return cell[1:]
	}
	return cell
}

// ImportResult tells what Import did.
type ImportResult struct {
	// Added counts entries that are new, Known those that were there already.
	Added, Known int
	// Failed counts the lines that were not taken; Errors has the first 100 of them.
	Failed int
	Errors []LineError
}

// LineError is a line that Import did not take.
type LineError struct {
	// Line is its number, from 1.
	Line int
	// Err says what is wrong with it. It does not show the address.
	Err error
}

// Error has the number and the reason.
func (e LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap is the reason.
func (e LineError) Unwrap() error { return e.Err }

// How an import goes on: so many entries are written at a time, so that a database gathers them in its transactions.
const (
	importers     = 64
	maxLineErrors = 100
)

// Import reads what Export writes, and lists of other makers: the columns are found by a header with "address" or "email" in it, others than Export's are ignored, and without
// a header the first column is the address. Reason defaults to Manual, since to now. Lines that are wrong are left out and told; all
// others are taken. It returns an error when the input cannot be read, the store fails or ctx ends; what was taken by then stays, and the same input can be imported again. Memory does
// not grow with the input.
func (l *List) Import(ctx context.Context, now time.Time, r io.Reader) (ImportResult, error) {
	in := csv.NewReader(skipMark(r))
	in.FieldsPerRecord, in.ReuseRecord, in.LazyQuotes, in.TrimLeadingSpace = -1, true, true, true
	var mu sync.Mutex
	var res ImportResult
	fail := func(line int, err error) {
		mu.Lock()
		defer mu.Unlock()
		if res.Failed++; len(res.Errors) < maxLineErrors {
			res.Errors = append(res.Errors, LineError{line, err})
		}
	}
	g, run := errgroup.WithContext(ctx)
	g.SetLimit(importers)
	index := map[string]int{"address": 0}
	var readErr error
	for first := true; run.Err() == nil; first = false {
		row, err := in.Read()
		if err == io.EOF {
			break
		}
		var syntax *csv.ParseError
		if errors.As(err, &syntax) {
			fail(syntax.Line, syntax.Err)
			continue
		}
		if err != nil {
			readErr = fmt.Errorf("suppress: import: %w", err)
			break
		}
		if first {
			if header := headerOf(row); header != nil {
				index = header
				continue
			}
		}
		line, _ := in.FieldPos(0)
		e, err := entryOf(index, row)
		if err != nil {
			fail(line, err)
			continue
		}
		g.Go(func() error {
			added, err := l.AddAt(run, now, e)
			switch {
			case isOfLine(err):
				fail(line, err)
			case err != nil:
				return err
			default:
				mu.Lock()
				defer mu.Unlock()
				if added {
					res.Added++
				} else {
					res.Known++
				}
			}
			return nil
		})
	}
	err := errors.Join(g.Wait(), readErr)
	if err == nil {
		err = ctx.Err()
	}
	slices.SortFunc(res.Errors, func(a, b LineError) int { return a.Line - b.Line })
	return res, err
}

// isOfLine reports whether an error of AddAt is the line's fault, not the store's.
func isOfLine(err error) bool {
	var f *fieldError
	return errors.Is(err, ErrAddress) || errors.As(err, &f)
}

// skipMark takes off a byte order mark, which spreadsheets write.
func skipMark(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	if mark, err := b.Peek(3); err == nil && string(mark) == "\xef\xbb\xbf" {
		b.Discard(3)
	}
	return b
}

// headerOf are the columns by name, or nil when the first row is no header.
func headerOf(row []string) map[string]int {
	index := map[string]int{}
	for i, name := range row {
		name = strings.ToLower(strings.TrimSpace(name))
		switch name {
		case "email", "e-mail", "email address", "email_address", "recipient":
			name = "address"
		}
		if _, twice := index[name]; !twice {
			index[name] = i
		}
	}
	if _, ok := index["address"]; !ok {
		return nil
	}
	return index
}

// entryOf makes an entry of a row.
func entryOf(index map[string]int, row []string) (Entry, error) {
	cell := func(name string) string {
		i, ok := index[name]
		if !ok || i >= len(row) {
			return ""
		}
		return strings.Clone(unguard(strings.TrimSpace(row[i])))
	}
	e := Entry{Address: cell("address"), Stream: cell("stream"), Reason: Reason(cell("reason")), Category: bounce.Category(cell("category")), Detail: cell("detail")}
	if e.Reason == "" {
		e.Reason = Manual
	}
	if e.Category != "" && !slices.Contains(bounce.Categories(), e.Category) {
		return e, &fieldError{"category", fmt.Sprintf("%q is unknown", clip(string(e.Category), 40))}
	}
	for _, t := range []struct {
		name string
		v    *time.Time
	}{{"since", &e.Since}, {"until", &e.Until}} {
		s := cell(t.name)
		if s == "" {
			continue
		}
		var err error
		if *t.v, err = time.Parse(time.RFC3339, s); err != nil {
			if *t.v, err = time.Parse(time.DateOnly, s); err != nil {
				return e, &fieldError{t.name, fmt.Sprintf("%q is no time like 2026-03-10T12:00:00Z", clip(s, 40))}
			}
		}
	}
	return e, nil
}

// fieldError says what is wrong with a field of an entry.
type fieldError struct{ field, reason string }

// Error names the field and the reason.
func (e *fieldError) Error() string { return "suppress: " + e.field + ": " + e.reason }
