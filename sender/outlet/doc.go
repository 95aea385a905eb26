// Package outlet opens connections that leave from an address of another host: through a proxy there. So one process sends from the
// addresses of many hosts, or from those of a network that it is not in.
//
// Two protocols are spoken, each only as far as it is needed for that:
//
//   - PROXY protocol version 2 (HAProxy's proxy-protocol.txt, section 2.2). The header says from which address to which the connection is to
//     go, and the proxy must be set up to take both from it: in HAProxy by accept-proxy, "source 0.0.0.0 usesrc clientip" and a server of the
//     address 0.0.0.0. There is no answer. That the destination cannot be reached shows as a connection that is closed before the greeting.
//   - SOCKS version 5 (RFC 1928), the command CONNECT, without authentication or with a name and a password (RFC 1929). The proxy chooses the
//     source address, and says whether the destination could be reached.
//
// Dial takes these steps:
//
//  1. The proxy's name, if it has one, is looked up, and its addresses are tried in turn, up to four.
//  2. For PROXY, the header is written, and the connection is ready.
//  3. For SOCKS, the method is agreed on, name and password are sent if the proxy wants them, and the destination's address is sent, never a name.
//  4. For SOCKS, the reply decides. Those that tell of the destination (network or host unreachable, refused, time to live expired, not allowed,
//     address type not supported) and none in time are the destination's failure, and all else is the proxy's.
//
// What a proxy fails in itself is an [*Error]: then no destination can be reached through it. Any other failure is one of the destination
// alone. Everybody can name a host that a proxy may not or cannot connect to, so that must not be taken for a failure of the proxy.
//
// All until the destination's address is sent has Config.Timeout together, the wait for the SOCKS reply Config.ReplyTimeout, however slowly the
// proxy drips its bytes; and no more than some hundred bytes are read.
package outlet
