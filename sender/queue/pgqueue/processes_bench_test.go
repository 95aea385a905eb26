package pgqueue_test

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkProcesses delivers messages of 2 KB by 1, 2 and 4 processes on one database, over 48 connections each: "live" ones, which the
// processes put meanwhile, 48 at a time each, and a "backlog" that waits when they start.
func BenchmarkProcesses(b *testing.B) {
	for _, kind := range []string{"live", "backlog"} {
		for _, n := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) { benchmarkProcesses(b, kind == "live", n) })
		}
	}
}

// commits is a query for the transactions that the server has committed, roughly: sessions tell of theirs now and then.
const commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"

func benchmarkProcesses(b *testing.B, live bool, processes int) {
	w := newWorld(b, childConfig{OwnerTimeout: time.Minute, Connections: 48, Enqueuers: 48, Letters: letters{Lanes: 8, Size: 2000, Single: true}})
	_, err := w.db.Exec("DROP TRIGGER note ON repute_delivery")
	w.must(err)
	if !live {
		w.seed("seed", b.N)
		_, err := w.db.Exec("DELETE FROM repute_news") // as if it had waited for long
		w.must(err)
	}
	var all []*process
	for i := range processes {
		all = append(all, w.spawn(fmt.Sprintf("p%d", i+1)))
	}
	before := w.number(commits)
	b.ResetTimer()
	for i, p := range all {
		p.tell("start")
		if live {
			p.puts(p.owner, b.N/processes+min(1, max(0, b.N%processes-i)))
		}
	}
	for w.sink.messages() < b.N {
		time.Sleep(5 * time.Millisecond)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.StopTimer()
	b.ReportMetric(float64(w.number(commits)-before)/float64(b.N), "tx/msg")
	for _, p := range all {
		p.stop()
	}
	if n := w.number("SELECT count(*) FROM repute_delivery WHERE state <> 3"); n != 0 {
		b.Errorf("%d are not delivered", n)
	}
}
