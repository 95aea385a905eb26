package throttle_test

import (
	"fmt"
	"os"
	"time"

	"github.com/reputemail/repute/throttle"
)

// Providers, exceptions and reactions from files, checked as they are loaded.
func ExampleNewReactions() {
	var config throttle.TableConfig
	var reactions throttle.ReactionsConfig
	for _, load := range []struct {
		file string
		read func([]byte) error
	}{
		{"testdata/providers.json", func(b []byte) (err error) { config.Providers, err = throttle.ParseProviders(b); return err }},
		{"testdata/exceptions.json", func(b []byte) (err error) { config.Exceptions, err = throttle.ParseExceptions(b); return err }},
		{"testdata/reactions.json", func(b []byte) (err error) { reactions.Reactions, err = throttle.ParseReactions(b); return err }},
	} {
		data, err := os.ReadFile(load.file)
		if err == nil {
			err = load.read(data)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	table, err := throttle.NewTable(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	reactions.Table = table
	r, err := throttle.NewReactions(reactions)
	if err != nil {
		fmt.Println(err)
		return
	}
	provider := table.Provider("school.example", []string{"mx1.hoster.example", "mx2.hoster.example"})
	limits := table.DomainLimits(provider, "school.example")
	fmt.Println(provider, limits.Connections, limits.MessageRate)
	if to := r.Match(provider, 451, "HS-17: too much from 192.0.2.1"); to != nil {
		fmt.Println(to.Name, to.Trigger, to.Suspend, to.For)
	}
	// Output:
	// hoster 1 30/m
	// hoster/later 2/h true 24h0m0s
}

func ExampleNewReactions_refused() {
	_, err := throttle.NewReactions(throttle.ReactionsConfig{Reactions: []throttle.Reaction{{
		Name:      "gmail/slow",
		Providers: []string{"gmail"}, // the table calls it google
		Any:       []string{"unusual rate"},
		Suspend:   true,
		For:       time.Hour,
		Match:     []string{"421 4.7.28 an unusual rate of mail"},
		Miss:      []string{"421 4.7.0 try again later"},
	}}})
	fmt.Println(err)
	// Output:
	// throttle: reaction "gmail/slow": Providers: "gmail" can never match: it is neither a provider of the table nor a domain
}

func ExampleReactions_Match() {
	reactions, err := throttle.NewReactions(throttle.ReactionsConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, provider := range []string{"yahoo", "hoster.example"} {
		r := reactions.Match(provider, 421, "[TSS05] Mail from 192.0.2.1 is temporarily deferred")
		switch {
		case r.Suspend:
			fmt.Println(r.Name+": after", r.Trigger, "stop for", r.For)
		default:
			fmt.Println(r.Name+": after", r.Trigger, "for", r.For, "at most", r.MessageRate, "over", r.Connections, "connection")
		}
	}
	fmt.Println(reactions.Match("yahoo", 554, "delivery error: no such account"))
	// Output:
	// yahoo/tss05: after 2/h stop for 4h0m0s
	// any/rate-limited: after 3/h for 1h30m0s at most 1/m over 1 connection
	// <nil>
}

func ExampleDomainPath() {
	table, err := throttle.NewTable(throttle.TableConfig{Exceptions: []throttle.Exception{{
		Domain: "school.example",
		Limits: throttle.Limits{Connections: 1},
		Source: "its postmaster asked for it",
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	provider := table.Provider("school.example", []string{"aspmx.l.google.com"})
	own := throttle.DomainPath("mta1", "school.example")
	fmt.Println(provider, table.Limits(provider).Connections)
	fmt.Println(own, table.Limits(own.Provider).Connections)
	// Output:
	// google 5
	// mta1/@school.example 1
}
