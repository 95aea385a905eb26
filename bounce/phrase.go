package bounce

import (
	"fmt"
	"strings"
)

// maxAlternatives bounds what the braces of one phrase may expand to.
const maxAlternatives = 512

// maxGap is how many words may stand between the two sides of a "~".
const maxGap = 5

// expandSides splits a phrase at its "~" and expands both sides; right is nil for a phrase without one. Gap is how many
// words may stand between the sides.
func expandSides(phrase string) (left, right []string, gap int, err error) {
	l, r, ok := strings.Cut(phrase, "~")
	if left, err = expandPhrase(l); err != nil || !ok {
		return left, nil, 0, err
	}
	gap = maxGap
	if r != "" && isDigit(r[0]) {
		gap, r = min(int(r[0]-'0'), maxGap), r[1:]
	}
	right, err = expandPhrase(r)
	return left, right, gap, err
}

// expandPhrase turns a phrase as a rule has it into the strings that are searched for in a text in normal form: braces
// expanded, a space at each end that must be a word's.
func expandPhrase(phrase string) ([]string, error) {
	alts, err := expandBraces(phrase)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(alts))
	for _, a := range alts {
		if !isPlain(a) {
			a = strings.Join(strings.Fields(a), " ")
		}
		body, prefix := strings.CutSuffix(a, "*")
		body, suffix := strings.CutPrefix(body, "*")
		if !isPlain(body) {
			want := strings.TrimSpace(string(appendNormal(nil, []string{body})))
			if !inNormalForm(body, strings.TrimPrefix(want, string(normNobody)+" ")) {
				return nil, fmt.Errorf("phrase %q is not in normal form: %q would be", a, want)
			}
		}
		if !suffix {
			body = " " + body
		}
		if !prefix {
			body += " "
		}
		out = append(out, body)
	}
	return out, nil
}

// isPlain reports whether s has words of small ASCII letters and digits only, apart by one space: most phrases have, and
// are in normal form then.
func isPlain(s string) bool {
	before := byte(' ')
	for i := range len(s) {
		c := s[i]
		if !isDigit(c) && (c < 'a' || c > 'z') && (c != ' ' || before == ' ') {
			return false
		}
		before = c
	}
	return before != ' '
}

// inNormalForm reports whether body, which may have placeholders, is its own normal form.
func inNormalForm(body, normal string) bool {
	var words []string
	for w := range strings.FieldsSeq(body) {
		if w != string(normAddress) && w != string(normIP) && w != string(normNobody) {
			words = append(words, w)
		}
	}
	return body != "" && strings.Join(words, " ") == normal
}

// expandBraces expands "{a|b}" in s, from the left. Braces do not nest.
func expandBraces(s string) ([]string, error) {
	out := []string{""}
	for s != "" {
		open := strings.IndexByte(s, '{')
		if open < 0 {
			open = len(s)
		}
		for i := range out {
			out[i] += s[:open]
		}
		if open == len(s) {
			break
		}
		end := strings.IndexByte(s, '}')
		if end < open {
			return nil, fmt.Errorf("phrase %q: braces do not match", s)
		}
		alts := strings.Split(s[open+1:end], "|")
		s = s[end+1:]
		if len(out)*len(alts) > maxAlternatives {
			return nil, fmt.Errorf("phrase with more than %d alternatives", maxAlternatives)
		}
		next := make([]string, 0, len(out)*len(alts))
		for _, o := range out {
			for _, a := range alts {
				next = append(next, o+a)
			}
		}
		out = next
	}
	return out, nil
}
