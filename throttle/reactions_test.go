package throttle

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func newReactions(t testing.TB, config ReactionsConfig) *Reactions {
	t.Helper()
	r, err := NewReactions(config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// match is the name of the reaction to a whole reply.
func match(t *testing.T, r *Reactions, provider, reply string) string {
	t.Helper()
	code, text, err := parseSample(reply)
	if err != nil {
		t.Fatalf("%q %v", reply, err)
	}
	if got := r.Match(provider, code, text); got != nil {
		return got.Name
	}
	return ""
}

func TestReactionsMatch(t *testing.T) {
	acme := Reaction{
		Name: "acme/full", Providers: []string{"acme.example", "google"}, Codes: []string{"45x"}, All: []string{"full", "try"}, None: []string{"mailbox"},
		Suspend: true, For: time.Hour, Match: []string{"450 full, try later"}, Miss: []string{"450 full mailbox, try later"},
	}
	general := Reaction{
		Name: "any/full", Any: []string{"full"}, MessageRate: Rate{1, time.Minute}, For: time.Hour,
		Match: []string{"452 full"}, Miss: []string{"452 fuller"},
	}
	r := newReactions(t, ReactionsConfig{Reactions: []Reaction{general, acme}})
	for _, c := range []struct{ why, provider, reply, want string }{
		{"one for the provider comes before one for any", "acme.example", "450 Full: TRY later", "acme/full"},
		{"another provider", "other.example", "450 Full: TRY later", "any/full"},
		{"no provider", "", "450 Full: TRY later", "any/full"},
		{"another code", "acme.example", "460 Full: TRY later", "any/full"},
		{"all phrases", "acme.example", "450 full", "any/full"},
		{"a phrase that must not be", "acme.example", "450 full mailbox, try later", "any/full"},
		{"a part of a mixed provider", "acme.example+yahoo", "450 full, try later", "acme/full"},
		{"another part of it", "acme.example+yahoo", "421 [TSS04] deferred", "yahoo/tss04"},
		{"no part of it", "apple+outlook", "421 [TSS04] deferred", ""},
		{"half a name is no part", "cme.example+yahoox", "421 [TSS04] deferred", ""},
		{"a built-in one for the provider comes before the host's for any", "yahoo", "421 [TSS04] full", "yahoo/tss04"},
		{"nothing known", "yahoo", "421 come back later", ""},
		{"nothing at all", "yahoo", "421 ", ""},
	} {
		if got := match(t, r, c.provider, c.reply); got != c.want {
			t.Errorf("%s: %s: %q leads to %q, want %q", c.why, c.provider, c.reply, got, c.want)
		}
	}
	for _, code := range []int{-1, 0, 220, 250, 354, 399, 600, 4210} {
		if got := r.Match("google", code, "an unusual rate"); got != nil {
			t.Errorf("the code %d, which is no failure, leads to %s", code, got.Name)
		}
	}
	if got := (*Reactions)(nil).Match("yahoo", 421, "[TSS04]"); got != nil || (*Reactions)(nil).All() != nil {
		t.Error("nil Reactions have reactions")
	}
}

func TestReactionsOrder(t *testing.T) {
	own := Reaction{
		Name: "yahoo/tss04", Any: []string{"tss04"}, Connections: 1, For: time.Hour,
		Match: []string{"421 TSS04"}, Miss: []string{"421 TSS05"},
	}
	r := newReactions(t, ReactionsConfig{Reactions: []Reaction{own}, Without: []string{"apple/slow"}})
	var names []string
	for _, c := range r.All() {
		names = append(names, c.Name)
	}
	builtin := newReactions(t, ReactionsConfig{}).All()
	want := []string{}
	for _, c := range builtin {
		if c.Name != "yahoo/tss04" && c.Name != "apple/slow" && len(c.Providers) > 0 {
			want = append(want, c.Name)
		}
	}
	want = append(want, "yahoo/tss04", "any/rate-limited")
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if got := r.Match("other.example", 421, "tss04"); got == nil || got.Connections != 1 || got.Suspend || len(got.Providers) > 0 {
		t.Errorf("the host's reaction did not replace the built-in one whole: %+v", got)
	}
	if all := newReactions(t, ReactionsConfig{NoBuiltin: true}).All(); len(all) != 0 {
		t.Errorf("%d reactions without the built-in ones", len(all))
	}
	if all := r.All(); all[0].Scope != ScopePath {
		t.Errorf("the default scope is %q", all[0].Scope)
	}
	// What was given and what is returned can be changed without harm.
	own.Any[0], r.All()[0].Any[0] = "x", "x"
	if r.Match("other.example", 421, "tss04") == nil || r.All()[0].Any[0] == "x" {
		t.Error("reactions share memory with their caller")
	}
}

func TestReactionsRefuse(t *testing.T) {
	good := func() Reaction {
		return Reaction{
			Name: "acme/slow", Any: []string{"zzz"}, Suspend: true, For: time.Hour,
			Match: []string{"421 4.7.0 zzz"}, Miss: []string{"421 4.7.0 zz"},
		}
	}
	newReactions(t, ReactionsConfig{Reactions: []Reaction{good()}})
	for want, change := range map[string]func(*Reaction){
		`Name: "acme"`:                                       func(r *Reaction) { r.Name = "acme" },
		`Name: "acme/"`:                                      func(r *Reaction) { r.Name = "acme/" },
		`Name: "Acme/x"`:                                     func(r *Reaction) { r.Name = "Acme/x" },
		`Providers: "gmail" can never match`:                 func(r *Reaction) { r.Providers = []string{"gmail"} },
		`Providers: "Acme.example" can never match`:          func(r *Reaction) { r.Providers = []string{"Acme.example"} },
		`Providers: "mx.google.com" can never match: by its`: func(r *Reaction) { r.Providers = []string{"mx.google.com"} },
		`Providers: "google+yahoo": name its parts`:          func(r *Reaction) { r.Providers = []string{"google+yahoo"} },
		`Providers: "qq" is there twice`:                     func(r *Reaction) { r.Providers = []string{"qq", "qq"} },
		`Codes: "250" can never match: a failure`:            func(r *Reaction) { r.Codes = []string{"4xx", "250"} },
		`Codes: "4x1" can never match: want`:                 func(r *Reaction) { r.Codes = []string{"4x1"} },
		`Codes: "xxx" can never match: want`:                 func(r *Reaction) { r.Codes = []string{"xxx"} },
		`Codes: "4.7" can never match: want`:                 func(r *Reaction) { r.Codes = []string{"4.7"} },
		`Any: is empty, and All too`:                         func(r *Reaction) { r.Any, r.None = nil, []string{"x"} },
		`Any: "ZZZ" can never match`:                         func(r *Reaction) { r.Any = []string{"zzz", "ZZZ"} },
		`All: "" can never match`:                            func(r *Reaction) { r.All = []string{""} },
		`None: "a  b" can never match`:                       func(r *Reaction) { r.None = []string{"a  b"} },
		`Trigger: 2 per 0s`:                                  func(r *Reaction) { r.Trigger = Rate{N: 2} },
		`Trigger: 1001/h: want at most 1000`:                 func(r *Reaction) { r.Trigger = Rate{1001, time.Hour} },
		`Trigger: 2/25h0m0s: want`:                           func(r *Reaction) { r.Trigger = Rate{2, 25 * time.Hour} },
		`Suspend: is false, and`:                             func(r *Reaction) { r.Suspend = false },
		`Suspend: with another measure`:                      func(r *Reaction) { r.Connections = 1 },
		`MessageRate: -1 per 1s`:                             func(r *Reaction) { r.Suspend, r.MessageRate = false, Rate{-1, time.Second} },
		`Connections: -1 is negative`:                        func(r *Reaction) { r.Suspend, r.Connections = false, -1 },
		`MessagesPerConnection: -1 is negative`:              func(r *Reaction) { r.Suspend, r.MessagesPerConnection = false, -1 },
		`For: 0s is not between`:                             func(r *Reaction) { r.For = 0 },
		`For: 59s is not between`:                            func(r *Reaction) { r.For = 59 * time.Second },
		`For: 168h0m1s is not between`:                       func(r *Reaction) { r.For = 7*24*time.Hour + time.Second },
		`Scope: "route" is neither`:                          func(r *Reaction) { r.Scope = "route" },
		`Scope: "domain" with a limit of connections`:        func(r *Reaction) { r.Scope, r.Suspend, r.Connections = ScopeDomain, false, 1 },
		`Date: "May" is not`:                                 func(r *Reaction) { r.Date = "May" },
		`Match: is empty`:                                    func(r *Reaction) { r.Match = nil },
		`Miss: is empty`:                                     func(r *Reaction) { r.Miss = nil },
		`Match: "zzz" does not begin with the code`:          func(r *Reaction) { r.Match = []string{"zzz"} },
		`Match: "250 zzz" does not begin with the code`:      func(r *Reaction) { r.Match = []string{"250 zzz"} },
		`Miss: "4xx zz" does not begin with the code`:        func(r *Reaction) { r.Miss = []string{"4xx zz"} },
		`Match: "421 4.7.0 zz" does not lead to it`:          func(r *Reaction) { r.Match = []string{"421 4.7.0 zz"} },
		`Match: "421 4.7.0 zzz" does not lead to it`:         func(r *Reaction) { r.Any = []string{"4.7.0"} },
		`Miss: "421 4.7.0 zzz" leads to it`:                  func(r *Reaction) { r.Miss = []string{"421 4.7.0 zzz"} },
	} {
		r := good()
		change(&r)
		_, err := NewReactions(ReactionsConfig{Reactions: []Reaction{r}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "throttle: reaction ") {
			t.Errorf("want %s, got %v", want, err)
		}
	}
	broad := good()
	broad.Providers, broad.Any, broad.Match = []string{"apple"}, []string{"hcm1"}, []string{"421 HCM1"}
	excepted := good()
	excepted.Providers = []string{"@school.example"}
	table := newTable(t, TableConfig{Exceptions: []Exception{{Domain: "school.example", Limits: Limits{Connections: 1}}}})
	second := good()
	second.Name = "acme/second"
	for want, config := range map[string]ReactionsConfig{
		`throttle: reaction "acme/slow": Providers: "@school.example" can never match`:                                      {Reactions: []Reaction{excepted}, Table: table},
		`throttle: reaction "acme/second": Match: "421 4.7.0 zzz" leads to "acme/slow", which shadows it`:                   {Reactions: []Reaction{good(), second}},
		`throttle: ReactionsConfig.Reactions[1].Name: "acme/slow" is there twice`:                                           {Reactions: []Reaction{good(), good()}},
		`throttle: ReactionsConfig.Without: there is no built-in reaction "yahoo/x"`:                                        {Without: []string{"yahoo/x"}},
		`throttle: reaction "apple/slow": Match: "421 4.7.0 [HCM1] Mail from 192.0.2.1 was deferred." leads to "acme/slow"`: {Reactions: []Reaction{broad}},
	} {
		if _, err := NewReactions(config); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %s, got %v", want, err)
		}
	}
	newReactions(t, ReactionsConfig{Reactions: []Reaction{broad}, Without: []string{"apple/slow"}})
	relay := good()
	relay.Providers = []string{"relay"}
	newReactions(t, ReactionsConfig{Reactions: []Reaction{relay}, Names: []string{"relay"}})
}

// Every built-in reaction says where it comes from, does something for a known provider, and holds against its evidence
// whatever is around it.
func TestBuiltinReactions(t *testing.T) {
	r := newReactions(t, ReactionsConfig{})
	for _, c := range r.All() {
		if c.Source == "" || c.Date == "" {
			t.Errorf("%s: no source or date", c.Name)
		}
		if group, _, _ := strings.Cut(c.Name, "/"); len(c.Providers) > 0 && !slices.Contains(c.Providers, group) || len(c.Providers) == 0 && group != "any" {
			t.Errorf("%s is for %q", c.Name, c.Providers)
		}
		for _, sample := range c.Match {
			for _, provider := range c.Providers {
				for _, mixed := range []string{provider, provider + "+zzz.example", "a.example+" + provider} {
					if got := match(t, r, mixed, sample); got != c.Name {
						t.Errorf("%s: %s: %q leads to %q", c.Name, mixed, sample, got)
					}
				}
			}
			if got := match(t, r, "other.example", sample); got != "" && got != "any/rate-limited" {
				t.Errorf("%s: of another provider %q leads to %q", c.Name, sample, got)
			}
		}
	}
}

func TestReactionsConcurrent(t *testing.T) {
	r := newReactions(t, ReactionsConfig{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if got := r.Match("yahoo", 421, "[TSS05] deferred"); got == nil || got.Name != "yahoo/tss05" {
					t.Errorf("got %+v", got)
				}
			}
		})
	}
	wg.Wait()
}

