package sendertest

import (
	"cmp"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/publicsuffix"

	"github.com/reputemail/repute/bounce"
)

// SourceReport is what a provider thinks of one source address.
type SourceReport struct {
	// Source is the address.
	Source netip.Addr
	// FirstSeen is when it first connected.
	FirstSeen time.Time
	// Allowance is how many recipients it may reach in the present window.
	Allowance int
	// BlockedUntil is the end of its block; zero when it never was blocked.
	BlockedUntil time.Time
	// Recipients is how many it named in all, and Unknown how many of them do not exist.
	Recipients, Unknown int
	// Accepted is how many recipients' mail was accepted.
	Accepted int
	// Deferred is how many negative replies with a 4yz code it was given, and Rejected how many with a 5yz code.
	Deferred, Rejected int
	// Reasons counts those replies by what they were about: RateLimited, ReputationBlock, BadMailbox, AuthFailure,
	// NoReverseDNS and Policy (too many recipients).
	Reasons map[bounce.Category]int
}

// judge is a provider's memory of all sources.
type judge struct {
	voice      personality
	thresholds Thresholds
	dns        *DNS
	trusted    map[netip.Addr]bool
	unknown    func(addr string) bool

	mu      sync.Mutex
	sources map[netip.Addr]*source
}

// source is what is known of one address: its report, and the counters of the present window.
type source struct {
	report      SourceReport
	began       time.Time // of the window
	allowance   float64
	used        int // recipients accepted in the window
	recipients  int // named in the window
	bad         int // unknown or unauthenticated in the window
	turnedAway  int // refused for the rate in the window
	unknownUser int // unknown in the window
}

// script is the judge as a Script of one server.
func (j *judge) script() Script {
	s := Script{
		OnConnect: func(s *Session, _ string) *Answer { return j.onConnect(time.Now(), s) },
		OnMail:    func(s *Session, _ string) *Answer { return j.onMail(time.Now(), s) },
		OnRcpt:    func(s *Session, to string) *Answer { return j.onRcpt(time.Now(), s, to) },
		OnDot:     func(s *Session, _ string) *Answer { return j.onDot(time.Now(), s) },
	}
	if n := j.thresholds.MaxMessages; n > 0 {
		s = Compose(s, CloseAfter(n))
	}
	return s
}

