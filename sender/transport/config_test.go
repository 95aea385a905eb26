package transport

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

func TestNew(t *testing.T) {
	tr, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	want := Timeouts{
		Connect: time.Minute, Handshake: time.Minute, Greeting: 5 * time.Minute, Hello: 5 * time.Minute, Auth: 3 * time.Minute,
		Mail: 5 * time.Minute, Rcpt: 5 * time.Minute, Data: 2 * time.Minute, Block: 3 * time.Minute, Dot: 10 * time.Minute,
		Quit: 10 * time.Second,
	}
	if got := tr.config.Timeouts; got != want {
		t.Errorf("time-outs are %+v", got)
	}
	if c := tr.config; c.BrokenTLSFor != 72*time.Hour || c.MaxBrokenTLS != 10_000 || c.MaxReplyBytes != 65536 || c.MaxReplyLines != 256 || c.MaxTLSSessions != 1000 {
		t.Errorf("defaults are %+v", c)
	}
	for field, c := range map[string]Config{
		"Timeouts.Connect":     {Timeouts: Timeouts{Connect: -1}},
		"Timeouts.Quit":        {Timeouts: Timeouts{Quit: -time.Second}},
		"TLSConfig.MaxVersion": {TLSConfig: &tls.Config{MaxVersion: tls.VersionTLS11}},
		"MaxReplyBytes":        {MaxReplyBytes: 100},
		"MaxReplyLines":        {MaxReplyLines: -1},
		"MaxBrokenTLS":         {MaxBrokenTLS: -1},
		"MaxTLSSessions":       {MaxTLSSessions: -1},
	} {
		if _, err := New(c); err == nil || !strings.HasPrefix(err.Error(), "transport: Config."+field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
