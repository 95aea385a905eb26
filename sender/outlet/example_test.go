package outlet_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/reputemail/repute/sender/outlet"
	"github.com/reputemail/repute/sender/sendertest"
)

// An Outlet's Dial is that of a transport.Target. With nobody at the proxy's address the failure is the proxy's, and tells nothing of the destination.
func Example() {
	network := sendertest.NewNetwork()
	defer network.Close()
	o, err := outlet.New(outlet.Config{Protocol: outlet.ProxyV2, Addr: "192.0.2.80:1080", Dial: network.Dial})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = o.Dial(context.Background(), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddrPort("203.0.113.5:25"))
	var failed *outlet.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.Proxy, "failed:", failed.Reason)
	}
	// Output: 192.0.2.80:1080 failed: connection refused
}
