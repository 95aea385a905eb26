package sender

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/reputemail/repute/internal/keyed"
	"github.com/reputemail/repute/sender/queue"
)

// Counts are what became of deliveries since the Sender was made.
type Counts struct {
	// Delivered, Bounced, Expired, Suppressed and Cancelled count final outcomes; Deferred counts attempts that failed
	// for now; Overflowed counts the deliveries whose first attempt went over an overflow route.
	Delivered  int64 `json:"delivered"`
	Deferred   int64 `json:"deferred"`
	Bounced    int64 `json:"bounced"`
	Expired    int64 `json:"expired"`
	Suppressed int64 `json:"suppressed"`
	Cancelled  int64 `json:"cancelled"`
	Overflowed int64 `json:"overflowed"`
	// Returned counts the delivered ones that came back as a bounce later, Complained those about which somebody complained.
	Returned   int64 `json:"returned"`
	Complained int64 `json:"complained"`
}

func (c *Counts) add(e *Event) {
	switch e.Type {
	case EventDelivered:
		c.Delivered++
	case EventDeferred:
		c.Deferred++
	case EventBounced:
		c.Bounced++
	case EventExpired:
		c.Expired++
	case EventSuppressed:
		c.Suppressed++
	case EventCancelled:
		c.Cancelled++
	case EventReturned:
		c.Returned++
	case EventComplained:
		c.Complained++
	}
	if e.Overflow && e.first() {
		c.Overflowed++
	}
}

// first reports whether the event ends the first attempt of its delivery.
func (e *Event) first() bool {
	return e.Attempt == 1 && (e.Type == EventDelivered || e.Type == EventDeferred || e.Type == EventBounced)
}

// StreamStats is one stream.
type StreamStats struct {
	Stream string `json:"stream"`
	// Accepted counts deliveries that Enqueue stored, Refused recipients that the gate refused.
	Accepted int64 `json:"accepted"`
	Refused  int64 `json:"refused"`
	Counts
	// Waiting and InFlight are what the queue holds now and what of it is being attempted, Oldest when the oldest of them was accepted.
	Waiting  int       `json:"waiting"`
	InFlight int       `json:"in_flight"`
	Oldest   time.Time `json:"oldest,omitzero"`
}

// PathStats is one route × provider. For relays, too, the provider is that of the destination.
type PathStats struct {
	Path
	// First counts the deliveries whose first attempt went this way.
	First int64 `json:"first"`
	Counts
	// Waits counts how often a lane began to wait for this path, by reason.
	Waits map[WaitReason]int64 `json:"waits,omitempty"`
}

// String is the path and its counts.
func (p PathStats) String() string {
	return fmt.Sprintf("%v: first %d, %+v", p.Path, p.First, p.Counts)
}

// Stats is a snapshot.
type Stats struct {
	// Streams in the order of the Config; Paths by route, then provider. Outcomes without a path (expired before any
	// attempt, domain without mail) stand under the empty route.
	Streams []StreamStats `json:"streams"`
	Paths   []PathStats   `json:"paths"`
	// Backlog is what waits, by stream and then provider.
	Backlog []BacklogStats `json:"backlog"`
	// Counted is when what waits and is in flight was counted.
	Counted time.Time `json:"counted"`
	// Connections is how many are open now.
	Connections int `json:"connections"`
}

// maxStatPaths bounds the paths that are counted apart.
const maxStatPaths = 10_000

type stats struct {
	mu      sync.Mutex
	streams map[string]*StreamStats
	paths   *keyed.Map[Path, *PathStats]
}

func newStats() *stats {
	return &stats{streams: map[string]*StreamStats{}, paths: keyed.New(keyed.Config[Path, *PathStats]{Max: maxStatPaths})}
}

func (s *stats) path(p Path) *PathStats {
	return s.paths.GetOrCreate(time.Now(), p, func() *PathStats {
		return &PathStats{Path: p, Waits: map[WaitReason]int64{}}
	})
}

func (s *stats) event(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[e.Stream]
	if st == nil {
		st = &StreamStats{Stream: e.Stream}
		s.streams[e.Stream] = st
	}
	switch e.Type {
	case EventAccepted:
		st.Accepted++
		return
	case EventRefused:
		st.Refused++
		return
	}
	st.add(&e)
	p := s.path(e.Path)
	p.add(&e)
	if e.first() {
		p.First++
	}
}

func (s *stats) waited(p Path, why WaitReason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.path(p).Waits[why]++
}

// Stats returns a snapshot. It may be asked for every few seconds: what the queue holds is counted there, which takes the longer the more that is, and then all who ask share the
// count for 50 times as long as it took, for 5 minutes at most. An error is the queue's or ctx's.
func (s *Sender) Stats(ctx context.Context) (Stats, error) {
	lanes, counted, err := s.count(ctx)
	if err != nil {
		return Stats{}, err
	}
	out := Stats{Counted: counted}
	s.dispatch.mu.Lock()
	out.Connections = s.dispatch.conns
	inLine := map[string]int{} // leased to us, and not yet attempted
	inLanes, providers := make(map[queue.Lane]int, len(s.dispatch.lanes)), make(map[queue.Lane]string, len(s.dispatch.lanes))
	for key, l := range s.dispatch.lanes {
		inLine[key.Stream] += len(l.buf)
		inLanes[key] = len(l.buf)
		if l.dest != nil {
			providers[key] = l.dest.provider
		}
	}
	s.dispatch.mu.Unlock()
	out.Backlog = s.backlogStats(lanes, inLanes, providers)
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	index := map[string]int{}
	for i, st := range s.streams {
		index[st.Name] = i
		one := StreamStats{Stream: st.Name}
		if counted := s.stats.streams[st.Name]; counted != nil {
			one = *counted
		}
		out.Streams = append(out.Streams, one)
	}
	for _, l := range lanes {
		i, known := index[l.Lane.Stream]
		if !known {
			continue
		}
		st := &out.Streams[i]
		st.Waiting += l.Waiting
		st.InFlight += l.InFlight
		if st.Oldest.IsZero() || l.Oldest.Before(st.Oldest) {
			st.Oldest = l.Oldest
		}
	}
	for i := range out.Streams {
		n := min(inLine[out.Streams[i].Stream], out.Streams[i].InFlight)
		out.Streams[i].Waiting += n
		out.Streams[i].InFlight -= n
	}
	s.stats.paths.All(func(_ Path, p *PathStats) bool {
		one := *p
		one.Waits = make(map[WaitReason]int64, len(p.Waits))
		for k, v := range p.Waits {
			one.Waits[k] = v
		}
		out.Paths = append(out.Paths, one)
		return true
	})
	sort.Slice(out.Paths, func(i, j int) bool {
		a, b := out.Paths[i].Path, out.Paths[j].Path
		return a.Route < b.Route || a.Route == b.Route && a.Provider < b.Provider
	})
	return out, nil
}

// Lanes lists the lanes of the queue that hold open deliveries: where mail waits, and since when.
func (s *Sender) Lanes(ctx context.Context) ([]queue.LaneStatus, error) {
	return s.cfg.Queue.Lanes(ctx)
}

func itoa(n int) string { return strconv.Itoa(n) }
