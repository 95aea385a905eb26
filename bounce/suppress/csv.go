package suppress

import (
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

// Export writes all entries as CSV (RFC 4180) with a header: address, stream, reason, category, since, until, detail. Times are as in RFC 3339. A
// cell that a spreadsheet would take for a formula has an apostrophe before it, which Import takes off. With Config.HashKey the addresses are
// "hmac:" and a hash. Strikes and releases are not part of it.
func (l *List) Export(ctx context.Context, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	err := l.Each(ctx, func(e Entry) error {
		row := []string{e.Address, e.Stream, string(e.Reason), string(e.Category), e.Since.Format(time.RFC3339Nano), "", e.Detail}
		if !e.Until.IsZero() {
			row[5] = e.Until.Format(time.RFC3339Nano)
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

// formula reports whether a cell begins as a formula does, also behind apostrophes.
func formula(cell string) bool {
	cell = strings.TrimLeft(cell, "'")
	return cell != "" && strings.IndexByte("=+-@\t\r\n", cell[0]) >= 0
}

// guard keeps a spreadsheet from calculating a cell. A cell that looks guarded already gets one more apostrophe, so that unguard undoes it.
func guard(cell string) string {
	if formula(cell) {
		return "'" + cell
	}
	return cell
}

func unguard(cell string) string {
	if strings.HasPrefix(cell, "'") && formula(cell) {
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

// Import reads what Export writes, and lists of other makers: the columns are found by a header with "email" or "address" in it, others than
// Export's are ignored, and without a header the first column is the address. Reason defaults to Manual; one that is no Reason becomes Manual with
// its text as the detail. Since defaults to now. Lines that are wrong are left out and told, also those of more than 16 KiB; all others are taken.
// It returns an error when the input cannot be read, the store fails or ctx ends; what was taken by then stays, and the same input can be imported
// again. Memory does not grow with the input.
func (l *List) Import(ctx context.Context, now time.Time, r io.Reader) (ImportResult, error) {
	in := newRowReader(r)
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
		row, line, err := in.read()
		if err == io.EOF {
			break
		}
		if err != nil && !isOfLine(err) {
			readErr = fmt.Errorf("suppress: import: %w", err)
			break
		}
		if first && err == nil {
			if header := headerOf(row); header != nil {
				index = header
				continue
			}
		}
		var e Entry
		if err == nil {
			e, err = entryOf(index, row)
		}
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

// headerOf are the columns by name, or nil when the first row is no header. A column for mail addresses goes before one that is called address
// only.
func headerOf(row []string) map[string]int {
	index := map[string]int{}
	mail := -1
	for i, name := range row {
		name = strings.ToLower(strings.TrimSpace(name))
		switch name {
		case "email", "e-mail", "email address", "email_address", "emailaddress", "recipient":
			if mail < 0 {
				mail = i
			}
		default:
			if _, twice := index[name]; !twice {
				index[name] = i
			}
		}
	}
	if mail >= 0 {
		index["address"] = mail
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
		return unguard(strings.TrimSpace(row[i]))
	}
	e := Entry{
		Address: cell("address"), Stream: cell("stream"), Reason: Reason(strings.ToLower(cell("reason"))),
		Category: bounce.Category(cell("category")), Detail: cell("detail"),
	}
	if !slices.Contains(Reasons(), e.Reason) { // other makers have reasons of their own, and whole replies
		e.Reason = Manual
		if e.Detail == "" {
			e.Detail = cell("reason")
		}
	}
	if !slices.Contains(bounce.Categories(), e.Category) {
		e.Category = ""
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
