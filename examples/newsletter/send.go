package main

import (
	"context"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// The streams.
const (
	account    = "account" // what a person waits for
	newsletter = "newsletter"
)

// sent is what became of a letter.
type sent struct {
	fit      warmup.Sending // what the Sender said beforehand
	next     warmup.Sending // and what it says of the next week
	arrivals []arrival
	resets   int // password resets that were sent
	list     *list
	took     time.Duration // until the last letter had come from the young address, by the calendar
}

// sendFirst sends the first letter.
func sendFirst(ctx context.Context, o options, l *list, screen *show.Screen) (*sent, error) {
	return sendTo(ctx, o, l, screen, nil)
}

// sendTo is sendFirst with receivers that behave in their own ways.
func sendTo(ctx context.Context, o options, l *list, screen *show.Screen, scripts map[string]sendertest.Script) (*sent, error) {
	world, err := startInternet(o, scripts)
	if err != nil {
		return nil, err
	}
	defer world.close()
	days := newCalendar(o.day)
	queue, err := newFastQueue(days)
	if err != nil {
		return nil, err
	}
	count := newTally()

	s, err := sender.New(sender.Config{
		Routes: []sender.Route{
			{Name: "young", LocalAddr: youngAddr, Hostname: "mta2.example.com", Warmup: o.plan()},
			{Name: "relay", Relay: &sender.Relay{Addr: relayAddr}},
		},
		Pools: []sender.Pool{{Name: "main", Routes: []string{"young"}, Overflow: []string{"relay"}}},
		Streams: []sender.Stream{
			{Name: account, ExpireAfter: 4 * time.Hour, Weight: 8},
			// The letter has until the end of the window: so long its best readers wait for the slots of the young address. Without that, nearly all of
			// it would go over the relay at once.
			{Name: newsletter, OverflowAfter: o.wait, ExpireAfter: 2 * window},
		},
		Ranker:   l,
		Queue:    queue, // a durable one keeps where the warm-up stands
		Observer: count,

		// From here on only what makes it a demonstration.
		DNS:     []string{world.dns.Addr()},
		Dial:    world.network.Dial,
		DialDNS: world.network.DialContext,
		Limits:  o.limits(),
	})
	if err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	defer s.Stop(context.WithoutCancel(ctx))

	campaign, err := l.campaignOf(ctx, s)
	if err != nil {
		return nil, err
	}
	fit, err := s.FitCampaign("young", campaign)
	if err != nil {
		return nil, err
	}
	out := &sent{fit: fit.Sendings[0], list: l}
	stop := watch(count, days, out.fit, screen)
	defer stop()
	for i, r := range l.readers { // the best are anywhere among them
		if _, err := s.Enqueue(ctx, letter(r)); err != nil {
			return nil, err
		}
		if i%100 == 0 { // in the middle of it, people want a new password
			out.resets++
			if _, err := s.Enqueue(ctx, passwordReset(r)); err != nil {
				return nil, err
			}
		}
	}
	days.run()
	if err := count.wait(ctx, len(l.readers)+out.resets); err != nil {
		return nil, err
	}
	stop()
	out.arrivals = world.arrived()
	for _, a := range out.letters() {
		if a.route == "young" {
			out.took = max(out.took, days.since(a.at))
		}
	}

	campaign.Start = days.OwnTime(days.first.Add(week))
	if fit, err = s.FitCampaign("young", campaign); err != nil {
		return nil, err
	}
	out.next = fit.Sendings[0]
	return out, nil
}
