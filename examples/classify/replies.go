package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/throttle"
)

// input is one line of the file of replies.
type input struct {
	ID     string `json:"id"`
	Text   string `json:"text"`
	Status string `json:"status"`
	Remote string `json:"remote"`
	Stage  string `json:"stage"`
}

// prediction is one line of output.
type prediction struct {
	ID   string            `json:"id"`
	Cats []bounce.Category `json:"cats"`
	Raw  string            `json:"raw"`
}

// reply makes a Reply of an input.
func (in *input) reply() (bounce.Reply, error) {
	r := bounce.ParseReply(in.Text)
	if st, ok := bounce.ParseStatus(in.Status); ok && r.Status.IsZero() {
		r.Status = st
	}
	switch strings.ToUpper(in.Stage) {
	case "":
	case "CONN":
		r.Stage = bounce.StageConnect
	case "EHLO":
		r.Stage = bounce.StageEHLO
	case "MAIL":
		r.Stage = bounce.StageMail
	case "RCPT":
		r.Stage = bounce.StageRcpt
	case "DATA": // the command, or the message behind it
		r.Stage = bounce.StageDot
	default:
		return r, fmt.Errorf("stage %q is not one of CONN, EHLO, MAIL, RCPT, DATA", in.Stage)
	}
	return r, nil
}

// predictReplies classifies the replies in the file and writes one prediction each.
func predictReplies(c *bounce.Classifier, file string, w io.Writer) error {
	providers, err := throttle.NewTable(throttle.TableConfig{})
	if err != nil {
		return err
	}
	return eachLine(file, w, func(in input) (any, error) {
		r, err := in.reply()
		if err != nil {
			return nil, err
		}
		v := c.Classify(provider(providers, in.Remote), r)
		return prediction{ID: in.ID, Cats: []bounce.Category{v.Category}, Raw: v.Rule}, nil
	})
}

// provider names the operator of a host; empty for one that the table does not know.
func provider(t *throttle.Table, host string) string {
	host = strings.TrimSpace(host)
	name := t.Provider(host, []string{host})
	if strings.Contains(name, ".") { // an organisational domain, or the host itself
		return ""
	}
	return name
}
