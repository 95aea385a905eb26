package redisstore

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Load implements throttle.Store.
func (s *Store) Load(ctx context.Context, fn func(key string, value []byte) error) error {
	keys, err := wait(ctx, func() ([]string, error) { return s.keys(ctx) })
	if err != nil {
		return s.failed("scan", "", err)
	}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, value, err := s.read(ctx, key)
		if err != nil {
			return s.failed("read", key, err)
		}
		if value == nil {
			continue // removed
		}
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// keys finds the keys on all masters, each once.
func (s *Store) keys(ctx context.Context) ([]string, error) {
	var mu sync.Mutex
	found := make(map[string]bool) // SCAN may name a key twice
	scan := func(ctx context.Context, c redis.Cmdable) error {
		all := c.Scan(ctx, 0, literal.Replace(s.prefix)+"*", 1000).Iterator()
		for all.Next(ctx) {
			mu.Lock()
			found[strings.TrimPrefix(all.Val(), s.prefix)] = true
			mu.Unlock()
		}
		return all.Err()
	}
	var err error
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return scan(ctx, c) })
	} else {
		err = scan(ctx, s.client)
	}
	if err != nil {
		return nil, err
	}
	return slices.Collect(maps.Keys(found)), nil
}

// literal makes a text that SCAN's patterns take as it is.
var literal = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)
