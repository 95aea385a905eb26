//go:build !unix

package pgtest

import (
	"os"
	"os/exec"
)

// account is whom the server runs as.
type account struct{}

// serverAccount finds none: a cluster needs Unix's sockets, signals and shell.
func serverAccount() (account, error) {
	return account{}, missingError{"Unix, or a PostgreSQL server named by " + Variable + ","}
}

func (account) own(string) error { return nil }

func (account) run(*exec.Cmd) {}

func signals() (fast, immediate os.Signal) { return os.Interrupt, os.Kill }
