package redisstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

// Config says where and for how long values are kept. The zero Config is a good one for a Redis that has nothing else of this library.
type Config struct {
	// Prefix begins the name of each key. Processes with the same one share limits. Defaults to "repute:throttle:".
	Prefix string
	// Expire is how long a key lives after its last update. At least one hour, as throttle.Store wants it. Defaults to 24 hours.
	Expire time.Duration
}

// Store is a throttle.Store in Redis. It is safe for concurrent use, in all processes with the same Redis and Prefix; make one with New.
type Store struct {
	client redis.UniversalClient
	prefix string
	expire time.Duration
}

// New makes a Store over a client, which stays the caller's, to be closed after the last use of the Store. It does not talk to the server.
func New(client redis.UniversalClient, config Config) (*Store, error) {
	if client == nil {
		return nil, errors.New("redisstore: client is nil")
	}
	if _, ok := client.(*redis.Ring); ok {
		return nil, errors.New("redisstore: client is a Ring, which moves keys while a server is away: not all processes would see the same")
	}
	if config.Prefix == "" {
		config.Prefix = "repute:throttle:"
	}
	if config.Expire == 0 {
		config.Expire = 24 * time.Hour
	}
	if config.Expire < time.Hour {
		return nil, fmt.Errorf("redisstore: Config.Expire: %v is less than an hour", config.Expire)
	}
	return &Store{client, config.Prefix, config.Expire}, nil
}

// The head of a string is the mark and a tag.
const (
	mark     = "RPT1"
	headSize = len(mark) + tagSize
	tagSize  = 16
)

// keepRemoved is how long the head of a key that was removed stays.
const keepRemoved = time.Minute

// Update implements throttle.Store.
func (s *Store) Update(ctx context.Context, key string, fn func(old []byte) ([]byte, error)) error {
	for tries := 0; ; tries++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		tag, old, err := s.read(ctx, key)
		if err != nil {
			return s.failed("read", key, err)
		}
		value, err := fn(old)
		if err != nil {
			return err
		}
		if value == nil && old == nil {
			return ctx.Err()
		}
		done, err := s.replace(ctx, key, tag, value)
		if err != nil {
			return s.failed("write", key, err)
		}
		if done {
			return nil
		}
		if err := sleep(ctx, rand.N(time.Millisecond<<min(tries, 6))); err != nil {
			return err
		}
	}
}

// read returns the latest tag and the value of a key: none if it is absent, and no value if it was removed.
func (s *Store) read(ctx context.Context, key string) (tag string, value []byte, err error) {
	text, err := wait(ctx, func() ([]byte, error) { return s.client.Get(ctx, s.prefix+key).Bytes() })
	switch {
	case errors.Is(err, redis.Nil):
		return "", nil, nil
	case err != nil:
		return "", nil, err
	case len(text) < headSize || !bytes.HasPrefix(text, []byte(mark)):
		return "", nil, errors.New("not a value of redisstore")
	case len(text) > headSize:
		value = text[headSize:]
	}
	return string(text[len(mark) : len(mark)+tagSize]), value, nil
}

// failed tells of an error, but leaves a context's as it is.
func (s *Store) failed(what, key string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("redisstore: %s %q: %w", what, s.prefix+key, err)
}

// wait runs a command, for no longer than ctx lasts. The client heeds a context only between its tries, or if it was told to; the command's
// own time-outs end it.
func wait[T any](ctx context.Context, command func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := command()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		if r.err != nil && ctx.Err() != nil {
			r.err = ctx.Err()
		}
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
