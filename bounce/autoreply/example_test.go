package autoreply_test

import (
	"fmt"

	"github.com/reputemail/repute/bounce/autoreply"
)

func ExampleParse() {
	answer, err := autoreply.Parse([]byte(`From: Anna Berg <anna@example.org>
To: news@example.com
Subject: =?utf-8?Q?R=C3=A9ponse_automatique?=: Our news
Auto-Submitted: auto-replied

Je suis absente jusqu'au 9 juin.
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Kind, answer.Form)
	fmt.Println(answer.Reason)

	_, err = autoreply.Parse([]byte("From: ben@example.org\nSubject: My vacation\n\nI will be out of the office next week.\n"))
	fmt.Println(err)
	// Output:
	// auto-reply away
	// Auto-Submitted: auto-replied
	// the message is no automatic answer
}
