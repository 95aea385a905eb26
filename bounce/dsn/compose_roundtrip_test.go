package dsn

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/bounce"
)

// TestComposeRoundTrip: Parse reads what Compose wrote.
func TestComposeRoundTrip(t *testing.T) {
	local := rapid.StringMatching(`[a-z]{1,9}([.+_-][a-z]{1,9}){0,2}|"[a-z]{1,5} [a-z]{1,5}"|[äöü用户é]{1,5}`)
	name := rapid.StringMatching(`[a-z]{1,20}(-[a-z0-9]{1,20}){0,2}\.(example|例え)(\.net)?`)
	host := rapid.StringMatching(`[a-z]{1,20}\.example\.(net|org)`)
	address := rapid.Custom(func(t *rapid.T) string { return local.Draw(t, "local") + "@" + name.Draw(t, "domain") })
	text := rapid.Custom(func(t *rapid.T) string {
		words := rapid.SliceOfN(rapid.StringMatching(`[!-~äßé漢字]{1,30}`), 0, 60).Draw(t, "words")
		return strings.Join(append([]string{"550 refused"}, words...), " ")
	})
	when := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "unix"), 0).UTC()
	})
	rapid.Check(t, func(t *rapid.T) {
		n := &Notification{
			Form: FormRFC3464, ReportingMTA: host.Draw(t, "reporter"), EnvelopeID: rapid.StringMatching(`[!-~]{0,90}`).Draw(t, "id"), ArrivalDate: when.Draw(t, "arrival"),
		}
		for _, final := range rapid.SliceOfNDistinct(address, 1, 8, strings.ToLower).Draw(t, "finals") {
			r := Recipient{
				Final: final, Action: rapid.SampledFrom(bounce.Actions()).Draw(t, "action"),
				Status:         bounce.Status{Class: rapid.SampledFrom([]int{2, 4, 5}).Draw(t, "class"), Subject: rapid.IntRange(0, 9).Draw(t, "subject"), Detail: rapid.IntRange(0, 30).Draw(t, "detail")},
				DiagnosticType: rapid.SampledFrom([]string{"smtp", "x-unix", "x-postfix"}).Draw(t, "type"), Diagnostic: text.Draw(t, "diagnostic"),
				RemoteMTA: rapid.OneOf(rapid.Just(""), host).Draw(t, "remote"), LastAttempt: when.Draw(t, "last"), WillRetryUntil: when.Draw(t, "until"),
			}
			if o := address.Draw(t, "original"); rapid.Bool().Draw(t, "forwarded") && !strings.EqualFold(o, final) {
				r.Original = o
			}
			n.Recipients = append(n.Recipients, r)
		}
		c := config()
		c.Full = rapid.Bool().Draw(t, "full")
		c.Subject = rapid.String().Filter(isOneLine).Draw(t, "subject")
		c.Text = rapid.String().Filter(func(s string) bool { return !strings.Contains(s, "\x00") }).Draw(t, "text")
		raw, err := Compose(n, c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(raw)
		if err != nil {
			t.Fatalf("%v\n%s", err, raw)
		}
		if got.Original.MessageID != "june.4711@example.com" || got.Original.ReturnPath != "news+k7@example.com" {
			t.Fatalf("original: %+v", got.Original)
		}
		got.Original, got.ArrivalDate = Original{}, got.ArrivalDate.UTC()
		for i := range got.Recipients {
			r := &got.Recipients[i]
			r.LastAttempt, r.WillRetryUntil = r.LastAttempt.UTC(), r.WillRetryUntil.UTC()
		}
		if !reflect.DeepEqual(got, n) {
			t.Fatalf("got  %+v\nwant %+v\n%s", got, n, raw)
		}
	})
}

// TestComposeMangled: Parse reads it also after what happens to mail on its way.
func TestComposeMangled(t *testing.T) {
	n := failedOne()
	n.Recipients = append(n.Recipients, Recipient{Final: "bert@example.net", Action: bounce.ActionDelayed, Status: bounce.Status{Class: 4, Subject: 4, Detail: 1}, Diagnostic: "451 no answer", DiagnosticType: "smtp"})
	raw, err := Compose(n, config())
	if err != nil {
		t.Fatal(err)
	}
	want := showAll(n)
	for name, mangle := range map[string]func(string) string{
		"line ends":        func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") },
		"mailbox file":     func(s string) string { return "From MAILER-DAEMON Mon Jun  1 12:00:00 2026\r\n" + s },
		"cut off":          func(s string) string { return s[:strings.Index(s, "Content-Type: text/rfc822-headers")] },
		"no last boundary": func(s string) string { return s[:strings.LastIndex(s, "--=_")] },
		"type lost":        func(s string) string { return strings.Replace(s, "Content-Type: multipart/report", "X-Type: x", 1) },
		"another boundary": func(s string) string { return strings.Replace(s, "boundary=\"=_", "boundary=\"=_x", 1) },
		"part's type lost": func(s string) string { return strings.Replace(s, "message/delivery-status", "text/plain", 1) },
		"group joined": func(s string) string {
			return strings.Replace(s, "\r\n\r\nOriginal-Recipient", "\r\nOriginal-Recipient", 1)
		},
		"groups joined": func(s string) string { return strings.Replace(s, "\r\n\r\nFinal-Recipient", "\r\nFinal-Recipient", 1) },
		"names in capitals": func(s string) string {
			return strings.NewReplacer("Final-Recipient", "FINAL-RECIPIENT", "Status:", "STATUS:", "Content-Type", "CONTENT-TYPE").Replace(s)
		},
		"forwarded": func(s string) string {
			return "From: anna@example.com\r\nContent-Type: multipart/mixed; boundary=fwd\r\n\r\n--fwd\r\n\r\nlook\r\n--fwd\r\nContent-Type: message/rfc822\r\n\r\n" + s + "\r\n--fwd--\r\n"
		},
	} {
		got, err := Parse([]byte(mangle(string(raw))))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s := showAll(got); s != want {
			t.Errorf("%s: got %q, want %q", name, s, want)
		}
	}
}

func BenchmarkCompose(b *testing.B) {
	n, c := failedOne(), config()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compose(n, c); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzCompose: whatever the original and a diagnostic have in them, the standard library and Parse can read what is made of it, and no field is added.
func FuzzCompose(f *testing.F) {
	f.Add([]byte(sent), "550 no such user", "a+b", "Grüße", true)
	f.Add([]byte("Message-ID: <a@b>\r\n\rX: \x00\n\n--=_\n.\r\n"), strings.Repeat("é", 2000), "\x7f", "=?utf-8?q?a?=", false)
	f.Add([]byte("0"), "0", " ", "0", false)
	f.Add([]byte("A\n b\n\n"), "=?utf-8?q?a?= x", "=", "a  b ", true)
	f.Fuzz(func(t *testing.T, original []byte, diagnostic, id, text string, full bool) {
		n, c := failedOne(), config()
		n.Recipients[0].Diagnostic, n.EnvelopeID = diagnostic, id
		c.Message, c.Full, c.Text, c.Subject = original, full, text, text
		raw, err := Compose(n, c)
		if err != nil {
			return
		}
		h, parts := take(t, raw)
		if len(h) > 11 || h.Get("Bcc") != "" || len(parts) < 2 || parts[1].mediaType != "message/delivery-status" {
			t.Fatalf("%v %q", h, parts)
		}
		got, err := Parse(raw)
		if err != nil || len(got.Recipients) != 1 || got.Recipients[0].Final != "anna@example.net" || got.EnvelopeID != id {
			t.Fatalf("%+v, %v", got, err)
		}
	})
}
