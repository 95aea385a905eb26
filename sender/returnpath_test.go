package sender_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/auth"
	"github.com/reputemail/repute/bounce/verp"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
)

func newTokens(t testing.TB) *verp.Codec {
	t.Helper()
	c, err := verp.New(verp.Config{Keys: []verp.Key{{ID: "a", Secret: []byte("a secret for the tests")}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestReturnPathForEachRecipient: each has its own, the same at every attempt, and the field with the token leaves the signature valid.
func TestReturnPathForEachRecipient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var mu sync.Mutex
		var froms []string
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Compose(
			sendertest.Script{OnMail: func(_ *sendertest.Session, arg string) *sendertest.Answer {
				mu.Lock()
				defer mu.Unlock()
				froms = append(froms, arg)
				return nil
			}}, sendertest.Greylist(30*time.Hour))}) // over midnight
		key, err := auth.GenerateEd25519()
		w.must(err)
		record, err := auth.Record(key.Public())
		w.must(err)
		w.must(w.dns.AddTXT(auth.RecordName("e1", "example.org"), record))
		signer, err := auth.New(auth.Config{Domain: "example.org", Keys: []auth.Key{{Selector: "e1", Signer: key}}})
		w.must(err)
		tokens := newTokens(t)
		cfg := w.config()
		cfg.Streams = []sender.Stream{{Name: "news", Signer: signer, ReturnPath: &sender.ReturnPath{Tokens: tokens, Domain: "Bounces.example.org"}}}
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 5, Recipients: 100}}
		s := w.start(cfg)
		r, err := s.Enqueue(context.Background(), note(users(3, "example.com")...))
		w.must(err)
		time.Sleep(48 * time.Hour)
		got := mx.Inbox().Messages()
		if len(got) != 3 {
			t.Fatalf("%d messages", len(got))
		}
		distinct := map[string]bool{}
		for _, f := range froms {
			distinct[f] = true
		}
		if len(distinct) != 3 || len(froms) < 6 {
			t.Errorf("reverse-paths changed between attempts: %q", froms)
		}
		ids := map[string]string{}
		for _, d := range r.Deliveries {
			ids[d.Recipient] = d.ID
		}
		for _, m := range got {
			want := ids[m.To[0]]
			if len(m.To) != 1 || !strings.HasSuffix(m.From, "@bounces.example.org") {
				t.Errorf("from %s to %q", m.From, m.To)
			}
			if id, err := tokens.ParseAddressAt(time.Now(), m.From); err != nil || id != want {
				t.Errorf("%s is of %q, %v, want %q", m.From, id, err, want)
			}
			field := m.Header(verp.FieldName)
			if len(field) != 1 {
				t.Fatalf("fields %q", field)
			}
			if id, err := tokens.DecodeAt(time.Now(), field[0]); err != nil || id != want {
				t.Errorf("the field is of %q, %v, want %q", id, err, want)
			}
			if !bytes.HasPrefix(m.Data, []byte(verp.FieldName+": ")) && !bytes.Contains(m.Data, []byte("\r\n"+verp.FieldName+": ")) {
				t.Error("the field is not in the header")
			}
			sigs, err := m.VerifyDKIM(w.dns)
			if err != nil || len(sigs) != 1 || sigs[0].Err != nil {
				t.Errorf("signatures: %+v, %v", sigs, err)
			}
		}
	})
}

func TestReturnPathLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		tokens := newTokens(t)
		cfg := w.config()
		cfg.Streams = []sender.Stream{{Name: "news", ReturnPath: &sender.ReturnPath{Tokens: tokens, Domain: "bounces.example.org", Field: "-"}}}
		s := w.start(cfg)
		long := note("anna@example.com")
		long.ID = strings.Repeat("a", 60)
		if _, err := s.Enqueue(context.Background(), long); err == nil || !strings.Contains(err.Error(), "message: ID") {
			t.Errorf("an ID that fits into no return path: %v", err)
		}
		null := note("otto@example.com")
		null.From = ""
		w.sent(s, null)
		w.sent(s, note("anna@example.com"))
		got := mx.Inbox().Messages()
		if len(got) != 2 || got[0].From != "" || got[1].From == "" || len(got[1].Header(verp.FieldName)) != 0 {
			t.Errorf("arrived: from %q and %q", got[0].From, got[1].From)
		}
	})
}

func TestReturnPathConfig(t *testing.T) {
	tokens := newTokens(t)
	for want, rp := range map[string]sender.ReturnPath{
		"ReturnPath.Tokens": {Domain: "b.example.org"},
		"ReturnPath.Domain": {Tokens: tokens, Domain: "b example"},
		"ReturnPath.Field":  {Tokens: tokens, Domain: "b.example.org", Field: "X Y"},
	} {
		_, err := sender.New(sender.Config{
			Routes:  []sender.Route{{Name: "direct", Hostname: "out.example.org"}},
			Streams: []sender.Stream{{Name: "news", ReturnPath: &rp}},
		})
		if err == nil || !strings.Contains(err.Error(), "Streams[0]."+want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
