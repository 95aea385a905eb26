package throttle_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/reputemail/repute/throttle"
)

func ExampleTable_Provider() {
	table, err := throttle.NewTable(throttle.TableConfig{Providers: []throttle.Provider{{
		Name:   "hoster",
		MX:     []string{"hoster.example"},
		Limits: throttle.Limits{Connections: 3, MessageRate: throttle.Rate{N: 20, Per: time.Second}},
		Source: "their postmaster page",
		Date:   "2026-03-01",
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, mx := range [][]string{
		{"aspmx.l.google.com", "alt1.aspmx.l.google.com"},
		{"mx1.hoster.example"},
		{"a.mx.example.net", "b.mx.example.net"},
		{"aspmx.l.google.com", "mail.example.com"},
	} {
		provider := table.Provider("example.com", mx)
		limits := table.Limits(provider)
		fmt.Println(provider, limits.Connections, limits.MessageRate)
	}
	// Output:
	// google 5 100/s
	// hoster 3 20/s
	// example.net 10 100/s
	// example.com+google 5 100/s
}

func ExampleLimiter() {
	limiter, err := throttle.New(throttle.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	path := throttle.Path{Route: "mta1", Provider: "google"}

	if d := limiter.AcquireAt(now, path, throttle.TokenConnection); d.OK {
		fmt.Println("connect, at most", d.Limits.MessagesPerConnection, "messages")
	}
	if d := limiter.AcquireAt(now, path, throttle.TokenMessage); d.OK {
		fmt.Println("send")
	}
	// The receiver answers 421 4.7.28: it wants less. What was under way is finished and the connection closed.
	limiter.ObserveAt(now, path, throttle.Signal{Kind: throttle.SignalRateLimited})
	limiter.ReleaseAt(now, path, throttle.TokenConnection)

	d := limiter.AcquireAt(now.Add(time.Minute), path, throttle.TokenConnection)
	fmt.Println("refused:", d.Reason, "until", d.Until.Format(time.TimeOnly))
	d = limiter.AcquireAt(d.Until, path, throttle.TokenConnection)
	fmt.Println("again:", d.OK, "with", d.Limits.Connections, "connection")
	// Output:
	// connect, at most 50 messages
	// send
	// refused: backoff until 12:10:00
	// again: true with 1 connection
}

func ExampleLimiter_ObserveAt() {
	limiter, err := throttle.New(throttle.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	path := throttle.Path{Route: "mta1", Provider: "google"}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	show := func() {
		s := limiter.StateAt(now, path)
		fmt.Println(now.Format(time.TimeOnly), s.Phase, s.Limits.Connections)
	}
	limiter.ObserveAt(now, path, throttle.Signal{Kind: throttle.SignalRateLimited})
	show()
	now = now.Add(10 * time.Minute)
	for range 4 {
		show()
		limiter.ObserveAt(now, path, throttle.Signal{Kind: throttle.SignalSuccess})
		now = now.Add(time.Second)
	}
	show()
	// Output:
	// 12:00:00 stopped 1
	// 12:10:00 ramping 1
	// 12:10:01 ramping 2
	// 12:10:02 ramping 3
	// 12:10:03 ramping 4
	// 12:10:04 open 5
}

func ExampleLimiter_StatesAt() {
	limiter, err := throttle.New(throttle.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	limiter.AcquireAt(now, throttle.Path{"mta1", "google"}, throttle.TokenConnection)
	limiter.ObserveAt(now, throttle.Path{"mta1", "yahoo"}, throttle.Signal{Kind: throttle.SignalRateLimited, RetryAfter: time.Hour})
	for _, s := range limiter.StatesAt(now) {
		fmt.Println(s.Route, s.Provider, s.Phase, s.Reason, s.Open)
	}
	// Output:
	// mta1 google open  1
	// mta1 yahoo stopped backoff 0
}

func ExampleParseProviders() {
	providers, err := throttle.ParseProviders([]byte(`[{
		"name": "hoster", "mx": ["hoster.example"],
		"limits": {"connections": 3, "message_rate": "500/h", "connect_rate": ""},
		"source": "their postmaster page", "date": "2026-03-01"
	}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := json.Marshal(providers[0].Limits)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(data))
	providers[0].MX[0] = "Hoster.example"
	_, err = throttle.NewTable(throttle.TableConfig{Providers: providers})
	fmt.Println(err)
	// Output:
	// {"connections":3,"messages_per_connection":100,"recipients":100,"message_rate":"500/h","connect_rate":"","idle_timeout":"1m0s","tls":"opportunistic"}
	// throttle: provider "hoster": MX: "Hoster.example" can never match: host names here are lower case, A-labels and without a final dot: write "hoster.example"
}

func ExampleParseRate() {
	for _, text := range []string{"100/s", "500/h", "10/90s", "", "0/s"} {
		rate, err := throttle.ParseRate(text)
		fmt.Printf("%d %v %v\n", rate.N, rate.Per, err)
	}
	// Output:
	// 100 1s <nil>
	// 500 1h0m0s <nil>
	// 10 1m30s <nil>
	// 0 0s <nil>
	// 0 0s throttle: rate "0/s": 0 per 1s: want 1 to 1000000000, or the zero Rate for unlimited
}
