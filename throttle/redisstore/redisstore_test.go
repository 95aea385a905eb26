package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reputemail/repute/internal/redistest"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/throttle/redisstore"
	"github.com/reputemail/repute/throttle/throttletest"
)

// client is a client that is closed with the test.
func client(t testing.TB, url string, change func(*redis.Options)) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(options)
	}
	c := redis.NewClient(options)
	t.Cleanup(func() { c.Close() })
	return c
}

func store(t testing.TB, c redis.UniversalClient, prefix string) *redisstore.Store {
	t.Helper()
	s, err := redisstore.New(c, redisstore.Config{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestMain silences the client, which logs each connection that fails to a logger of its own.
func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	os.Exit(m.Run())
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestContract(t *testing.T) {
	url, prefix := redistest.URL(t), redistest.Prefix()
	throttletest.Run(t, func(t *testing.T, name string) throttle.Store {
		return store(t, client(t, url, nil), prefix+name+":")
	})
}

// TestContractOddPrefix: a prefix is never taken for a pattern.
func TestContractOddPrefix(t *testing.T) {
	c, prefix := client(t, redistest.URL(t), nil), redistest.Prefix()
	for _, odd := range []string{"a*", "a?", "[ab]", `a\`, "a", "b", "{a}"} {
		put(t, store(t, c, prefix+odd), "key", odd)
	}
	for _, odd := range []string{"a*", "a?", "[ab]", `a\`, "b", "{a}"} {
		n := 0
		err := store(t, c, prefix+odd).Load(t.Context(), func(key string, value []byte) error {
			if n++; key != "key" || string(value) != odd {
				t.Errorf("%q: %q is %q", odd, key, value)
			}
			return nil
		})
		if err != nil || n != 1 {
			t.Errorf("%q: %d keys, %v", odd, n, err)
		}
	}
}

func put(t testing.TB, s throttle.Store, key, value string) {
	t.Helper()
	if err := s.Update(t.Context(), key, func([]byte) ([]byte, error) { return []byte(value), nil }); err != nil {
		t.Fatal(err)
	}
}

func TestConfig(t *testing.T) {
	c := redis.NewClient(&redis.Options{Addr: "redis.example:6379"})
	defer c.Close()
	if _, err := redisstore.New(nil, redisstore.Config{}); err == nil {
		t.Error("no client was taken")
	}
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	if _, err := redisstore.New(ring, redisstore.Config{}); err == nil {
		t.Error("a ring was taken")
	}
	for _, d := range []time.Duration{-1, time.Second, 59 * time.Minute} {
		if _, err := redisstore.New(c, redisstore.Config{Expire: d}); err == nil || !strings.Contains(err.Error(), "Config.Expire") {
			t.Errorf("%v: %v", d, err)
		}
	}
}

// TestExpire: keys go by themselves, removed ones soon.
func TestExpire(t *testing.T) {
	c, prefix := client(t, redistest.URL(t), nil), redistest.Prefix()
	s := store(t, c, prefix)
	put(t, s, "a", "1")
	if d := c.PTTL(t.Context(), prefix+"a").Val(); d < 23*time.Hour || d > 24*time.Hour {
		t.Errorf("it lives for %v", d)
	}
	if err := s.Update(t.Context(), "a", func([]byte) ([]byte, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if d := c.PTTL(t.Context(), prefix+"a").Val(); d <= 0 || d > time.Minute {
		t.Errorf("removed, it lives for %v", d)
	}
}

// TestForeignKeys: what is not a value of this package is an error, and stays.
func TestForeignKeys(t *testing.T) {
	c, prefix := client(t, redistest.URL(t), nil), redistest.Prefix()
	s, ctx := store(t, c, prefix), t.Context()
	c.Set(ctx, prefix+"text", "hello", time.Hour)
	c.Set(ctx, prefix+"later", "RPT2"+strings.Repeat("x", 100), time.Hour)
	c.RPush(ctx, prefix+"list", "a")
	c.Expire(ctx, prefix+"list", time.Hour)
	for _, key := range []string{"text", "later", "list"} {
		err := s.Update(ctx, key, func(old []byte) ([]byte, error) {
			t.Errorf("%s was read as %q", key, old)
			return []byte("new"), nil
		})
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := s.Load(ctx, func(string, []byte) error { return nil }); err == nil {
		t.Error("Load passes over what it cannot read")
	}
	if got := c.Get(ctx, prefix+"text").Val(); got != "hello" {
		t.Errorf("it was changed to %q", got)
	}
}

// cutter is a connection that breaks after the server has read a command and before its answer, now and then.
type cutter struct {
	net.Conn
	mu  *sync.Mutex
	n   *int
	cut bool
}

func (c *cutter) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if strings.Contains(string(p), "evalsha") {
		c.mu.Lock()
		if *c.n++; *c.n%3 == 0 {
			c.cut = true
		}
		c.mu.Unlock()
	}
	return n, err
}

func (c *cutter) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.cut {
		c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

// TestBrokenConnections: a write whose answer is lost is sent again, and made once. If others have written since, that is an error.
func TestBrokenConnections(t *testing.T) {
	url, prefix := redistest.URL(t), redistest.Prefix()
	const workers, each = 3, 40
	var mu sync.Mutex
	var writes int
	var wg sync.WaitGroup
	var done, unsure atomic.Int64
	for range workers {
		c := client(t, url, func(o *redis.Options) {
			network, address := o.Network, o.Addr
			o.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				return &cutter{Conn: conn, mu: &mu, n: &writes}, err
			}
		})
		s := store(t, c, prefix)
		wg.Go(func() {
			for range each {
				err := s.Update(t.Context(), "count", func(old []byte) ([]byte, error) {
					n, _ := strconv.Atoi(string(old)) // 0 at first
					return []byte(strconv.Itoa(n + 1)), nil
				})
				if err == nil {
					done.Add(1)
				} else {
					unsure.Add(1)
				}
			}
		})
	}
	wg.Wait()
	count := int64(0)
	if err := store(t, client(t, url, nil), prefix).Load(t.Context(), func(_ string, value []byte) (err error) {
		count, err = strconv.ParseInt(string(value), 10, 64)
		return err
	}); err != nil {
		t.Error(err)
	}
	if count < done.Load() || count > done.Load()+unsure.Load() {
		t.Errorf("%d increments are done and %d unsure, and the count is %d", done.Load(), unsure.Load(), count)
	}
	if done.Load() < workers*each/3 || writes < 30 {
		t.Errorf("only %d increments in %d writes", done.Load(), writes)
	}
	t.Logf("%d writes, a third without answer: %d done, %d unsure, %d counted", writes, done.Load(), unsure.Load(), count)
}

// TestLostAnswer: a write that was made, whose answer is lost, is done when nobody has written since: no error, and the value stands once.
func TestLostAnswer(t *testing.T) {
	url, prefix := redistest.URL(t), redistest.Prefix()
	put(t, store(t, client(t, url, nil), prefix), "other", "1") // the server knows the script then
	var mu sync.Mutex
	writes := 2 // so the next one is cut
	s := store(t, client(t, url, func(o *redis.Options) {
		network, address := o.Network, o.Addr
		o.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return &cutter{Conn: conn, mu: &mu, n: &writes}, err
		}
	}), prefix)
	calls := 0
	if err := s.Update(t.Context(), "key", func(old []byte) ([]byte, error) {
		calls++
		return append(old, 'x'), nil
	}); err != nil {
		t.Error(err)
	}
	value := ""
	if err := s.Update(t.Context(), "key", func(old []byte) ([]byte, error) {
		value = string(old)
		return old, nil
	}); err != nil {
		t.Error(err)
	}
	if calls != 1 || value != "x" || writes < 4 {
		t.Errorf("%d calls and %d writes made %q", calls, writes-2, value)
	}
}

// TestServerAway: without the server an Update fails, after it is back it works, and a context ends a wait.
func TestServerAway(t *testing.T) {
	server := redistest.Start(t)
	s := store(t, client(t, server.URL(), func(o *redis.Options) { o.MaxRetries, o.DialerRetries = -1, 1 }), "")
	put(t, s, "a", "1")
	server.Stop(t)
	called := false
	err := s.Update(t.Context(), "a", func([]byte) ([]byte, error) {
		called = true
		return nil, nil
	})
	if err == nil || called {
		t.Errorf("without a server: %v, called %v", err, called)
	}
	if err := s.Load(t.Context(), func(string, []byte) error { return nil }); err == nil {
		t.Error("Load without a server")
	}
	server.Start(t)
	put(t, s, "a", "2")
}

// TestSilentServer: a server that takes the command and does not answer holds nobody for longer than the context.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := store(t, client(t, "redis://"+l.Addr().String(), nil), "")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- s.Update(ctx, "a", func([]byte) ([]byte, error) { return []byte("1"), nil })
	}()
	select {
	case err := <-done:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for the server")
	}
}

func BenchmarkUpdate(b *testing.B) {
	s := store(b, client(b, redistest.URL(b), nil), redistest.Prefix())
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		put(b, s, "key", fmt.Sprint(i))
	}
}
