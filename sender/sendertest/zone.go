package sendertest

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// record is one resource record without its owner.
type record struct {
	kind dnsmessage.Type
	body dnsmessage.ResourceBody
	ttl  uint32
}

// trouble is a way in which a name fails.
type trouble string

// The troubles.
const (
	servFail trouble = "servfail"
	refused  trouble = "refused"
	silence  trouble = "timeout"
	truncate trouble = "truncate"
)

// key is a name and a record type; type 0 stands for all.
type key struct {
	name string
	kind dnsmessage.Type
}

// zone is the data of a DNS: everything it knows, under one lock of its owner.
type zone struct {
	ttl      uint32
	records  map[string][]record
	exists   map[string]bool // names that have records or are above such a name
	troubles map[key]trouble
}

func newZone() zone {
	return zone{ttl: 300, records: map[string][]record{}, exists: map[string]bool{}, troubles: map[key]trouble{}}
}

// add adds a record.
func (z *zone) add(name string, kind dnsmessage.Type, body dnsmessage.ResourceBody) {
	name = fold(name)
	z.records[name] = append(z.records[name], record{kind: kind, body: body, ttl: z.ttl})
	z.mark(name)
}

// mark notes that a name and all names above it exist (RFC 8020).
func (z *zone) mark(name string) {
	for more := true; more; _, name, more = strings.Cut(name, ".") {
		z.exists[name] = true
	}
}

// remove takes all records of a name away.
func (z *zone) remove(name string) {
	delete(z.records, fold(name))
	clear(z.exists)
	for n := range maps.Keys(z.records) {
		z.mark(n)
	}
}

// find returns the records of a name, or of the wildcard that covers it (RFC 4592 section 3.3.1).
func (z *zone) find(name string) (records []record, exists bool) {
	if z.exists[name] {
		return z.records[name], true
	}
	for _, above, ok := strings.Cut(name, "."); ok; _, above, ok = strings.Cut(above, ".") {
		if r, ok := z.records["*."+above]; ok {
			return r, true
		}
		if z.exists[above] {
			break
		}
	}
	return nil, false
}

// troubleOf returns what is wrong with a question, or "".
func (z *zone) troubleOf(name string, kind dnsmessage.Type) trouble {
	for _, k := range []key{{name, kind}, {name, 0}, {"", kind}, {"", 0}} {
		if t := z.troubles[k]; t != "" {
			return t
		}
	}
	return ""
}

// answer is what a recursive resolver would say to a question.
type answer struct {
	rcode   dnsmessage.RCode
	records []owned
	silent  bool // says nothing at all
	cut     bool // over UDP: truncated
}

// owned is a record with its owner.
type owned struct {
	name string
	record
}

// resolve answers a question: it follows CNAMEs (RFC 1034 section 5.2.2), and its code is that of the last name in the chain
// (RFC 6604 section 3).
func (z *zone) resolve(name string, kind dnsmessage.Type) answer {
	var a answer
	seen := map[string]bool{}
	for {
		switch z.troubleOf(name, kind) {
		case servFail:
			return answer{rcode: dnsmessage.RCodeServerFailure}
		case refused:
			return answer{rcode: dnsmessage.RCodeRefused}
		case silence:
			return answer{silent: true}
		case truncate:
			a.cut = true
		}
		if seen[name] {
			return answer{rcode: dnsmessage.RCodeServerFailure}
		}
		seen[name] = true
		records, exists := z.find(name)
		if !exists {
			a.rcode = dnsmessage.RCodeNameError
			return a
		}
		next := ""
		for _, r := range records {
			if r.kind == kind || kind == dnsmessage.TypeALL {
				a.records = append(a.records, owned{name, r})
			} else if target, ok := r.body.(*dnsmessage.CNAMEResource); ok {
				a.records = append(a.records, owned{name, r})
				next = fold(target.CNAME.String())
			}
		}
		if next == "" {
			return a
		}
		name = next
	}
}

// AddMX adds a mail exchanger of domain (RFC 5321 section 5.1). Its address has to be added too.
func (d *DNS) AddMX(domain string, preference uint16, host string) error {
	mx, err := dnsName(host)
	if err != nil {
		return err
	}
	return d.add(domain, dnsmessage.TypeMX, &dnsmessage.MXResource{Pref: preference, MX: mx})
}

