package chart

import (
	"slices"
)

// maxRows is how many rows of texts there are above the curves.
const maxRows = 5

// label is the text of a mark, in its place.
type label struct {
	x           float64 // of the line
	text        string
	left, right float64
	row         int // 0 is the lowest; -1 means that there is no room
}

// place gives labels, whose x and width are known, their rows, so that no two overlap and no line goes through a text. They begin at their lines, or end at the edge.
// It says how many rows there are.
//
// The last come first: an earlier one, whose text would run into theirs, goes above, where its line is out of their way.
func place(labels []label, edge float64) (rows int) {
	const gap = 8
	order := make([]int, len(labels))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case labels[a].x > labels[b].x:
			return -1
		case labels[a].x < labels[b].x:
			return 1
		}
		return 0
	})
	free := func(l label, row int, placed []int) bool {
		for _, i := range placed {
			m := labels[i]
			switch {
			case m.row == row && l.left < m.right+gap && m.left < l.right+gap:
				return false
			case m.x == l.x: // they share a line
			case m.row > row && l.left-gap/2 < m.x && m.x < l.right+gap/2: // its line would go through this text
				return false
			case m.row < row && m.left-gap/2 < l.x && l.x < m.right+gap/2: // the other way round
				return false
			}
		}
		return true
	}
	var placed []int
	for _, i := range order {
		l := &labels[i]
		width := l.right - l.left
		l.left = min(l.x, edge-width)
		l.right = l.left + width
		l.row = -1
		if l.text == "" {
			continue
		}
		for row := range maxRows {
			if free(*l, row, placed) {
				l.row = row
				rows = max(rows, row+1)
				placed = append(placed, i)
				break
			}
		}
	}
	return rows
}
