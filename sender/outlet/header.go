package outlet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// signature begins every header: proxy-protocol.txt section 2.2.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// The fields of the header that are used.
const (
	versionCommand = 0x21 // version 2, command PROXY
	tcpOver4       = 0x11 // AF_INET, STREAM
	tcpOver6       = 0x21 // AF_INET6, STREAM
)

// header is the header for a connection from any port of local to addr.
//
// github.com/pires/go-proxyproto writes the same, but most of it reads headers: a listener, policies, TLVs, version 1. Nothing here reads one.
// What is left, one layout of 28 or 52 bytes that will never change, is shorter than the conversion to that package's types would be, and a
// dependency less in the path of every message.
func header(local netip.Addr, addr netip.AddrPort) ([]byte, error) {
	if !local.IsValid() {
		return nil, errors.New("outlet: no address to leave from, which the PROXY header has to name")
	}
	if local.Is4() != addr.Addr().Is4() {
		return nil, fmt.Errorf("outlet: %v cannot be reached from %v", addr.Addr(), local)
	}
	family := byte(tcpOver6)
	if local.Is4() {
		family = tcpOver4
	}
	from, to := local.AsSlice(), addr.Addr().AsSlice()
	b := make([]byte, 0, len(signature)+4+2*16+4)
	b = append(b, signature...)
	b = append(b, versionCommand, family)
	b = binary.BigEndian.AppendUint16(b, uint16(2*len(from)+4))
	b = append(b, from...)
	b = append(b, to...)
	b = binary.BigEndian.AppendUint16(b, 0) // the proxy takes any port
	return binary.BigEndian.AppendUint16(b, addr.Port()), nil
}
