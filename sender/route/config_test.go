package route

import (
	"strings"
	"testing"
	"time"
)

func TestNew(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  Config
		want string // in the error
	}{
		{"defaults", Config{}, ""},
		{"family", Config{Family: "ipv5"}, "Config.Family"},
		{"hosts", Config{MaxHosts: 101}, "Config.MaxHosts"},
		{"negative hosts", Config{MaxHosts: -1}, "Config.MaxHosts"},
		{"cache", Config{CacheSize: -1}, "Config.CacheSize"},
		{"MinTTL", Config{MinTTL: -1}, "Config.MinTTL"},
		{"MaxTTL", Config{MaxTTL: -1}, "Config.MaxTTL"},
		{"MinTTL over MaxTTL", Config{MaxTTL: time.Second}, "Config.MinTTL"},
		{"NegativeTTL", Config{NegativeTTL: -1}, "Config.NegativeTTL"},
		{"FailureTTL", Config{FailureTTL: time.Hour}, "Config.FailureTTL"},
		{"server", Config{Servers: []string{"192.0.2.53"}}, "Config.Servers[0]"},
		{"time-out", Config{Timeout: -1}, "Config.Timeout"},
		{"attempts", Config{Attempts: 99}, "Config.Attempts"},
	} {
		if test.cfg.Servers == nil {
			test.cfg.Servers = []string{"192.0.2.53:53"}
		}
		r, err := New(test.cfg)
		if (r == nil) == (err == nil) {
			t.Errorf("%s: Resolver %v and error %v", test.name, r, err)
		}
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}