func (j *judge) onConnect(now time.Time, s *Session) *Answer {
	if j.thresholds.RequireReverseDNS && !j.reverse(s.Source()) {
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.refuse(j.source(now, s.Source()), bounce.NoReverseDNS, j.say(j.voice.noPTR, s, ""))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	src := j.source(now, s.Source())
	if j.voice.blockAt == bounce.StageConnect && now.Before(src.report.BlockedUntil) {
		return j.refuse(src, bounce.ReputationBlock, j.say(j.voice.block, s, ""))
	}
	return nil
}

func (j *judge) onMail(now time.Time, s *Session) *Answer {
	j.mu.Lock()
	defer j.mu.Unlock()
	src := j.source(now, s.Source())
	switch {
	case now.Before(src.report.BlockedUntil):
		return j.refuse(src, bounce.ReputationBlock, j.say(j.voice.block, s, ""))
	case j.voice.rateAt == bounce.StageMail && src.used >= int(src.allowance):
		src.turnedAway++
		return j.refuse(src, bounce.RateLimited, j.say(j.voice.rate, s, ""))
	}
	return nil
}

func (j *judge) onRcpt(now time.Time, s *Session, to string) *Answer {
	unknown := j.unknown != nil && j.unknown(to)
	j.mu.Lock()
	defer j.mu.Unlock()
	src := j.source(now, s.Source())
	s.named++
	if limit := j.thresholds.MaxRecipients; limit > 0 && s.named > limit {
		return j.refuse(src, bounce.Policy, Say("452 4.5.3 Too many recipients"))
	}
	src.recipients++
	src.report.Recipients++
	if !unknown {
		return nil
	}
	src.bad++
	src.unknownUser++
	src.report.Unknown++
	if src.recipients >= j.thresholds.MinSample &&
		float64(src.unknownUser) > j.thresholds.MaxUnknownShare*float64(src.recipients) {
		src.report.BlockedUntil = now.Add(j.thresholds.BlockFor)
	}
	return j.refuse(src, bounce.BadMailbox, j.say(j.voice.unknown, s, to))
}

func (j *judge) onDot(now time.Time, s *Session) *Answer {
	domain, signed := "", true
	if !j.thresholds.AllowUnsigned {
		domain, signed = authenticated(s.Received(), j.dns)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	src := j.source(now, s.Source())
	switch {
	case src.used >= int(src.allowance):
		src.turnedAway += len(s.To())
		return j.refuse(src, bounce.RateLimited, j.say(j.voice.rate, s, ""))
	case !signed:
		src.bad += len(s.To())
		return j.refuse(src, bounce.AuthFailure, j.say(strings.ReplaceAll(j.voice.unsigned, "{domain}", domain), s, ""))
	}
	src.used += len(s.To())
	src.report.Accepted += len(s.To())
	return nil
}

// source returns the record of an address with its window brought up to now. j.mu is held.
func (j *judge) source(now time.Time, addr netip.Addr) *source {
	src := j.sources[addr]
	if src == nil {
		allowance := j.thresholds.NewAllowance
		if j.trusted[addr] {
			allowance = j.thresholds.MaxAllowance
		}
		src = &source{began: now, allowance: float64(allowance)}
		src.report = SourceReport{Source: addr, FirstSeen: now, Reasons: map[bounce.Category]int{}}
		j.sources[addr] = src
	}
	if over := now.Sub(src.began) / j.thresholds.Window; over > 0 {
		src.allowance = j.next(src)
		src.began = src.began.Add(over * j.thresholds.Window)
		src.used, src.recipients, src.bad, src.turnedAway, src.unknownUser = 0, 0, 0, 0, 0
	}
	return src
}

// next is the allowance after the window of src. A window is bad when too large a share of it was unknown or unauthenticated,
// or when the sender kept on trying after it was turned away: more often than it was allowed to send.
func (j *judge) next(src *source) float64 {
	t := &j.thresholds
	crowded := float64(src.turnedAway) > src.allowance
	dirty := src.recipients >= t.MinSample && float64(src.bad) > t.MaxUnknownShare*float64(src.recipients)
	switch {
	case crowded || dirty:
		return max(min(src.allowance, float64(t.NewAllowance)), src.allowance/2)
	case float64(src.used) >= src.allowance/2:
		return max(src.allowance, min(src.allowance*t.Growth, float64(t.MaxAllowance)))
	}
	return src.allowance
}

// refuse notes a negative answer. j.mu is held.
func (j *judge) refuse(src *source, reason bounce.Category, a *Answer) *Answer {
	if a.Reply.Code < 500 {
		src.report.Deferred++
	} else {
		src.report.Rejected++
	}
	src.report.Reasons[reason]++
	return a
}

func (j *judge) say(template string, s *Session, rcpt string) *Answer {
	return Say(strings.NewReplacer("{ip}", s.Source().String(), "{rcpt}", rcpt).Replace(template))
}

// reverse reports whether an address has a PTR record whose name has that address (forward-confirmed reverse DNS).
func (j *judge) reverse(addr netip.Addr) bool {
	name, err := reverseName(addr)
	if err != nil {
		return false
	}
	var hosts []string
	j.dns.lookup(name, dnsmessage.TypePTR, func(body dnsmessage.ResourceBody) {
		if ptr, ok := body.(*dnsmessage.PTRResource); ok {
			hosts = append(hosts, ptr.PTR.String())
		}
	})
	confirmed := false
	for _, host := range hosts {
		kind := dnsmessage.TypeA
		if addr.Is6() {
			kind = dnsmessage.TypeAAAA
		}
		j.dns.lookup(host, kind, func(body dnsmessage.ResourceBody) {
			switch body := body.(type) {
			case *dnsmessage.AResource:
				confirmed = confirmed || netip.AddrFrom4(body.A) == addr
			case *dnsmessage.AAAAResource:
				confirmed = confirmed || netip.AddrFrom16(body.AAAA) == addr
			}
		})
	}
	return confirmed
}

// reports returns a copy of what is known, ordered by address.
func (j *judge) reports(now time.Time) []SourceReport {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []SourceReport
	for addr := range j.sources {
		src := j.source(now, addr)
		r := src.report
		r.Allowance = int(src.allowance)
		r.Reasons = make(map[bounce.Category]int, len(src.report.Reasons))
		for reason, n := range src.report.Reasons {
			r.Reasons[reason] = n
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b SourceReport) int { return cmp.Or(a.Source.Compare(b.Source), 0) })
	return all
}

// authenticated returns the domain of From and whether a valid DKIM signature is aligned with it: both have the same
// organisational domain.
func authenticated(r Received, dns *DNS) (domain string, ok bool) {
	from := r.Header("From")
	if len(from) != 1 {
		return "", false
	}
	addr, err := mail.ParseAddress(from[0])
	if err != nil {
		return "", false
	}
	_, domain, _ = splitAddress(addr.Address)
	signatures, err := r.VerifyDKIM(dns)
	if err != nil {
		return domain, false
	}
	for _, s := range signatures {
		if s.Err == nil && organisation(s.Domain) == organisation(domain) {
			return domain, true
		}
	}
	return domain, false
}

// organisation is the organisational domain by the public suffix list, or the domain itself where that has no answer.
func organisation(domain string) string {
	domain = fold(domain)
	if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return org
	}
	return domain
}
