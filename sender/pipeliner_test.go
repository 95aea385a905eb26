package sender_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
)

// The sessions of the own transport have all add-ons.
var _ interface {
	sender.Session
	sender.Pipeliner
	sender.TLSReporter
} = (*transport.Session)(nil)

// pipelining is a transport whose sessions are Pipeliners: the commands take one time, the content another. ahead counts the messages that are begun behind another one.
type pipelining struct {
	stageTransport
	group, content time.Duration
	ahead          int
}

func (p *pipelining) Dial(ctx context.Context, t transport.Target) (sender.Session, error) {
	s, err := p.stageTransport.Dial(ctx, t)
	if err != nil {
		return nil, err
	}
	return &pipeline{conversation: s.(*conversation), of: p}, nil
}

type pipeline struct {
	*conversation
	of    *pipelining
	begun *transport.Envelope
}

func (p *pipeline) SendThen(ctx context.Context, e *transport.Envelope, next func() *transport.Envelope) ([]transport.Result, error) {
	if p.begun != e {
		time.Sleep(p.of.group)
	}
	if p.begun = next(); p.begun != nil {
		p.of.ahead++
	}
	time.Sleep(p.of.content)
	return p.Send(ctx, e)
}

// TestBeginAhead: messages are begun behind each other where that saves much of their time, and not with a host that takes long over the content.
func TestBeginAhead(t *testing.T) {
	const trip = 50 * time.Millisecond
	for _, c := range []struct {
		name           string
		group, content time.Duration
		least, most    int // of 20
	}{
		{"a host that answers at once", trip, trip, 15, 19},
		{"a host that takes a little", trip, 3 * trip, 15, 19},
		{"a host that takes long", trip, 10 * trip, 0, 1}, // that it does shows by the first one
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.limits = throttle.Limits{Connections: 1}
				p := &pipelining{stageTransport: stageTransport{st}, group: c.group, content: c.content}
				cfg := st.config("a")
				cfg.Transport = p
				s := st.start(cfg)
				st.enqueue(s, "", users(20, "x.example")...)
				time.Sleep(time.Minute)
				if err := s.Stop(context.Background()); err != nil {
					t.Error(err)
				}
				if n := len(st.order()); n != 20 || p.ahead < c.least || p.ahead > c.most {
					t.Errorf("%d of %d were begun ahead", p.ahead, n)
				}
			})
		})
	}
}
