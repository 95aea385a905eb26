package warmup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	for _, p := range [][2]string{{"new/a", `{"v":1}`}, {"new/b", "text"}} {
		if err := set(s, p[0], p[1]); err != nil {
			t.Fatal(err)
		}
	}
	err = s.Update(t.Context(), "new/a", func([]byte) ([]byte, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"format":"repute-warmup","v":2}
{"k":"new/a","j":{"v":1}}
{"keys":1,"crc32c":"e4ea7530"}
{"put":[{"k":"new/b","b":"dGV4dA=="}],"crc32c":"40b6a2ec"}
{"put":[{"k":"new/a","gone":true}],"crc32c":"56461000"}
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
	first := encodeFile(map[string][]byte{"a": []byte(`{"n":1}`), "b": []byte("x")})
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
	good := first
	for n := range len(good) {
		refused(good[:n], "")
	}
	for range 2 {
		line := encodeChanges(extend(0, good), map[string][]byte{"a": nil, "c": []byte(`{"n":2}`)})
		good = append(good[:len(good):len(good)], line...)
	}
	for i := range good[:len(good)-1] { // Without its end, the last line would have been cut off.
		bad := append([]byte{}, good...)
		bad[i] ^= 1
		refused(bad, "")
	}
	lines := strings.SplitAfter(string(good), "\n")
	refused([]byte(strings.Join(slices.Delete(slices.Clone(lines), 4, 5), "")), "line 5: the checksum")
	refused([]byte(strings.Join(append(lines[:5:5], lines[4]), "")), "line 6: the checksum")
	refused([]byte(string(first)+"\n"), "line 5: the checksum")
	refused([]byte(string(first)+"{}\n"), "line 5: the checksum")
	sealed := func(body string) []byte {
		sum := extend(extend(0, first), []byte(body))
		return []byte(string(first) + body + fmt.Sprintf(seal, sum) + "\n")
	}
	refused(sealed(`{"put":[{"k":"b","j":{},"gone":true}]`), "line 5: no value")
	refused(sealed(`{"put":[{"k":"b"}]`), "line 5: no value")
	refused(sealed(`{"put":[{"k":"b"]`), "line 5: ")
	good = first
	refused(nil, "not a warm-up file")
	refused([]byte("\x00\x00\x00\x00"), "not a warm-up file")
	refused([]byte(strings.Replace(string(good), `"v":2`, `"v":3`, 1)), "format version 3 by a later program")
	refused([]byte(strings.Replace(string(good), `"v":2`, `"v":-1`, 1)), "format version is -1")
	refused([]byte(strings.Replace(string(good), `"n":1`, `"n":7`, 1)), "checksum")
	refused([]byte(strings.Replace(string(good), `"keys":2`, `"keys":3`, 1)), "2 keys instead of 3")
	refused(earlier(t, string(good)+"x"), "after the last line")
	refused([]byte(strings.Replace(string(good), `"k":"b"`, `"k":"a"`, 1)), "second time")
	refused([]byte(strings.Replace(string(good), `,"b":"eA=="`, ``, 1)), "no value")
}

// earlier is a file in the form of version 1.
func earlier(t *testing.T, data string) []byte {
	t.Helper()
	data = strings.Replace(data, `"v":2`, `"v":1`, 1)
	before, rest, ok := strings.Cut(data, `{"keys":`)
	if !ok {
		t.Fatal("no last line")
	}
	return []byte(fmt.Sprintf(`%s{"keys":%s"crc32c":"%08x"}`+"\n", before, rest[:strings.Index(rest, ",")+1], extend(0, []byte(before))) +
		rest[strings.Index(rest, "\n")+1:])
}

// TestFileOfVersion1: it is read, and made anew by the first write.
func TestFileOfVersion1(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	data := earlier(t, string(encodeFile(map[string][]byte{"a": []byte(`{"n":1}`)})))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(set(s, "b", "x"), s.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := encodeFile(map[string][]byte{"a": []byte(`{"n":1}`), "b": []byte("x")}); err != nil || string(got) != string(want) {
		t.Errorf("got\n%s\nerror %v", got, err)
	}
}

// FuzzDecodeFile: whatever is accepted is written again in the same meaning, with and without the guard of the checksum.
func FuzzDecodeFile(f *testing.F) {
	f.Add(encodeFile(nil), false)
	first := encodeFile(map[string][]byte{"a": []byte(`{"n":1}`), "b": []byte("x"), "c": {}})
	f.Add(first, false)
	f.Add(append(first[:len(first):len(first)], encodeChanges(extend(0, first), map[string][]byte{"a": nil, "d": {}})...), false)
	f.Add([]byte("{\"k\":\"a\",\"j\":{\"v\":1}}\n"), true)
	f.Add([]byte("{\"k\":\"a\",\"b\":\"eA==\"}\n{\"k\":\"b\",\"j\":[]}\n"), true)
	f.Fuzz(func(t *testing.T, data []byte, body bool) {
		if body {
			head := fmt.Sprintf("{\"format\":%q,\"v\":2}\n", fileFormat)
			data = append([]byte(head), data...)
			lines := strings.Count(string(data), "\n") - 1
			data = append(data, fmt.Sprintf("{\"keys\":%d,\"crc32c\":\"%08x\"}\n", lines, extend(0, data))...)
		}
		got, err := decodeFile(data)
		if err != nil {
			return
		}
		again, err := decodeFile(encodeFile(got.values))
		if err != nil || fmt.Sprintf("%q", again.values) != fmt.Sprintf("%q", got.values) {
			t.Fatalf("%q became %q, error %v", got.values, again.values, err)
		}
		none := encodeFile(nil)
		again, err = decodeFile(append(none, encodeChanges(extend(0, none), got.values)...))
		if err != nil || fmt.Sprintf("%q", again.values) != fmt.Sprintf("%q", got.values) {
			t.Fatalf("as changes %q became %q, error %v", got.values, again.values, err)
		}
	})
}
