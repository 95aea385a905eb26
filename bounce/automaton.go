package bounce

import "strings"

// automaton finds all of many strings in a text in one pass (Aho and Corasick, 1975). What follows from finding one is an
// effect. Most states have one successor, so that successors are a list, and a table where there are many.
type automaton struct {
	nodes   []node        // by state; 0 is the root, and as a successor stands for none
	tables  [][256]uint32 // successors by byte, of states that have many
	effects []effect
}

// node is a state: the prefix of a string that has been read.
type node struct {
	first  uint32 // first successor
	next   uint32 // next in the list of successors that this state is in
	fail   uint32 // the longest proper suffix of the prefix that is a state too
	suffix uint32 // the longest proper suffix that is a whole string, 0 for none
	effect uint32 // 1 + index of the first effect if the prefix is a whole string
	table  uint32 // 1 + index of the table, 0 for none
	b      byte   // last byte of the prefix
}

// manySuccessors is from how many successors on a state has a table.
const manySuccessors = 5

// pattern is a string to find and what follows from it.
type pattern struct {
	text string
	effect
}

// effect is what follows from finding a string.
type effect struct {
	kind  effectKind
	words uint8  // number of words in the string
	open  bool   // the string may end within a word
	slot  uint16 // what is marked
	left  uint16 // for the sides of a "~": which left side
	gap   uint8  // for the right side: how many words may stand between
	more  bool   // the next effect is of the same string too
}

type effectKind uint8

const (
	effectMark  effectKind = iota // mark the slot
	effectLeft                    // remember where the left side was seen last
	effectRight                   // mark the slot if the left side was seen shortly before
)

// newPattern is a pattern for a string that expandPhrase returned.
func newPattern(text string, e effect) pattern {
	e.words = uint8(len(strings.Fields(text)))
	e.open = !strings.HasSuffix(text, " ")
	return pattern{text, e}
}

// newAutomaton builds the automaton for patterns, none of which may be empty.
func newAutomaton(patterns []pattern) *automaton {
	a := &automaton{nodes: make([]node, 1, 1+6*len(patterns))} // about as many as they have
	var depth [][]uint32                                       // states by the length of their prefix
	before := make([]uint32, len(patterns))                    // 1 + the number of another pattern of the same text, 0 for none
	for n, p := range patterns {
		s := uint32(0)
		for i := range len(p.text) {
			t := a.successor(s, p.text[i])
			if t == 0 {
				t = uint32(len(a.nodes))
				a.nodes = append(a.nodes, node{b: p.text[i], next: a.nodes[s].first})
				a.nodes[s].first = t
				if i == len(depth) {
					depth = append(depth, nil)
				}
				depth[i] = append(depth[i], t)
			}
			s = t
		}
		before[n] = a.nodes[s].effect
		a.nodes[s].effect = uint32(n + 1)
	}
	for s := range a.nodes {
		a.tabulate(uint32(s))
		a.collect(uint32(s), patterns, before)
	}
	a.link(0)
	for _, states := range depth {
		for _, s := range states {
			a.link(s)
		}
	}
	return a
}

// collect puts the effects of a state next to each other.
func (a *automaton) collect(s uint32, patterns []pattern, before []uint32) {
	n := a.nodes[s].effect
	if n == 0 {
		return
	}
	a.nodes[s].effect = uint32(len(a.effects) + 1)
	for ; n != 0; n = before[n-1] {
		e := patterns[n-1].effect
		e.more = before[n-1] != 0
		a.effects = append(a.effects, e)
	}
}

// tabulate gives a state a table if it has many successors.
func (a *automaton) tabulate(s uint32) {
	n := 0
	for t := a.nodes[s].first; t != 0; t = a.nodes[t].next {
		n++
	}
	if n < manySuccessors {
		return
	}
	var table [256]uint32
	for t := a.nodes[s].first; t != 0; t = a.nodes[t].next {
		table[a.nodes[t].b] = t
	}
	a.tables = append(a.tables, table)
	a.nodes[s].table = uint32(len(a.tables))
}

// link sets fail and suffix of the successors of s, whose own are set.
func (a *automaton) link(s uint32) {
	for t := a.nodes[s].first; t != 0; t = a.nodes[t].next {
		if s == 0 {
			continue // a prefix of one byte has no proper suffix but the root
		}
		f := a.step(a.nodes[s].fail, a.nodes[t].b)
		a.nodes[t].fail = f
		if a.nodes[f].effect != 0 {
			a.nodes[t].suffix = f
		} else {
			a.nodes[t].suffix = a.nodes[f].suffix
		}
	}
}

// successor is the state behind s for the byte b, or 0.
func (a *automaton) successor(s uint32, b byte) uint32 {
	if n := a.nodes[s].table; n != 0 {
		return a.tables[n-1][b]
	}
	t := a.nodes[s].first
	for t != 0 && a.nodes[t].b != b {
		t = a.nodes[t].next
	}
	return t
}

// step is the state after reading b in s.
func (a *automaton) step(s uint32, b byte) uint32 {
	for {
		if t := a.successor(s, b); t != 0 || s == 0 {
			return t
		}
		s = a.nodes[s].fail
	}
}

// scan marks in found the slots of all phrases that occur in text, which is in normal form. Seen is working space: the
// number of the last word of each left side.
func (a *automaton) scan(text []byte, found []uint64, seen []uint16) {
	s, word := uint32(0), uint16(0) // word is the number of the word that b is in, or of the next one
	for _, b := range text {
		if b == ' ' {
			word++
		}
		s = a.step(s, b)
		t := s
		if a.nodes[t].effect == 0 {
			t = a.nodes[t].suffix
		}
		for ; t != 0; t = a.nodes[t].suffix {
			i := a.nodes[t].effect
			for a.effects[i-1].apply(word, found, seen); a.effects[i-1].more; i++ {
				a.effects[i].apply(word, found, seen)
			}
		}
	}
}

// apply is what follows from a string that ends in or before the word of this number.
func (e *effect) apply(word uint16, found []uint64, seen []uint16) {
	if !e.open {
		word--
	}
	switch e.kind {
	case effectLeft:
		seen[e.left] = word
		return
	case effectRight:
		first := word - uint16(e.words) + 1
		if at := seen[e.left]; at == 0 || at >= first || first-at > uint16(e.gap)+1 {
			return
		}
	}
	found[e.slot/64] |= 1 << (e.slot % 64)
}
