package dnsx

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// exchange asks the servers in turn and returns the first usable answer: one with RCODE 0 or 3 that is not a lame referral.
// The error is the context's, or a Temporary *Error with the last cause.
func (c *Client) exchange(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	var last error
	var server string
	for range c.cfg.Attempts {
		for _, server = range c.cfg.Servers {
			msg, err := c.try(ctx, server, name, qtype)
			if err == nil {
				return msg, nil
			}
			if err := ended(ctx); err != nil {
				return nil, err
			}
			last = err
		}
	}
	return nil, &Error{Kind: Temporary, Name: display(name), Type: dns.TypeToString[qtype], Server: server, Err: last}
}

// ended is the error of a context that has ended. A connection's deadline can pass a moment before that of the context it came from.
func ended(ctx context.Context) error {
	if d, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// try asks one server once, with its time-out.
func (c *Client) try(ctx context.Context, server, name string, qtype uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()

	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.SetEdns0(udpSize, false)
	msg, err := c.ask(ctx, "udp", server, q)
	if err == nil && noEDNS(msg) {
		// RFC 6891 section 7: ask again without the OPT record.
		q.Extra = nil
		q.Id = dns.Id()
		msg, err = c.ask(ctx, "udp", server, q)
	}
	if err == nil && msg.Truncated {
		q.Id = dns.Id()
		if msg, err = c.ask(ctx, "tcp", server, q); err == nil && msg.Truncated {
			err = errTruncated // RFC 2181 section 9: what is there must not be used, least of all that there is nothing
		}
	}
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			err = errTimeout
		}
		return nil, err
	}
	switch msg.Rcode {
	case dns.RcodeSuccess:
		if len(msg.Answer) == 0 && !msg.Authoritative && !msg.RecursionAvailable && soaTTL(msg) == 0 {
			return nil, errLame
		}
		return msg, nil
	case dns.RcodeNameError:
		return msg, nil
	}
	if s, ok := dns.RcodeToString[msg.Rcode]; ok {
		return nil, errText(s)
	}
	return nil, fmt.Errorf("RCODE %d", msg.Rcode)
}

// noEDNS reports whether the server may have failed for not knowing EDNS0 (RFC 6891 section 7).
func noEDNS(msg *dns.Msg) bool {
	switch msg.Rcode {
	case dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeBadVers:
		return true
	}
	return false
}

// ask sends q over one connection and waits for its answer. A truncated answer comes back with Truncated set, however malformed.
func (c *Client) ask(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	raw, err := c.cfg.Dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	if d, ok := ctx.Deadline(); ok {
		if err := raw.SetDeadline(d); err != nil {
			return nil, err
		}
	}
	// A cancelled context ends a read or write that is under way.
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	_, packets := raw.(net.PacketConn)
	conn := &dns.Conn{Conn: raw, UDPSize: udpSize}
	if err := conn.WriteMsg(q); err != nil {
		return nil, err
	}
	for range maxStray {
		var hdr dns.Header
		wire, err := conn.ReadMsgHeader(&hdr)
		if err != nil && !(packets && errors.Is(err, dns.ErrShortRead)) {
			return nil, err
		}
		if err == nil {
			var msg *dns.Msg
			if msg, err = open(wire, hdr, q); err == nil {
				return msg, nil
			}
		}
		if !packets {
			return nil, err
		}
	}
	return nil, errMismatch
}

// Header bits of RFC 1035 section 4.1.1.
const (
	bitResponse  = 1 << 15
	bitTruncated = 1 << 9
)

// open decodes an answer to q, or says why it is none.
func open(wire []byte, hdr dns.Header, q *dns.Msg) (*dns.Msg, error) {
	if hdr.Id != q.Id || hdr.Bits&bitResponse == 0 {
		return nil, errMismatch
	}
	if hdr.Qdcount > 1 {
		return nil, errMismatch
	}
	cut(wire, hdr)
	msg := new(dns.Msg)
	if err := msg.Unpack(wire); err != nil {
		if hdr.Bits&bitTruncated == 0 {
			return nil, errShort
		}
		return &dns.Msg{MsgHdr: dns.MsgHdr{Id: hdr.Id, Response: true, Truncated: true}}, nil
	}
	if len(msg.Question) == 0 && msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError {
		return msg, nil // some servers leave the question out of FORMERR and NOTIMP
	}
	if len(msg.Question) != 1 || msg.Question[0].Qtype != q.Question[0].Qtype || msg.Question[0].Qclass != q.Question[0].Qclass ||
		!strings.EqualFold(msg.Question[0].Name, q.Question[0].Name) {
		return nil, errMismatch
	}
	return msg, nil
}

