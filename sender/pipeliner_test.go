package sender_test

import (
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/transport"
)

// The sessions of the own transport have all add-ons.
var _ interface {
	sender.Session
	sender.Pipeliner
	sender.TLSReporter
} = (*transport.Session)(nil)
