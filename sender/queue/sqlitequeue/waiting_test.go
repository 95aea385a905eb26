package sqlitequeue_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
)

// BenchmarkWaiting delivers b.N messages of 10 KiB while REPUTE_WAITING deliveries (2000 if that is not set) wait for a provider whose hosts refuse
// every connection, and tells how fast that is beside the same with nothing waiting, how long opening takes until a message has gone out, and how much memory
// the process has at its peak.
//
//	REPUTE_WAITING=1000000 go test -run '^$' -bench Waiting -benchtime 20000x -timeout 30m ./sender/queue/sqlitequeue
func BenchmarkWaiting(b *testing.B) {
	waiting := 2000
	if text := os.Getenv("REPUTE_WAITING"); text != "" {
		var err error
		if waiting, err = strconv.Atoi(text); err != nil {
			b.Fatalf("REPUTE_WAITING: %v", err)
		}
	}
	sink := newWaitingSink(b)
	empty, full := filepath.Join(b.TempDir(), "empty.db"), filepath.Join(b.TempDir(), "full.db")
	fill(b, full, waiting)
	b.ResetTimer()
	alone, _ := sink.deliver(b, empty, b.N)
	beside, opened := sink.deliver(b, full, b.N)
	b.ReportMetric(alone, "alone/s")
	b.ReportMetric(beside, "beside/s")
	b.ReportMetric(100*beside/alone, "%")
	b.ReportMetric(opened.Seconds(), "open-s")
	b.ReportMetric(peakMB(b), "peak-MB")
}

// fill puts messages of 1 KiB that wait for the closed provider.
func fill(b *testing.B, path string, n int) {
	q, err := sqlitequeue.OpenConfig(context.Background(), path, sqlqueue.Config{CacheBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	body := letter("someone@closed.example", 1024)
	for range 256 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				id := fmt.Sprintf("w%08d", i)
				_, err := q.Put(context.Background(), queue.Put{
					Message: &queue.Message{ID: id, Stream: "closed", From: "a@example.org", Recipients: 1, Data: body}, ExpireAfter: 72 * time.Hour,
					Deliveries: []queue.Delivery{{
						ID: queue.DeliveryID(id, 1), MessageID: id, Recipient: fmt.Sprintf("u%d@closed.example", i),
						Lane: queue.Lane{Stream: "closed", Domain: "closed.example"},
					}},
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := q.Close(); err != nil {
		b.Fatal(err)
	}
}

type waitingSink struct {
	srv        *sendertest.Server
	network    *sendertest.Network
	classifier *bounce.Classifier
	closed     string // where nobody listens
}

func newWaitingSink(b *testing.B) *waitingSink {
	network := sendertest.NewTCPNetwork()
	inbox, err := sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepCount})
	if err != nil {
		b.Fatal(err)
	}
	srv, err := sendertest.StartServer(network, sendertest.ServerConfig{Hostname: "mx.example.com", Addr: netip.MustParseAddrPort("192.0.2.25:25"), Inbox: inbox})
	if err != nil {
		b.Fatal(err)
	}
	classifier, err := bounce.NewClassifier(bounce.Config{})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	l.Close()
	b.Cleanup(func() { srv.Close(); network.Close() })
	return &waitingSink{srv, network, classifier, l.Addr().String()}
}

// deliver opens the queue and delivers n messages. It returns how many a second, and how long it took from opening to the first delivery.
func (w *waitingSink) deliver(b *testing.B, path string, n int) (rate float64, opened time.Duration) {
	ctx := context.Background()
	began := time.Now()
	q, err := sqlitequeue.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	var delivered atomic.Int64
	limits := &throttle.Limits{Connections: 50, MessagesPerConnection: 1000, Recipients: 100, IdleTimeout: time.Minute}
	s, err := sender.New(sender.Config{
		Queue: q,
		Routes: []sender.Route{
			{Name: "open", Hostname: "out.example.org", Relay: &sender.Relay{Addr: "192.0.2.25:25", Limits: limits}},
			{Name: "closed", Hostname: "out.example.org", Relay: &sender.Relay{Addr: w.closed, Limits: limits}},
		},
		Pools:   []sender.Pool{{Name: "open", Routes: []string{"open"}}, {Name: "closed", Routes: []string{"closed"}}},
		Streams: []sender.Stream{{Name: "open", Pool: "open"}, {Name: "closed", Pool: "closed"}},
		Dial:    w.network.Dial, Classifier: w.classifier,
		Observer: sender.ObserverFunc(func(e sender.Event) {
			if e.Type == sender.EventDelivered {
				delivered.Add(1)
			}
		}),
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Start(ctx); err != nil {
		b.Fatal(err)
	}
	data := letter("someone@example.com", 10<<10)
	enqueue := func(i int64) {
		m := sender.Message{Stream: "open", From: "a@example.org", To: []string{fmt.Sprintf("u%d@lane%d.example", i, i%5)}, Data: data}
		if _, err := s.Enqueue(ctx, m); err != nil {
			b.Error(err)
		}
	}
	enqueue(0)
	for delivered.Load() < 1 {
		time.Sleep(time.Millisecond)
	}
	opened = time.Since(began)
	began = time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				enqueue(i)
			}
		})
	}
	wg.Wait()
	for delivered.Load() < int64(n)+1 {
		time.Sleep(time.Millisecond)
	}
	rate = float64(n) / time.Since(began).Seconds()
	if err := s.Stop(ctx); err != nil {
		b.Fatal(err)
	}
	if err := q.Close(); err != nil {
		b.Fatal(err)
	}
	return rate, opened
}

// letter is a message of a size.
func letter(to string, size int) []byte {
	head := "From: a@example.org\r\nTo: " + to + "\r\nSubject: x\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <x@example.org>\r\n\r\n"
	line := strings.Repeat("x", 76) + "\r\n"
	return []byte(head + strings.Repeat(line, max(1, (size-len(head))/len(line))))
}

// peakMB is the most memory that the process has had, in MB; 0 where that is not told.
func peakMB(b *testing.B) float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if text, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb / 1000
		}
	}
	return 0
}
