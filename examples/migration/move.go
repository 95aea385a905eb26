package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
)

// The streams.
const (
	receipts   = "receipts"
	newsletter = "newsletter"
)

// perform moves the mail: it writes so many messages a day, for so many days, and looks on.
func perform(ctx context.Context, o options, network *sendertest.Network, screen *show.Screen) error {
	plan := warmPlan(o.volume)
	move := migration(plan, o.volume)
	for i := range plan.Stages { // a minute of the faster clock is less than the machine's clock can tell
		plan.Stages[i].Hour = plan.Stages[i].Caps().Hour
		plan.Stages[i].Minute = plan.Stages[i].Hour
	}

	world, err := startInternet(network, plan.Stages[0].Day, o.day)
	if err != nil {
		return err
	}
	defer world.close()
	days := newCalendar(o.day)
	if o.sabotage > 0 {
		world.turnBad(days.OwnTime(startOf(o.sabotage)))
	}
	queue, err := newFastQueue(days)
	if err != nil {
		return err
	}
	count := newTally(days)

	s, err := sender.New(sender.Config{
		Routes: []sender.Route{
			{Name: relay, Relay: &sender.Relay{Addr: relayHost + ":587", Auth: sasl.NewPlainClient("", relayUser, relayPass)}},
			{Name: mta1, LocalAddr: mta1Addr, Hostname: "mta1.example.com", Warmup: plan},
			{Name: mta2, LocalAddr: mta2Addr, Hostname: "mta2.example.com", Warmup: plan},
		},
		Pools: []sender.Pool{
			{Name: "old", Routes: []string{relay}},
			{Name: "new", Routes: newRoutes()},
		},
		Streams: []sender.Stream{
			{Name: receipts, Pool: "old", Weight: 8},
			{Name: newsletter, Pool: "old", Weight: 1},
		},
		Migrations: []sender.Migration{{Plan: move, From: "old", To: "new"}},
		Queue:      queue, // a durable one keeps where the migration and the warm-up stand
		Observer:   count,

		// From here on only what makes it a demonstration: the internet is ours, and the days are short.
		DNS:     []string{world.dns.VirtualAddr().String()},
		DialDNS: network.DialContext,
		Dial:    network.Dial,
		TLS:     &tls.Config{RootCAs: world.ca.Pool()},
		Limits:  hurried(),
		Backoff: throttle.Backoff{
			RateLimited: days.short(10 * time.Minute), Blocked: days.short(2 * time.Hour), Network: days.short(5 * time.Minute), Max: days.short(4 * time.Hour),
			MinMessageRate: throttle.Rate{N: 1, Per: days.short(time.Minute)}, RaiseAfter: days.short(10 * time.Minute),
		},
		Reactions: &throttle.Reactions{}, // theirs last for hours of the real clock
		Retry: sender.RetryPolicy{
			Greylisted: days.short(6 * time.Minute), ShortCause: days.short(5 * time.Minute),
			OtherCause: days.short(30 * time.Minute), Longest: days.short(4 * time.Hour),
		},
	})
	if err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	progress := watch(s, count, days, o, screen)
	if err = live(ctx, s, o, days, progress); err != nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted on day %d", dayOf(days.now()))
	}
	progress.end()

	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err = errors.Join(err, s.Stop(grace)); err != nil {
		return err
	}
	return report(screen, o, progress, world)
}

// hurried are limits of connections as they are by default, without a limit of the rate: so many messages in so short a day are more than anybody sends.
func hurried() map[string]throttle.Limits {
	limits := map[string]throttle.Limits{}
	for _, p := range providers() {
		limits[p.name] = throttle.Limits{Connections: 5, MessagesPerConnection: 50, Recipients: 100, TLS: throttle.TLSRequired}
	}
	return limits
}

// The migrations are asked what they decide every half an hour. A Sender does that by itself, every 30 seconds of the process's clock.
const lookEvery = 30 * time.Minute

// live writes the mail of all days, and waits until the last of it has gone.
func live(ctx context.Context, s *sender.Sender, o options, days calendar, progress *progress) error {
	look := startOf(1)
	until := func(t time.Time) error {
		for ; !look.After(t); look = look.Add(lookEvery) {
			if err := sleep(ctx, days.OwnTime(look)); err != nil {
				return err
			}
			if err := s.Migrator().SyncAt(ctx, days.now()); err != nil {
				return err
			}
			progress.show()
		}
		return sleep(ctx, days.OwnTime(t))
	}
	for day := 1; day <= o.days; day++ {
		for i := range o.volume {
			at := startOf(day).Add(24 * time.Hour * time.Duration(i) / time.Duration(o.volume))
			if err := until(at); err != nil {
				return err
			}
			m := letter(day, i, o.volume)
			progress.behind = max(progress.behind, days.now().Sub(at))
			if _, err := s.Enqueue(ctx, m); err != nil {
				return err
			}
			progress.count.wrote(m, providers()[i%len(providers())].name)
		}
	}
	patience := time.Now().Add(max(time.Minute, 3*o.day)) // for what is to be tried again, and for slow machines
	for rest := startOf(o.days + 1); progress.count.open() > 0 && time.Now().Before(patience); rest = rest.Add(lookEvery) {
		if err := until(rest); err != nil {
			return err
		}
	}
	return until(startOf(o.days + 1))
}

// sleep waits until a time, if that is to come.
func sleep(ctx context.Context, until time.Time) error {
	wait := time.Until(until)
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// letter is the i-th message of a day of so many. One of four is a receipt. Each goes to another reader: the Sender compares by one message a day for each reader, and that day is
// one of the process's clock.
func letter(day, i, volume int) sender.Message {
	nth, provider := i/len(providers()), providers()[i%len(providers())]
	stream := newsletter
	if nth%4 == 0 {
		stream = receipts
	}
	to := fmt.Sprintf("reader%d@%s", (day-1)*each(volume)+nth+1, provider.domain)
	id := fmt.Sprintf("day%d.%d@example.com", day, i+1)
	return sender.Message{
		ID: id, Stream: stream, From: "bounces@example.com", To: []string{to},
		Data: fmt.Appendf(nil, "From: Shop <shop@example.com>\r\nTo: <%s>\r\nSubject: Your %s of day %d\r\nMessage-ID: <%s>\r\n\r\nHello!\r\n", to, stream, day, id),
	}
}
