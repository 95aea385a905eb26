package deptest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// top is the project's folder as seen from here.
const top = "../.."

func TestImports(t *testing.T) {
	g, err := load(top)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(leaves, []string{"internal/deptest", "internal/keyed"}) {
		if _, ok := g[name]; !ok {
			t.Errorf("the graph lacks %s", name)
		}
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, violation := range r.check(g) {
				t.Error(violation)
			}
		})
	}
}

func TestTopFolder(t *testing.T) {
	entries, err := os.ReadDir(top)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	for _, name := range stray(names) {
		t.Errorf("%s does not belong at the top", name)
	}
}

// sound is a graph that keeps every rule, and comes close to breaking each.
func sound() graph {
	own := func(names ...string) []string {
		for i := range names {
			names[i] = module + "/" + names[i]
		}
		return names
	}
	return graph{
		".":                   {},
		"bounce":              {Imports: []string{"github.com/emersion/go-smtp", "strings"}, TestImports: []string{"testing", "pgregory.net/rapid"}},
		"bounce/dsn":          {Imports: own("bounce")},
		"throttle":            {Imports: own("internal/keyed"), XTestImports: own("throttle/throttletest")},
		"throttle/redisstore": {Imports: append(own("throttle"), "github.com/redis/go-redis/v9")},
		"throttle/throttletest": {
			Imports: append(own("throttle"), "testing"),
		},
		"warmup":           {TestImports: own("sender/sendertest")},
		"auth":             {},
		"auth/preflight":   {Imports: own("auth", "internal/dnsx")},
		"internal/keyed":   {},
		"internal/dnsx":    {Imports: []string{"github.com/miekg/dns"}, TestImports: []string{"github.com/miekg/dns/dnsutil"}},
		"internal/interop": {Imports: []string{"testing"}},
		"sender":           {Imports: own("bounce", "warmup", "throttle", "auth", "sender/transport", "sender/queue"), TestImports: own("sender/sendertest", "internal/interop")},
		"internal/pgtest":  {Imports: append(own("internal/interop"), "github.com/jackc/pgx/v5", "testing")},
		"sender/queue":     {TestImports: []string{"modernc.org/sqlite"}, XTestImports: own("sender/queue/queuetest")},
		"sender/queue/sqlqueue": {
			Imports:      append(own("sender/queue"), "database/sql"),
			TestImports:  append(own("internal/pgtest"), "modernc.org/sqlite", "github.com/jackc/pgx/v5/stdlib"),
			XTestImports: own("sender/queue/sqlitequeue", "sender/queue/pgqueue"),
		},
		"sender/queue/sqlitequeue": {
			Imports:     append(own("sender/queue/sqlqueue"), "modernc.org/sqlite"),
			TestImports: []string{"github.com/jackc/pgx/v5"},
		},
		"sender/queue/pgqueue": {
			Imports:     append(own("sender/queue/sqlqueue"), "github.com/jackc/pgx/v5/stdlib"),
			TestImports: own("internal/pgtest", "sender/queue/sqlitequeue"),
		},
		"sender/transport":  {Imports: own("bounce"), TestImports: []string{"github.com/emersion/go-smtp"}},
		"sender/sendertest": {Imports: append(own("bounce"), "github.com/emersion/go-smtp", "testing")},
		"sender/queue/queuetest": {
			Imports: append(own("sender/queue"), "testing", "pgregory.net/rapid"),
		},
		"examples/outbox":     {Imports: append(own("sender", "sender/queue/pgqueue", "sender/queue/sqlitequeue"), "github.com/jackc/pgx/v5/stdlib")},
		"examples/quickstart": {Imports: append(own("sender", "sender/sendertest", "examples/internal/screen"), "modernc.org/sqlite")},
	}
}

