package transport

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
)

// TestQuirks: what a host promises and does not keep is not used for a while.
func TestQuirks(t *testing.T) {
	for _, c := range []struct {
		name string
		ext  []string
		// first is how the host answers the command of a stage while it is broken; "" for silence.
		stage bounce.Stage
		reply string
		// code or status and stage are what comes of it.
		want       string
		wantStage  bounce.Stage
		pipelining bool // is what is given up, or CHUNKING
	}{
		{"input is flushed", []string{"PIPELINING"}, bounce.StageRcpt, "", "4.4.2 no reply within 36s", bounce.StageRcpt, true},
		{"a reply too many", []string{"PIPELINING"}, bounce.StageRcpt, "250 ok\r\n250 ok", "4.5.0 unexpected reply: 250 ok", bounce.StageData, true},
		{"unknown command", []string{"CHUNKING"}, bounce.StageDot, "500 5.5.1 what", "4.5.0 the host offers CHUNKING and does not know BDAT: 500 5.5.1 what", bounce.StageDot, false},
		{"not implemented", []string{"PIPELINING", "CHUNKING"}, bounce.StageDot, "502 5.5.1 what", "4.5.0 the host offers CHUNKING and does not know BDAT: 502 5.5.1 what", bounce.StageDot, false},
		{"bad sequence", []string{"PIPELINING", "CHUNKING"}, bounce.StageDot, "503 5.5.1 what", "4.5.0 the host offers CHUNKING and does not know BDAT: 503 5.5.1 what", bounce.StageDot, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broken := true
				h := &fakeHost{ext: c.ext, on: func(conn *fakeConn, at bounce.Stage, _ string) bool {
					if !broken || at != c.stage {
						return false
					}
					if c.reply == "" {
						conn.hang()
					}
					conn.say(c.reply)
					return true
				}}
				h.start(t, nil)
				tr := newTransport(t, h.net, Config{Timeouts: shortTimeouts})
				s := dial(t, tr, target())
				results, err := s.Send(context.Background(), envelope())
				r := asError(t, err).Reply
				if r.String() != c.want || r.Stage != c.wantStage || results[0].Accepted || results[0].Reply.String() != c.want {
					t.Errorf("reply is %+v, result %+v", r, results[0])
				}
				broken = false
				for i, want := range []bool{false, false, true} {
					if i == 2 {
						time.Sleep(quirkFor)
					}
					s := dial(t, tr, target())
					mustSend(t, s, envelope())
					s.Close()
					if got := map[bool]bool{true: s.window > 1, false: s.chunking}[c.pipelining]; got != want {
						t.Errorf("session %d: used is %v", i, got)
					}
				}
			})
		})
	}
}
