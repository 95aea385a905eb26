package suppress

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/reputemail/repute/bounce"
)

func imported(t testing.TB, l *List, now time.Time, text string) ImportResult {
	t.Helper()
	res, err := l.Import(t.Context(), now, strings.NewReader(text))
	if err != nil {
		t.Fatalf("import: %v", err)
	}
	return res
}

func exported(t testing.TB, l *List) string {
	t.Helper()
	var b strings.Builder
	if err := l.Export(t.Context(), &b); err != nil {
		t.Fatalf("export: %v", err)
	}
	return b.String()
}

// entries are all entries in a steady order.
func entries(t testing.TB, l *List) []Entry {
	t.Helper()
	all := map[string][]Entry{}
	if err := l.Each(t.Context(), func(e Entry) error { all[e.Address] = append(all[e.Address], e); return nil }); err != nil {
		t.Fatal(err)
	}
	var es []Entry
	for _, address := range slices.Sorted(maps.Keys(all)) {
		es = append(es, all[address]...)
	}
	return es
}

func TestExport(t *testing.T) {
	l := list(t, Config{})
	add(t, l, day0, Entry{
		Address: anna, Stream: "news", Reason: Dead, Category: bounce.BadMailbox, Until: day0.Add(90 * time.Minute), Detail: `says "gone", by letter`,
	})
	want := "address,stream,reason,category,since,until,detail\n" +
		`anna@example.com,news,dead,bad-mailbox,2026-03-02T09:00:00Z,2026-03-02T10:30:00Z,"says ""gone"", by letter"` + "\n"
	if got := exported(t, l); got != want {
		t.Errorf("got %s want %s", got, want)
	}
}

// TestExportIsImported: what is exported comes back, also what a spreadsheet must not calculate.
func TestExportIsImported(t *testing.T) {
	addresses := []string{
		anna, "=cmd@example.com", "+49@example.com", "-x@example.com", "'=x@example.com", "''+x@example.com", "'x@example.com", "'@example.com",
		`"a,b"@example.com`, `"two words"@example.com`, `"=1+1"@example.com`, "jürgen@bücher.example",
	}
	for _, key := range [][]byte{nil, []byte("a key of enough bytes")} {
		from, to := list(t, Config{HashKey: key}), list(t, Config{HashKey: key})
		for i, address := range addresses {
			for j, detail := range []string{"", "=HYPERLINK(1)", "'=1", `"`, `a "b", c`, "-1", "@x", "two\r\nlines", "'", "\t=1"} {
				e := Entry{Address: address, Stream: fmt.Sprint("s", j), Reason: Reasons()[j%7], Since: day0.Add(time.Duration(i)), Detail: detail}
				if j%2 == 0 {
					e.Until = e.Since.Add(time.Duration(j)*days + 1)
				}
				add(t, from, day0, e)
			}
		}
		text := exported(t, from)
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
					t.Errorf("a formula: %q", row)
				}
			}
		}
		if hasPlain := strings.Contains(text, anna); hasPlain != (key == nil) {
			t.Errorf("key %q: %s", key, text)
		}
		res := imported(t, to, day0, text)
		if want := len(addresses) * 10; res.Added != want || res.Known+res.Failed > 0 {
			t.Errorf("added %d, known %d, want %d; errors %v", res.Added, res.Known, want, res.Errors)
		}
		a, b := entries(t, from), entries(t, to)
		if !slices.Equal(a, b) {
			t.Errorf("came back as\n%v, was\n%v", b, a)
		}
		if res := imported(t, to, day0, text); res.Known != len(addresses)*10 || res.Added+res.Failed > 0 {
			t.Errorf("the second time: %+v", res)
		}
	}
}

