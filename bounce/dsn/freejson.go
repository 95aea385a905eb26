package dsn

import (
	"encoding/json"
	"strings"

	"github.com/reputemail/repute/bounce"
)

// sesNotice is what Amazon SES tells by SNS, as mail or otherwise: a JSON object.
type sesNotice struct {
	Message string `json:"Message"` // of SNS: the notification as a text of JSON
	Mail    struct {
		CommonHeaders struct {
			MessageID string `json:"messageId"`
			Subject   string `json:"subject"`
		} `json:"commonHeaders"`
	} `json:"mail"`
	Bounce struct {
		Recipients []sesRecipient `json:"bouncedRecipients"`
		SubType    string         `json:"bounceSubType"`
	} `json:"bounce"`
	Delay struct {
		Recipients []sesRecipient `json:"delayedRecipients"`
		Type       string         `json:"delayType"`
	} `json:"deliveryDelay"`
	Delivery struct {
		Recipients []string `json:"recipients"`
		Response   string   `json:"smtpResponse"`
	} `json:"delivery"`
}

type sesRecipient struct {
	Address    string `json:"emailAddress"`
	Status     string `json:"status"`
	Diagnostic string `json:"diagnosticCode"`
}

// readNotice reads a text that is a notification of Amazon SES about deliveries; nil when it is none.
func readNotice(text string) *Notification {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") || !strings.Contains(text, "ecipients") {
		return nil
	}
	for _, t := range []string{text, strings.ReplaceAll(text, "\n ", "")} { // as it is, or folded like a header
		var s sesNotice
		err := json.NewDecoder(strings.NewReader(t)).Decode(&s)
		if err == nil && s.Message != "" {
			err = json.NewDecoder(strings.NewReader(s.Message)).Decode(&s)
		}
		if err != nil {
			continue
		}
		if n := s.notification(); len(n.Recipients) > 0 {
			return n
		}
	}
	return nil
}

func (s *sesNotice) notification() *Notification {
	n := &Notification{Form: "ses"}
	n.Original.MessageID = strings.Trim(s.Mail.CommonHeaders.MessageID, "<> ")
	n.Original.Subject = s.Mail.CommonHeaders.Subject
	index := make(map[string]int)
	add := func(list []sesRecipient, action bounce.Action, kind string) {
		for _, r := range list {
			one := Recipient{Final: recipientAddress(r.Address), Action: action, Status: readStatus(r.Status)}
			if one.DiagnosticType, one.Diagnostic = diagnostic(r.Diagnostic); one.Diagnostic == "" {
				one.Diagnostic = strings.TrimSpace(r.Status + " " + kind)
			}
			n.add(one, index)
		}
	}
	add(s.Bounce.Recipients, bounce.ActionFailed, s.Bounce.SubType)
	add(s.Delay.Recipients, bounce.ActionDelayed, s.Delay.Type)
	for _, a := range s.Delivery.Recipients {
		_, text := diagnostic(s.Delivery.Response)
		n.add(Recipient{Final: recipientAddress(a), Action: bounce.ActionDelivered, Diagnostic: text}, index)
	}
	return n
}