// The rules are rules: each finds what is planted against it, and only that.
func TestRulesFind(t *testing.T) {
	for _, r := range rules {
		if found := r.check(sound()); len(found) > 0 {
			t.Errorf("%s: the sound graph: %q", r.name, found)
		}
	}
	const production, inTests, outside = 0, 1, 2
	for _, c := range []struct {
		rule, in string
		where    int
		imported string
		want     string
	}{
		{"leaves", "warmup", production, "throttle", "warmup uses throttle: warmup -> throttle"},
		{"leaves", "throttle", production, "bounce", "throttle uses bounce: throttle -> bounce"},
		{"leaves", "bounce/dsn", production, "sender/queue", "bounce/dsn uses sender/queue: bounce/dsn -> sender/queue"},
		{"leaves", "internal/dnsx", production, "bounce", "auth/preflight uses bounce: auth/preflight -> internal/dnsx -> bounce"},
		{"leaves", "auth", production, ".", "auth uses .: auth -> ."},
		{"leaves' tests", "auth", inTests, "bounce", "tests of auth import bounce"},
		{"leaves' tests", "warmup", outside, "sender", "tests of warmup import sender"},
		{"sendertest", "sender/sendertest", production, "internal/dnsx", "sender/sendertest uses internal/dnsx: sender/sendertest -> internal/dnsx"},
		{"sendertest", "sender/sendertest", production, "throttle", "sender/sendertest uses throttle: sender/sendertest -> throttle"},
		{"kits", "sender", production, "sender/sendertest", "sender imports " + module + "/sender/sendertest"},
		{"kits", "sender", production, "internal/interop", "sender imports " + module + "/internal/interop"},
		{"kits", "sender/queue", production, "!testing", "sender/queue imports testing"},
		{"kits", "internal/keyed", production, "!pgregory.net/rapid", "internal/keyed imports pgregory.net/rapid"},
		{"kits", "auth", production, "!testing/synctest", "auth imports testing/synctest"},
		{"examples", "sender", production, "examples/quickstart", "sender imports " + module + "/examples/quickstart"},
		{"examples", "sender", inTests, "examples/quickstart", "sender imports " + module + "/examples/quickstart"},
		{"miekg/dns", "sender", production, "!github.com/miekg/dns", "sender imports github.com/miekg/dns"},
		{"miekg/dns", "sender", outside, "!github.com/miekg/dns", "sender imports github.com/miekg/dns"},
		{"go-smtp", "sender", production, "!github.com/emersion/go-smtp", "sender imports github.com/emersion/go-smtp"},
		{"go-smtp", "bounce/dsn", production, "!github.com/emersion/go-smtp", "bounce/dsn imports github.com/emersion/go-smtp"},
		{"kits", "sender/queue/pgqueue", production, "internal/pgtest", "sender/queue/pgqueue imports " + module + "/internal/pgtest"},
		{"drivers", "sender/queue", production, "!modernc.org/sqlite", "sender/queue imports modernc.org/sqlite"},
		{"drivers", "sender/queue/sqlqueue", production, "!modernc.org/sqlite/lib", "sender/queue/sqlqueue imports modernc.org/sqlite/lib"},
		{"drivers", "sender/queue/sqlqueue", production, "!github.com/jackc/pgx/v5/pgconn", "sender/queue/sqlqueue imports github.com/jackc/pgx/v5/pgconn"},
		{"drivers", "sender/queue/sqlqueue", production, "!github.com/lib/pq", "sender/queue/sqlqueue imports github.com/lib/pq"},
		{"drivers", "sender/queue/sqlitequeue", production, "!github.com/jackc/pgx/v5", "sender/queue/sqlitequeue imports github.com/jackc/pgx/v5"},
		{"drivers", "sender/queue/pgqueue", production, "!modernc.org/sqlite", "sender/queue/pgqueue imports modernc.org/sqlite"},
		{"drivers", "sender/queue/pgqueue", production, "!github.com/lib/pq", "sender/queue/pgqueue imports github.com/lib/pq"},
		{"drivers", "sender/queue/queuetest", production, "!github.com/jackc/pgx/v5", "sender/queue/queuetest imports github.com/jackc/pgx/v5"},
		{"drivers", "internal/pgtest", production, "!modernc.org/sqlite", "internal/pgtest imports modernc.org/sqlite"},
		{"drivers", "sender", production, "!github.com/jackc/puddle/v2", "sender imports github.com/jackc/puddle/v2"},
		{"drivers", "sender", production, "!modernc.org/libc", "sender imports modernc.org/libc"},
		{"drivers' packages", "sender", production, "sender/queue/sqlitequeue", "sender imports " + module + "/sender/queue/sqlitequeue"},
		{"drivers' packages", "sender/queue/sqlqueue", production, "sender/queue/pgqueue", "sender/queue/sqlqueue imports " + module + "/sender/queue/pgqueue"},
		{"drivers' packages", "sender/queue/pgqueue", production, "sender/queue/sqlitequeue", "sender/queue/pgqueue imports " + module + "/sender/queue/sqlitequeue"},
		{"drivers", "warmup", production, "!github.com/jackc/pgx/v5/stdlib", "warmup imports github.com/jackc/pgx/v5/stdlib"},
		{"redis", "sender/queue/sqlqueue", production, "!github.com/redis/go-redis/v9", "sender/queue/sqlqueue imports github.com/redis/go-redis/v9"},
		{"redis", "throttle/throttletest", production, "!github.com/redis/go-redis/v9", "throttle/throttletest imports github.com/redis/go-redis/v9"},
		{"redis", "throttle", production, "!github.com/redis/go-redis/v9", "throttle imports github.com/redis/go-redis/v9"},
	} {
		g := sound()
		p := g[c.in]
		imported, ok := strings.CutPrefix(c.imported, "!")
		if !ok {
			imported = strings.TrimSuffix(module+"/"+imported, "/.")
		}
		switch c.where {
		case production:
			p.Imports = append(p.Imports, imported)
		case inTests:
			p.TestImports = append(p.TestImports, imported)
		case outside:
			p.XTestImports = append(p.XTestImports, imported)
		}
		g[c.in] = p
		i := slices.IndexFunc(rules, func(r rule) bool { return r.name == c.rule })
		if i < 0 {
			t.Fatalf("no rule %q", c.rule)
		}
		if found := rules[i].check(g); len(found) == 0 || !slices.Contains(found, c.want) {
			t.Errorf("%s, %s planted in %s: found %q, want %q", c.rule, imported, c.in, found, c.want)
		}
	}
}

func TestStrayFinds(t *testing.T) {
	got := stray([]string{
		".ci/", ".git/", ".gitignore", "LICENSE", "README.md", "bin/", "cpu.prof", "sender/", "docs/", "go.mod",
		"util/", "notes.md", "sender.go", "LICENSE/", "throttle",
	})
	if want := []string{"util/", "notes.md", "sender.go", "LICENSE/", "throttle"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
