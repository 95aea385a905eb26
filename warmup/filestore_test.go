package warmup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// faultyDisk fails at one step of a replacement, and counts the steps.
type faultyDisk struct {
	osDisk
	mu    sync.Mutex
	fail  string
	short int // when fail is "short" or "short append": the bytes that reach the file
	calls []string
	enter chan struct{} // if set, write and append announce themselves and wait
	leave chan struct{}
}

var errDisk = errors.New("no space left on device")

func (d *faultyDisk) step(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, name)
	if d.fail == name {
		return errDisk
	}
	return nil
}

func (d *faultyDisk) write(name string, data []byte) error {
	if d.enter != nil {
		d.enter <- struct{}{}
		<-d.leave
	}
	if d.fail == "short" {
		return errors.Join(d.osDisk.write(name, data[:min(d.short, len(data))]), errDisk)
	}
	if err := d.step("write"); err != nil {
		return err
	}
	return d.osDisk.write(name, data)
}

func (d *faultyDisk) append(name string, data []byte) error {
	if d.enter != nil {
		d.enter <- struct{}{}
		<-d.leave
	}
	if d.fail == "short append" {
		return errors.Join(d.osDisk.append(name, data[:min(d.short, len(data))]), errDisk)
	}
	if err := d.step("append"); err != nil {
		return err
	}
	return d.osDisk.append(name, data)
}

func (d *faultyDisk) rename(from, to string) error {
	if err := d.step("rename"); err != nil {
		return err
	}
	return d.osDisk.rename(from, to)
}

func (d *faultyDisk) syncDir(name string) error {
	if err := d.step("syncDir " + name); err != nil {
		return err
	}
	return d.osDisk.syncDir(name)
}

func set(s Store, key, value string) error {
	return s.Update(context.Background(), key, func([]byte) ([]byte, error) { return []byte(value), nil })
}

func contents(t *testing.T, s Store) string {
	t.Helper()
	all := make(map[string]string)
	err := s.Load(context.Background(), func(key string, value []byte) error {
		all[key] = string(value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(all)
}

// TestFileFaults lets each step of a write fail: the error arrives, the file holds the state before or after, and the next write works.
func TestFileFaults(t *testing.T) {
	for _, c := range []struct {
		fail  string
		short int
		renew bool   // the write makes a new file
		after string // what the file holds then
	}{
		{"write", 0, true, "map[a:1]"},
		{"short", 0, true, "map[a:1]"},
		{"short", 30, true, "map[a:1]"},
		{"rename", 0, true, "map[a:1]"},
		{"syncDir", 0, true, "map[a:2]"},
		{"append", 0, false, "map[a:1]"},
		{"short append", 0, false, "map[a:1]"},
		{"short append", 30, false, "map[a:1]"},
	} {
		t.Run(c.fail, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "ledger")
			d := &faultyDisk{}
			s, err := openFile(path, d)
			if err != nil {
				t.Fatal(err)
			}
			if err := set(s, "a", "1"); err != nil {
				t.Fatal(err)
			}
			if got, want := strings.Join(d.calls, ", "), "write, rename, syncDir "+dir; got != want {
				t.Errorf("the steps were %s, want %s", got, want)
			}
			s.renew = c.renew
			d.fail, d.short = c.fail, c.short
			if d.fail == "syncDir" {
				d.fail += " " + dir
			}
			if err := set(s, "a", "2"); !errors.Is(err, errDisk) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got error %v", err)
			}
			if got := contents(t, s); got != c.after {
				t.Errorf("the store holds %s, want %s", got, c.after)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if f, err := decodeFile(data); err != nil || string(f.values["a"]) != c.after[6:7] {
				t.Errorf("the file holds %s, error %v, want %s", f.values, err, c.after)
			}
			d.fail = ""
			if err := set(s, "b", "3"); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			again, err := OpenFile(path)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if got, want := contents(t, again), strings.Replace(c.after, "]", " b:3]", 1); got != want {
				t.Errorf("reopened it holds %s, want %s", got, want)
			}
		})
	}
}

// TestFileCrash stops at every byte of a write and at every step after it: what is opened then is the state before or after.
func TestFileCrash(t *testing.T) {
	before := map[string][]byte{"a": []byte(`{"n":1}`)}
	after := map[string][]byte{"a": []byte(`{"n":2}`), "b": []byte("x")}
	path := filepath.Join(t.TempDir(), "ledger")
	open := func(want map[string][]byte) {
		t.Helper()
		s, err := OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if got := fmt.Sprintf("%s", s.values); got != fmt.Sprintf("%s", want) {
			t.Errorf("it holds %s, want %s", got, want)
		}
		if _, err := os.Stat(path + tempSuffix); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a leftover stays: %v", err)
		}
	}
	// A new file.
	next := encodeFile(after)
	for n := range len(next) + 1 {
		if err := os.WriteFile(path, encodeFile(before), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+tempSuffix, next[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		open(before)
	}
	if err := os.WriteFile(path, next, 0o600); err != nil {
		t.Fatal(err)
	}
	open(after)
	// A line at the end of the old one.
	old := encodeFile(before)
	line := encodeChanges(extend(0, old), map[string][]byte{"a": after["a"], "b": after["b"], "never": nil})
	for n := range len(line) + 1 {
		if err := os.WriteFile(path, append(old[:len(old):len(old)], line[:n]...), 0o600); err != nil {
			t.Fatal(err)
		}
		want := before
		if n == len(line) {
			want = after
		}
		open(want)
		s, err := OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// What was cut off is not in the way of what is written next.
		if err := errors.Join(set(s, "c", "y"), set(s, "d", "z"), s.Close()); err != nil {
			t.Fatal(err)
		}
		more := maps.Clone(want)
		more["c"], more["d"] = []byte("y"), []byte("z")
		open(more)
	}
}

// TestFileStaysSmall: the file is made anew when the lines of changes outgrow it, and the cost of a write does not grow with the keys.
func TestFileStaysSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	d := &faultyDisk{}
	s, err := openFile(path, d)
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string][]byte)
	for i := range 2000 {
		values[fmt.Sprint("key", i)] = []byte(strings.Repeat("x", 100))
	}
	s.values = values
	for i := range 300 {
		if err := set(s, fmt.Sprint("key", i%50), fmt.Sprint(i, strings.Repeat("y", 3000))); err != nil {
			t.Fatal(err)
		}
	}
	want := contents(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != int64(s.size) || s.size > 2*len(encodeFile(s.values))+slack {
		t.Errorf("the file has %v bytes, want %d; its values take %d; error %v", info.Size(), s.size, len(encodeFile(s.values)), err)
	}
	made := 0
	for _, call := range d.calls {
		if call == "write" {
			made++
		}
	}
	if made < 2 || made > 5 {
		t.Errorf("300 updates made %d new files", made)
	}
	again, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if contents(t, again) != want || again.sum != s.sum || again.size != s.size || again.base != s.base {
		t.Error("reopened it is another")
	}
}

