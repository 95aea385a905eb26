package sqlqueue_test

import (
	"cmp"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
)

// TestAgainstTheSpecification does the same random things to a queue in SQLite and to queue.Memory, and expects the same answers.
func TestAgainstTheSpecification(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		synctest.Test(t, func(t *testing.T) { compare(rt, t, filepath.Join(dir, fmt.Sprint(n, ".db"))) })
	})
}

func compare(rt *rapid.T, t *testing.T, path string) {
	memory, err := queue.NewMemory(queue.MemoryConfig{})
	must(t, err)
	q, err := sqlitequeue.Open(path)
	must(t, err)
	defer q.Close()
	queues := [2]sender.Queue{memory, q}
	lanes := []queue.Lane{lane, {Stream: "news", Domain: "b.example"}, {Stream: "news", Domain: "b.example", Route: "r"}, {Stream: "a", Domain: "b.example"}}
	leases := map[string][2]int64{}
	var all []string
	puts := 0
	for range rapid.IntRange(1, 40).Draw(rt, "steps") {
		switch rapid.SampledFrom([]string{"put", "put", "claim", "claim", "settle", "settle", "sleep", "look"}).Draw(rt, "op") {
		case "put":
			puts++
			p := message(fmt.Sprint("m", rapid.IntRange(max(1, puts-1), puts).Draw(rt, "id")), rapid.IntRange(1, 3).Draw(rt, "n"))
			p.ExpireAfter = time.Duration(rapid.IntRange(1, 200).Draw(rt, "life")) * time.Second
			p.LeaseFor = time.Duration(rapid.IntRange(0, 1).Draw(rt, "lease")) * time.Hour
			for i := range p.Deliveries {
				p.Deliveries[i].Lane = rapid.SampledFrom(lanes).Draw(rt, "lane")
				p.Deliveries[i].Priority = rapid.IntRange(-1, 1).Draw(rt, "priority")
			}
			got, errs := [2][]int64{}, [2]error{}
			for k, q := range queues {
				got[k], errs[k] = q.Put(bg, p)
			}
			same(rt, "put", errs[0], errs[1])
			for i, d := range p.Deliveries {
				if errs[0] == nil {
					all = append(all, d.ID)
				}
				if errs[0] == nil && p.LeaseFor > 0 {
					leases[d.ID] = [2]int64{got[0][i], got[1][i]}
				}
			}
		case "claim":
			c := queue.Claim{Lane: rapid.SampledFrom(lanes).Draw(rt, "lane"), Limit: rapid.IntRange(1, 4).Draw(rt, "limit"), LeaseFor: time.Hour}
			switch rapid.IntRange(0, 5).Draw(rt, "kind") {
			case 0:
				c.Early, c.MinAge = true, time.Duration(rapid.IntRange(0, 60).Draw(rt, "age"))*time.Second
			case 1:
				for _, id := range all {
					if rapid.Bool().Draw(rt, "this") {
						c.IDs = append(c.IDs, id)
					}
				}
			}
			if c.Expired = rapid.Bool().Draw(rt, "expired"); c.Expired {
				c.Limit = 1000 // or any of those that expire at the same time would do
			}
			var got [2]queue.Claimed
			for k, q := range queues {
				got[k], err = q.Claim(bg, c)
				must(t, err)
			}
			if c.Expired || len(c.IDs) > 0 { // in any order
				for k := range got {
					slices.SortFunc(got[k].Deliveries, func(a, b queue.Delivery) int { return cmp.Compare(a.ID, b.ID) })
				}
			}
			for i, d := range got[0].Deliveries {
				if i < len(got[1].Deliveries) {
					leases[d.ID] = [2]int64{d.Lease, got[1].Deliveries[i].Lease}
					got[1].Deliveries[i].Lease = d.Lease
				}
			}
			same(rt, "claim", plain(got[0]), plain(got[1]))
		case "settle":
			var batches [2][]queue.Settlement
			for _, id := range all {
				held, ok := leases[id]
				if !ok || rapid.Bool().Draw(rt, "leave") {
					continue
				}
				s := queue.Settlement{ID: id, Began: rapid.Bool().Draw(rt, "began")}
				s.State = rapid.SampledFrom([]queue.State{queue.Waiting, queue.Waiting, queue.InFlight, queue.Delivered, queue.Bounced}).Draw(rt, "state")
				switch s.State {
				case queue.Waiting:
					s.After = time.Duration(rapid.IntRange(0, 50).Draw(rt, "after")) * time.Second
					s.Route = rapid.SampledFrom([]string{"", "r"}).Draw(rt, "route")
				case queue.InFlight:
					s.After = time.Hour
				}
				if s.Began {
					s.Record = &queue.Attempt{At: time.Now().UTC(), Route: fmt.Sprint(len(batches[0]))}
				}
				if s.State != queue.InFlight && !rapid.Bool().Draw(rt, "again") {
					delete(leases, id)
				}
				for k := range batches {
					s.Lease = held[k]
					batches[k] = append(batches[k], s)
				}
			}
			var lost [2][]string
			for k, q := range queues {
				lost[k], err = q.Settle(bg, batches[k])
				must(t, err)
				slices.Sort(lost[k])
			}
			same(rt, "lost", fmt.Sprint(lost[0]), fmt.Sprint(lost[1]))
		case "sleep":
			time.Sleep(time.Duration(rapid.IntRange(1, 60).Draw(rt, "sleep")) * time.Second)
		case "look":
			look(rt, t, queues, all)
		}
	}
	look(rt, t, queues, all)
	due, err := q.Due(bg)
	must(t, err)
	slices.SortFunc(due, func(a, b queue.LaneDue) int { return cmp.Compare(fmt.Sprint(a.Lane), fmt.Sprint(b.Lane)) })
	status, err := memory.Lanes(bg)
	must(t, err)
	var want []queue.LaneDue
	for _, l := range status {
		if l.Waiting > 0 {
			want = append(want, queue.LaneDue{Lane: l.Lane, Next: l.Next})
		}
	}
	slices.SortFunc(want, func(a, b queue.LaneDue) int { return cmp.Compare(fmt.Sprint(a.Lane), fmt.Sprint(b.Lane)) })
	same(rt, "due", fmt.Sprint(want), fmt.Sprint(due))
}

