package throttle

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/reputemail/repute/internal/domain"
)

// maxOperators is how many operators a domain's MX hosts may have before the domain stands for itself.
const maxOperators = 3

// TableConfig says which providers a Table knows. The zero TableConfig has the built-in ones.
type TableConfig struct {
	// Providers are added to the built-in ones; one of the same name replaces it whole. Defaults to none.
	Providers []Provider
	// Exceptions are recipient domains that accept less than their providers. Defaults to none.
	Exceptions []Exception
	// Default are the limits of a provider that the table does not know. Defaults to DefaultLimits.
	Default *Limits
}

// Table knows providers by their MX hosts. It does not change and is safe for concurrent use.
type Table struct {
	providers map[string]Provider
	suffixes  map[string]string // MX suffix to provider name
	domains   map[string]string // recipient domain to provider name
	// exceptions are by recipient domain.
	exceptions map[string]Exception
	fallback   Limits
}

// NewTable makes a Table. A provider that could never match, in whole or by one of its entries, is an error that names it.
func NewTable(config TableConfig) (*Table, error) {
	builtin, err := ParseProviders(providersJSON)
	if err != nil {
		return nil, err
	}
	t := &Table{
		providers:  make(map[string]Provider),
		suffixes:   make(map[string]string),
		domains:    make(map[string]string),
		exceptions: make(map[string]Exception),
		fallback:   DefaultLimits(),
	}
	for _, p := range builtin {
		t.providers[p.Name] = p
	}
	given := make(map[string]bool)
	for i, p := range config.Providers {
		if given[p.Name] {
			return nil, fmt.Errorf("throttle: TableConfig.Providers[%d]: Name: %q is there twice", i, p.Name)
		}
		given[p.Name] = true
		p.MX, p.Domains = slices.Clone(p.MX), slices.Clone(p.Domains)
		t.providers[p.Name] = p
	}
	if config.Default != nil {
		if err := config.Default.validate(); err != nil {
			return nil, fmt.Errorf("throttle: %w", within("TableConfig.Default", err))
		}
		t.fallback = *config.Default
	}
	if err := t.except(config.Exceptions); err != nil {
		return nil, fmt.Errorf("throttle: %w", err)
	}
	return t, t.index()
}

// index fills the look-ups from the providers, and refuses entries that could never decide.
func (t *Table) index() error {
	names := slices.Sorted(maps.Keys(t.providers))
	for _, name := range names {
		p := t.providers[name]
		if err := p.validate(); err != nil {
			return fmt.Errorf("throttle: provider %q: %w", name, err)
		}
		for field, entries := range map[string][]string{"MX": p.MX, "Domains": p.Domains} {
			index := t.suffixes
			if field == "Domains" {
				index = t.domains
			}
			for _, entry := range entries {
				if other, ok := index[entry]; ok {
					return fmt.Errorf("throttle: provider %q: %s: %q is shadowed by the same entry of %q", name, field, entry, other)
				}
				index[entry] = name
			}
		}
	}
	for _, name := range names {
		for _, suffix := range t.providers[name].MX {
			_, parent, _ := strings.Cut(suffix, ".")
			if other, by := t.match(parent); other == name {
				return fmt.Errorf("throttle: provider %q: MX: %q is shadowed by its own entry %q", name, suffix, by)
			}
		}
	}
	return nil
}

// Providers are the providers of the table, in the order of their names.
func (t *Table) Providers() []Provider {
	var all []Provider
	for _, name := range slices.Sorted(maps.Keys(t.providers)) {
		p := t.providers[name]
		p.MX, p.Domains = slices.Clone(p.MX), slices.Clone(p.Domains)
		all = append(all, p)
	}
	return all
}

// Provider names the provider of a recipient domain whose MX hosts are mx, in any order. The package comment has the rules.
// The result is never empty when domain is not; it is the same for the same hosts in another order. A name that the table
// does not know always has a dot in it (a host of a single label gets one at its end) and never equals a known one.
//
// Names have U-labels or A-labels; case and one trailing dot do not matter. It takes about a microsecond for hosts that no
// suffix matches: a caller keeps the answer with the destination.
func (t *Table) Provider(domain string, mx []string) string {
	domain = normalise(domain)
	if name, ok := t.domains[domain]; ok {
		return name
	}
	if len(mx) == 0 || isAddress(domain) {
		return dotted(domain)
	}
	var operators [maxOperators]string
	found := operators[:0]
	for _, host := range mx {
		host = normalise(host)
		if host == "" || isAddress(host) {
			return dotted(domain)
		}
		operator := t.operator(host)
		if slices.Contains(found, operator) {
			continue
		}
		if len(found) == maxOperators {
			return dotted(domain)
		}
		found = append(found, operator)
	}
	if len(found) == 1 {
		return found[0]
	}
	slices.Sort(found)
	return strings.Join(found, "+")
}

// Limits are the limits of a provider as Provider names it: those of the table, the default for one it does not know, or
// the strictest of several operators'. For a domain's own path (see DomainPath) they are those of its exception, or none.
func (t *Table) Limits(provider string) Limits {
	if p, ok := t.providers[provider]; ok {
		return p.Limits
	}
	if l, ok := t.exceptionLimits(provider); ok {
		return l
	}
	first, rest, mixed := strings.Cut(provider, "+")
	if !mixed {
		return t.fallback
	}
	return strictest(t.Limits(first), t.Limits(rest))
}

// possible reports whether Provider can ever return this name, or whether it is that of an exception's path.
func (t *Table) possible(provider string) bool {
	if domain, ok := strings.CutPrefix(provider, domainMark); ok {
		_, ok = t.exceptions[domain]
		return ok
	}
	for name := range strings.SplitSeq(provider, "+") {
		if _, ok := t.providers[name]; ok {
			continue
		}
		if name != normalise(name) && name != dotted(normalise(name)) || !strings.Contains(name, ".") {
			return false
		}
	}
	return true
}

// operator names who runs one MX host.
func (t *Table) operator(host string) string {
	if name, _ := t.match(host); name != "" {
		return name
	}
	if org, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return org
	}
	return dotted(host)
}

// match finds the provider with the longest suffix of host, and that suffix.
func (t *Table) match(host string) (name, suffix string) {
	for rest := host; rest != ""; {
		if name, ok := t.suffixes[rest]; ok {
			return name, rest
		}
		_, rest, _ = strings.Cut(rest, ".")
	}
	return "", ""
}

// normalise makes a name comparable. What is no domain name, such as an address literal, only becomes lower case.
func normalise(name string) string {
	if canonical, err := domain.Canonical(name); err == nil {
		return canonical
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// dotted makes a name of a single label different from every provider's name.
func dotted(name string) string {
	if name == "" || name[0] == '[' || strings.Contains(name, ".") {
		return name
	}
	return name + "."
}

// isAddress reports whether name is an address or an address literal (RFC 5321 section 4.1.3) and no host name.
func isAddress(name string) bool {
	if name == "" {
		return false
	}
	if name[0] == '[' {
		return true
	}
	if last := name[len(name)-1]; !strings.Contains(name, ":") && (last < '0' || last > '9') {
		return false // No top-level domain ends in a digit (RFC 3696 section 2), every IPv4 address does.
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}
