package engagement

import "testing"

// The key of the trickle's record can be no address, and what an error shows is not who it is.
func TestAddress(t *testing.T) {
	if n, err := normalize(trickleKey); err != ErrAddress {
		t.Errorf("%q, %v", n, err)
	}
	n, err := normalize("Anna.Bell@Example.com.")
	if n != "anna.bell@example.com" || err != nil {
		t.Errorf("%q, %v", n, err)
	}
	if p := place(n); p != "an address at example.com" {
		t.Errorf("%q", p)
	}
}