func TestFileLock(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	s, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(path); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("got error %v, want ErrLocked", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if err := set(s, "a", "1"); !errors.Is(err, ErrClosed) {
		t.Errorf("got error %v, want ErrClosed", err)
	}
	if err := s.Load(context.Background(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("got error %v, want ErrClosed", err)
	}
	again, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, bad := range []string{filepath.Join(dir, "absent", "ledger"), dir} {
		if _, err := OpenFile(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: got error %v", bad, err)
		}
	}
	for _, key := range []string{"a\nb", "\xff", strings.Repeat("k", 1025)} {
		if err := set(again, key, "x"); err == nil {
			t.Errorf("key %.20q was accepted", key)
		}
	}
	if err := set(again, "a", strings.Repeat("x", maxValue+1)); err == nil {
		t.Error("too large a value was accepted")
	}
}

// TestFileGathers: updates that come during a write share the next one, and one that is given up meanwhile is not made.
func TestFileGathers(t *testing.T) {
	d := &faultyDisk{enter: make(chan struct{}), leave: make(chan struct{})}
	s, err := openFile(filepath.Join(t.TempDir(), "ledger"), d)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := set(s, "first", "x"); err != nil {
			t.Error(err)
		}
	})
	<-d.enter
	for i := range 20 {
		wg.Go(func() {
			if err := set(s, fmt.Sprint("key", i), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	waiting := func(n int) {
		for {
			s.mu.Lock()
			got := len(s.queue)
			s.mu.Unlock()
			if got == n {
				return
			}
			runtime.Gosched()
		}
	}
	waiting(20)
	ctx, cancel := context.WithCancel(context.Background())
	given := make(chan error)
	go func() {
		given <- s.Update(ctx, "given up", func([]byte) ([]byte, error) {
			t.Error("called after it was given up")
			return nil, nil
		})
	}()
	waiting(21)
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	d.leave <- struct{}{}
	<-d.enter
	d.leave <- struct{}{}
	wg.Wait()
	if n := len(d.calls); n != 4 {
		t.Errorf("%d steps for two writes: %v", n, d.calls)
	}
	if len(s.values) != 21 {
		t.Errorf("got %d keys", len(s.values))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
