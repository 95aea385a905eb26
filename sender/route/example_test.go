package route_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"

	"github.com/reputemail/repute/sender/route"
	"github.com/reputemail/repute/sender/sendertest"
)

// A domain's mail hosts come in the order in which to try them; a domain that takes no mail says so with a reply.
func Example() {
	network := sendertest.NewNetwork()
	defer network.Close()
	dns, err := sendertest.StartDNS(network, netip.AddrPort{})
	if err != nil {
		log.Fatal(err)
	}
	defer dns.Close()
	for _, err := range []error{
		dns.AddMX("example.com", 20, "backup.example.com"),
		dns.AddMX("example.com", 10, "mx.example.com"),
		dns.AddA("mx.example.com", netip.MustParseAddr("192.0.2.10")),
		dns.AddAAAA("mx.example.com", netip.MustParseAddr("2001:db8::10")),
		dns.AddA("backup.example.com", netip.MustParseAddr("198.51.100.20")),
		dns.AddNullMX("noreply.example"),
	} {
		if err != nil {
			log.Fatal(err)
		}
	}

	resolver, err := route.New(route.Config{Servers: []string{dns.Addr()}, Dial: network.DialContext})
	if err != nil {
		log.Fatal(err)
	}
	dest, err := resolver.Resolve(context.Background(), "Example.COM")
	if err != nil {
		log.Fatal(err)
	}
	for _, host := range dest.Hosts {
		fmt.Println(dest.Domain, host.Preference, host.Name, host.Addrs)
	}

	_, err = resolver.Resolve(context.Background(), "noreply.example")
	var failed *route.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.Temporary, failed.Reply)
	}
	// Output:
	// example.com 10 mx.example.com [192.0.2.10 2001:db8::10]
	// example.com 20 backup.example.com [198.51.100.20]
	// false 556 5.1.10 Domain takes no mail (null MX)
}