// look compares all that a queue tells.
func look(rt *rapid.T, t *testing.T, queues [2]sender.Queue, all []string) {
	var told [2]string
	for k, q := range queues {
		lanes, err := q.Lanes(bg)
		must(t, err)
		slices.SortFunc(lanes, func(a, b queue.LaneStatus) int { return cmp.Compare(fmt.Sprint(a.Lane), fmt.Sprint(b.Lane)) })
		for _, l := range lanes {
			told[k] += fmt.Sprintln(l.Lane, l.Waiting, l.InFlight, l.Next, l.Oldest.UnixMicro())
		}
		for _, id := range all {
			got, err := q.Get(bg, id)
			must(t, err)
			for i := range got {
				got[i].Lease = 0
				if got[i].State.Final() {
					got[i].Due = time.Time{} // undefined
				}
				told[k] += fmt.Sprintf("%+v\n", plainDelivery(got[i]))
			}
			message, _, _ := queue.SplitDeliveryID(id)
			m, err := q.Message(bg, message)
			if err == nil {
				told[k] += fmt.Sprintln(m.ID, m.From, m.Recipients, string(m.Data))
			} else {
				told[k] += fmt.Sprintln(message, err)
			}
		}
	}
	same(rt, "look", told[0], told[1])
}

// plain is a claim in a form that can be compared.
func plain(c queue.Claimed) string {
	s := fmt.Sprintln(c.More, c.Next)
	for _, d := range c.Deliveries {
		s += fmt.Sprintf("%+v\n", plainDelivery(d))
	}
	return s
}

func plainDelivery(d queue.Delivery) string {
	return fmt.Sprint(d.ID, d.MessageID, d.Lane, d.Recipient, d.Priority, d.State, d.Due.UnixMicro(), d.Created.UnixMicro(), d.Expires.UnixMicro(), d.Expired, d.Early, d.Attempts, d.History)
}

func same(rt *rapid.T, what string, memory, sql any) {
	if !reflect.DeepEqual(memory, sql) {
		rt.Fatalf("%s:\nmemory: %v\nsqlite: %v", what, memory, sql)
	}
}
