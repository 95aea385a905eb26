package queue

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxDeliveries is how many deliveries a message may have. A list that is longer is put as several messages.
const MaxDeliveries = 10_000

// DeliveryID is the ID of the n-th delivery of a message, counted from 1: "ID/n".
func DeliveryID(messageID string, n int) string { return messageID + "/" + strconv.Itoa(n) }

// SplitDeliveryID is the inverse of DeliveryID. It reports whether id can be the ID of a delivery.
func SplitDeliveryID(id string) (messageID string, n int, ok bool) {
	i := strings.LastIndexByte(id, '/')
	if i < 0 {
		return "", 0, false
	}
	n, err := strconv.Atoi(id[i+1:])
	if err != nil || n < 1 || n > MaxDeliveries || id[i+1] == '0' || id[i+1] == '+' {
		return "", 0, false
	}
	return id[:i], n, true
}

// Validate reports what no queue can store: ErrInvalid, with the name of the field.
func (p *Put) Validate() error {
	switch {
	case p.Message == nil:
		return fmt.Errorf("%w: Message: missing", ErrInvalid)
	case p.Message.ID == "":
		return fmt.Errorf("%w: Message.ID: empty", ErrInvalid)
	case len(p.Deliveries) == 0:
		return fmt.Errorf("%w: Deliveries: none", ErrInvalid)
	case len(p.Deliveries) > MaxDeliveries:
		return fmt.Errorf("%w: Deliveries: %d, at most %d", ErrInvalid, len(p.Deliveries), MaxDeliveries)
	case p.ExpireAfter < time.Second:
		return fmt.Errorf("%w: ExpireAfter: %v is below a second", ErrInvalid, p.ExpireAfter)
	}
	for _, f := range []struct{ field, text string }{{"ID", p.Message.ID}, {"Stream", p.Message.Stream}, {"From", p.Message.From}} {
		if !isText(f.text) {
			return fmt.Errorf("%w: Message.%s: %q has a NUL or is not UTF-8", ErrInvalid, f.field, f.text)
		}
	}
	for i := range p.Deliveries {
		d := &p.Deliveries[i]
		if !isText(d.Recipient) || !isText(d.Lane.Stream) || !isText(d.Lane.Domain) || !isText(d.Lane.Route) {
			return fmt.Errorf("%w: Deliveries[%d]: Recipient or Lane has a NUL or is not UTF-8", ErrInvalid, i)
		}
		if d.MessageID != p.Message.ID {
			return fmt.Errorf("%w: Deliveries[%d].MessageID: %q is not the message's ID", ErrInvalid, i, d.MessageID)
		}
		if m, n, ok := SplitDeliveryID(d.ID); !ok || m != p.Message.ID || n != i+1 {
			return fmt.Errorf("%w: Deliveries[%d].ID: %q instead of %q", ErrInvalid, i, d.ID, DeliveryID(p.Message.ID, i+1))
		}
	}
	return nil
}

// isText reports whether every database can store s as text.
func isText(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }
