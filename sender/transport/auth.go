package transport

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/bounce"
)

// maxAuthLine is the longest AUTH command, without its line end (RFC 5321 section 4.5.3.1.4). The responses to challenges
// may be longer: up to 12,288 octets (RFC 4954 section 4).
const maxAuthLine = 512 - len("\r\n")

// maxAuthSteps is how many challenges of a host are answered. No mechanism in use has more than 4.
const maxAuthSteps = 8

// auth authenticates (RFC 4954 section 4). The mechanism must be one that the host offers. go-smtp's Auth is no model:
// it answers a refusal with "*" and waits for another reply, and its AUTH command may be longer than a line may be.
func (c *call) auth(ctx context.Context) *Error {
	w, host := c.wire, c.target.Host
	w.arm(bounce.StageAuth, c.config.Timeouts.Auth)
	client := c.target.Auth()
	if client == nil {
		return fault(bounce.StageAuth, host, statusConfig, "Target.Auth returned no client", nil)
	}
	mech, initial, err := client.Start()
	if err != nil {
		return fault(bounce.StageAuth, host, statusAuth, "cannot authenticate: "+err.Error(), err)
	}
	if !c.ext.offersAuth(mech) {
		text := "the host does not offer AUTH"
		if len(c.ext.auth) > 0 {
			text = fmt.Sprintf("the host offers AUTH %s, not %s", strings.Join(c.ext.auth, " "), mech)
		}
		return fault(bounce.StageAuth, host, statusNoTLS, text, nil)
	}
	line, pending := "AUTH "+mech, ""
	if initial != nil {
		// RFC 4954 section 4: an initial response that makes the command too long waits until it is asked for, by a 334
		// without a challenge. The tokens of OAUTHBEARER are that long.
		if pending = encodeAuth(initial); len(line)+1+len(pending) <= maxAuthLine {
			line, pending = line+" "+pending, ""
		}
	}
	for range maxAuthSteps {
		w.arm(bounce.StageAuth, c.config.Timeouts.Auth)
		if w.command(line) != nil {
			return w.broken(ctx, host)
		}
		if w.code == 235 {
			return nil
		}
		if w.code != 334 {
			return c.refused()
		}
		if pending != "" { // Not an answer of client: for its next one, a challenge may be the reason of a failure.
			line, pending = pending, ""
			continue
		}
		response, err := answer(client, mech, initial, string(w.text))
		if err != nil {
			return c.authFailed(ctx, err)
		}
		line = base64.StdEncoding.EncodeToString(response)
	}
	return c.authFailed(ctx, errors.New("the host does not stop asking"))
}

// authFailed ends an exchange that our side cannot go on with.
func (c *call) authFailed(ctx context.Context, cause error) *Error {
	w, host := c.wire, c.target.Host
	line := "*" // cancels: RFC 4954 section 4
	var refused *sasl.OAuthBearerError
	if errors.As(cause, &refused) {
		// The challenge was the reason of a failure, which the host's reply to an empty answer completes: RFC 7628
		// section 3.2.3.
		line = "AQ=="
	}
	w.arm(bounce.StageAuth, c.config.Timeouts.Auth)
	if w.command(line) != nil {
		return w.broken(ctx, host)
	}
	if w.code == 421 || refused != nil && w.code >= 400 {
		e := w.refusal(host)
		e.Err = cause
		return e
	}
	return fault(bounce.StageAuth, host, statusAuth, "cannot authenticate: "+cause.Error(), cause)
}

// answer is the client's response to a challenge in base64. For LOGIN it makes up for what hosts differ in and go-sasl's
// client does not know: asking for the user name again, and how the password is asked for.
func answer(client sasl.Client, mech string, initial []byte, text string) ([]byte, error) {
	challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("the challenge is not base64: %w", err)
	}
	if mech == sasl.Login {
		switch asked := strings.ToLower(string(challenge)); {
		case strings.HasPrefix(asked, "user"):
			return initial, nil
		case strings.HasPrefix(asked, "pass"):
			challenge = []byte("Password:")
		}
	}
	return client.Next(challenge)
}

// encodeAuth is an initial response: an empty one is "=" (RFC 4954 section 4).
func encodeAuth(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}
