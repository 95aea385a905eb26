package intake

import (
	"bytes"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce/internal/entity"
)

// maxCandidates bounds the tokens that are tried for one message: each costs a signature.
const maxCandidates = 20

// tie returns the delivery that a message is about, by a token of ours with a valid signature: in the address to which it came, in what a parser
// found of ours (tokens and addresses), else in what the message quotes.
func (in *Intake) tie(now time.Time, m Message, msg *entity.Part, found ...string) string {
	if in.cfg.Tokens == nil {
		return ""
	}
	if id, err := in.cfg.Tokens.ParseAddressAt(now, m.To); err == nil {
		return id
	}
	tried := 0
	try := func(s string) string { // a token, or an address with one
		if tried++; tried > maxCandidates {
			return ""
		}
		id, err := in.cfg.Tokens.DecodeAt(now, strings.TrimSpace(s))
		if err != nil {
			if id, err = in.cfg.Tokens.ParseAddressAt(now, s); err != nil {
				return ""
			}
		}
		return id
	}
	for _, s := range found {
		if id := try(s); id != "" {
			return id
		}
	}
	id := ""
	msg.Walk(func(p *entity.Part) bool {
		// The host that took the report in writes the address to which it came into some of these; that which returns our message wrote its return path.
		for _, name := range []string{in.cfg.Field, "Return-Path", "Delivered-To", "X-Original-To", "Original-Mail-From", "To"} {
			for _, v := range p.Header.Values(name) {
				if id != "" || name != in.cfg.Field && !strings.Contains(v, "@") {
					continue
				}
				for a := range strings.SplitSeq(v, ",") { // a list of addresses, with names
					if id = try(bare(a)); id != "" || tried > maxCandidates {
						break
					}
				}
			}
		}
		if id == "" && len(p.Parts) == 0 {
			in.quoted(p.Body, func(value string) bool {
				id = try(value)
				return id == "" && tried <= maxCandidates
			})
		}
		return id != "" || tried > maxCandidates
	})
	return id
}

// bare is what stands between angle brackets, where there are any.
func bare(v string) string {
	if i := strings.LastIndexByte(v, '<'); i >= 0 {
		if j := strings.IndexByte(v[i:], '>'); j > 0 {
			return v[i+1 : i+j]
		}
	}
	return v
}

// quoted finds the lines of a body that quote the field with our token, or a return path: in bounces that return our header as text, and
// in the machine-readable part of a feedback report.
func (in *Intake) quoted(body []byte, found func(value string) (more bool)) {
	names := [][]byte{[]byte(in.cfg.Field + ":"), []byte("Return-Path:"), []byte("Original-Mail-From:")}
	for len(body) > 0 {
		var line []byte
		line, body, _ = bytes.Cut(body, []byte{'\n'})
		line = bytes.TrimLeft(line, " \t>")
		for _, name := range names {
			if len(line) > len(name) && len(line) < 1000 && bytes.EqualFold(line[:len(name)], name) && !found(string(line[len(name):])) {
				return
			}
		}
	}
}
