package sender_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
)

// Two addresses share a pool three to one. Whatever the receivers take, the second address opens no more connections than its host allows it, all routes together do
// not hurry one provider, and the process keeps to what its network bears. Where one address is at a limit, its part goes over the other.
func ExamplePool() {
	internet := newInternet()
	defer internet.close()
	internet.mailExchanger("example.org", sendertest.Script{})
	routes := make(chan string, 40)
	s, err := sender.New(sender.Config{
		Routes: []sender.Route{
			{Name: "large", LocalAddr: "198.51.100.1", Hostname: "mta1.example.com"},
			{Name: "small", LocalAddr: "198.51.100.2", Hostname: "mta2.example.com", Cap: throttle.Cap{Connections: 20}},
		},
		Pools:          []sender.Pool{{Name: "main", Routes: []string{"large", "small"}, Weights: map[string]int{"large": 3}}},
		ProviderCaps:   map[string]throttle.Cap{"google": {MessageRate: throttle.Rate{N: 20, Per: time.Second}}},
		MaxMessageRate: throttle.Rate{N: 10_000, Per: time.Second},
		Limits:         map[string]throttle.Limits{"example.org": {MessageRate: throttle.Rate{N: 10_000, Per: time.Second}}},
		Observer: sender.ObserverFunc(func(e sender.Event) {
			if e.Type == sender.EventDelivered {
				routes <- e.Path.Route
			}
		}),
		Dial: internet.network.Dial, DialDNS: internet.network.DialContext, DNS: []string{internet.dns.Addr()},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := s.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer s.Stop(ctx)
	sent := map[string]int{}
	for i := range 40 {
		if _, err := s.Send(ctx, note(fmt.Sprintf("reader%d@example.org", i))); err != nil {
			log.Fatal(err)
		}
		sent[<-routes]++
	}
	fmt.Println(sent["large"], "over the large one,", sent["small"], "over the small one")
	// Output: 30 over the large one, 10 over the small one
}