// maxDecoded is how many records of an answer are decoded. 64 KiB may hold four thousand, which with names of 255 octets, each
// written as \DDD, become several megabytes.
const maxDecoded = 512

// cut lets an answer say that it has no more than maxDecoded records: the first ones.
func cut(wire []byte, hdr dns.Header) {
	left := uint16(maxDecoded)
	for i, n := range []uint16{hdr.Ancount, hdr.Nscount, hdr.Arcount} {
		if n > left {
			n, left = left, 0 // what comes behind would be read out of step
		} else {
			left -= n
		}
		binary.BigEndian.PutUint16(wire[6+2*i:], n) // RFC 1035 section 4.1.1
	}
}

// lookup asks for records of one type and follows aliases. The records are those of the last name of the chain.
func (c *Client) lookup(ctx context.Context, name string, qtype uint16) ([]dns.RR, time.Duration, error) {
	fail := func(kind Kind, ttl time.Duration, cause error) error {
		return &Error{Kind: kind, Name: display(name), Type: dns.TypeToString[qtype], TTL: ttl, Err: cause}
	}
	owner, ok := absolute(name)
	if !ok {
		return nil, 0, fail(Invalid, 0, nil)
	}
	ttl := uint32(maxTTL)
	links := 0
	for {
		msg, err := c.exchange(ctx, owner, qtype)
		if err != nil {
			return nil, 0, err
		}
		asked := owner
		for links <= maxChain {
			cname := alias(msg.Answer, owner)
			if cname == nil || qtype == dns.TypeCNAME {
				break
			}
			links++
			owner = dns.CanonicalName(cname.Target)
			ttl = min(ttl, cname.Hdr.Ttl)
		}
		if links > maxChain {
			return nil, 0, fail(Temporary, 0, errChain)
		}
		negative := time.Duration(min(ttl, soaTTL(msg))) * time.Second
		if msg.Rcode == dns.RcodeNameError {
			return nil, 0, fail(NXDomain, negative, nil) // of the last name of the chain: RFC 6604 section 3
		}
		var found []dns.RR
		for _, rr := range msg.Answer {
			if h := rr.Header(); h.Rrtype == qtype && h.Class == dns.ClassINET && strings.EqualFold(h.Name, owner) {
				found = append(found, rr)
				ttl = min(ttl, h.Ttl)
			}
		}
		if len(found) > 0 {
			return found, time.Duration(ttl) * time.Second, nil
		}
		if owner == asked || soaTTL(msg) > 0 {
			return nil, 0, fail(NoData, negative, nil)
		}
		// The server gave the alias without what it stands for.
	}
}

// alias is the CNAME record of owner, or nil.
func alias(answer []dns.RR, owner string) *dns.CNAME {
	for _, rr := range answer {
		if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, owner) {
			return c
		}
	}
	return nil
}

// soaTTL is for how many seconds a negative answer may be kept (RFC 2308 section 5), or 0 when there is no SOA record.
func soaTTL(msg *dns.Msg) uint32 {
	for _, rr := range msg.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(soa.Hdr.Ttl, soa.Minttl)
		}
	}
	return 0
}

// absolute is name with its final dot in lower case, and whether it can be asked for.
func absolute(name string) (string, bool) {
	if name == "" || name == "." || strings.HasSuffix(name, "..") {
		return "", false
	}
	if _, ok := dns.IsDomainName(name); !ok {
		return "", false
	}
	return dns.CanonicalName(name), true
}

// display is a name as the other packages write it: lower case, no final dot; empty for the root.
func display(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
