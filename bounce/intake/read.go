package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/arf"
	"github.com/reputemail/repute/bounce/autoreply"
	"github.com/reputemail/repute/bounce/dsn"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// ReadAt says what a message is, and which delivery it is about (see the package comment). It tells nobody. It does not fail: what cannot be
// read is bounce.KindNotUnderstood, with the reason. ctx bounds the look-up of keys for a feedback report from a trusted domain.
func (in *Intake) ReadAt(ctx context.Context, now time.Time, m Message) bounce.Report {
	msg, err := entity.Read(m.Data)
	if err != nil {
		return bounce.Report{ID: identity(nil, m.Data), Kind: bounce.KindNotUnderstood, Reason: err.Error(), Received: now}
	}
	r := in.read(ctx, now, m, msg)
	about := []string{r.Delivery}
	for i := range r.Records {
		about = append(about, r.Records[i].Address())
	}
	r.ID = identity(msg, m.Data, about...)
	return r
}

// read is ReadAt for a message that could be parsed.
func (in *Intake) read(ctx context.Context, now time.Time, m Message, msg *entity.Part) bounce.Report {
	r := bounce.Report{Kind: bounce.KindNone, Received: now}
	answer, notice := autoreply.Read(msg), dsn.Read(msg)
	named := notice != nil && notice.Form != dsn.FormRFC3464 && notice.Form != dsn.FormOther // by a system whose words we know: they are about mail, not about us
	if answer != nil && answer.Kind == bounce.KindChallenge && !named {
		r.Kind, r.Form = answer.Kind, answer.Form
		return r
	}
	structured := notice != nil && notice.Form == dsn.FormRFC3464
	if !isStatusReport(msg) {
		if f := arf.Read(msg); f != nil {
			in.feedback(ctx, now, m, msg, f, &r)
			return r
		}
	}
	switch {
	case structured, notice != nil && (answer == nil || answer.Kind == bounce.KindChallenge):
		in.bounce(now, m, msg, notice, &r)
	case answer != nil:
		r.Kind, r.Form = answer.Kind, answer.Form
	}
	return r
}

// isStatusReport reports whether the message says that it is a delivery status notification.
func isStatusReport(m *entity.Part) bool {
	return m.MediaType == "multipart/report" && strings.EqualFold(m.Params["report-type"], "delivery-status")
}

// bounce fills in what a notification says.
func (in *Intake) bounce(now time.Time, m Message, msg *entity.Part, n *dsn.Notification, r *bounce.Report) {
	r.Kind, r.Form, r.Reporter, r.MessageID = bounce.KindBounce, string(n.Form), n.ReportingMTA, n.Original.MessageID
	r.Delivery = in.tie(now, m, msg, append(n.Original.Field(in.cfg.Field), n.Original.ReturnPath)...)
	for _, rcpt := range n.Recipients {
		reply := rcpt.Reply()
		rec := bounce.Record{Recipient: rcpt.Final, Original: rcpt.Original, Action: rcpt.Action, Reply: reply}
		rec.Verdict = in.cfg.Classifier.Classify(in.provider(reply.Host, rec.Address()), reply)
		r.Records = append(r.Records, rec)
	}
}

// feedback fills in what a feedback report says.
func (in *Intake) feedback(ctx context.Context, now time.Time, m Message, msg *entity.Part, f *arf.Feedback, r *bounce.Report) {
	r.Kind, r.Form, r.Feedback, r.Reporter, r.MessageID = bounce.KindFeedback, string(f.Form), string(f.Type), f.ReportingMTA, f.Original.MessageID
	r.Delivery = in.tie(now, m, msg, append(f.Original.Values(in.cfg.Field), f.Original.ReturnPath, f.OriginalMailFrom)...)
	r.Complaint, r.Authentic = f.Complaint(), f.Form == arf.FormARF && in.authentic(ctx, msg, m.Data)
	for _, rcpt := range f.OriginalRecipients {
		r.Records = append(r.Records, bounce.Record{Recipient: rcpt})
	}
}

// provider names who operates a host or, if that is not known, the domain of an address.
func (in *Intake) provider(host, address string) string {
	if in.cfg.Providers == nil {
		return ""
	}
	_, domain, _ := strings.Cut(address, "@")
	if host != "" {
		if name := in.cfg.Providers.Provider(host, []string{host}); !strings.Contains(name, ".") {
			return name
		}
	}
	if domain != "" {
		if name := in.cfg.Providers.Provider(domain, []string{domain}); !strings.Contains(name, ".") {
			return name
		}
	}
	return "" // an operator's own domain: no rule is limited to it
}

// identity is the same for the same message about the same delivery and recipients, whichever way it came.
func identity(msg *entity.Part, raw []byte, about ...string) string {
	h := sha256.New()
	if msg == nil {
		h.Write(raw)
	} else {
		for _, name := range []string{"From", "Date", "Message-ID", "Subject"} {
			h.Write([]byte(msg.Header.Raw(name)))
			h.Write([]byte{'\n'})
		}
		h.Write(bytes.TrimSpace(msg.Body))
	}
	for _, a := range about {
		h.Write([]byte{'\n'})
		h.Write([]byte(a))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func lower(s string) string { return strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), ".")) }
