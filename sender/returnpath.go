package sender

import (
	"time"

	"github.com/reputemail/repute/bounce/verp"
	"github.com/reputemail/repute/sender/queue"
)

// ReturnPath gives each delivery of a stream a return path of its own, by which a bounce or complaint that comes back as mail is tied to it:
// "b-TOKEN@bounces.example.com" in the place of Message.From, and the token in a header field too. Each recipient is then a
// transaction of its own. A message with the null reverse-path keeps it.
//
// The domain needs an MX record that leads to an intake.Server with the same Tokens, and an SPF record for the routes' addresses; for
// DMARC by SPF it is aligned with the domain of From.
type ReturnPath struct {
	// Tokens makes the tokens, with the keys that intake.Config.Tokens has too. Required.
	Tokens ReturnPathTokens
	// Domain is where bounces go. Required.
	Domain string
	// Field is the header field that carries the token. It stands outside the signature, which is the same for all recipients. Defaults to
	// verp.FieldName; "-" is none.
	Field string
}

// withDefaults checks a ReturnPath.
func (p ReturnPath) withDefaults(field string) (*ReturnPath, error) {
	if p.Tokens == nil {
		return nil, badConfig(field+".Tokens", "is missing")
	}
	domain, err := normalDomain(p.Domain)
	if err != nil {
		return nil, badConfig(field+".Domain", "%v", err)
	}
	p.Domain = domain
	switch p.Field {
	case "":
		p.Field = verp.FieldName
	case "-":
	default:
		for _, c := range []byte(p.Field) {
			if c <= ' ' || c > '~' || c == ':' {
				return nil, badConfig(field+".Field", "%q is no name of a header field (RFC 5322 section 3.6.8)", p.Field)
			}
		}
	}
	if _, err := p.Tokens.AddressAt(time.Now(), queue.DeliveryID(newID(), maxRecipients), p.Domain); err != nil {
		return nil, badConfig(field, "makes no return path: %v", err)
	}
	return &p, nil
}

// fits refuses a message whose ID is too long for a token.
func (p *ReturnPath) fits(m *Message, id string) error {
	if _, err := p.Tokens.AddressAt(time.Now(), queue.DeliveryID(id, len(m.To)), p.Domain); err != nil {
		return badField("ID", "", "does not fit into a return path: %v", err)
	}
	return nil
}

// of is the reverse-path and the header field of one delivery. It is the same at each attempt, since greylisting goes by it, as long as the keys are.
func (p *ReturnPath) of(m *queue.Message, delivery string) (from string, field []byte, err error) {
	if from, err = p.Tokens.AddressAt(m.Created, delivery, p.Domain); err != nil || p.Field == "-" {
		return from, nil, err
	}
	token, err := p.Tokens.EncodeAt(m.Created, delivery)
	if err != nil {
		return "", nil, err
	}
	field = make([]byte, 0, len(p.Field)+len(token)+4)
	field = append(append(append(field, p.Field...), ": "...), token...)
	return from, append(field, "\r\n"...), nil
}
