package engagement_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/reputemail/repute/bounce/engagement"
	"github.com/reputemail/repute/bounce/suppress"
)

// The same reader, as the warm-up of the stream's addresses goes on.
func ExampleGate() {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	stage := engagement.Stage{Of: 20}
	gate, err := engagement.New(engagement.Config{
		Activity: func(_ context.Context, address string) (engagement.Activity, error) {
			switch address { // From the host's tables.
			case "anna@example.com":
				return engagement.Activity{Known: true, Last: now.AddDate(0, 0, -74)}, nil
			default:
				return engagement.Activity{}, nil
			}
		},
		Policies: []engagement.Policy{
			engagement.Recommended(),
			{Stream: "receipts", Everybody: true},
		},
		Stage: func(string) engagement.Stage { return stage }, // From the warm-up's ledger.
	})
	if err != nil {
		log.Fatal(err)
	}
	show := func(stream, address string) {
		d, err := gate.AdmitAt(context.Background(), now, stream, address)
		switch {
		case err != nil:
			fmt.Println("wait:", err)
		case d.OK:
			fmt.Printf("%s to %s: yes\n", stream, address)
		default:
			fmt.Printf("%s to %s: %s\n", stream, address, d.Reason)
		}
	}
	for _, stage.Number = range []int{3, 10, 17, 0} {
		show("news", "anna@example.com")
	}
	show("news", "bert@example.com")
	show("receipts", "bert@example.com")
	// Output:
	// news to anna@example.com: last active 74 days ago, stream news takes 30 days at warm-up stage 3 of 20
	// news to anna@example.com: last active 74 days ago, stream news takes 60 days at warm-up stage 10 of 20
	// news to anna@example.com: yes
	// news to anna@example.com: yes
	// news to bert@example.com: last activity unknown, stream news takes 180 days
	// receipts to bert@example.com: yes
}

// A list of which nothing is known: two confirm, one does not.
func ExampleCampaign() {
	ctx := context.Background()
	campaign, err := engagement.NewCampaign(engagement.CampaignConfig{
		Store:  suppress.NewMemoryStore(), // Or the State of a queue in a database.
		Stream: "confirm",
		Key:    []byte("sixteen random octets, or more"),
		PerDay: 40,
		Suppress: func(_ context.Context, address, reason string) error {
			fmt.Println("suppress", address+":", reason)
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	if _, err := campaign.Add(ctx, start, "anna@example.com", "bert@example.com", "carl@example.com"); err != nil {
		log.Fatal(err)
	}
	for now, end := start, start.AddDate(0, 0, 30); now.Before(end); {
		invitations, next, err := campaign.DueAt(ctx, now, 100)
		if err != nil {
			log.Print(err) // The invitations are good all the same.
		}
		for _, i := range invitations {
			// Here the message is sent, with i.Token in its link.
			fmt.Printf("%s: message %d of %d to %s\n", now.Format("Jan 2 15:04"), i.Number, i.Of, i.Address)
			if i.Address == "anna@example.com" || i.Address == "carl@example.com" && i.Number == 2 {
				// Somebody clicks, some time later.
				address, err := campaign.Confirm(ctx, now.Add(time.Hour), i.Token)
				if errors.Is(err, engagement.ErrLapsed) {
					fmt.Println(address, "comes too late")
				} else if err != nil {
					log.Fatal(err)
				}
			}
		}
		if _, err := campaign.SweepAt(ctx, now); err != nil {
			log.Print(err)
		}
		now = next
	}
	for _, address := range []string{"anna@example.com", "bert@example.com", "carl@example.com", "dora@example.com"} {
		s, err := campaign.Status(ctx, address)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s, %d of %d sent\n", address, s.State, s.Sent, s.Of)
	}
	// Output:
	// Mar 2 09:00: message 1 of 2 to anna@example.com
	// Mar 2 09:00: message 1 of 2 to bert@example.com
	// Mar 2 09:55: message 1 of 2 to carl@example.com
	// Mar 9 09:00: message 2 of 2 to bert@example.com
	// Mar 9 09:55: message 2 of 2 to carl@example.com
	// suppress bert@example.com: did not confirm after 2 messages
	// anna@example.com: active, 1 of 2 sent
	// bert@example.com: lapsed, 2 of 2 sent
	// carl@example.com: active, 2 of 2 sent
	// dora@example.com: unknown, 0 of 2 sent
}
