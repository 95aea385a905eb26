package transport

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/reputemail/repute/bounce"
)

// unasked are the rows of replies to nothing, before and behind the real one. The host refuses the second recipient.
func unasked() []hostile {
	var rows []hostile
	for _, mode := range modes {
		for _, stage := range []bounce.Stage{bounce.StageConnect, bounce.StageEHLO, bounce.StageMail, bounce.StageRcpt, bounce.StageData, bounce.StageDot} {
			for nth := range 3 {
				if nth > 0 && stage != bounce.StageRcpt || stage == bounce.StageData && slices.Contains(mode.ext, "CHUNKING") {
					continue
				}
				for _, extra := range []string{"250 2.0.0 what", "550 5.1.1 what", "354 what", "421 4.3.0 what"} {
					for _, behind := range []bool{false, true} {
						rows = append(rows, unaskedRow(mode.ext, stage, nth, extra, behind))
						rows[len(rows)-1].name = fmt.Sprintf("unasked/%s/%s %d/%s/behind %v", mode.name, stage, nth, extra, behind)
					}
				}
			}
		}
	}
	return rows
}

func unaskedRow(ext []string, stage bounce.Stage, nth int, extra string, behind bool) hostile {
	row := hostile{host: &fakeHost{ext: ext}}
	seen := 0
	row.host.on = func(c *fakeConn, at bounce.Stage, line string) bool {
		reply := map[bounce.Stage]string{
			bounce.StageConnect: "220 mx", bounce.StageEHLO: "250-mx\r\n250-" + strings.Join(append(ext, "SIZE"), "\r\n250-") + "\r\n250 HELP",
			bounce.StageMail: "250 2.1.0 ok", bounce.StageRcpt: "250 2.1.5 ok", bounce.StageData: "354 go", bounce.StageDot: "250 2.0.0 taken",
		}[at]
		if strings.Contains(line, "<b@") {
			reply = "550 5.1.1 no such user"
		}
		hit := at == stage && seen == nth
		if at == stage {
			seen++
		}
		switch {
		case hit && behind:
			c.say(reply + "\r\n" + extra)
		case hit && at == bounce.StageData:
			c.before = extra + "\r\n"
			return false // the content is read then
		case hit:
			c.say(extra + "\r\n" + reply)
		case strings.Contains(line, "<b@"):
			c.say(reply)
		default:
			return false
		}
		c.code = reply[:3] // of the one that was meant
		return true
	}
	if stage == bounce.StageDot && behind {
		// The verdict was there already.
		row.check = func(t *testing.T, o *outcome) {
			if slices.Contains(ext, "PIPELINING") && slices.Contains(ext, "CHUNKING") && !strings.HasPrefix(extra, "421") {
				return // which of the replies was the content's is not sure
			}
			if extra[0] != '2' && !strings.HasPrefix(extra, "421") {
				// Which of the two counts is not sure either.
				if r := o.results[0].Reply; o.results[0].Accepted || !r.Local || r.Stage != bounce.StageDot || !strings.Contains(r.Text(), "unknown") {
					t.Errorf("results are %+v", o.results)
				}
				return
			}
			if !o.results[0].Accepted || o.results[1].Accepted || !o.results[2].Accepted || o.again[0].Accepted || o.session.Usable() {
				t.Errorf("results are %+v %+v", o.results, o.again)
			}
		}
		return row
	}
	row.check = func(t *testing.T, o *outcome) {
		for i, r := range slices.Concat(o.results, o.again) {
			joined := slices.Contains(ext, "PIPELINING") && slices.Contains(ext, "CHUNKING")
			if (stage == bounce.StageDot || joined && nth == 2 && behind) && strings.HasPrefix(extra, "250") && i != 1 && i < 3 && r.Accepted {
				continue // it said so twice: behind the content, or right before its verdict on a content that it had
			}
			own := i == 1 && r.Reply.Code == 550 && r.Reply.Text() == "no such user"
			if r.Accepted || !r.Reply.Local && !own && r.Reply.Code != 421 {
				t.Errorf("result %d is %+v", i, r)
			}
		}
	}
	return row
}
