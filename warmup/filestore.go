package warmup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// FileStore is a Store in one file, for one process. Every write makes a whole new file beside the old one and renames it, with the
// file and the directory synced, so that after a crash the file holds one state or the next, never a mixture. Updates that come while a
// write is under way share the next write. The cost of a write grows with the number of paths; for tens of thousands of paths, or for
// several processes, use a database. Safe for concurrent use.
//
// The file is text: a line that names the format, a line of JSON per key, and a line with the number of keys and a checksum. An edited
// file is refused.
type FileStore struct {
	path string
	disk disk
	lock *fileLock

	mu      sync.Mutex
	values  map[string][]byte // what is in the file
	queue   []*update         // waiting for the next write
	writing bool              // drain is running
	closed  bool
	idle    sync.Cond // signalled when writing ends
}

// update is one call of Update under way.
type update struct {
	ctx  context.Context
	key  string
	fn   func(old []byte) ([]byte, error)
	err  error
	done chan struct{}
}

// ErrClosed is the error of a store that was closed.
var ErrClosed = errors.New("warmup: store is closed")

// ErrLocked is the error of OpenFile for a file that is open already, here or in another process.
var ErrLocked = errors.New("warmup: file is in use by another process")

// OpenFile opens the store in the file at path, or begins an empty one if there is no file; its directory has to exist. Beside it, path
// plus ".lock" keeps a second process out (ErrLocked); that file stays behind, empty. A file that is truncated, corrupted or of a later
// format version is refused with an error that names it: it is never taken for an empty one.
func OpenFile(path string) (*FileStore, error) { return openFile(path, osDisk{}) }

func openFile(path string, d disk) (*FileStore, error) {
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("warmup: open %s: %w", path, err)
	}
	s := &FileStore{path: path, disk: d, lock: lock}
	s.idle.L = &s.mu
	if err := s.read(); err != nil {
		lock.release()
		return nil, fmt.Errorf("warmup: open %s: %w", path, err)
	}
	return s, nil
}

// read loads the file and removes what an interrupted write left behind.
func (s *FileStore) read() error {
	data, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.values = make(map[string][]byte)
	case err != nil:
		return err
	default:
		if s.values, err = decodeFile(data); err != nil {
			return err
		}
	}
	if err := os.Remove(s.path + tempSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Update implements Store. It returns when the file with the change is on disk.
func (s *FileStore) Update(ctx context.Context, key string, fn func(old []byte) ([]byte, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	u := &update{ctx: ctx, key: key, fn: fn, done: make(chan struct{})}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.queue = append(s.queue, u)
	if !s.writing {
		s.writing = true
		go s.drain()
	}
	s.mu.Unlock()
	select {
	case <-u.done:
	case <-ctx.Done():
		if s.withdraw(u) {
			return ctx.Err()
		}
		<-u.done // Its write is under way.
	}
	return u.err
}

// drain writes for all who wait, until nobody does.
func (s *FileStore) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 {
		batch := s.queue
		s.queue = nil
		s.mu.Unlock()
		s.write(batch)
		s.mu.Lock()
	}
	s.writing = false
	s.idle.Broadcast()
}

// withdraw takes back an update that was not begun.
func (s *FileStore) withdraw(u *update) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, u)
	if i < 0 {
		return false
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	return true
}

// write carries out a batch of updates with one new file. It is called by one goroutine at a time, the only one that replaces s.values.
func (s *FileStore) write(batch []*update) {
	next := maps.Clone(s.values)
	var changed []*update
	for _, u := range batch {
		if u.err = u.ctx.Err(); u.err == nil {
			u.err = u.apply(next)
		}
		if u.err != nil {
			close(u.done)
			continue
		}
		changed = append(changed, u)
	}
	if len(changed) == 0 {
		return
	}
	replaced, err := s.replace(encodeFile(next))
	if replaced {
		s.mu.Lock()
		s.values = next
		s.mu.Unlock()
	}
	for _, u := range changed {
		if err != nil {
			u.err = fmt.Errorf("warmup: write %s: %w", s.path, err)
		}
		close(u.done)
	}
}

// apply makes the change in values.
func (u *update) apply(values map[string][]byte) error {
	value, err := u.fn(clone(values[u.key]))
	switch {
	case err != nil:
		return err
	case value == nil:
		delete(values, u.key)
	case len(value) > maxValue:
		return fmt.Errorf("warmup: value of %q has %d bytes: at most %d are allowed", u.key, len(value), maxValue)
	default:
		values[u.key] = clone(value)
	}
	return nil
}

const (
	maxKey   = 1 << 10
	maxValue = 1 << 20
)

// checkKey holds a key against the contract.
func checkKey(key string) error {
	if len(key) > maxKey || !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) {
		return fmt.Errorf("warmup: key %.80q is not allowed: it must be UTF-8 of at most %d bytes without control characters", key, maxKey)
	}
	return nil
}

// tempSuffix is what the name of the new file has more than that of the old one. It is always the same name, so that interrupted writes
// leave no litter; the lock keeps it to one process.
const tempSuffix = ".new"

// replace puts data in the place of the file. It reports whether the file was replaced, which may be so even when there is an error:
// then it is not known to be durable.
func (s *FileStore) replace(data []byte) (bool, error) {
	temp := s.path + tempSuffix
	if err := s.disk.write(temp, data); err != nil {
		os.Remove(temp)
		return false, err
	}
	if err := s.disk.rename(temp, s.path); err != nil {
		os.Remove(temp)
		return false, err
	}
	return true, s.disk.syncDir(filepath.Dir(s.path))
}

// Load implements Store.
func (s *FileStore) Load(ctx context.Context, fn func(key string, value []byte) error) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	all := make(map[string][]byte, len(s.values))
	for key, value := range s.values {
		all[key] = clone(value)
	}
	s.mu.Unlock()
	return each(ctx, all, fn)
}

// Close ends the use of the file and lets another process open it. Updates under way are finished first. A second Close does nothing.
func (s *FileStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for s.writing {
		s.idle.Wait()
	}
	return s.lock.release()
}

// disk are the steps of replacing a file, apart so that tests can let each one fail.
type disk interface {
	// write makes the file, with the data in it and synced.
	write(name string, data []byte) error
	rename(from, to string) error
	syncDir(name string) error
}

// osDisk is the real one.
type osDisk struct{}

func (osDisk) write(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
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
