package intake

import (
	"bytes"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce/internal/entity"
)

// maxCandidates bounds the tokens that are tried for one message: each costs a signature.
const maxCandidates = 20

// tie returns the delivery that a message is about, by a token of ours with a valid signature: in the address to which it came, else in
// what the message quotes of ours.
func (in *Intake) tie(now time.Time, m Message, msg *entity.Part) string {
	if in.cfg.Tokens == nil {
		return ""
	}
	if id, err := in.cfg.Tokens.ParseAddressAt(now, m.To); err == nil {
		return id
	}
	tried := 0
	address := func(s string) string {
		if tried++; tried > maxCandidates {
			return ""
		}
		id, err := in.cfg.Tokens.ParseAddressAt(now, s)
		if err != nil {
			return ""
		}
		return id
	}
	token := func(s string) string {
		if tried++; tried > maxCandidates {
			return ""
		}
		id, err := in.cfg.Tokens.DecodeAt(now, strings.TrimSpace(s))
		if err != nil {
			return ""
		}
		return id
	}
	found := ""
	msg.Walk(func(p *entity.Part) bool {
		for _, v := range p.Header.Values(in.cfg.Field) {
			if found == "" {
				found = token(v)
			}
		}
		// The host that took the report in writes the address to which it came into these; that which returns our message wrote its return path.
		for _, name := range []string{"Return-Path", "Delivered-To", "X-Original-To", "Original-Mail-From", "To"} {
			for _, v := range p.Header.Values(name) {
				if found == "" && strings.Contains(v, "@") {
					found = address(v)
				}
			}
		}
		if found == "" && len(p.Parts) == 0 {
			in.quoted(p.Body, func(line []byte, isField bool) bool {
				if isField {
					found = token(string(line))
				} else {
					found = address(string(line))
				}
				return found == "" && tried <= maxCandidates
			})
		}
		return found != "" || tried > maxCandidates
	})
	return found
}

// quoted finds the lines of a body that quote the field with our token, or a return path: in bounces that return our header as text, and
// in the machine-readable part of a feedback report.
func (in *Intake) quoted(body []byte, found func(value []byte, isField bool) (more bool)) {
	names := [][]byte{[]byte(in.cfg.Field + ":"), []byte("Return-Path:"), []byte("Original-Mail-From:")}
	for len(body) > 0 {
		var line []byte
		line, body, _ = bytes.Cut(body, []byte{'\n'})
		line = bytes.TrimLeft(line, " \t>")
		for i, name := range names {
			if len(line) > len(name) && len(line) < 1000 && bytes.EqualFold(line[:len(name)], name) && !found(line[len(name):], i == 0) {
				return
			}
		}
	}
}
