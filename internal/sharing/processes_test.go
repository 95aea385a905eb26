package sharing_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/internal/redistest"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/throttle/redisstore"
)

// What a child process is told.
const (
	childStore = "REPUTE_SHARING_STORE" // "redis URL PREFIX" or "postgres URL"
	childName  = "REPUTE_SHARING_NAME"
	childUntil = "REPUTE_SHARING_UNTIL" // Unix milliseconds
)

func TestMain(m *testing.M) {
	if os.Getenv(childStore) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var path = throttle.Path{Route: "mta1", Provider: "example.com"}

// child sends as fast as it may, and prints when it sent.
func child() error {
	ctx := context.Background()
	ms, err := strconv.ParseInt(os.Getenv(childUntil), 10, 64)
	if err != nil {
		return err
	}
	until := time.UnixMilli(ms)
	store, closeStore, err := open(ctx, os.Getenv(childStore), os.Getenv(childName))
	if err != nil {
		return err
	}
	defer closeStore()
	l, err := throttle.New(throttle.Config{
		Store: store, Owner: os.Getenv(childName),
		Limits: map[string]throttle.Limits{"example.com": {MessageRate: throttle.Rate{N: 100, Per: time.Second}}},
	})
	if err != nil {
		return err
	}
	if err := l.LoadAt(ctx, time.Now()); err != nil {
		return err
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			next, err := l.SyncAt(ctx, time.Now())
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			timer := time.NewTimer(max(10*time.Millisecond, time.Until(next)))
			select {
			case <-stop:
				return
			case <-l.SyncWanted():
			case <-timer.C:
			}
		}
	})
	out := bufio.NewWriter(os.Stdout)
	for now := time.Now(); now.Before(until); now = time.Now() {
		if d := l.AcquireAt(now, path, throttle.TokenMessage); d.OK {
			fmt.Fprintln(out, now.UnixMicro())
		} else {
			time.Sleep(min(max(d.Until.Sub(now), time.Millisecond), time.Second))
		}
	}
	close(stop)
	wg.Wait()
	if err := l.CloseAt(ctx, time.Now()); err != nil {
		return err
	}
	return out.Flush()
}

// open opens the store that a child is told.
func open(ctx context.Context, told, name string) (throttle.Store, func(), error) {
	words := strings.Fields(told)
	if words[0] == "redis" {
		options, err := redis.ParseURL(words[1])
		if err != nil {
			return nil, nil, err
		}
		client := redis.NewClient(options)
		store, err := redisstore.New(client, redisstore.Config{Prefix: words[2]})
		return store, func() { client.Close() }, err
	}
	q, err := pgqueue.Open(ctx, words[1], sqlqueue.Config{Owner: name})
	if err != nil {
		return nil, nil, err
	}
	store, _ := q.ThrottleStore()
	return store, func() { q.Close() }, nil
}

// BenchmarkProcesses has four processes share a limit of 100 messages a second, all of them with more to send. It reports what they sent together, and
// the most within any ten seconds.
func BenchmarkProcesses(b *testing.B) {
	length := 15 * time.Second
	if os.Getenv("REPUTE_SCALE") == "1" {
		length = time.Minute
	}
	b.Run("postgres", func(b *testing.B) { benchmark(b, "postgres "+pgtest.DSN(b), length) })
	b.Run("redis", func(b *testing.B) { benchmark(b, "redis "+redistest.URL(b)+" "+redistest.Prefix(), length) })
}

func benchmark(b *testing.B, store string, length time.Duration) {
	const processes, settles = 4, 3 * time.Second
	for b.Loop() {
		began := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		var times []time.Time
		for i := range processes {
			wg.Go(func() {
				c := exec.Command(os.Args[0])
				var out bytes.Buffer
				c.Stdout, c.Stderr = &out, os.Stderr
				c.Env = append(os.Environ(), childStore+"="+store, childName+"=p"+strconv.Itoa(i), childUntil+"="+strconv.FormatInt(began.Add(settles+length).UnixMilli(), 10))
				if err := c.Run(); err != nil {
					b.Errorf("process %d: %v", i, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				for line := range strings.Lines(out.String()) {
					us, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
					if err != nil {
						b.Error(err)
						return
					}
					times = append(times, time.UnixMicro(us))
				}
			})
		}
		wg.Wait()
		slices.SortFunc(times, time.Time.Compare)
		settled, most := 0, 0
		for i, j := 0, 0; j < len(times); j++ {
			if times[j].Sub(began) >= settles {
				settled++
			}
			for times[j].Sub(times[i]) >= 10*time.Second {
				i++
			}
			most = max(most, j-i+1)
		}
		b.ReportMetric(float64(settled)/length.Seconds(), "msg/s")
		b.ReportMetric(float64(most), "most/10s")
		b.ReportMetric(0, "ns/op")
	}
}
