package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/throttle"
)

// row is what a summary counts apart.
type row struct {
	provider string
	category string
	todo     string
}

// summary counts the deliveries of a mail log, or plain replies, by provider and category.
type summary struct {
	counts  map[row]int
	total   int
	skipped int // lines that tell of no delivery
}

// delivered stands where a category does.
const delivered = "delivered"

// summarise reads r and prints the table. While it reads a long log, screen shows how far it is.
func summarise(c *bounce.Classifier, r io.Reader, w io.Writer, screen *show.Screen) error {
	providers, err := throttle.NewTable(throttle.TableConfig{})
	if err != nil {
		return err
	}
	s := summary{counts: map[row]int{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		if n++; n%50_000 == 0 {
			screen.Draw([]string{fmt.Sprintf("%d lines, %d deliveries", n, s.total)})
		}
		s.add(c, providers, lines.Text())
	}
	screen.Draw(nil)
	err = screen.Print(s.table().Lines()...)
	if s.skipped > 0 && err == nil {
		_, err = fmt.Fprintf(w, "\n%d of %d lines tell of no delivery\n", s.skipped, n)
	}
	if lines.Err() != nil {
		return errors.Join(fmt.Errorf("standard input: line %d: %w", n+1, lines.Err()), err)
	}
	return err
}

// add counts a line.
func (s *summary) add(c *bounce.Classifier, providers *throttle.Table, line string) {
	e, ok := readLine(line)
	if !ok {
		if strings.TrimSpace(line) != "" {
			s.skipped++
		}
		return
	}
	s.total++
	name := cmp.Or(provider(providers, e.host), provider(providers, e.domain))
	at := row{provider: cmp.Or(name, "(others)"), category: delivered, todo: "-"}
	if !e.delivered {
		v := c.Classify(name, bounce.ParseReply(e.reply))
		at.category, at.todo = string(v.Category), todo(v)
		if v.RetryAfter > 0 {
			at.todo = "retry as the reply says" // one row, however long
		}
	}
	s.counts[at]++
}

// table has a row for each provider, category and consequence: providers by name, the most frequent first.
func (s *summary) table() show.Table {
	t := show.Table{Head: []string{"PROVIDER", "CATEGORY", "COUNT", "SHARE", "WHAT TO DO"}}
	rows := make([]row, 0, len(s.counts))
	for r := range s.counts {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(strings.Compare(a.provider, b.provider), s.counts[b]-s.counts[a], strings.Compare(a.category, b.category), strings.Compare(a.todo, b.todo))
	})
	for _, r := range rows {
		n := s.counts[r]
		t.Rows = append(t.Rows, []string{r.provider, r.category, strconv.Itoa(n), share(n, s.total), r.todo})
	}
	t.Foot = []string{"", "", strconv.Itoa(s.total), "", ""}
	return t
}

func share(n, of int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of)) }
