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

	"github.com/reputemail/repute/internal/filelock"
)

// FileStore is a Store in one file, for one process. A write appends one line with all that changed, and syncs the file; updates that
// come while a write is under way share the next one. When the lines outgrow the values they are about, a whole new file is made beside
// the old one, synced and renamed. So the cost of a write does not depend on the number of paths, and after a crash the file holds every
// update that was reported as done. Safe for concurrent use.
//
// The file is text: a line that names the format, a line of JSON per key, a line with the number of keys and a checksum, and then a line
// for each write since. Each checksum covers all that is before it. A last line without its end was cut off by a crash and is dropped;
// a file that is damaged or edited otherwise is refused.
type FileStore struct {
	path string
	disk disk
	lock *filelock.Lock

	mu      sync.Mutex
	values  map[string][]byte // what is in the file; replaced and changed by drain only
	queue   []*update         // waiting for the next write
	writing bool              // drain is running
	closed  bool
	idle    sync.Cond // signalled when writing ends

	// Of the file, used by drain only.
	base int    // its size when it was made
	size int    // its size now
	sum  uint32 // the checksum of all of it
	// renew says that the next write has to make a new file, since this one does not exist, is not as it should be or may not be durable.
	renew bool
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
	lock, err := filelock.Take(path + ".lock")
	if errors.Is(err, filelock.ErrLocked) {
		err = ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("warmup: open %s: %w", path, err)
	}
	s := &FileStore{path: path, disk: d, lock: lock}
	s.idle.L = &s.mu
	if err := s.read(); err != nil {
		lock.Release()
		return nil, fmt.Errorf("warmup: open %s: %w", path, err)
	}
	return s, nil
}

// read loads the file and removes what an interrupted write left behind.
func (s *FileStore) read() error {
	data, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.values, s.renew = make(map[string][]byte), true
	case err != nil:
		return err
	default:
		f, err := decodeFile(data)
		if err != nil {
			return err
		}
		s.values, s.base, s.size, s.sum, s.renew = f.values, f.base, len(data), f.sum, f.renew
		if err := s.disk.syncDir(filepath.Dir(s.path)); err != nil { // Its name may be newer than the last crash.
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

// write carries out a batch of updates with one write of the file. It is called by one goroutine at a time.
func (s *FileStore) write(batch []*update) {
	changes := make(map[string][]byte)
	var changed []*update
	for _, u := range batch {
		if u.err = u.ctx.Err(); u.err == nil {
			u.err = u.apply(s.values, changes)
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
	written, err := s.save(changes)
	if written {
		s.mu.Lock()
		merge(s.values, changes)
		s.mu.Unlock()
	}
	for _, u := range changed {
		if err != nil {
			u.err = fmt.Errorf("warmup: write %s: %w", s.path, err)
		}
		close(u.done)
	}
}

// apply makes the change of values in changes, where nil stands for a key that is removed.
func (u *update) apply(values, changes map[string][]byte) error {
	old, ok := changes[u.key]
	if !ok {
		old = values[u.key]
	}
	value, err := u.fn(clone(old))
	switch {
	case err != nil:
		return err
	case len(value) > maxValue:
		return fmt.Errorf("warmup: value of %q has %d bytes: at most %d are allowed", u.key, len(value), maxValue)
	default:
		changes[u.key] = clone(value)
		return nil
	}
}

// merge makes the changes in values.
func merge(values, changes map[string][]byte) {
	for key, value := range changes {
		if value == nil {
			delete(values, key)
		} else {
			values[key] = value
		}
	}
}

// slack is how much longer than twice its first size a file may grow.
const slack = 64 << 10

// save puts the changes on disk. It reports whether they are in the file, which may be so even when there is an error: then they are
// not known to be durable.
func (s *FileStore) save(changes map[string][]byte) (bool, error) {
	line := encodeChanges(s.sum, changes)
	if s.renew || s.size+len(line) > 2*s.base+slack {
		next := maps.Clone(s.values)
		merge(next, changes)
		return s.replace(encodeFile(next))
	}
	if err := s.disk.append(s.path, line); err != nil {
		s.renew = true // It may hold a part of the line.
		return false, err
	}
	s.size += len(line)
	s.sum = extend(s.sum, line)
	return true, nil
}

// replace puts data in the place of the file, and reports what save does.
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
	s.base, s.size, s.sum = len(data), len(data), extend(0, data)
	err := s.disk.syncDir(filepath.Dir(s.path))
	s.renew = err != nil // Otherwise a crash could bring back the old file, without what is appended to this one.
	return true, err
}

// tempSuffix is what the name of the new file has more than that of the old one. It is always the same name, so that interrupted writes
// leave no litter; the lock keeps it to one process.
const tempSuffix = ".new"

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
	return s.lock.Release()
}
