package verp_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/reputemail/repute/bounce/verp"
)

// A return path tells which delivery a bounce is about, until its time is over.
func Example() {
	tokens, err := verp.New(verp.Config{Keys: []verp.Key{{ID: "a", Secret: []byte("keep this where nobody reads it")}}})
	if err != nil {
		log.Fatal(err)
	}
	sent := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	from, err := tokens.AddressAt(sent, "order-1234/1", "bounces.example.com")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(from)

	delivery, err := tokens.ParseAddressAt(sent.Add(48*time.Hour), from)
	fmt.Println(delivery, err)
	_, err = tokens.ParseAddressAt(sent.Add(60*24*time.Hour), from)
	fmt.Println(errors.Is(err, verp.ErrExpired))
	// Output:
	// b-ta0k28i6ugqck4aeq7iorder-1234=1@bounces.example.com
	// order-1234/1 <nil>
	// true
}

// What others make is only read as a hint.
func ExampleParseClassic() {
	fmt.Println(verp.ParseClassic("list-return-12-anna=example.net@lists.example.com"))
	// Output:
	// anna@example.net true
}
