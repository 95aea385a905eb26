package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/intake"
	"github.com/reputemail/repute/throttle"
)

// messageInput is one line of the file of messages.
type messageInput struct {
	ID   string `json:"id"`
	File string `json:"file"`
}

// messagePrediction is one line of output for it.
type messagePrediction struct {
	ID      string             `json:"id"`
	Kind    bounce.Kind        `json:"kind"`
	Records []recordPrediction `json:"records"`
	Reason  string             `json:"err,omitempty"`
}

// recordPrediction is one recipient.
type recordPrediction struct {
	Recipient string            `json:"rcpt"`
	Cats      []bounce.Category `json:"cats"`
	Raw       string            `json:"raw"`
}

// predictMessages reads the messages that the file names and writes one prediction each.
func predictMessages(c *bounce.Classifier, file string, w io.Writer) error {
	providers, err := throttle.NewTable(throttle.TableConfig{})
	if err != nil {
		return err
	}
	nobody := intake.SinkFunc(func(context.Context, bounce.Report) error { return nil })
	in, err := intake.New(intake.Config{Sink: nobody, Classifier: c, Providers: providers})
	if err != nil {
		return err
	}
	return eachLine(file, w, func(m messageInput) (any, error) {
		raw, err := os.ReadFile(filepath.Join(filepath.Dir(file), filepath.FromSlash(m.File)))
		if err != nil {
			return nil, err
		}
		r := in.ReadAt(context.Background(), time.Now(), intake.Message{Data: raw})
		p := messagePrediction{ID: m.ID, Kind: r.Kind, Reason: r.Reason, Records: []recordPrediction{}}
		for _, rec := range r.Records {
			one := recordPrediction{Recipient: bounce.CleanAddress(rec.Recipient), Raw: fmt.Sprintf("%s %s %q", r.Form, rec.Verdict.Rule, rec.Reply.String())}
			switch rec.Action {
			case bounce.ActionFailed, bounce.ActionDelayed:
				one.Cats = []bounce.Category{rec.Verdict.Category}
			default: // no failure, and so nothing to classify
				one.Cats = []bounce.Category{}
			}
			p.Records = append(p.Records, one)
		}
		return p, nil
	})
}