func TestReactionsAllocate(t *testing.T) {
	r := newReactions(t, ReactionsConfig{})
	for _, provider := range []string{"google", "other.example", "google+yahoo"} {
		if n := testing.AllocsPerRun(100, func() { r.Match(provider, 451, "4.3.0 Please try again later, we\u2019re busy") }); n > 0 {
			t.Errorf("%s: %v allocations", provider, n)
		}
	}
}

func BenchmarkReactions(b *testing.B) {
	r := newReactions(b, ReactionsConfig{})
	const google = "[192.0.2.1] Our system has detected an unusual rate of unsolicited mail originating from your IP address. To protect " +
		"our users from spam, mail sent from your IP address has been temporarily rate limited. Please visit " +
		"https://support.google.com/mail/?p=UnsolicitedRateLimitError to review our guidelines. abcdefghij-1234567890 - gsmtp"
	for name, c := range map[string]struct {
		provider, text string
	}{
		"match":   {"google", google},
		"miss":    {"outlook", "The mail server is busy just now. Please try again later. ATTR17 [AMS0EPF0000019C.eurprd05.prod.outlook.com 08DEADB0994CCD76]"},
		"unknown": {"hoster.example", "<mx.example.com[192.0.2.1]>: Client host rejected: cannot find your hostname"},
		"mixed":   {"example.com+google", google},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Match(c.provider, 421, c.text)
			}
		})
	}
}
