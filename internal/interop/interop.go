// Package interop is for tests that talk to parts which not every machine has: another mail server, a Perl module, a database.
//
// Such a test is skipped, with the name of what is missing, where the part is not installed, so that the tests pass on a machine with nothing but
// Go. Where the environment has REPUTE_INTEROP=require, as continuous integration has, it fails instead, so that it cannot silently rot.
package interop

import (
	"os"
	"testing"
)

// Variable is the environment variable that turns skips into failures, and Require its value for that.
const (
	Variable = "REPUTE_INTEROP"
	Require  = "require"
)

// Need ends the test unless ok: skipped, or failed when the environment requires it. what names the missing part as its user would install it,
// for example "Perl module Mail::DKIM (Debian package libmail-dkim-perl)".
func Need(t testing.TB, what string, ok bool) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv(Variable) == Require:
		t.Fatalf("%s is missing, and %s=%s", what, Variable, Require)
	default:
		t.Skipf("%s is missing (set %s=%s to fail instead)", what, Variable, Require)
	}
}
