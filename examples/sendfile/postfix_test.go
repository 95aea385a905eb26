//go:build unix

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/interop"
)

// postfix is a Postfix of the test's own: its folders are the test's, it listens on one port of 127.0.0.1, and it puts all
// mail for example.org into one Maildir. It has nothing to do with a Postfix that serves this machine.
type postfix struct {
	dir  string
	port string
}

// mainCF is its configuration, but for what names folders. It has no maps, so that the machine's own are not read.
const mainCF = `
compatibility_level = 3.6
myhostname = mx.example.org
mydestination =
alias_maps =
alias_database =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
local_header_rewrite_clients =
local_recipient_maps =
virtual_mailbox_domains = example.org
virtual_mailbox_maps = static:box/
virtual_mailbox_limit = 0
virtual_minimum_uid = 1
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
`

// masterCF are its services, none of them in a chroot. It has no smtp client: it can send mail to nobody.
const masterCF = `
127.0.0.1:%s inet n - n - - smtpd
pickup  unix n - n 60  1 pickup
cleanup unix n - n -   0 cleanup
qmgr    unix n - n 300 1 qmgr
tlsmgr  unix - - n 1000? 1 tlsmgr
rewrite unix - - n -   - trivial-rewrite
bounce  unix - - n -   0 bounce
defer   unix - - n -   0 bounce
trace   unix - - n -   0 bounce
error   unix - - n -   - error
retry   unix - - n -   - error
virtual unix - n n -   - virtual
anvil   unix - - n -   1 anvil
postlog unix-dgram n - n - 1 postlogd
`

// startPostfix starts one with a certificate, and stops it when the test ends. Without what it needs the test is skipped.
func startPostfix(t *testing.T, cert tls.Certificate) *postfix {
	t.Helper()
	master := ""
	if out, err := exec.Command(tool("postconf"), "-d", "-h", "daemon_directory").Output(); err == nil {
		master = filepath.Join(strings.TrimSpace(string(out)), "master")
	}
	_, err := os.Stat(master)
	interop.Need(t, "Postfix (Debian package postfix)", err == nil)
	interop.Need(t, "the right to start Postfix, which only root has,", os.Geteuid() == 0)

	out, err := exec.Command(tool("postconf"), "-d", "-h", "mail_owner", "setgid_group").Output()
	owner, group, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil {
		t.Fatal(err)
	}
	nobody := lookUp(t, "nobody", "")
	p := &postfix{dir: openDir(t)}
	p.layOut(t, lookUp(t, owner, group), nobody)
	p.writeFile(t, "conf/main.cf", fmt.Sprintf("%s\nqueue_directory = %[2]s/queue\ndata_directory = %[2]s/data\n"+
		"virtual_mailbox_base = %[2]s/mail\nvirtual_uid_maps = static:%[3]s\nvirtual_gid_maps = static:%[4]s\n"+
		"smtpd_tls_chain_files = %[2]s/conf/tls.pem\nmaillog_file = %[2]s/log/mail\nmaillog_file_prefixes = %[2]s/log\n",
		mainCF, p.dir, nobody.Uid, nobody.Gid))
	p.writeFile(t, "conf/tls.pem", chain(t, cert))
	for try := 1; ; try++ { // another program may take the port before Postfix does
		p.port = freePort(t)
		p.writeFile(t, "conf/master.cf", fmt.Sprintf(masterCF, p.port))
		if p.run(t, master) {
			return p
		}
		if try == 3 {
			t.Fatalf("Postfix does not start:\n%s", p.log())
		}
	}
}

