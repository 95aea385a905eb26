package sqlqueue_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"

	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// A host keeps small values of its own beside the queue. Update repeats its function if another process was quicker, so nothing is lost.
func ExampleQueue_State() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	db, err := sqlitequeue.OpenDB(filepath.Join(folder, "mail.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	q, err := sqlqueue.Open(ctx, db, sqlqueue.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	visits := q.State("shop/visits")
	for range 3 {
		err := visits.Update(ctx, "anna", func(old []byte) ([]byte, error) {
			n, _ := strconv.Atoi(string(old)) // nothing is 0
			return strconv.AppendInt(nil, int64(n+1), 10), nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	err = visits.Load(ctx, func(name string, value []byte) error {
		fmt.Println(name, string(value))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: anna 3
}
