package sendertest

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// DefaultDNSAddr is where StartDNS listens when it is given no address: 192.0.2.53:53.
func DefaultDNSAddr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 53}), 53)
}

// queryLog is how many questions DNS.Log holds at most.
const queryLog = 10_000

// Query is a question that a DNS was asked.
type Query struct {
	// Name is the name asked for: lower case, no final dot.
	Name string
	// Type is the record type, for example "MX", or "TYPE65" for one without a name here.
	Type string
	// Network is "udp" or "tcp".
	Network string
	// Time is when it came.
	Time time.Time
}

// DNS is a name server that answers as a recursive resolver does and knows nothing but what it was told: names resolve only
// here. Names are not case-sensitive and may be written with a final dot. "*.example.com" is a wildcard. A name without
// records under which others exist has no data; one that does not exist is NXDOMAIN. Both carry an SOA record for negative
// caching (RFC 2308 section 5). Its methods may be called concurrently.
type DNS struct {
	network  *Network
	addr     netip.AddrPort
	listener net.Listener
	packets  *net.UDPConn // nil in memory
	done     chan struct{}
	once     sync.Once
	running  sync.WaitGroup

	mu     sync.Mutex
	zone   zone
	conns  map[net.Conn]struct{}
	counts map[key]int
	log    []Query
}

// StartDNS starts a name server at a virtual address; the zero AddrPort means DefaultDNSAddr. Clients reach it through
// Network.DialContext, and on a TCP network other processes do at Addr. It runs until Close.
func StartDNS(network *Network, addr netip.AddrPort) (*DNS, error) {
	if !addr.IsValid() {
		addr = DefaultDNSAddr()
	}
	l, packets, err := network.listenBoth(addr)
	if err != nil {
		return nil, fmt.Errorf("sendertest: StartDNS: %w", err)
	}
	d := &DNS{
		network: network, addr: addrPort(l.Addr()), listener: l, packets: packets, done: make(chan struct{}),
		zone: newZone(), conns: map[net.Conn]struct{}{}, counts: map[key]int{},
	}
	d.running.Go(d.accept)
	if packets != nil {
		d.running.Go(d.servePackets)
	}
	return d, nil
}

// Addr is the host:port at which the server is asked: for other processes on a TCP network, in memory the virtual address.
func (d *DNS) Addr() string { return realAddr(d.listener) }

// VirtualAddr is the address on the Network.
func (d *DNS) VirtualAddr() netip.AddrPort { return d.addr }

// Queries returns how often name was asked for with a record type ("MX", "A", …), or with any for an empty type.
// An unknown type was never asked for.
func (d *DNS) Queries(name, recordType string) int {
	kind := dnsmessage.Type(0)
	if recordType != "" {
		var err error
		if kind, err = parseType(recordType); err != nil {
			return 0
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[key{fold(name), kind}]
}

// Log returns the last questions, at most 10,000, oldest first.
func (d *DNS) Log() []Query {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.log[max(0, len(d.log)-queryLog):])
}

// Close stops the server and waits for its goroutines. A second Close does nothing.
func (d *DNS) Close() error {
	d.once.Do(func() {
		close(d.done)
		d.listener.Close()
		if d.packets != nil {
			d.network.mu.Lock()
			delete(d.network.packets, d.addr)
			d.network.mu.Unlock()
			d.packets.Close()
		}
		d.mu.Lock()
		for c := range d.conns {
			c.Close()
		}
		d.mu.Unlock()
	})
	d.running.Wait()
	return nil
}

func (d *DNS) accept() {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		select {
		case <-d.done:
			d.mu.Unlock()
			conn.Close()
			return
		default:
		}
		d.conns[conn] = struct{}{}
		d.mu.Unlock()
		d.running.Go(func() {
			d.serveStream(conn)
			conn.Close()
			d.mu.Lock()
			delete(d.conns, conn)
			d.mu.Unlock()
		})
	}
}

// serveStream answers messages with a two-octet length before them (RFC 1035 section 4.2.2), one after the other.
func (d *DNS) serveStream(conn net.Conn) {
	network := conn.RemoteAddr().Network()
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		msg := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, msg); err != nil {
			return
		}
		out := d.respond(msg, network)
		if out == nil {
			continue
		}
		out = append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

func (d *DNS) servePackets() {
	buf := make([]byte, 65535)
	for {
		n, from, err := d.packets.ReadFromUDPAddrPort(buf)
		if err != nil {
			select {
			case <-d.done:
				return
			default:
				continue // Some systems report a client's closed port here.
			}
		}
		if out := d.respond(buf[:n], "udp"); out != nil {
			d.packets.WriteToUDPAddrPort(out, from)
		}
	}
}

