package docstest

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

var (
	linkForm    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	headingForm = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	codeForm    = regexp.MustCompile("(?ms)^```.*?^```$|`[^`\n]*`")
)

func TestLinks(t *testing.T) {
	n := 0
	for _, name := range files(t, ".md") {
		for _, link := range linkForm.FindAllStringSubmatch(codeForm.ReplaceAllString(read(t, name), ""), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			n++
			file, heading, _ := strings.Cut(link[1], "#")
			at := path.Join(path.Dir(name), file)
			if file == "" {
				at = name
			}
			if !exists(at) || strings.HasPrefix(at, "..") {
				t.Errorf("%s links to %s, which is not there", name, link[1])
			} else if heading != "" && !anchors(read(t, at))[heading] {
				t.Errorf("%s links to %s: %s has no such heading", name, link[1], at)
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d links were found", n)
	}
}

// anchors are the names of a text's headings, as code hosts form them.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, h := range headingForm.FindAllStringSubmatch(text, -1) {
		found[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
				return r
			}
			return -1
		}, strings.ToLower(h[1]))] = true
	}
	return found
}

// block returns the n-th fenced block of a language.
func block(t *testing.T, text, language string, n int) string {
	t.Helper()
	found := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1)
	if len(found) <= n {
		t.Fatalf("%d blocks of %s, want one more", len(found), language)
	}
	return found[n][1]
}
