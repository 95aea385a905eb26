package arf

import (
	"strings"

	"github.com/reputemail/repute/bounce/internal/entity"
)

// readText reads a complaint in prose. It needs words that say so and a message, or its header, that they are about; it is none if a mail system
// wrote it, or if it speaks of delivery: filters, too, tell why they return mail.
func readText(m *entity.Part) *Feedback {
	subject, text := oneLine(m.Header.Get("Subject")), lowerText(m)
	if !saysComplaint(subject, text) || isReply(subject) || fromMailSystem(m) || containsAny(subject+"\n"+text, returnWords) {
		return nil
	}
	h, ok := quoted(m)
	if !ok {
		return nil
	}
	f := &Feedback{Form: FormText, Type: typeOf(subject + "\n" + text)}
	f.quote(h)
	f.SourceIP = addressIn(subject)
	if !f.SourceIP.IsValid() {
		f.SourceIP = addressIn(text)
	}
	return f
}

// saysComplaint reports whether a subject or the beginning of a text says that it is a report about unwanted mail.
func saysComplaint(subject, text string) bool {
	if containsAny(subject, subjectWords) || containsAny(text, textWords) {
		return true
	}
	// "reported as spam by one of our users", in either order
	for _, verb := range []string{"reported", "marked", "flagged"} {
		for rest := text; ; {
			_, after, ok := strings.Cut(rest, verb)
			if !ok {
				break
			}
			near := after[:min(len(after), 100)]
			before := rest[max(0, len(rest)-len(after)-len(verb)-60) : len(rest)-len(after)]
			if containsAny(near, []string{"as spam", "as junk", "as unwanted", "as unsolicited", "as abuse", "as phishing"}) && containsAny(before+near, personWords) {
				return true
			}
			rest = after
		}
	}
	return false
}

// typeOf is the Type that the words of a report stand for.
func typeOf(text string) Type {
	switch {
	case containsAny(text, []string{"opt-out report", "opt out report", "unsubscribe report"}):
		return TypeOptOut
	case containsAny(text, []string{"authentication failure", "authentication-failure", "auth-failure", "dmarc forensic", "dmarc failure report"}):
		return TypeAuthFailure
	case containsAny(text, []string{"not spam", "not-spam", "not junk", "false positive"}):
		return TypeNotSpam
	case strings.Contains(text, "phishing"):
		return TypeFraud
	case containsAny(text, []string{"virus report", "malware report"}):
		return TypeVirus
	case containsAny(text, []string{"abuse", "complain", "spam", "junk", "unsolicited", "feedback report"}):
		return TypeAbuse
	}
	return TypeOther
}

// isReply reports whether a subject is that of an answer: people talk about complaints.
func isReply(subject string) bool {
	return containsAny(subject[:min(len(subject), 4)], []string{"re:", "aw:", "sv:", "vs:"})
}

func containsAny(s string, phrases []string) bool {
	for _, p := range phrases {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// subjectWords are what the subjects of complaints say.
var subjectWords = []string{
	"complaint about message from", "feedback report for ip", "email feedback report", "abuse report", "abuse complaint", "spam report",
	"spam complaint", "junk report",
	"[spamcop (", "feedback loop report", "fbl report", "spam feedback", "uce report", "uce complaint", "report of unsolicited",
	"unsolicited email from", "spam from your network",
	"spam-beschwerde", "beschwerde über spam", "plainte pour spam", "signalement de spam", "queja por spam", "denuncia de spam", "denúncia de spam",
	"segnalazione spam", "segnalazione di spam",
}

// textWords are how complaints begin.
var textWords = []string{
	"email abuse report", "e-mail abuse report", "abuse report for a", "abuse report regarding", "abuse report about", "abuse report concerning",
	"abuse complaint", "spam complaint",
	"complaint about a message", "complaint about an email", "complaint about an e-mail", "complaint about the following message", "complained about",
	"opt-out report for",
	"received the following spam", "received this spam", "received unsolicited", "offending message",
}

// personWords are who marks mail as spam, other than filters.
var personWords = []string{"user", "member", "customer", "subscriber", "recipient", "mailbox owner", "account holder"}

// returnWords are of messages that tell what became of mail.
var returnWords = []string{
	"reject", "undeliver", "not delivered", "not be delivered", "could not deliver", "couldn't be delivered", "delivery status", "delivery fail",
	"delivery has failed", "returned to sender",
	"quarantine", "bounced", "was blocked", "has been blocked", "were blocked", "wurde nicht zugestellt", "unzustellbar", "non remis",
}
