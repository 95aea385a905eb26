package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"os"
	"strings"

	"github.com/reputemail/repute/sender"
)

// anyCharset passes encoded words through undecoded, whatever their charset.
var anyCharset = mime.WordDecoder{CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil }}

// maxFile bounds a file, in bytes. The Sender's own limit is lower, and its refusal has the better reason.
const maxFile = 64 << 20

// message reads a file and gives it an envelope. An error is that of the file system, or a *sender.FieldError.
func (o *options) message(file string) (sender.Message, error) {
	data, err := read(file)
	if err != nil {
		return sender.Message{}, err
	}
	m := sender.Message{From: o.from, To: o.to, Data: dropBcc(data)}
	if o.fromSet && len(o.to) > 0 {
		return m, nil
	}
	parsed, err := mail.ReadMessage(bytes.NewReader(data))
	switch {
	case errors.Is(err, io.EOF):
		return m, &sender.FieldError{Field: "Data", Reason: "is empty", Clause: "RFC 5322 section 3.6"}
	case err != nil:
		reason := fmt.Sprintf("has a header that cannot be read: %.80s", err.Error())
		return m, &sender.FieldError{Field: "Data", Reason: reason, Clause: "RFC 5322 section 2.2"}
	}
	if !o.fromSet {
		if m.From, err = author(parsed.Header); err != nil {
			return m, err
		}
	}
	if len(o.to) == 0 {
		for _, field := range []string{"To", "Cc", "Bcc"} {
			to, err := addresses(parsed.Header, field)
			if err != nil {
				return m, err
			}
			m.To = append(m.To, to...)
		}
	}
	return m, nil
}

// read returns the content of a file with CRLF line ends.
func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("is larger than %d MiB", maxFile>>20)
	}
	return toCRLF(data), nil
}

// withoutPath is err without the name of the file, which stands before it anyway.
func withoutPath(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("cannot be read: %w", path.Err)
	}
	return err
}

// toCRLF puts a CR before each LF that has none: on disk lines may end in LF, in a message only in CRLF (RFC 5322 section
// 2.3). A CR without LF is left alone, for the Sender to refuse.
func toCRLF(data []byte) []byte {
	bare := bytes.Count(data, []byte("\n")) - bytes.Count(data, []byte("\r\n"))
	if bare == 0 {
		return data
	}
	out := make([]byte, 0, len(data)+bare)
	for i, c := range data {
		if c == '\n' && (i == 0 || data[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, c)
	}
	return out
}

// dropBcc takes the Bcc fields out of a message with CRLF line ends: nobody who gets it may see them (RFC 5322 section 3.6.3).
func dropBcc(data []byte) []byte {
	header, dropping := data, false
	if i := bytes.Index(data, []byte("\r\n\r\n")); i >= 0 {
		header = data[:i+2]
	}
	var kept []byte
	for line := range bytes.Lines(header) {
		if line[0] != ' ' && line[0] != '\t' { // else it goes on with the field before
			name, _, _ := bytes.Cut(line, []byte(":"))
			dropping = strings.EqualFold(string(bytes.TrimRight(name, " \t")), "Bcc")
		}
		if !dropping {
			kept = append(kept, line...)
		}
	}
	if len(kept) == len(header) {
		return data
	}
	return append(kept, data[len(header):]...)
}

// author is the address in From; that in Sender where From has several (RFC 5322 section 3.6.2). It is empty when there is
// none, which the Sender refuses.
func author(h mail.Header) (string, error) {
	from, err := addresses(h, "From")
	if err != nil || len(from) == 0 {
		return "", err
	}
	if len(from) > 1 {
		if one, err := addresses(h, "Sender"); err != nil || len(one) == 1 {
			return strings.Join(one, ""), err
		}
	}
	return from[0], nil
}

// addresses are those in all fields of a name, without display names.
func addresses(h mail.Header, name string) ([]string, error) {
	var found []string
	for _, value := range h[name] {
		if strings.TrimSpace(value) == "" {
			continue
		}
		// Display names may be in any charset: they are not looked at.
		parser := mail.AddressParser{WordDecoder: &anyCharset}
		list, err := parser.ParseList(value)
		if err != nil {
			reason := strings.TrimPrefix(err.Error(), "mail: ")
			return nil, &sender.FieldError{Field: "Data header " + name, Reason: reason, Clause: "RFC 5322 section 3.4"}
		}
		for _, a := range list {
			bare := mail.Address{Address: a.Address} // its String quotes the local-part where it must be
			found = append(found, strings.Trim(bare.String(), "<>"))
		}
	}
	return found, nil
}
