package redisstore_test

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/throttle/redisstore"
)

func ExampleNew() {
	client := redis.NewClient(&redis.Options{Addr: "redis.example:6379"}) // connects when it is needed
	defer client.Close()

	var store throttle.Store
	store, err := redisstore.New(client, redisstore.Config{Prefix: "mail:throttle:"})
	fmt.Printf("%T %v\n", store, err)

	_, err = redisstore.New(client, redisstore.Config{Expire: time.Minute})
	fmt.Println(err)
	// Output:
	// *redisstore.Store <nil>
	// redisstore: Config.Expire: 1m0s is less than an hour
}
