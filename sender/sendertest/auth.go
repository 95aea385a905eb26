package sendertest

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/reputemail/repute/bounce"
)

// mayAuth reports whether AUTH is offered now.
func (s *Session) mayAuth() bool {
	c := &s.server.config
	return len(c.Auth) > 0 && s.user == "" && (s.tls != nil || c.TLS == nil)
}

// maxAuthCommand is the longest AUTH command, without its line end. Only the lines behind it may be longer: RFC 4954
// section 4 has a client leave out an initial response that would exceed the limit of RFC 5321 section 4.5.3.1.4.
const maxAuthCommand = 512 - len("\r\n")

// handleAuth authenticates the client (RFC 4954) with PLAIN (RFC 4616), LOGIN or OAUTHBEARER (RFC 7628).
func (s *Session) handleAuth(arg string) error {
	switch {
	case len(s.server.config.Auth) == 0:
		return s.violation(502, status(5, 5, 1), "AUTH not offered")
	case s.hostname == "" || s.begun || s.user != "":
		return s.violation(503, status(5, 5, 1), "AUTH not allowed now")
	case !s.mayAuth():
		return s.plain(538, status(5, 7, 11), "Encryption required for requested authentication mechanism")
	}
	if len("AUTH ")+len(arg) > maxAuthCommand {
		return s.violation(500, status(5, 5, 6), "Line too long")
	}
	mechanism, initial, has := strings.Cut(arg, " ")
	mechanism = strings.ToUpper(mechanism)
	if s.script.OnAuth != nil {
		if own := s.script.OnAuth(s, mechanism); own != nil {
			return s.say(s.decide(nil, "", own))
		}
	}
	var user, secret string
	var ok bool
	var err error
	switch mechanism {
	case "PLAIN":
		var response []byte
		if response, ok, err = s.response(initial, has, ""); ok && err == nil {
			parts := bytes.Split(response, []byte{0})
			if ok = len(parts) == 3; ok {
				user, secret = string(parts[1]), string(parts[2])
			}
		}
	case "LOGIN":
		var name, password []byte
		if name, ok, err = s.response(initial, has, "Username:"); ok && err == nil {
			password, ok, err = s.response("", false, "Password:")
			user, secret = string(name), string(password)
		}
	case "OAUTHBEARER":
		var response []byte
		if response, ok, err = s.response(initial, has, ""); ok && err == nil {
			user, secret = parseBearer(string(response))
			if !s.knows(user, secret) {
				// RFC 7628 section 3.2.3: the failure is a challenge that the client answers before it gets the reply.
				_, _, err = s.response("", false, `{"status":"invalid_token"}`)
			}
		}
	default:
		return s.plain(504, status(5, 5, 4), "Mechanism not supported")
	}
	switch {
	case err != nil:
		return err
	case !ok:
		return s.violation(501, status(5, 5, 2), "Malformed or cancelled authentication")
	case !s.knows(user, secret):
		return s.plain(535, status(5, 7, 8), "Authentication credentials invalid")
	}
	s.user = user
	return s.plain(235, status(2, 7, 0), "Authentication succeeded")
}

// response decodes the initial response or, without one, asks for a response. ok is false when it is malformed.
func (s *Session) response(initial string, has bool, challenge string) (response []byte, ok bool, err error) {
	if !has {
		a := reply(334, bounce.Status{}, base64.StdEncoding.EncodeToString([]byte(challenge)))
		if err := s.say(a); err != nil {
			return nil, false, err
		}
		if initial, err = s.readCommand(); err != nil {
			return nil, false, err
		}
	}
	if initial == "=" {
		return nil, true, nil
	}
	response, err = base64.StdEncoding.DecodeString(initial)
	return response, err == nil, nil
}

// knows reports whether the server has this user with this password or token.
func (s *Session) knows(user, secret string) bool {
	want, ok := s.server.config.Auth[user]
	return ok && want == secret
}

// parseBearer reads the client's response of RFC 7628 section 3.1.
func parseBearer(response string) (user, token string) {
	header, rest, _ := strings.Cut(response, "\x01")
	for part := range strings.SplitSeq(header, ",") {
		if name, ok := strings.CutPrefix(part, "a="); ok {
			user = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name)
		}
	}
	for pair := range strings.SplitSeq(rest, "\x01") {
		if value, ok := strings.CutPrefix(pair, "auth="); ok && len(value) > 7 && strings.EqualFold(value[:7], "Bearer ") {
			token = value[7:]
		}
	}
	return user, token
}

// redactAuth keeps secrets out of the log.
func redactAuth(verb, line string) string {
	if verb == "AUTH" {
		if words := strings.Fields(line); len(words) > 2 {
			return words[0] + " " + words[1] + " [secret]"
		}
	}
	return line
}
