package dsn

import (
	"encoding/json"
	"strings"
)

// sesNotice is what Amazon SES tells by SNS, as mail or otherwise: a JSON object.
type sesNotice struct {
	Type    string `json:"notificationType"`
	Event   string `json:"eventType"`
	Message string `json:"Message"` // of SNS: the notification as a text of JSON
	Bounce  struct {
		Recipients []struct {
			Address    string `json:"emailAddress"`
			Status     string `json:"status"`
			Diagnostic string `json:"diagnosticCode"`
		} `json:"bouncedRecipients"`
		SubType string `json:"bounceSubType"`
	} `json:"bounce"`
}

// notice reads a text that is a notification of Amazon SES.
func (f *free) notice() (n sesNotice, ok bool) {
	text := strings.TrimSpace(f.text)
	if !strings.HasPrefix(text, "{") || !strings.Contains(text, "bouncedRecipients") {
		return n, false
	}
	for _, t := range []string{text, strings.ReplaceAll(text, "\n ", "")} { // as it is, or folded like a header
		n = sesNotice{}
		err := json.NewDecoder(strings.NewReader(t)).Decode(&n)
		if err == nil && n.Message != "" {
			err = json.NewDecoder(strings.NewReader(n.Message)).Decode(&n)
		}
		if err == nil && len(n.Bounce.Recipients) > 0 {
			return n, true
		}
	}
	return sesNotice{}, false
}

func (f *free) isNotification() bool { _, ok := f.notice(); return ok }

// notified are the recipients of such a notification.
func (f *free) notified() []string {
	n, _ := f.notice()
	var list finder
	for _, r := range n.Bounce.Recipients {
		list.add(recipientAddress(r.Address))
	}
	return list.list
}

// notifiedReason is what such a notification says of an address.
func (f *free) notifiedReason(address string) string {
	n, _ := f.notice()
	for _, r := range n.Bounce.Recipients {
		if strings.EqualFold(recipientAddress(r.Address), address) {
			if r.Diagnostic != "" {
				_, text := diagnostic(r.Diagnostic)
				return text
			}
			return strings.TrimSpace(r.Status + " " + n.Bounce.SubType)
		}
	}
	return ""
}