// layOut makes the folders with the owners that Postfix insists on.
func (p *postfix) layOut(t *testing.T, owner, mailboxes *user.User) {
	t.Helper()
	uid, gid := number(t, owner.Uid), number(t, owner.Gid)
	for _, d := range []struct {
		name     string
		mode     os.FileMode
		uid, gid int
	}{
		{"conf", 0o755, 0, 0}, {"log", 0o755, 0, 0}, {"mail", 0o755, number(t, mailboxes.Uid), 0}, {"data", 0o700, uid, 0},
		{"queue", 0o755, 0, 0}, {"queue/pid", 0o755, 0, 0}, {"queue/public", 0o710, uid, gid}, {"queue/maildrop", 0o730, uid, gid},
		{"queue/private", 0o700, uid, 0}, {"queue/incoming", 0o700, uid, 0}, {"queue/active", 0o700, uid, 0},
		{"queue/deferred", 0o700, uid, 0}, {"queue/defer", 0o700, uid, 0}, {"queue/bounce", 0o700, uid, 0},
		{"queue/trace", 0o700, uid, 0}, {"queue/hold", 0o700, uid, 0}, {"queue/corrupt", 0o700, uid, 0},
		{"queue/flush", 0o700, uid, 0}, {"queue/saved", 0o700, uid, 0},
	} {
		dir := filepath.Join(p.dir, d.name)
		if err := errors.Join(os.Mkdir(dir, d.mode), os.Chmod(dir, d.mode), os.Chown(dir, d.uid, d.gid)); err != nil {
			t.Fatal(err)
		}
	}
}

// run starts the master in the foreground, as leader of a process group of its own, and waits until it listens. False when
// it ended instead.
func (p *postfix) run(t *testing.T, master string) bool {
	t.Helper()
	// -d: no daemon. -e: ends by itself some time after the tests' own limit, should nobody be left to stop it.
	cmd := exec.Command(master, "-c", filepath.Join(p.dir, "conf"), "-d", "-e", "900")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // the master ends its children
		select {
		case <-ended:
		case <-time.After(patience):
			t.Errorf("Postfix does not end:\n%s", p.log())
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its own group and nobody else's
			<-ended
		}
		if t.Failed() {
			t.Logf("Postfix's log:\n%s", p.log())
		}
	})
	listens := false
	until(t, "Postfix to listen", func() bool {
		select {
		case <-ended:
			return true
		default:
		}
		conn, err := net.Dial("tcp4", "127.0.0.1:"+p.port)
		if listens = err == nil; listens {
			conn.Close()
		}
		return listens
	})
	return listens
}

// arrived waits until this many messages have been delivered and returns them with CRLF line ends.
func (p *postfix) arrived(t *testing.T, n int) [][]byte {
	t.Helper()
	var files []string
	defer func() {
		if t.Failed() {
			t.Logf("Postfix's log:\n%s", p.log())
		}
	}()
	until(t, "mail in the Maildir", func() bool {
		files, _ = filepath.Glob(filepath.Join(p.dir, "mail/box/new/*"))
		return len(files) >= n
	})
	if len(files) != n {
		t.Fatalf("%d messages arrived, want %d", len(files), n)
	}
	var messages [][]byte
	for _, file := range files {
		messages = append(messages, crlf(t, file))
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	return messages
}

func (p *postfix) log() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "log/mail"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (p *postfix) writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".cf") { // read by its unprivileged parts, too
		if err := os.Chmod(filepath.Join(p.dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// chain is a certificate with its key, as Postfix reads it: the key first.
func chain(t *testing.T, cert tls.Certificate) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, der := range cert.Certificate {
		pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return text.String()
}

// openDir is a temporary folder that programs of other users can reach.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // both are the test's own
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	reachable := true
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		info, err := os.Stat(d)
		reachable = reachable && err == nil && info.Mode()&0o001 != 0
	}
	interop.Need(t, "a temporary folder that other users can reach (TMPDIR)", reachable || os.Geteuid() != 0)
	return dir
}

// tool finds a program, also where only an administrator's PATH leads.
func tool(name string) string {
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
	}
	return name
}

// lookUp finds a user, with another group if one is named.
func lookUp(t *testing.T, name, group string) *user.User {
	t.Helper()
	u, err := user.Lookup(name)
	if err == nil && group != "" {
		var g *user.Group
		if g, err = user.LookupGroup(group); err == nil {
			u.Gid = g.Gid
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func number(t *testing.T, id string) int {
	t.Helper()
	n, err := strconv.Atoi(id)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
