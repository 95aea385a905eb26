package warmup

import (
	"errors"
	"os"
)

// disk are the steps of writing a file, apart so that tests can let each one fail.
type disk interface {
	// write makes the file, with the data in it and synced.
	write(name string, data []byte) error
	// append adds the data to the end of the file and syncs it.
	append(name string, data []byte) error
	rename(from, to string) error
	syncDir(name string) error
}

// osDisk is the real one.
type osDisk struct{}

func (osDisk) write(name string, data []byte) error {
	return writeSync(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, data)
}

func (osDisk) append(name string, data []byte) error {
	return writeSync(name, os.O_WRONLY|os.O_APPEND, data)
}

func writeSync(name string, flag int, data []byte) error {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }
