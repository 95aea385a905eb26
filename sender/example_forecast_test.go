package sender_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
)

// Forecast tells when mail would go out. Here the receiver is sent one message an hour, and one waits already. What is of no use that late is refused at once, so that
// whoever waits for it can be told, or reached by other means.
func ExampleSender_Forecast() {
	internet := newInternet()
	defer internet.close()
	internet.mailExchanger("example.org", sendertest.Script{})
	s := internet.sender(sender.Config{Limits: map[string]throttle.Limits{"example.org": {MessageRate: throttle.Rate{N: 1, Per: time.Hour}}}})
	ctx := context.Background()
	defer s.Stop(ctx)
	if _, err := s.Send(ctx, note("anna@example.org")); err != nil { // this hour's
		log.Fatal(err)
	}
	if _, err := s.Enqueue(ctx, note("bert@example.org")); err != nil {
		log.Fatal(err)
	}

	f, err := s.Forecast(ctx, "", "example.org")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("over", f.Path, "behind", f.Ahead, "in more than an hour:", time.Until(f.At) > time.Hour)

	reset := note("carl@example.org")
	reset.NotAfter = time.Now().Add(30 * time.Minute)
	_, err = s.Enqueue(ctx, reset)
	var late *sender.TooLateError
	if errors.As(err, &late) {
		fmt.Println("refused; waits for", late.Forecast.Waits[0].Reason)
	}

	reset.NotAfter = time.Now().Add(4 * time.Hour)
	receipt, err := s.Enqueue(ctx, reset)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("accepted; in time:", receipt.Forecast.At.Before(reset.NotAfter))
	// Output:
	// over direct/example.org behind 1 in more than an hour: true
	// refused; waits for rate
	// accepted; in time: true
}
