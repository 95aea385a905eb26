package sender

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// Filter says which waiting mail an operator's order is about: that for which all of its conditions hold. One without any is refused, unless All is set, and so is one that
// names a stream or route that neither the configuration nor mail in the queue has, or a provider that no destination can have.
//
// New mail that waits for a route that is suspended is bound to no route: what moves it is a Filter of the Streams that use the route's pool, or, for a path, of these Streams and
// its Provider. Route finds only what has to be tried again over the route.
type Filter struct {
	// All is all that waits. It goes with no other condition.
	All bool `json:"all,omitempty"`
	// Streams are names of streams; one of them. Those of streams that the configuration does not have any more will do, while there is mail of them.
	Streams []string `json:"streams,omitempty"`
	// Destinations are recipients' domains; one of them.
	Destinations []string `json:"destinations,omitempty"`
	// Providers are providers of the destinations, as in a Path; one of them.
	Providers []string `json:"providers,omitempty"`
	// Route is a route over which the mail has to be tried again. Mail that may take any route is bound to none, even if only this one would take it now.
	Route string `json:"route,omitempty"`
	// MessageIDs are the messages; one of them. At most 10,000.
	MessageIDs []string `json:"message_ids,omitempty"`
	// CreatedBefore is the time at which, or before which, the mail was accepted. Mail that is accepted after the order was given is never part of it.
	CreatedBefore time.Time `json:"created_before,omitzero"`
}

// Result is how much mail an order was about.
type Result struct {
	// Done counts the deliveries with which it was done.
	Done int `json:"done"`
	// InFlight counts those that were left alone, since they are being attempted, or leased to another process that shares the queue: about as many as there were
	// when the order ended. They may be waiting again a moment later: give the order again then. Where lanes are looked through (no MessageIDs), it counts whatever is in
	// flight in them, however old.
	InFlight int `json:"in_flight"`
	// Unresolved counts the destinations whose mail was left alone, since their provider could not be found out. Only with Filter.Providers.
	Unresolved int `json:"unresolved,omitempty"`
}

// maxFilter is how many values a condition may have.
const maxFilter = 10_000

// check refuses a filter that is malformed, and brings domains into the form that lanes have.
func (f *Filter) check() error {
	some := len(f.Streams)+len(f.Destinations)+len(f.Providers)+len(f.MessageIDs) > 0 || f.Route != "" || !f.CreatedBefore.IsZero()
	if some == f.All {
		if some {
			return badOrder("Filter.All", "goes with no other condition")
		}
		return badOrder("Filter", "has no condition; all mail is meant with All only")
	}
	for _, list := range []struct {
		field  string
		values []string
	}{{"Streams", f.Streams}, {"Destinations", f.Destinations}, {"Providers", f.Providers}, {"MessageIDs", f.MessageIDs}} {
		if len(list.values) > maxFilter {
			return badOrder("Filter."+list.field, "has %d values, more than %d", len(list.values), maxFilter)
		}
		for i, v := range list.values {
			field := "Filter." + list.field + "[" + strconv.Itoa(i) + "]"
			if v == "" {
				return badOrder(field, "is empty")
			}
			if err := checkText(field, v, maxTarget); err != nil {
				return err
			}
		}
	}
	if err := checkText("Filter.Route", f.Route, maxTarget); err != nil {
		return err
	}
	domains := make([]string, len(f.Destinations))
	for i, d := range f.Destinations {
		var err error
		if domains[i], err = normalDomain(d); err != nil {
			return badOrder("Filter.Destinations["+strconv.Itoa(i)+"]", "%v", err)
		}
	}
	f.Streams, f.Destinations, f.Providers, f.MessageIDs = slices.Clone(f.Streams), domains, slices.Clone(f.Providers), slices.Clone(f.MessageIDs)
	slices.Sort(f.MessageIDs)
	f.MessageIDs = slices.Compact(f.MessageIDs)
	return nil
}

// hasLane reports whether mail of a lane may be meant: all that its name tells fits.
func (f *Filter) hasLane(key queue.Lane) bool {
	if f.Route != "" {
		if route, _, _ := splitLaneRoute(key.Route); route != f.Route {
			return false
		}
	}
	return among(f.Streams, key.Stream) && among(f.Destinations, key.Domain)
}

// among reports whether a value is one of a list, or the list asks for nothing.
func among(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }

// checkNames refuses a filter that names what can match nothing: a provider that no destination has, a stream or route of which neither the configuration nor the queue knows.
func (s *Sender) checkNames(ctx context.Context, f *Filter) error {
	for i, p := range f.Providers {
		if err := s.checkProvider("Filter.Providers["+strconv.Itoa(i)+"]", p); err != nil {
			return err
		}
	}
	known := func(name string) bool {
		return slices.ContainsFunc(s.streams, func(st *stream) bool { return st.Name == name })
	}
	strange := slices.ContainsFunc(f.Streams, func(name string) bool { return !known(name) })
	if !strange && (f.Route == "" || s.routes[f.Route] != nil) {
		return nil
	}
	lanes, err := s.cfg.Queue.Lanes(ctx) // mail may be older than the configuration
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("sender: queue: %w", err)
	}
	for i, name := range f.Streams {
		if !known(name) && !slices.ContainsFunc(lanes, func(l queue.LaneStatus) bool { return l.Lane.Stream == name }) {
			return badOrder("Filter.Streams["+strconv.Itoa(i)+"]", "there is no stream %q, nor mail of one", name)
		}
	}
	of := func(l queue.LaneStatus) bool { route, _, _ := splitLaneRoute(l.Lane.Route); return route == f.Route }
	if f.Route != "" && s.routes[f.Route] == nil && !slices.ContainsFunc(lanes, of) {
		return badOrder("Filter.Route", "there is no route %q, nor mail that has to be tried again over one", f.Route)
	}
	return nil
}
