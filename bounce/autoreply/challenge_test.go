package autoreply

import (
	"testing"

	"github.com/reputemail/repute/bounce"
)

func TestChallenge(t *testing.T) {
	const generic = "Your message to ben@example.org is waiting.\r\n\r\nI use a filter against spam. Please click on the link below, just once, so that I know that you are a person and\r\nyour message will be delivered:\r\n\r\nhttps://filter.example.org/c/123\r\n"
	for _, tt := range []struct {
		name string
		raw  []byte
		want bool
	}{
		{"click", mail(generic, "Subject: Re: Hello"), true},
		{"click, auto-replied", mail(generic, "Auto-Submitted: auto-replied", "Subject: Please verify"), true},
		{"click, html", mail("<html><style>p{}</style><p>Your message to Ben is held.</p><p>Please <a href='https://example.org/'>click here</a> to be added to the list of allowed senders.</p>", "Subject: Re: Hello", "Content-Type: text/html"), true},
		{"reply", mail("Your email to ben@example.org was received from an address that I do not know.\r\nJust reply to this message, and your email will be delivered.", "Return-Path: <>", "Subject: Please confirm your email to Ben"), true},
		{"confirm address", mail("The message that you sent is held.", "Reply-To: ben-confirm-1234567.0badcafe@example.org", "Subject: Please confirm your message", "Auto-Submitted: auto-replied"), true},
		{"field", mail("Hello", "X-Bluebottle-Request: <1>"), true},
		{"german", mail("Ihre Nachricht an Ben liegt im Spamfilter. Bitte klicken Sie auf den folgenden Link, damit Ihre Nachricht zugestellt wird.", "Subject: Re: Hello"), true},
		{"french", mail("Votre message est en attente. Pour que votre message soit délivré, cliquez sur le lien.", "Subject: Validation de votre message", "Content-Type: text/plain; charset=utf-8"), true},
		{"spanish", mail("Para que su mensaje sea entregado, haga clic en el enlace.", "Subject: RE: Hola"), true},
		{"portuguese", mail("Para que sua mensagem seja entregue, clique no endereço abaixo.", "Subject: Re: Olá", "Content-Type: text/plain; charset=utf-8"), true},
		{"italian", mail("Affinché il tuo messaggio venga consegnato, clicca qui.", "Subject: Re: Ciao", "Content-Type: text/plain; charset=utf-8"), true},
		{"dutch", mail("Klik op de link zodat uw bericht wordt afgeleverd.", "Subject: Re: Hallo"), true},
		{"russian", mail("Чтобы ваше сообщение было доставлено, нажмите на ссылку.", "Subject: Re: Hello", "Content-Type: text/plain; charset=utf-8"), true},
		{"as a report", []byte("From: filter@example.org\nSubject: Re: Hello\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nsee below\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; example.org\n\nFinal-Recipient: rfc822; ben@example.org\nAction: failed\nStatus: 4.7.0\nDiagnostic-Code: X-Filter; Sender not pre-approved.\n--b--\n"), true},
		{"in a reply", mail("<ben@example.org>: host mx.example.org said: 550 Please visit https://example.org/ to prove that you are human", "From: MAILER-DAEMON@example.com", "Subject: Undelivered Mail Returned to Sender"), true},

		{"person confirms", mail("Thank you for your message. Please confirm the delivery of your order by Monday.", "Subject: Re: Hello", "In-Reply-To: <a@example.com>"), false},
		{"person got nothing", mail("I did not receive your email, please confirm that you sent it.", "Subject: Re: Hello", "In-Reply-To: <a@example.com>"), false},
		{"newsletter", mail("To ensure delivery of your newsletter add us to your approved senders. Click here to unsubscribe.", "Subject: Your email is worth it", "List-Unsubscribe: <https://example.org/u>"), false},
		{"newsletter without a field", mail("Please add us to your allowed senders: click here. Your email settings are below.", "Subject: Confirm today", "Precedence: bulk"), false},
		{"sign-up", mail("Please click here to confirm your subscription to our newsletter.", "Subject: Please confirm your subscription"), false},
		{"bounce with a link", mail("Your message could not be delivered:\r\nhost mx.example.org said: 550 5.7.1 blocked; visit https://example.org/ for how your email can be delivered", "From: MAILER-DAEMON@example.com", "Subject: Undelivered"), false},
		{"delay", mail("A message that you sent has not yet been delivered.\r\nThe message identifier is: x\r\n", "From: daemon@example.com", "Subject: Warning: message delayed", "Auto-Submitted: auto-replied"), false},
		{"web page of a challenge", mail("Their site wants to verify you are human.", "Subject: that site"), false},
		{"guest list", mail("Thanks for your email! Please confirm that you are coming, for the guest list.", "Subject: Re: party", "In-Reply-To: <a@example.com>"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, _ := Parse(tt.raw)
			got := a != nil && a.Kind == bounce.KindChallenge
			if got != tt.want || got && a.Form != FormChallenge {
				t.Errorf("got %+v, want a challenge: %v", a, tt.want)
			}
		})
	}
}
