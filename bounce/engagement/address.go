package engagement

import (
	"errors"

	"github.com/reputemail/repute/bounce/internal/address"
)

// ErrAddress says that a text is no mail address. The error does not show it.
var ErrAddress = errors.New("engagement: not a mail address")

// normalize is the form of an address under which a campaign keeps it: the one of the suppression list.
func normalize(s string) (string, error) {
	n, err := address.Normalize(s)
	if err != nil {
		return "", ErrAddress
	}
	return n, nil
}

// place is what an error may show of an address.
func place(s string) string { return address.Place(s) }
