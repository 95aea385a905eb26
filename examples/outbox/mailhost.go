package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/reputemail/repute/sender/sendertest"
)

// mailHost is where the customers get their mail: one inside this program, which counts, or any other.
type mailHost struct {
	addr  string
	own   bool
	close func()

	mu      sync.Mutex
	arrived map[int64][]int // by order: the lives of the shop that sent a copy
	strange int             // messages that are no confirmation
}

// Taking a message takes the program's own mail host a while, so that a kill finds something in flight.
const takes = 25 * time.Millisecond

// openMailHost looks whether the one at addr answers, or starts one.
func openMailHost(ctx context.Context, addr string) (*mailHost, error) {
	h := &mailHost{addr: addr, close: func() {}, arrived: map[int64][]int{}}
	if addr != "" {
		conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("-addr: %w", err)
		}
		conn.Close()
		return h, nil
	}
	inbox, err := sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepCount, OnMessage: h.take})
	if err != nil {
		return nil, err
	}
	network := sendertest.NewTCPNetwork()
	server, err := sendertest.StartServer(network, sendertest.ServerConfig{
		Hostname: "mail.customers.example", Inbox: inbox,
		Script: sendertest.Script{OnDot: func(*sendertest.Session, string) *sendertest.Answer {
			thanks := sendertest.Say("250 2.0.0 It is in the mailbox")
			thanks.Delay = takes
			return thanks
		}},
	})
	if err != nil {
		network.Close()
		return nil, err
	}
	h.addr, h.own = server.RealAddr(), true
	h.close = func() {
		server.Close()
		network.Close()
	}
	return h, nil
}

// lifeName is the name with which a process of the shop greets. It tells the processes apart.
func lifeName(life int) string { return fmt.Sprintf("life-%d.shop.example", life) }

// take notes a message.
func (h *mailHost) take(r sendertest.Received) {
	life, err := strconv.Atoi(between(r.Hostname, "life-", ".shop.example"))
	var id int64
	if ids := r.Header("Message-ID"); err == nil && len(ids) == 1 {
		id, err = strconv.ParseInt(between(ids[0], "<order-", "@shop.example>"), 10, 64)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil || id == 0 {
		h.strange++
		return
	}
	h.arrived[id] = append(h.arrived[id], life)
}

// between is what stands between two texts, or "".
func between(text, before, after string) string {
	text, begins := strings.CutPrefix(text, before)
	text, ends := strings.CutSuffix(text, after)
	if !begins || !ends {
		return ""
	}
	return text
}

// confirmed is how many orders have mail.
func (h *mailHost) confirmed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.arrived)
}