func TestImport(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string // address stream reason
		failed     []int    // lines
	}{
		{"nothing", "", nil, nil},
		{"one column", "anna@example.com\nBERT@example.com\n", []string{"anna@example.com  manual", "bert@example.com  manual"}, nil},
		{"no line end", "anna@example.com", []string{"anna@example.com  manual"}, nil},
		{"one column with a header", "Email\r\nanna@example.com\r\n\r\n  \r\n", []string{"anna@example.com  manual"}, nil},
		{"a byte order mark", "\xef\xbb\xbfaddress\nanna@example.com\n", []string{"anna@example.com  manual"}, nil},
		{"other columns, other order", "name,reason,stream,E-Mail\n\"Berg, Anna\",complaint,news,anna@example.com\n", []string{"anna@example.com news complaint"}, nil},
		{"two addresses", "address,email\nWide Road 1,anna@example.com\n", []string{"anna@example.com  manual"}, nil},
		{"short rows", "address,stream,reason\nanna@example.com\nbert@example.com,news\n", []string{"anna@example.com  manual", "bert@example.com news manual"}, nil},
		{"more cells than columns", "address\nanna@example.com,x,y\n", []string{"anna@example.com  manual"}, nil},
		{"no header, more columns", "anna@example.com,news,complaint\n", []string{"anna@example.com  manual"}, nil},
		{"empty rows", ",,,\n\naddress,stream\n,,\nanna@example.com,\n", []string{"anna@example.com  manual"}, nil},
		{"brackets", "<anna@example.com>\n", []string{"anna@example.com  manual"}, nil},
		{"bad lines between", "anna@example.com\nnobody\nbert@example.com\n\n@\n", []string{"anna@example.com  manual", "bert@example.com  manual"}, []int{2, 5}},
		{"bad cells", "address,reason,category,since,until\na@example.com,because\nb@example.com,,made-up\nc@example.com,,,soon\nd@example.com,,,2026-03-10,2026-03-09\n" +
			"e@example.com,,,,0000-01-01T00:00:00+23:00\nf@example.com,,,9999-12-31T23:00:00-23:00,\ng@example.com,,bad-mailbox,2026-03-01,2026-04-01T00:00:00+02:00\n",
			[]string{"a@example.com  manual", "b@example.com  manual", "g@example.com  manual"}, []int{4, 5, 6, 7}},
		{"another maker's reasons", "status,Reason,EmailAddress,created\n5.1.1,550 5.1.1 unknown,anna@example.com,1772442000\n,COMPLAINT,bert@example.com,\n",
			[]string{"anna@example.com  manual", "bert@example.com  complaint"}, nil},
		{"quotes", "address,detail\n\"anna@example.com\",\"a\nb\"\n \"bert@example.com\" , x\n\"two words\"@example.com,\"\"\n",
			[]string{`"two words"@example.com  manual`, "anna@example.com  manual", "bert@example.com  manual"}, nil},
		{"a quote that is not closed", "address,detail\nanna@example.com,\"oops\nbert@example.com,x\ncarl@example.com\n",
			[]string{"bert@example.com  manual", "carl@example.com  manual"}, []int{2}},
		{"line numbers over rows of two lines", "address,detail\nanna@example.com,\"a\nb\"\nnobody\n\"\n\nbert@example.com\n",
			[]string{"anna@example.com  manual", "bert@example.com  manual"}, []int{4, 5}},
		{"a long line", "anna@example.com\n" + strings.Repeat("x", 5*maxRow) + "\nbert@example.com\n", []string{"anna@example.com  manual", "bert@example.com  manual"}, []int{2}},
		{"a long last line", "anna@example.com\n" + strings.Repeat("x", maxRow), []string{"anna@example.com  manual"}, []int{2}},
		{"a long line in a quote", "anna@example.com,\"\n" + strings.Repeat("x", 5*maxRow) + "\nbert@example.com\n", []string{"bert@example.com  manual"}, []int{1, 2}},
		{"a quote over many lines", "anna@example.com,\"\n" + strings.Repeat("bert@example.com\n", maxRowLines) + "\"\n", []string{"bert@example.com  manual"}, []int{1, maxRowLines + 2}},
		{"other text", "\x00\x01\x02\n%PDF-1.4\n", nil, []int{1, 2}},
		{"hashes without a key", "hmac:" + strings.Repeat("0f", 32) + "\n", nil, []int{1}},
	} {
		l := list(t, Config{})
		res := imported(t, l, day0, c.text)
		var got []string
		for _, e := range entries(t, l) {
			got = append(got, e.Address+" "+e.Stream+" "+string(e.Reason))
		}
		var failed []int
		for _, e := range res.Errors {
			failed = append(failed, e.Line)
			if e.Err == nil || strings.Contains(e.Error(), "example.com") || !strings.HasPrefix(e.Error(), fmt.Sprintf("line %d: suppress: ", e.Line)) {
				t.Errorf("%s: error %v", c.name, e)
			}
		}
		if !slices.Equal(got, c.want) || !slices.Equal(failed, c.failed) || res.Added != len(c.want) || res.Failed != len(c.failed) {
			t.Errorf("%s: got %q, %+v; want %q and lines %v", c.name, got, res, c.want, c.failed)
		}
	}
}

func TestImportCounts(t *testing.T) {
	l := list(t, Config{})
	add(t, l, day0, Entry{Address: anna, Reason: Manual})
	res := imported(t, l, day0, "anna@example.com\nbert@example.com\nBERT@example.com\n"+strings.Repeat("nobody\n", 150))
	if res.Known != 2 || res.Added != 1 || res.Failed != 150 || len(res.Errors) != maxLineErrors {
		t.Errorf("added %d, known %d, failed %d, %d errors", res.Added, res.Known, res.Failed, len(res.Errors))
	}
	if !errors.Is(res.Errors[0], ErrAddress) {
		t.Errorf("error %v", res.Errors[0])
	}
}

