package sender_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
)

// TestLoweredLimitOfConnections: sessions that are busy all the time, and never reach an end of their own, obey a limit that was lowered meanwhile.
func TestLoweredLimitOfConnections(t *testing.T) {
	for _, each := range []int{0, 1000} {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			n, at, most := 0, 0, 0
			st.transact = func(ctx context.Context, c *conversation, e *transport.Envelope) ([]transport.Result, error) {
				st.mu.Lock()
				n++
				late := n == 50
				if at++; n > 100 {
					most = max(most, at)
				}
				st.mu.Unlock()
				time.Sleep(time.Second)
				st.mu.Lock()
				at--
				st.mu.Unlock()
				if late {
					return all(e, said(bounce.StageRcpt, 451, "4.7.1 hs-17 too many concurrent connections")), nil
				}
				return takes(0)(ctx, c, e)
			}
			cfg := st.config("a")
			cfg.Throttle = nil
			cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 8, MessagesPerConnection: each}}
			var err error
			cfg.Reactions, err = throttle.NewReactions(throttle.ReactionsConfig{Reactions: []throttle.Reaction{{
				Name: "own/one", Any: []string{"hs-17"}, Connections: 1, For: 2 * time.Hour,
				Match: []string{"451 4.7.1 hs-17 too many concurrent connections"}, Miss: []string{"451 x"},
			}}})
			if err != nil {
				t.Fatal(err)
			}
			s := st.start(cfg)
			st.enqueue(s, "", users(3000, "example.com")...)
			time.Sleep(20 * time.Minute)
			if got := get(st, func() int { return most }); got != 1 {
				t.Errorf("%d messages a connection: up to %d at a time, though the receiver is to have one", each, got)
			}
			if got := get(st, func() int { return n }); got < 1000 {
				t.Errorf("%d messages a connection: only %d were sent", each, got)
			}
		})
	}
}

// TestOneConnectionInTurns: of processes that share one connection each has it for a part of the time, though each has mail for it all the time.
func TestOneConnectionInTurns(t *testing.T) {
	for _, each := range []int{0, 100} {
		synctest.Test(t, func(t *testing.T) {
			store := throttle.NewMemoryStore()
			var stages []*stage
			var mu sync.Mutex
			at, most := 0, 0
			count := func(by int) {
				mu.Lock()
				defer mu.Unlock()
				at += by
				most = max(most, at)
			}
			for _, owner := range []string{"a", "b", "c"} {
				st := newStage(t)
				st.transact = func(ctx context.Context, c *conversation, e *transport.Envelope) ([]transport.Result, error) {
					count(1)
					time.Sleep(time.Second)
					count(-1)
					return takes(0)(ctx, c, e)
				}
				cfg := st.config("a")
				cfg.Throttle, cfg.ThrottleStore, cfg.ThrottleOwner = nil, store, owner
				cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 1, MessagesPerConnection: each}}
				stages = append(stages, st)
				st.enqueue(st.start(cfg), "", users(1300, "example.com")...)
				time.Sleep(5 * time.Second)
			}
			time.Sleep(20 * time.Minute)
			got, total := "", 0
			for _, st := range stages {
				n := len(st.of(sender.EventDelivered))
				total += n
				got += fmt.Sprint(" ", n)
				if n < 300 {
					t.Errorf("%d messages a connection: one process has sent %d", each, n)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if most > 1 || total < 1000 {
				t.Errorf("%d messages a connection: %d at a time, %d in all:%s", each, most, total, got)
			}
		})
	}
}
