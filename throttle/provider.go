package throttle

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/reputemail/repute/internal/domain"
)

//go:embed providers.json
var providersJSON []byte

// Provider is one operator of mail hosts and what it accepts.
type Provider struct {
	// Name is the provider's short name: lower-case letters, digits and hyphens. It has no dot, so that it is never taken
	// for the organisational domain of an operator that the table does not know.
	Name string `json:"name"`
	// MX are suffixes of the names of its MX hosts: "google.com" matches itself and every name below it. Lower case, no dot
	// at either end.
	MX []string `json:"mx"`
	// Domains are recipient domains that belong to it whatever their MX hosts. Exact names, written as those of MX.
	Domains []string `json:"domains,omitempty"`
	// Limits is what it accepts. In JSON a limit that is left out has its value of DefaultLimits.
	Limits Limits `json:"limits"`
	// Source says where the limits come from.
	Source string `json:"source"`
	// Date is when the source itself was last read, as 2006-01-02. Empty: unknown, as for limits that are known only from what
	// others tell of the source, or that are a judgement.
	Date string `json:"date,omitempty"`
}

// ParseProviders reads providers from JSON: an array of objects with the fields of Provider. It refuses unknown fields.
// The providers are checked by NewTable.
func ParseProviders(data []byte) ([]Provider, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		return nil, fmt.Errorf("throttle: providers: %w", err)
	}
	providers := make([]Provider, len(items))
	for i, item := range items {
		providers[i].Limits = DefaultLimits()
		d := json.NewDecoder(bytes.NewReader(item))
		d.DisallowUnknownFields()
		if err := d.Decode(&providers[i]); err != nil {
			return nil, fmt.Errorf("throttle: provider %d %q: %w", i, providers[i].Name, err)
		}
	}
	return providers, nil
}

// validate names the first field that cannot be, or could never match.
func (p Provider) validate() error {
	if p.Name == "" {
		return invalid("Name", "is empty")
	}
	if strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return invalid("Name", "%q has other characters than lower-case letters, digits and hyphens", p.Name)
	}
	if len(p.MX)+len(p.Domains) == 0 {
		return invalid("MX", "is empty, and Domains too: nothing can match")
	}
	for _, suffix := range p.MX {
		if err := validateHost(suffix); err != nil {
			return invalid("MX", "%q can never match: %v", suffix, err)
		}
	}
	for _, domain := range p.Domains {
		if err := validateHost(domain); err != nil {
			return invalid("Domains", "%q can never match: %v", domain, err)
		}
	}
	if err := p.Limits.validate(); err != nil {
		return within("Limits", err)
	}
	return nil
}

// validateHost refuses what no host name, as normalise leaves it, can equal.
func validateHost(name string) error {
	if strings.HasPrefix(name, ".") {
		return errors.New("it begins with a dot; a suffix matches whole labels without one")
	}
	canonical, err := domain.Canonical(name)
	if err != nil {
		return fmt.Errorf("it %w", err)
	}
	if canonical != name {
		return fmt.Errorf("host names here are lower case, A-labels and without a final dot: write %q", canonical)
	}
	return nil
}