// AddNullMX says that domain takes no mail (RFC 7505).
func (d *DNS) AddNullMX(domain string) error { return d.AddMX(domain, 0, ".") }

// AddAddr adds an A or AAAA record, whichever fits.
func (d *DNS) AddAddr(host string, addr netip.Addr) error {
	switch addr = addr.Unmap(); {
	case addr.Is4():
		return d.add(host, dnsmessage.TypeA, &dnsmessage.AResource{A: addr.As4()})
	case addr.Is6():
		return d.add(host, dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: addr.As16()})
	}
	return fmt.Errorf("sendertest: DNS: %s has no address", host)
}

// AddA adds an A record. addr must be an IPv4 address.
func (d *DNS) AddA(host string, addr netip.Addr) error {
	if !addr.Unmap().Is4() {
		return fmt.Errorf("sendertest: DNS: A record of %s: %s is no IPv4 address", host, addr)
	}
	return d.AddAddr(host, addr)
}

// AddAAAA adds an AAAA record. addr must be an IPv6 address.
func (d *DNS) AddAAAA(host string, addr netip.Addr) error {
	if addr = addr.Unmap(); !addr.Is6() {
		return fmt.Errorf("sendertest: DNS: AAAA record of %s: %s is no IPv6 address", host, addr)
	}
	return d.AddAddr(host, addr)
}

// AddTXT adds one TXT record. The texts are put together and split into strings of at most 255 octets (RFC 1035 section
// 3.3.14), which readers put together again.
func (d *DNS) AddTXT(name string, texts ...string) error {
	text := strings.Join(texts, "")
	var parts []string
	for len(text) > 255 {
		parts, text = append(parts, text[:255]), text[255:]
	}
	return d.add(name, dnsmessage.TypeTXT, &dnsmessage.TXTResource{TXT: append(parts, text)})
}

// AddPTR names an address, under in-addr.arpa or ip6.arpa.
func (d *DNS) AddPTR(addr netip.Addr, host string) error {
	ptr, err := dnsName(host)
	if err != nil {
		return err
	}
	name, err := reverseName(addr)
	if err != nil {
		return err
	}
	return d.add(name, dnsmessage.TypePTR, &dnsmessage.PTRResource{PTR: ptr})
}

// AddCNAME makes name an alias of target. Answers hold the alias and the records of the target.
func (d *DNS) AddCNAME(name, target string) error {
	cname, err := dnsName(target)
	if err != nil {
		return err
	}
	return d.add(name, dnsmessage.TypeCNAME, &dnsmessage.CNAMEResource{CNAME: cname})
}

// Remove takes all records of a name away.
func (d *DNS) Remove(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.zone.remove(name)
}

// SetTTL sets the time to live of records added from now on, and of negative answers. Fractions of a second are cut off.
// It is 5 minutes at first.
func (d *DNS) SetTTL(ttl time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.zone.ttl = uint32(max(ttl, 0) / time.Second)
}

// SetServFail lets questions for name fail with SERVFAIL: those for the given types ("MX", "A", …), or all without any.
// The name "." stands for every name. Only one of SetServFail, SetRefused, SetTimeout and SetTruncate holds at a time.
func (d *DNS) SetServFail(name string, types ...string) error {
	return d.trouble(servFail, name, types)
}

// SetRefused is SetServFail with REFUSED.
func (d *DNS) SetRefused(name string, types ...string) error { return d.trouble(refused, name, types) }

// SetTimeout is SetServFail with no answer at all.
func (d *DNS) SetTimeout(name string, types ...string) error { return d.trouble(silence, name, types) }

// SetTruncate cuts answers over UDP, also over what stands for it in memory, to an empty message with the TC bit, so that
// the client has to ask again over TCP (RFC 1035 section 4.2.1).
func (d *DNS) SetTruncate(name string, types ...string) error {
	return d.trouble(truncate, name, types)
}

