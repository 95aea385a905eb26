package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/warmup"
)

// report prints what has become of the move. It is an error if that is not what was claimed.
func report(screen *show.Screen, o options, p *progress, world *internet) error {
	lines := append([]string{""}, summary(o, p).Lines()...)
	lines = append(lines, "")
	problems := slices.Concat(checkArrivals(o, p.count, world), checkMigration(o, p.s, p.count))
	for _, problem := range problems {
		lines = append(lines, screen.Style(show.Red, "Problem: "+problem))
	}
	if len(problems) == 0 {
		lines = append(lines, screen.Style(show.Green, claim(o, p.count)))
	}
	if p.behind > tolerable {
		lines = append(lines, fmt.Sprintf("This machine was up to %s of the calendar late. With a longer -day it has the time.", p.behind.Round(time.Hour)))
	}
	if err := screen.Print(lines...); err != nil {
		return err
	}
	if len(problems) > 0 {
		return fmt.Errorf("not all is as it should be: see the %d problems above", len(problems))
	}
	return nil
}

// tolerable is how late mail may be without a word about it.
const tolerable = 6 * time.Hour

// summary is what went which way, over all days.
func summary(o options, p *progress) show.Table {
	t := show.Table{Head: []string{"provider", "migration", mta1, mta2, relay, "overflow", "put off", relay + " on the last day"}}
	for _, pr := range providers() {
		st, _ := p.s.Migrator().State(o.name(), pr.name)
		all, last := p.count.flow(0, pr.name), p.count.flow(o.days, pr.name)
		t.Rows = append(t.Rows, []string{
			pr.name, string(st.Phase), strconv.Itoa(all.by[mta1]), strconv.Itoa(all.by[mta2]), strconv.Itoa(all.by[relay]),
			strconv.Itoa(all.overflow), strconv.Itoa(all.deferred), strconv.Itoa(last.by[relay]),
		})
	}
	return t
}

// claim is the story in two sentences.
func claim(o options, count *tally) string {
	count.mu.Lock()
	defer count.mu.Unlock()
	var moved []string
	back := ""
	for _, pr := range providers() {
		if c, is := count.rollback[pr.name]; is {
			back = fmt.Sprintf(" %s went back to the relay on day %d, because of %s.", pr.name, dayOf(count.days.SharedTime(c.Time)), c.To.Cause)
		} else {
			moved = append(moved, pr.name)
		}
	}
	return fmt.Sprintf("%d messages were written, and each arrived exactly once. The mail to %s is moved.%s", len(count.written), strings.Join(moved, " and "), back)
}

// checkArrivals finds messages that did not arrive exactly once, and those that went a way that was closed.
func checkArrivals(o options, count *tally, world *internet) (problems []string) {
	count.mu.Lock()
	defer count.mu.Unlock()
	world.mu.Lock()
	defer world.mu.Unlock()
	missing, twice, astray := 0, 0, 0
	for id, w := range count.written {
		ways := world.arrived[id]
		switch {
		case len(ways) == 0:
			missing++
		case len(ways) > 1:
			twice++
		}
		// A message that was written while the decision was made may have been under way; half a day is long enough for that.
		c, back := count.rollback[w.provider]
		if back && w.at.After(count.days.SharedTime(c.Time).Add(12*time.Hour)) && slices.ContainsFunc(ways, func(way string) bool { return way != relay }) {
			astray++
		}
	}
	for n, what := range map[string]int{
		"did not arrive": missing, "arrived more than once": twice, "went by the new addresses after the rollback": astray,
		"arrived and were never written":      max(0, len(world.arrived)-len(count.written)+missing),
		"have another outcome than delivered": count.lost, "still wait": len(count.written) - count.final,
	} {
		if what > 0 {
			problems = append(problems, fmt.Sprintf("%d messages %s", what, n))
		}
	}
	if want := o.days * o.volume; len(count.written) != want {
		problems = append(problems, fmt.Sprintf("%d messages were written, and not %d", len(count.written), want))
	}
	slices.Sort(problems)
	return problems
}

// checkMigration holds where each provider stands against what was to be shown: all are moved, but for one that was sabotaged.
func checkMigration(o options, s *sender.Sender, count *tally) (problems []string) {
	for _, pr := range providers() {
		st, err := s.Migrator().State(o.name(), pr.name)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		switch {
		case o.sabotage > 0 && pr.name == sabotaged:
			if st.Phase != warmup.MigrationRolledBack {
				problems = append(problems, fmt.Sprintf("%s has had enough of the new addresses since day %d, and was not rolled back: %s", pr.name, o.sabotage, st))
			}
		case st.Phase != warmup.MigrationComplete:
			problems = append(problems, fmt.Sprintf("%s is not through after %d days: %s", pr.name, o.days, st))
		}
	}
	return problems
}
