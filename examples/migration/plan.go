package main

import (
	"math"
	"time"

	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// The ways out: the old one, and the two new ones.
const (
	relay = "relay"
	mta1  = "mta1"
	mta2  = "mta2"
)

// newRoutes are those that the mail is moved to.
func newRoutes() []string { return []string{mta1, mta2} }

// provider is a mailbox provider. Each gets an equal part of the mail.
type provider struct {
	name   string // as the Sender's table of providers calls it
	domain string
	kind   sendertest.Kind
}

func providers() []provider {
	return []provider{
		{"google", "gmail.example", sendertest.GmailLike},
		{"outlook", "outlook.example", sendertest.OutlookLike},
		{"yahoo", "yahoo.example", sendertest.YahooLike},
	}
}

// sabotaged is the provider that has enough of the new addresses.
const sabotaged = "outlook"

// each is how many messages a day go to each provider, at most.
func each(volume int) int { return (volume + len(providers()) - 1) / len(providers()) }

// warmPlan is by what each of the new addresses is warmed up, at each provider. It begins at what vendors begin with, or below where there is little mail, grows by 1.3 a
// day, and ends at half of the provider's mail and a little more, for there are two addresses. Keep makes that a limit that stays: a pool fills its first route first, and
// without a limit the second would go cold again.
func warmPlan(volume int) warmup.Plan {
	first := min(50, max(10, each(volume)/20))
	last := each(volume)*52/100 + 1
	plan := warmup.Geometric(first, 1.3, last)
	plan.Keep = true
	return plan
}

// migration is how the mail is moved. The shares follow the plan: in each stage the recipients that are moved have about as much mail as both addresses may carry,
// and a tenth more, so that the addresses have all that they need for their next stage. A share that is larger than that would do no harm, but move nothing: what is above the
// allowance goes the old way.
func migration(plan warmup.Plan, volume int) warmup.Migration {
	m := warmup.Migration{
		Name:        "leave-the-relay",
		StageTime:   24 * time.Hour,
		MinSample:   20,
		PerProvider: true,
		Tests:       warmup.MigrationTests{MinSample: 20}, // for so little mail; the default of both is 200
	}
	for _, stage := range plan.Stages {
		share := 1.1 * float64(len(newRoutes())*stage.Day) / float64(each(volume))
		if share >= 1 {
			break
		}
		m.Shares = append(m.Shares, plain(share))
	}
	m.Shares = append(m.Shares, 1)
	return m
}

// plain is a number with three digits, as people write it.
func plain(x float64) float64 {
	unit := math.Pow(10, math.Ceil(math.Log10(x))-3)
	return math.Round(x/unit) * unit
}