// Heal undoes SetServFail, SetRefused, SetTimeout and SetTruncate for name and all types.
func (d *DNS) Heal(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.zone.troubles, func(k key, _ trouble) bool { return k.name == fold(name) })
}

// LookupTXT returns the texts of name from the server's data, without asking over the network and without counting. It has
// the signature that DKIM verifiers want. The error is a *net.DNSError.
func (d *DNS) LookupTXT(name string) ([]string, error) {
	var texts []string
	err := d.lookup(name, dnsmessage.TypeTXT, func(body dnsmessage.ResourceBody) {
		if txt, ok := body.(*dnsmessage.TXTResource); ok {
			texts = append(texts, strings.Join(txt.TXT, ""))
		}
	})
	return texts, err
}

// lookup calls f for each record of a question. The error is that of the net package: not found, or temporary.
func (d *DNS) lookup(name string, kind dnsmessage.Type, f func(dnsmessage.ResourceBody)) error {
	d.mu.Lock()
	a := d.zone.resolve(fold(name), kind)
	d.mu.Unlock()
	found := false
	for _, r := range a.records {
		if r.kind == kind {
			found = true
			f(r.body)
		}
	}
	switch {
	case a.silent:
		return &net.DNSError{Err: "i/o timeout", Name: name, IsTimeout: true, IsTemporary: true}
	case a.rcode == dnsmessage.RCodeServerFailure || a.rcode == dnsmessage.RCodeRefused:
		return &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	case !found:
		return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return nil
}

func (d *DNS) add(name string, kind dnsmessage.Type, body dnsmessage.ResourceBody) error {
	if _, err := dnsName(name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.zone.add(name, kind, body)
	return nil
}

func (d *DNS) trouble(t trouble, name string, types []string) error {
	kinds := []dnsmessage.Type{0}
	if len(types) > 0 {
		kinds = nil
	}
	for _, text := range types {
		kind, err := parseType(text)
		if err != nil {
			return err
		}
		kinds = append(kinds, kind)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, kind := range kinds {
		d.zone.troubles[key{fold(name), kind}] = t
	}
	return nil
}

// typeNames are the record types that questions are counted by.
var typeNames = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "MX": dnsmessage.TypeMX, "TXT": dnsmessage.TypeTXT,
	"PTR": dnsmessage.TypePTR, "CNAME": dnsmessage.TypeCNAME, "NS": dnsmessage.TypeNS, "SOA": dnsmessage.TypeSOA,
	"SRV": dnsmessage.TypeSRV, "TLSA": 52, "ANY": dnsmessage.TypeALL,
}

func parseType(name string) (dnsmessage.Type, error) {
	kind, ok := typeNames[strings.ToUpper(name)]
	if !ok {
		return 0, fmt.Errorf("sendertest: DNS: unknown record type %q, know %q", name, slices.Sorted(maps.Keys(typeNames)))
	}
	return kind, nil
}

// fold brings a name into the form in which names are compared: lower case, no final dot.
func fold(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// dnsName checks a name (RFC 1035 section 2.3.4) and brings it into wire form.
func dnsName(name string) (dnsmessage.Name, error) {
	name = fold(name) + "."
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if len(label) > 63 || label == "" && name != "." {
			return dnsmessage.Name{}, fmt.Errorf("sendertest: DNS: malformed name %q", name)
		}
	}
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return dnsmessage.Name{}, fmt.Errorf("sendertest: DNS: name %q: %w", name, err)
	}
	return n, nil
}

// reverseName is the name under which an address has its PTR record (RFC 1035 section 3.5, RFC 3596 section 2.5).
func reverseName(addr netip.Addr) (string, error) {
	addr = addr.Unmap()
	if !addr.IsValid() {
		return "", errors.New("sendertest: DNS: PTR record without an address")
	}
	var b strings.Builder
	octets := addr.AsSlice()
	for _, octet := range slices.Backward(octets) {
		if addr.Is4() {
			fmt.Fprintf(&b, "%d.", octet)
		} else {
			fmt.Fprintf(&b, "%x.%x.", octet&15, octet>>4)
		}
	}
	if addr.Is4() {
		return b.String() + "in-addr.arpa", nil
	}
	return b.String() + "ip6.arpa", nil
}
