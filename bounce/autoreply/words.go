package autoreply

import "strings"

// words is a text in normal form that is searched for many phrases. It knows which sequences of four bytes it has, so that most phrases that
// are not in it cost no search.
type words struct {
	text  string
	grams [1 << 10]uint64 // by the hash of four bytes, a bit
}

func newWords(text string) *words {
	w := &words{text: text}
	for i := 0; i+4 <= len(text); i++ {
		h := gram(text[i:])
		w.grams[h>>6] |= 1 << (h & 63)
	}
	return w
}

// gram is a hash of the first four bytes, of 16 bits.
func gram(s string) uint32 {
	x := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
	return x * 2654435761 >> 16
}

// find is the function of that name for the text.
func (w *words) find(phrase string) int {
	for i := 0; i+4 <= len(phrase); i++ {
		if h := gram(phrase[i:]); w.grams[h>>6]&(1<<(h&63)) == 0 {
			return -1
		}
	}
	return find(w.text, phrase)
}

// which is the first of the phrases that the text has, or "".
func (w *words) which(phrases []string) string {
	for _, p := range phrases {
		if w.find(p) >= 0 {
			return p
		}
	}
	return ""
}

// has reports whether the text has any of the phrases.
func (w *words) has(phrases []string) bool { return w.which(phrases) != "" }

// before reports whether any of the phrases begins within the first n bytes.
func (w *words) before(n int, phrases []string) bool {
	for _, p := range phrases {
		if i := w.find(p); i >= 0 && i < n {
			return true
		}
	}
	return false
}

// together finds one of the asks near one of the purposes, or gives "".
func (w *words) together(asks, purposes []string) string {
	const window = 200
	for _, purpose := range purposes {
		for i := w.find(purpose); i >= 0; {
			end := i + len(purpose)
			if !strings.Contains(purpose, "sender") || !strings.HasSuffix(w.text[:i], " your ") { // not "add us to your approved senders": a newsletter
				around := w.text[max(0, i-window):min(len(w.text), end+window)]
				if ask := which(around, asks); ask != "" {
					return ask + ", and: " + purpose
				}
			}
			next := find(w.text[end:], purpose)
			if next < 0 {
				break
			}
			i = end + next
		}
	}
	return ""
}
