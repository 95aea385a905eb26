package auth_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/reputemail/repute/auth"
)

// A domain signs with an RSA and an Ed25519 key side by side.
func Example() {
	rsaKey, err := auth.GenerateRSA(2048)
	if err != nil {
		log.Fatal(err)
	}
	edKey, err := auth.GenerateEd25519()
	if err != nil {
		log.Fatal(err)
	}
	signer, err := auth.New(auth.Config{
		Domain: "example.com",
		Keys:   []auth.Key{{Selector: "s1", Signer: rsaKey}, {Selector: "e1", Signer: edKey}},
	})
	if err != nil {
		log.Fatal(err)
	}
	message := []byte("From: news@example.com\r\nTo: reader@example.net\r\nSubject: Hello\r\n\r\nHello.\r\n")
	header, err := signer.Sign(context.Background(), message)
	if err != nil {
		log.Fatal(err)
	}
	for _, tag := range []string{"a=rsa-sha256", "a=ed25519-sha256", "c=relaxed/relaxed", "d=example.com"} {
		fmt.Println(tag, bytes.Count(header, []byte(tag)))
	}
	// Output:
	// a=rsa-sha256 1
	// a=ed25519-sha256 1
	// c=relaxed/relaxed 2
	// d=example.com 2
}

// The record to publish for a key that was read from a file.
func ExampleRecord() {
	// The key of RFC 8463 appendix A, for examples only.
	key, err := auth.LoadKey([]byte(`-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
`))
	if err != nil {
		log.Fatal(err)
	}
	record, err := auth.Record(key.Public())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(auth.ZoneLine("brisbane", "example.com", record))
	// Output:
	// brisbane._domainkey.example.com. IN TXT ( "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" )
}

// An RSA record is longer than one string of a TXT record.
func ExampleSplitTXT() {
	for _, part := range auth.SplitTXT("v=DKIM1; k=rsa; p=" + strings.Repeat("A", 392)) {
		fmt.Println(len(part))
	}
	// Output:
	// 255
	// 155
}

// A signature by a subdomain is aligned in relaxed mode, one by a stranger never.
func ExampleAligned() {
	fmt.Println(auth.Aligned("example.co.uk", "mail.example.co.uk"))
	fmt.Println(auth.AlignedStrict("example.co.uk", "mail.example.co.uk"))
	fmt.Println(auth.Aligned("example.co.uk", "other.co.uk"))
	// Output:
	// true
	// false
	// false
}
