package arf

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// sesNotification is what Amazon SES publishes ("Amazon SNS notification contents for Amazon SES"; eventType is that of
// event publishing). Message has it where Amazon SNS wrapped it.
type sesNotification struct {
	NotificationType string `json:"notificationType"`
	EventType        string `json:"eventType"`
	Message          string `json:"Message"`
	Complaint        struct {
		Recipients []struct {
			Address string `json:"emailAddress"`
		} `json:"complainedRecipients"`
		UserAgent   string `json:"userAgent"`
		Type        string `json:"complaintFeedbackType"`
		ArrivalDate string `json:"arrivalDate"`
	} `json:"complaint"`
	Mail struct {
		Source    string `json:"source"`
		SourceIP  string `json:"sourceIp"`
		MessageID string `json:"messageId"`
		Headers   []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"headers"`
		Common struct {
			MessageID  string   `json:"messageId"`
			ReturnPath string   `json:"returnPath"`
			From       []string `json:"from"`
			To         []string `json:"to"`
			Subject    string   `json:"subject"`
		} `json:"commonHeaders"`
	} `json:"mail"`
}

// readSES reads a complaint notification of Amazon SES, which is the text of a message.
func readSES(m *entity.Part) *Feedback {
	for _, p := range leaves(m) {
		body := bytes.TrimSpace(p.Body[:min(len(p.Body), maxMachineBytes)])
		if !(isText(p) || p.MediaType == "application/json") || !bytes.HasPrefix(body, []byte{'{'}) {
			continue
		}
		n, ok := parseSES(string(body))
		if ok && n.Message != "" && n.NotificationType == "" && n.EventType == "" {
			n, ok = parseSES(n.Message)
		}
		if ok && (n.NotificationType == "Complaint" || n.EventType == "Complaint") {
			return n.feedback()
		}
	}
	return nil
}

// parseSES reads JSON at the beginning of a text. Lines may have been broken on the way: sendmail breaks one that is too long with "!", a line end and a space.
func parseSES(text string) (sesNotification, bool) {
	mended := strings.NewReplacer("!\r\n ", "", "!\n ", "").Replace(text)
	for _, s := range []string{text, mended, strings.NewReplacer("\r", "", "\n", "").Replace(mended)} {
		var n sesNotification
		if err := json.NewDecoder(strings.NewReader(s)).Decode(&n); err == nil {
			return n, true
		}
	}
	return sesNotification{}, false
}

func (n *sesNotification) feedback() *Feedback {
	f := &Feedback{Form: FormSES, Type: TypeAbuse, UserAgent: n.Complaint.UserAgent, OriginalEnvelopeID: n.Mail.MessageID}
	if n.Complaint.Type != "" {
		f.Type = parseType(n.Complaint.Type)
	}
	for _, r := range n.Complaint.Recipients {
		f.addRecipient(r.Address)
	}
	f.ArrivalDate = parseDate(n.Complaint.ArrivalDate)
	f.OriginalMailFrom = bounce.CleanAddress(n.Mail.Source)
	f.SourceIP, _ = parseSource(n.Mail.SourceIP)
	f.quote(n.header())
	return f
}

// header is the header that the notification has, or the little that it has instead.
func (n *sesNotification) header() entity.Header {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" && len(name) < 100 && !strings.ContainsAny(name, ": \t\r\n") {
			b.WriteString(name + ": " + strings.NewReplacer("\r", " ", "\n", " ").Replace(value) + "\n")
		}
	}
	for _, h := range n.Mail.Headers {
		field(h.Name, h.Value)
	}
	c := &n.Mail.Common
	field("Message-ID", c.MessageID)
	field("Return-Path", c.ReturnPath)
	field("From", strings.Join(c.From, ", "))
	field("To", strings.Join(c.To, ", "))
	field("Subject", c.Subject)
	m, err := entity.Read([]byte(b.String()))
	if err != nil {
		return entity.Header{}
	}
	return m.Header
}
