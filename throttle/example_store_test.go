package throttle_test

import (
	"context"
	"fmt"

	"github.com/reputemail/repute/throttle"
)

func ExampleMemoryStore() {
	ctx := context.Background()
	store := throttle.NewMemoryStore()
	for range 3 {
		err := store.Update(ctx, "visits", func(old []byte) ([]byte, error) {
			return append([]byte("I"), old...), nil // it may be called again, so it changes nothing but its result
		})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	err := store.Load(ctx, func(key string, value []byte) error {
		fmt.Printf("%s: %s\n", key, value)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// visits: III
}
