package deptest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// leaves are the packages that know nothing of each other.
var leaves = []string{"warmup", "throttle", "auth", "bounce"}

// rule finds what a graph must not have.
type rule struct {
	name  string
	check func(graph) []string
}

// rules are all rules about imports.
var rules = []rule{
	{"leaves", func(g graph) []string {
		var found []string
		for _, leaf := range leaves {
			found = append(found, g.usesOnly(leaf, leaf, "internal")...)
		}
		return found
	}},
	{"leaves' tests", func(g graph) []string {
		// A test may use a kit, but no other leaf: or the leaves' packages could not be tested on their own.
		var found []string
		for _, name := range g.names() {
			for _, leaf := range leaves {
				if !below(name, leaf) {
					continue
				}
				for _, imported := range g[name].tests() {
					of, ok := inside(imported)
					if ok && !isKit(of) && !below(of, leaf, "internal") {
						found = append(found, fmt.Sprintf("tests of %s import %s", name, of))
					}
				}
			}
		}
		return found
	}},
	{"sendertest", func(g graph) []string { return g.usesOnly("sender/sendertest", "sender/sendertest", "bounce") }},
	{"kits", func(g graph) []string {
		return g.imports(production, func(imported string) bool {
			of, ok := inside(imported)
			return ok && isKit(of) || below(imported, "testing", "pgregory.net/rapid")
		}, func(name string) bool { return isKit(name) || below(name, "examples") })
	}},
	{"examples", func(g graph) []string {
		return g.imports(everything, func(imported string) bool {
			of, ok := inside(imported)
			return ok && below(of, "examples")
		}, func(name string) bool { return below(name, "examples") })
	}},
	{"miekg/dns", func(g graph) []string {
		return g.imports(everything, isBelow("github.com/miekg/dns"), isBelow("internal/dnsx"))
	}},
	{"go-smtp", func(g graph) []string {
		// sendertest, submission, intake and the examples serve; bounce reads the errors. The client is used nowhere.
		return g.imports(production, isBelow("github.com/emersion/go-smtp"), func(name string) bool {
			return slices.Contains([]string{
				"sender/sendertest", "sender/submission", "bounce", "bounce/intake",
			}, name) || below(name, "examples")
		})
	}},
	{"drivers", func(g graph) []string {
		// What a driver is made of counts as the driver.
		return slices.Concat(
			g.imports(production, isBelow("modernc.org"), isBelow("sender/queue/sqlitequeue", "examples")),
			g.imports(production, isBelow("github.com/jackc"), isBelow("sender/queue/pgqueue", "internal/pgtest", "examples")),
			g.imports(production, isBelow(
				"github.com/mattn/go-sqlite3", "github.com/ncruces/go-sqlite3", "zombiezen.com/go/sqlite",
				"github.com/lib/pq", "github.com/go-sql-driver/mysql",
			), isBelow("examples")),
		)
	}},
	{"drivers' packages", func(g graph) []string {
		// Who wants a driver asks for it: no package brings one because it uses another that does.
		return g.imports(production, func(imported string) bool {
			of, ok := inside(imported)
			return ok && below(of, "sender/queue/sqlitequeue", "sender/queue/pgqueue")
		}, isBelow("examples"))
	}},
	{"redis", func(g graph) []string {
		return g.imports(production, isBelow("github.com/redis/go-redis"), isBelow("throttle/redisstore", "examples"))
	}},
}

// Whose imports a rule is about.
const (
	production = false // what is linked into programs
	everything = true  // tests too
)

// imports finds packages that import what is forbidden, but for the excepted ones.
func (g graph) imports(tests bool, forbidden, excepted func(string) bool) []string {
	var found []string
	for _, name := range g.names() {
		if excepted(name) {
			continue
		}
		imports := g[name].Imports
		if tests {
			imports = slices.Concat(imports, g[name].tests())
		}
		for _, imported := range imports {
			if forbidden(imported) {
				found = append(found, fmt.Sprintf("%s imports %s", name, imported))
			}
		}
	}
	return found
}

// usesOnly finds packages below root that link another package of the project than those below allowed.
func (g graph) usesOnly(root string, allowed ...string) []string {
	var found []string
	for _, name := range g.names() {
		if !below(name, root) {
			continue
		}
		ways := g.reach(name)
		for _, used := range slices.Sorted(maps.Keys(ways)) {
			if !below(used, allowed...) {
				found = append(found, fmt.Sprintf("%s uses %s: %s", name, used, strings.Join(ways[used], " -> ")))
			}
		}
	}
	return found
}

func (g graph) names() []string { return slices.Sorted(maps.Keys(g)) }

// isBelow is below as a predicate.
func isBelow(roots ...string) func(string) bool {
	return func(name string) bool { return below(name, roots...) }
}

// isKit reports whether a package is only for tests.
func isKit(name string) bool {
	return strings.HasSuffix(path.Base(name), "test") || name == "internal/interop"
}

// topFolders and topFiles are what the top folder may hold besides dotfiles.
var (
	topFolders = append([]string{"docs", "examples", "internal", "sender"}, leaves...)
	topFiles   = []string{
		"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "SECURITY.md",
		"doc.go", "doc_test.go", "go.mod", "go.sum",
	}
)

// built reports whether a name is that of a build's or test run's result, which .gitignore has too.
func built(name string) bool {
	return name == "bin" || slices.Contains([]string{".test", ".out", ".prof"}, path.Ext(name))
}

// stray finds what the top folder must not hold. The names of folders end in a slash.
func stray(names []string) []string {
	var found []string
	for _, name := range names {
		folder, isFolder := strings.CutSuffix(name, "/")
		allowed := topFiles
		if isFolder {
			allowed = topFolders
		}
		if !strings.HasPrefix(name, ".") && !built(folder) && !slices.Contains(allowed, folder) {
			found = append(found, name)
		}
	}
	return found
}
