package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/intake"
	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
)

// tally counts what the intake reads and what the Sender makes of it. Its zero value is ready.
type tally struct {
	mu       sync.Mutex
	kinds    map[bounce.Kind]int
	returned map[string]sender.Event // by recipient
	forged   int
}

// before counts each report, and hands it to the next sink.
func (t *tally) before(next intake.Sink) intake.Sink {
	return intake.SinkFunc(func(ctx context.Context, r bounce.Report) error {
		t.mu.Lock()
		if t.kinds == nil {
			t.kinds = map[bounce.Kind]int{}
		}
		t.kinds[r.Kind]++
		t.mu.Unlock()
		return next.Report(ctx, r)
	})
}

// Observe implements sender.Observer.
func (t *tally) Observe(e sender.Event) {
	if e.Type != sender.EventReturned && e.Type != sender.EventComplained {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Unverified {
		t.forged++
		return
	}
	if t.returned == nil {
		t.returned = map[string]sender.Event{}
	}
	t.returned[e.Recipient.Address] = e
}

// report prints what became of each group, and why. An error says that somebody got mail who should not, or the reverse.
func report(screen *show.Screen, readers []reader, w *internet, t *tally, refused [2]map[string]string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	table := show.Table{Head: []string{"READERS", "COUNT", "WHAT CAME BACK", "WHOSE FAULT", "SECOND MAILING"}}
	var wrong []string
	for _, g := range groups() {
		count, held := 0, 0
		came, fault := "-", "-"
		for _, r := range readers {
			if r.group != g.group {
				continue
			}
			count++
			if e, ok := t.returned[r.address]; ok && e.Type == sender.EventComplained {
				came, fault = "complaint: "+e.Reason, "-"
			} else if ok {
				came, fault = string(e.Verdict.Category), string(e.Verdict.Scope)
			}
			if refused[1][r.address] != "" {
				held++
			}
		}
		second := fmt.Sprintf("%d got it", w.arrived[g.group])
		if held > 0 {
			second = fmt.Sprintf("%d held back", held)
		}
		table.Rows = append(table.Rows, []string{string(g.group), strconv.Itoa(count), came, fault, second})
		if keep := g.group == dead || g.group == complains; keep != (held == count) || held+w.arrived[g.group] != count {
			wrong = append(wrong, string(g.group))
		}
	}
	lines := table.Lines()
	lines = append(lines, "", fmt.Sprintf("%d bounces, %d complaints and %d automatic answers came in; %d bounces without a token of ours were not believed.",
		t.kinds[bounce.KindBounce], t.kinds[bounce.KindFeedback], t.kinds[bounce.KindAutoReply], t.forged))
	for _, r := range readers {
		if why := refused[1][r.address]; why != "" {
			lines = append(lines, "Why one is held back: "+why)
			break
		}
	}
	if err := screen.Print(lines...); err != nil {
		return err
	}
	if len(refused[0])+len(wrong) > 0 {
		return fmt.Errorf("not as it should be: %s", strings.Join(wrong, ", "))
	}
	return nil
}
