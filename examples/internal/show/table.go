package show

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Table is a table in letters of one width. Columns of numbers are aligned to the right, all others to the left.
type Table struct {
	// Head are the titles of the columns.
	Head []string
	// Rows are the lines below. A row may be shorter than Head.
	Rows [][]string
	// Foot is a last line below a rule, for totals. Defaults to none.
	Foot []string
}

// gap is what stands between two columns.
const gap = "  "

// Lines are the lines of the table, with a rule below Head and one above Foot.
func (t Table) Lines() []string {
	rows := append([][]string{t.Head}, t.Rows...)
	if t.Foot != nil {
		rows = append(rows, t.Foot)
	}
	widths, right := make([]int, len(t.Head)), make([]bool, len(t.Head))
	for c := range t.Head {
		right[c] = true
		for i, row := range rows {
			if c < len(row) {
				widths[c] = max(widths[c], utf8.RuneCountInString(row[c]))
				right[c] = right[c] && (i == 0 || isNumber(row[c]))
			}
		}
	}
	rule := len(gap) * (len(widths) - 1)
	for _, w := range widths {
		rule += w
	}
	var lines []string
	for i, row := range rows {
		if i == 1 || t.Foot != nil && i == len(rows)-1 && i > 1 {
			lines = append(lines, strings.Repeat("-", max(0, rule)))
		}
		var cells []string
		for c := range t.Head {
			cell := ""
			if c < len(row) {
				cell = row[c]
			}
			pad := strings.Repeat(" ", widths[c]-utf8.RuneCountInString(cell))
			if right[c] {
				cell = pad + cell
			} else {
				cell += pad
			}
			cells = append(cells, cell)
		}
		lines = append(lines, strings.TrimRight(strings.Join(cells, gap), " "))
	}
	return lines
}

// isNumber reports whether a cell may stand in a column of numbers: it is one, perhaps with a unit, or says that there is none.
func isNumber(cell string) bool {
	if cell == "" || cell == "-" {
		return true
	}
	number, unit, _ := strings.Cut(cell, " ")
	_, err := strconv.ParseFloat(number, 64)
	return err == nil && (unit == "" || unit == "s" || unit == "ms" || unit == "%")
}