func TestImportKeepsOtherReasons(t *testing.T) {
	l := list(t, Config{})
	imported(t, l, day0, "email,reason,detail,category\nanna@example.com,550 No such user,,bad-mailbox\nbert@example.com,BOUNCE,by hand,hard\n")
	got := entries(t, l)
	want := []Entry{
		{Address: anna, Reason: Manual, Since: day0, Detail: "550 No such user", Category: bounce.BadMailbox},
		{Address: "bert@example.com", Reason: Manual, Since: day0, Detail: "by hand"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestImportOfABrokenReader(t *testing.T) {
	l := list(t, Config{})
	gone := errors.New("gone")
	res, err := l.Import(t.Context(), day0, io.MultiReader(strings.NewReader("anna@example.com\nbert@example.co"), iotest.ErrReader(gone)))
	if !errors.Is(err, gone) || res.Added != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	if suppressed(t, l, day0, "", "bert@example.co") {
		t.Error("half a line was taken for an address")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Import(ctx, day0, strings.NewReader(anna)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// gateStore counts who is inside at the same time, and lets them go on when enough are.
type gateStore struct {
	*MemoryStore
	want, now, most atomic.Int32
	open            chan struct{}
	once            sync.Once
}

func (s *gateStore) Update(ctx context.Context, key string, fn func(old []byte) ([]byte, error)) error {
	n := s.now.Add(1)
	defer s.now.Add(-1)
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
	}
	if n == s.want.Load() {
		s.once.Do(func() { close(s.open) })
	}
	<-s.open
	return s.MemoryStore.Update(ctx, key, fn)
}

// TestImportWritesSideBySide: a database puts what is written at one time into one transaction. It also takes an input of any length with no more
// than that in memory.
func TestImportWritesSideBySide(t *testing.T) {
	s := &gateStore{MemoryStore: NewMemoryStore(), open: make(chan struct{})}
	s.want.Store(importers)
	l := list(t, Config{Store: s})
	const lines = 5000
	in, out := io.Pipe()
	var ahead atomic.Int32
	go func() {
		for i := range lines {
			fmt.Fprintf(out, "r%d@example.com\n", i)
			ahead.Store(int32(i))
			select {
			case <-s.open:
			default:
				if i > 2*importers+maxRow/8 { // the gate is shut, so nobody may have read as far as this
					t.Error("read on without end")
				}
			}
		}
		out.Close()
	}()
	res, err := l.Import(t.Context(), day0, in)
	if err != nil || res.Added != lines {
		t.Fatalf("%+v, %v", res, err)
	}
	if s.most.Load() != importers {
		t.Errorf("%d at a time, want %d", s.most.Load(), importers)
	}
}

// TestImportOfQuotesWithoutEnd: no input makes it hold much or go over it many times.
func TestImportOfQuotesWithoutEnd(t *testing.T) {
	const size = 256 << 10
	for name, piece := range map[string]string{"no end": "\"", "open in each line": "x,\"\"\"\n", "odd": "\",\"\n\"\"\n", "many cells": ",\"\""} {
		l := list(t, Config{})
		src := &countingReader{r: io.LimitReader(endless(piece), size)}
		res, err := l.Import(t.Context(), day0, src)
		if err != nil || res.Added > 0 || res.Failed == 0 || src.n != size {
			t.Errorf("%s: %+v, %v after %d bytes", name, res.Failed, err, src.n)
		}
	}
}

type endless string

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(e) <= len(p) {
		n += copy(p[n:], e)
	}
	if n == 0 {
		n = copy(p, e)
	}
	return n, nil
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// FuzzImport: any input is read to its end; what is taken is as it would be by itself, and comes back from an export.
func FuzzImport(f *testing.F) {
	for _, s := range []string{
		"", "anna@example.com\n", "address,stream,reason,category,since,until,detail\nanna@example.com,news,dead,bad-mailbox,2026-03-02T09:00:00Z,2027-03-02,x\n",
		"\xef\xbb\xbfEmail,x\r\n\"anna@example.com\",\"a\r\nb\"\r\n", "\"two words\"@example.com,\"\"\"\"\n", "address,detail\n'=a@example.com,'=1\n'''+a@example.com,''",
		"a@example.com,\"\n\"b@example.com\n", "address,detail\na@example.com,\" x\t\x00 \"\n", "hmac:00\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := list(t, Config{})
		res, err := l.Import(t.Context(), day0, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(data, []byte("\n")) + 1; res.Added+res.Known+res.Failed > lines {
			t.Fatalf("%+v of %d lines", res, lines)
		}
		es := entries(t, l)
		if len(es) > res.Added {
			t.Fatalf("%d entries, %d added", len(es), res.Added)
		}
		// Those that have not ended come back.
		es = slices.DeleteFunc(es, func(e Entry) bool { return !e.activeAt(day0) })
		text := exported(t, l)
		again := list(t, Config{})
		if res := imported(t, again, day0, text); res.Failed > 0 || res.Added != len(es) {
			t.Fatalf("%+v of %d entries in %q", res, len(es), text)
		}
		if got := entries(t, again); !slices.Equal(got, es) {
			t.Fatalf("came back as %+v, was %+v", got, es)
		}
	})
}

func BenchmarkImport(b *testing.B) {
	var text strings.Builder
	const lines = 10_000
	for i := range lines {
		fmt.Fprintf(&text, "r%d@example.com,news,complaint\n", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		l := list(b, Config{})
		if res := imported(b, l, day0, text.String()); res.Added != lines {
			b.Fatal(res)
		}
	}
	b.ReportMetric(float64(b.N*lines)/b.Elapsed().Seconds(), "lines/s")
}