// respond answers one message; nil means that it is left without an answer.
func (d *DNS) respond(msg []byte, network string) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(msg)
	if err != nil || header.Response {
		return nil
	}
	response := dnsmessage.Message{Header: dnsmessage.Header{
		ID: header.ID, Response: true, OpCode: header.OpCode, RecursionDesired: header.RecursionDesired, RecursionAvailable: true,
	}}
	question, err := p.Question()
	switch {
	case err != nil:
		response.RCode = dnsmessage.RCodeFormatError
		return pack(response)
	case header.OpCode != 0:
		response.RCode = dnsmessage.RCodeNotImplemented
		return pack(response)
	}
	response.Questions = []dnsmessage.Question{question}
	limit, edns := udpSize(&p)
	if edns {
		response.Additionals = []dnsmessage.Resource{optRecord()}
	}

	a := d.ask(question, network)
	if a.silent {
		return nil
	}
	response.RCode = a.rcode
	for _, r := range a.records {
		response.Answers = append(response.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: mustName(r.name, question), Type: r.kind, Class: dnsmessage.ClassINET, TTL: r.ttl},
			Body:   r.body,
		})
	}
	if last := len(a.records) - 1; a.rcode == dnsmessage.RCodeNameError ||
		a.rcode == dnsmessage.RCodeSuccess && (last < 0 || a.records[last].kind != question.Type && question.Type != dnsmessage.TypeALL) {
		response.Authorities = []dnsmessage.Resource{d.soa(question)}
	}
	out := pack(response)
	if network == "udp" && (a.cut || len(out) > limit) {
		response.Truncated, response.Answers, response.Authorities = true, nil, nil
		out = pack(response)
	}
	return out
}

// ask counts the question and looks the answer up.
func (d *DNS) ask(q dnsmessage.Question, network string) answer {
	name := fold(q.Name.String())
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[key{name, q.Type}]++
	d.counts[key{name, 0}]++
	if len(d.log) >= 2*queryLog {
		d.log = slices.Clone(d.log[queryLog:])
	}
	d.log = append(d.log, Query{Name: name, Type: typeName(q.Type), Network: network, Time: time.Now()})
	if q.Class != dnsmessage.ClassINET && q.Class != dnsmessage.ClassANY {
		return answer{rcode: dnsmessage.RCodeRefused}
	}
	return d.zone.resolve(name, q.Type)
}

// soa is the record that bounds the caching of a negative answer. Its owner is the top-level domain of the question.
func (d *DNS) soa(q dnsmessage.Question) dnsmessage.Resource {
	name := fold(q.Name.String())
	top := mustName(name[strings.LastIndexByte(name, '.')+1:], q)
	d.mu.Lock()
	ttl := d.zone.ttl
	d.mu.Unlock()
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: top, Type: dnsmessage.TypeSOA, Class: dnsmessage.ClassINET, TTL: ttl},
		Body:   &dnsmessage.SOAResource{NS: top, MBox: top, Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, MinTTL: ttl},
	}
}

// udpSize reads how large an answer over UDP may be (RFC 6891 section 6.2.3).
func udpSize(p *dnsmessage.Parser) (size int, edns bool) {
	if p.SkipAllQuestions() != nil || p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return 512, false
	}
	for {
		h, err := p.AdditionalHeader()
		if err != nil {
			return 512, false
		}
		if h.Type == dnsmessage.TypeOPT {
			return max(512, int(h.Class)), true
		}
		if p.SkipAdditional() != nil {
			return 512, false
		}
	}
}

func optRecord() dnsmessage.Resource {
	var h dnsmessage.ResourceHeader
	h.SetEDNS0(1232, dnsmessage.RCodeSuccess, false)
	return dnsmessage.Resource{Header: h, Body: &dnsmessage.OPTResource{}}
}

// pack brings a message into wire form, or returns nil for one that does not fit.
func pack(m dnsmessage.Message) []byte {
	b, err := m.Pack()
	if err != nil || len(b) > 65535 {
		m.Answers, m.Authorities, m.Additionals = nil, nil, nil
		m.RCode = dnsmessage.RCodeServerFailure
		b, _ = m.Pack()
	}
	return b
}

// mustName is the wire form of a name that was checked when it was added. The name of the question keeps its letter case.
func mustName(name string, q dnsmessage.Question) dnsmessage.Name {
	if name == fold(q.Name.String()) {
		return q.Name
	}
	n, err := dnsName(name)
	if err != nil {
		return q.Name
	}
	return n
}

func typeName(kind dnsmessage.Type) string {
	for name, k := range maps.All(typeNames) {
		if k == kind {
			return name
		}
	}
	return fmt.Sprintf("TYPE%d", kind)
}
