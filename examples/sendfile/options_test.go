package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/sender"
)

// mustParse reads a command line that is right.
func mustParse(t *testing.T, line string) *options {
	t.Helper()
	o, err := parse(strings.Fields(line), io.Discard)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return o
}

func TestParse(t *testing.T) {
	o := mustParse(t, "-to a@example.org,b@example.org -from <> -to c@example.org -expire 5m -json one.eml two.eml")
	if !slices.Equal(o.to, []string{"a@example.org", "b@example.org", "c@example.org"}) || !slices.Equal(o.files, []string{"one.eml", "two.eml"}) {
		t.Errorf("to %q, files %q", o.to, o.files)
	}
	if o.from != "" || !o.fromSet || o.expire != 5*time.Minute || !o.json {
		t.Errorf("%+v", o)
	}
	if o := mustParse(t, "one.eml"); o.fromSet || o.port != 25 || o.expire != 30*time.Minute || o.json {
		t.Errorf("defaults: %+v", o)
	}
}

// Every mistake is told with the flag that it is about.
func TestUsageErrors(t *testing.T) {
	t.Setenv("SENDFILE_PASS", "")
	for _, test := range []struct{ line, want string }{
		{"", "no FILE"},
		{"-nonsense x.eml", "-nonsense"},
		{"-port many x.eml", "-port"},
		{"-port 0 x.eml", "-port"},
		{"-port 65536 x.eml", "-port"},
		{"-to , x.eml", "-to"},
		{"-expire soon x.eml", "-expire"},
		{"-expire 59s -helo mta.example.com x.eml", "-expire"},
		{"-helo localhost x.eml", "-helo"},
		{"-helo 192.0.2.1 x.eml", "-helo"},
		{"-helo mta.example.com -source mta.example.com x.eml", "-source"},
		{"-helo mta.example.com -dns 192.0.2.53 x.eml", "-dns"},
		{"-relay smtp.example.com x.eml", "-relay"},
		{"-relay 192.0.2.1:587 -port 587 x.eml", "-port"},
		{"-user me -pass secret x.eml", "-relay"},
		{"-relay 192.0.2.1:587 -pass secret x.eml", "-user"},
		{"-relay 192.0.2.1:587 -user me x.eml", "SENDFILE_PASS"},
		{"-helo mta.example.com -dkim-domain example.com x.eml", "-dkim-rsa"},
	} {
		o, err := parse(strings.Fields(test.line), io.Discard)
		var cfg sender.Config
		if err == nil {
			cfg, err = o.config()
		}
		if err == nil {
			_, err = sender.New(cfg)
			err = flagError(err)
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("sendfile %s: %v, want %s in it", test.line, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("sendfile %s: %v tells the password", test.line, err)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Setenv("SENDFILE_PASS", "secret")
	var help strings.Builder
	if _, err := parse([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, name := range []string{
		"from", "to", "dns", "port", "relay", "user", "pass", "dkim-domain", "dkim-selector", "dkim-rsa", "dkim-ed25519",
		"helo", "source", "json", "expire",
	} {
		if !strings.Contains(help.String(), "\n  -"+name+" ") {
			t.Errorf("the usage does not tell of -%s", name)
		}
		// A flag without the argument that it needs says so; one that does not exist says something else.
		if _, err := parse([]string{"-" + name}, io.Discard); err == nil || strings.Contains(err.Error(), "not defined") {
			t.Errorf("-%s: %v", name, err)
		}
	}
	if strings.Contains(help.String(), "secret") {
		t.Error("the usage tells the password")
	}
}

func TestPassword(t *testing.T) {
	t.Setenv("SENDFILE_PASS", "from the environment")
	if o := mustParse(t, "-relay 192.0.2.1:587 -user me x.eml"); o.pass != "from the environment" {
		t.Errorf("%q", o.pass)
	}
	if o := mustParse(t, "-relay 192.0.2.1:587 -user me -pass given x.eml"); o.pass != "given" {
		t.Errorf("%q", o.pass)
	}
	if o := mustParse(t, "-relay 192.0.2.1:25 x.eml"); o.pass != "" {
		t.Errorf("%q without a user", o.pass)
	}
}

func TestSplitAddresses(t *testing.T) {
	for list, want := range map[string][]string{
		"":                                   nil,
		" , ":                                nil,
		"a@example.com":                      {"a@example.com"},
		" a@example.com ,b@example.com, ":    {"a@example.com", "b@example.com"},
		`"a,b"@example.com,c@example.com`:    {`"a,b"@example.com`, "c@example.com"},
		`"a\",b"@example.com,c@example.com`:  {`"a\",b"@example.com`, "c@example.com"},
		`"a\\",b@example.com`:                {`"a\\"`, "b@example.com"},
		`a\,b@example.com`:                   {`a\`, "b@example.com"},
		`a@[IPv6:2001:db8::1],b@example.com`: {"a@[IPv6:2001:db8::1]", "b@example.com"},
	} {
		if got := splitAddresses(list); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
}

// Only a name server of a trial on this machine may send us to this machine.
func TestOnOneMachine(t *testing.T) {
	for dns, want := range map[string]bool{
		"": false, "127.0.0.1:5353": true, "localhost:5353": true, "[::1]:5353": true,
		"127.0.0.1:53": false, "127.0.0.53:53": false, "[::1]:53": false, "localhost:53": false,
		"192.0.2.53:5353": false, "ns.example.com:5353": false, "127.0.0.1": false,
	} {
		if got := (&options{dns: dns}).onOneMachine(); got != want {
			t.Errorf("%q: %v", dns, got)
		}
	}
}
