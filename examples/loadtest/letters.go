package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/reputemail/repute/auth"
	"github.com/reputemail/repute/sender"
)

// Who sends.
const (
	hostname   = "load.example.com" // for EHLO
	from       = "load@example.com"
	selector   = "load"
	dkimDomain = "example.com"
)

// letters makes the messages: all alike but for their number.
type letters struct {
	template []byte
	slots    []int // where the number stands
	domains  int
}

// digits is how many the number of a message has.
const digits = 9

// line is a line of the body.
const line = "This line and the next ones are here to be carried, not to be read by anyone.\r\n"

// newLetters makes letters of size bytes, at least minSize.
func newLetters(size, domains int, now time.Time) *letters {
	number := fmt.Sprintf("%0*d", digits, 0)
	l := &letters{domains: domains}
	l.template = fmt.Appendf(nil, "From: Load <%s>\r\nTo: Reader <r%s@example.org>\r\nSubject: Message %s\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n",
		from, number, number, now.Format("Mon, 02 Jan 2006 15:04:05 -0700"), number, hostname)
	for i := 0; ; {
		at := bytes.Index(l.template[i:], []byte(number))
		if at < 0 {
			break
		}
		l.slots = append(l.slots, i+at)
		i += at + digits
	}
	for size-len(l.template) >= 2*len(line) {
		l.template = append(l.template, line...)
	}
	l.template = append(l.template, bytes.Repeat([]byte("x"), size-len(l.template)-len("\r\n"))...)
	l.template = append(l.template, "\r\n"...)
	return l
}

// data is message i. It stands in buf, which is used again for the next one.
func (l *letters) data(buf []byte, i int) []byte {
	data := append(buf[:0], l.template...)
	for _, slot := range l.slots {
		for k, n := digits-1, i; k >= 0; k, n = k-1, n/10 {
			data[slot+k] = '0' + byte(n%10)
		}
	}
	return data
}

// to is the recipient of message i.
func (l *letters) to(i int) string {
	if l.domains == 1 {
		return "r" + strconv.Itoa(i) + "@example.org"
	}
	return "r" + strconv.Itoa(i) + "@d" + strconv.Itoa(i%l.domains) + ".example.org"
}

// newSigner makes a signer with a new key; nil for none.
func newSigner(which string) (sender.Signer, error) {
	key := auth.Key{Selector: selector}
	var err error
	switch which {
	case dkimRSA:
		key.Signer, err = auth.GenerateRSA(2048)
	case dkimEd25519:
		key.Signer, err = auth.GenerateEd25519()
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return auth.New(auth.Config{Domain: dkimDomain, Keys: []auth.Key{key}})
}
