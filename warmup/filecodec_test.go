package warmup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFileFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	s, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("opening made a file: %v", err)
	}
	for key, value := range map[string]string{"new/a": `{"v":1}`, "new/b": "text"} {
		if err := set(s, key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"format":"repute-warmup","v":1}
{"k":"new/a","j":{"v":1}}
{"k":"new/b","b":"dGV4dA=="}
{"keys":2,"crc32c":"d51c6f89"}
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	if _, err := os.Stat(path + tempSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new file is still there: %v", err)
	}
}

// TestFileRefused: a damaged file is an error that names it, and stays as it is.
func TestFileRefused(t *testing.T) {
	good := encodeFile(map[string][]byte{"a": []byte(`{"n":1}`), "b": []byte("x")})
	path := filepath.Join(t.TempDir(), "ledger")
	refused := func(data []byte, want string) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenFile(path)
		if err == nil {
			s.Close()
			t.Fatalf("not refused: %q", data)
		}
		if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q and the path", err, want)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != string(data) {
			t.Errorf("the file was changed: %q, %v", now, err)
		}
	}
	for n := range len(good) {
		refused(good[:n], "")
	}
	for i := range good {
		bad := append([]byte{}, good...)
		bad[i] ^= 1
		refused(bad, "")
	}
	refused(nil, "not a warm-up file")
	refused([]byte("\x00\x00\x00\x00"), "not a warm-up file")
	refused([]byte(strings.Replace(string(good), `"v":1`, `"v":2`, 1)), "format version 2 by a later program")
	refused([]byte(strings.Replace(string(good), `"v":1`, `"v":-1`, 1)), "format version is -1")
	refused([]byte(strings.Replace(string(good), `"n":1`, `"n":7`, 1)), "checksum")
	refused([]byte(strings.Replace(string(good), `"keys":2`, `"keys":3`, 1)), "2 keys instead of 3")
	refused(append(append([]byte{}, good...), '\n'), "after the last line")
	refused([]byte(strings.Replace(string(good), `"k":"b"`, `"k":"a"`, 1)), "second time")
	refused([]byte(strings.Replace(string(good), `,"b":"eA=="`, ``, 1)), "no value")
}

// FuzzDecodeFile: whatever is accepted is written again in the same meaning, with and without the guard of the checksum.
func FuzzDecodeFile(f *testing.F) {
	f.Add(encodeFile(nil), false)
	f.Add(encodeFile(map[string][]byte{"a": []byte(`{"n":1}`), "b": []byte("x"), "c": {}}), false)
	f.Add([]byte("{\"k\":\"a\",\"j\":{\"v\":1}}\n"), true)
	f.Add([]byte("{\"k\":\"a\",\"b\":\"eA==\"}\n{\"k\":\"b\",\"j\":[]}\n"), true)
	f.Fuzz(func(t *testing.T, data []byte, body bool) {
		if body {
			head := fmt.Sprintf("{\"format\":%q,\"v\":1}\n", fileFormat)
			data = append([]byte(head), data...)
			lines := strings.Count(string(data), "\n") - 1
			data = append(data, fmt.Sprintf("{\"keys\":%d,\"crc32c\":%q}\n", lines, checksum(data))...)
		}
		values, err := decodeFile(data)
		if err != nil {
			return
		}
		again, err := decodeFile(encodeFile(values))
		if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", values) {
			t.Fatalf("%q became %q, error %v", values, again, err)
		}
	})
}
