//go:build unix

package pgtest

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is whom the server runs as: nil for the user of the test.
type account struct{ credential *syscall.Credential }

// serverAccount finds the account, and checks that its temporary folders can be reached.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return account{}, missingError{"a user other than root to run PostgreSQL (postgres or nobody)"}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err, err2); err != nil {
		return account{}, err
	}
	temp, err := filepath.Abs(os.TempDir())
	if err != nil {
		return account{}, err
	}
	reachable := true
	for d := temp; d != filepath.Dir(d); d = filepath.Dir(d) {
		info, err := os.Stat(d)
		reachable = reachable && err == nil && info.Mode()&0o001 != 0
	}
	if !reachable {
		return account{}, missingError{"a temporary folder that other users can reach (TMPDIR)"}
	}
	return account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// own makes a file the account's.
func (a account) own(name string) error {
	if a.credential == nil {
		return nil
	}
	return os.Chown(name, int(a.credential.Uid), int(a.credential.Gid))
}

// run makes a command the account's, in a session of its own.
func (a account) run(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: a.credential}
}

// signals are those for PostgreSQL's ways to end.
func signals() (fast, immediate os.Signal) { return syscall.SIGINT, syscall.SIGQUIT }
