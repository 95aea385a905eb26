package route

import (
	"net/netip"
	"testing"
)

func TestScopeOf(t *testing.T) {
	for text, want := range map[string]scope{
		"192.0.2.1": scopePublic, "9.255.255.255": scopePublic, "11.0.0.0": scopePublic, "172.15.255.255": scopePublic,
		"172.32.0.0": scopePublic, "192.167.255.255": scopePublic, "192.169.0.0": scopePublic, "100.63.255.255": scopePublic,
		"100.128.0.0": scopePublic, "223.255.255.255": scopePublic, "2001:db8::1": scopePublic, "64:ff9b::192.0.2.1": scopePublic,
		"2002:c000:201::1": scopePublic, "64:ff9c::10.0.0.1": scopePublic,
		"127.0.0.1": scopeLoopback, "127.255.255.255": scopeLoopback, "::1": scopeLoopback, "::ffff:127.0.0.1": scopeLoopback,
		"64:ff9b::127.0.0.1": scopeLoopback, "2002:7f00:1::": scopeLoopback, "::127.0.0.1": scopeLoopback,
		"10.0.0.0": scopePrivate, "10.255.255.255": scopePrivate, "172.16.0.0": scopePrivate, "172.31.255.255": scopePrivate,
		"192.168.0.0": scopePrivate, "192.168.255.255": scopePrivate, "100.64.0.0": scopePrivate, "100.127.255.255": scopePrivate,
		"240.0.0.0": scopePrivate, "254.255.255.255": scopePrivate, "fc00::1": scopePrivate, "fdff::1": scopePrivate,
		"fec0::1": scopePrivate, "::ffff:10.0.0.1": scopePrivate, "64:ff9b::192.168.1.1": scopePrivate, "64:ff9b:1::1": scopePrivate,
		"2002:a00:1::1": scopePrivate, "::10.0.0.1": scopePrivate,
		"0.0.0.0": scopeNone, "0.1.2.3": scopeNone, "255.255.255.255": scopeNone, "224.0.0.1": scopeNone, "169.254.1.1": scopeNone,
		"::": scopeNone, "fe80::1": scopeNone, "ff02::1": scopeNone, "64:ff9b::169.254.169.254": scopeNone, "64:ff9b::": scopeNone,
	} {
		if got := scopeOf(netip.MustParseAddr(text)); got != want {
			t.Errorf("scopeOf(%s) = %s, want %s", text, got, want)
		}
	}
}
