package pgtest

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
)

// script waits for the end of the pipe. A line before that says that the cluster has been removed in good order. Else the test process is
// gone, and there may be a server, one that is just being started, or none. A server that pg_ctl does not see yet ends by itself within a
// minute after its data is gone; what it or initdb writes during the removal is removed by another try.
const script = `
read -r line && exit
"$1" -D "$2/data" -m immediate -t 30 stop
for try in 1 2 3 4 5; do
  rm -rf "$2" && exit
  sleep 1
done
`

// keeper is the shell that removes a cluster whose test process is gone.
type keeper struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// keep starts the cluster's keeper.
func (c *Cluster) keep() (*keeper, error) {
	k := &keeper{cmd: exec.Command("/bin/sh", "-c", script, "sh", filepath.Join(c.bin, "pg_ctl"), c.dir)}
	k.cmd.Dir = "/"
	c.user.run(k.cmd)
	var err error
	if k.pipe, err = k.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := k.cmd.Start(); err != nil {
		return nil, fmt.Errorf("the shell that watches over a cluster: %w", err)
	}
	return k, nil
}

// dismiss ends the keeper of a cluster that has been removed.
func (k *keeper) dismiss() error {
	if _, err := io.WriteString(k.pipe, "removed\n"); err != nil {
		return err
	}
	return k.cmd.Wait()
}
