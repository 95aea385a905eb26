package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/reputemail/repute/sender/sendertest"
)

// sink is where the messages go.
type sink struct {
	addr  string
	own   bool
	close func()
}

// probeTime is how long the sink may take to accept a connection.
const probeTime = 10 * time.Second

// openSink finds the sink that -addr names, or starts one.
func openSink(ctx context.Context, o options) (*sink, error) {
	if o.addr == "" {
		return startSink(sendertest.Script{})
	}
	dialer := net.Dialer{Timeout: probeTime}
	conn, err := dialer.DialContext(ctx, "tcp", o.addr)
	if err != nil {
		return nil, fmt.Errorf("-addr: there is no sink: %w (smtp-sink -c %s 200 would be one)", err, o.addr)
	}
	conn.Close()
	return &sink{addr: o.addr, close: func() {}}, nil
}

// startSink starts a sink in this process, on the loopback interface.
func startSink(script sendertest.Script) (*sink, error) {
	inbox, err := sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepCount})
	if err != nil {
		return nil, err
	}
	network := sendertest.NewTCPNetwork()
	server, err := sendertest.StartServer(network, sendertest.ServerConfig{Hostname: "sink.example.com", Inbox: inbox, Script: script})
	if err != nil {
		network.Close()
		return nil, err
	}
	return &sink{addr: server.RealAddr(), own: true, close: func() {
		server.Close()
		network.Close()
	}}, nil
}

// String is the sink for people.
func (s *sink) String() string {
	if s.own {
		return "a sink inside this process (" + s.addr + ")"
	}
	return s.addr
}
