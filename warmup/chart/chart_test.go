package chart

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
)

func TestValidate(t *testing.T) {
	ok := func() Chart {
		return Chart{
			Title: "t", X: []string{"1", "2"},
			Lines: []Line{{Name: "a", Values: []float64{1, math.NaN()}}},
			Stack: []Layer{{Name: "b", Values: []float64{0, 2}}},
			Marks: []Mark{{At: 1}},
		}
	}
	if c := ok(); c.WriteSVG(&bytes.Buffer{}) != nil {
		t.Fatal(c.WriteSVG(&bytes.Buffer{}))
	}
	for _, c := range []struct {
		change func(*Chart)
		want   string
	}{
		{func(c *Chart) { c.Title = " \n" }, "chart: Title: is empty"},
		{func(c *Chart) { c.X = nil }, "chart: X: has 0 points, and must have 1 to 5000"},
		{func(c *Chart) { c.X = make([]string, 5001) }, "chart: X: has 5001 points, and must have 1 to 5000"},
		{func(c *Chart) { c.Lines, c.Stack = nil, nil }, "chart: Lines: is empty, and so is Stack"},
		{func(c *Chart) { c.Lines = make([]Line, 24) }, "chart: Lines: has, with Stack, 25 curves; no more than 24 can be told apart"},
		{func(c *Chart) { c.Width = 319 }, "chart: Width: is 319, and must be 320 to 4000"},
		{func(c *Chart) { c.Width = -1 }, "chart: Width: is -1, and must be 320 to 4000"},
		{func(c *Chart) { c.Height = 4001 }, "chart: Height: is 4001, and must be 240 to 4000"},
		{func(c *Chart) { c.Log = true }, "chart: Log: has no meaning for a Stack"},
		{func(c *Chart) { c.Lines[0].Name = "" }, "chart: Lines[0].Name: is empty"},
		{func(c *Chart) { c.Lines[0].Name = " b" }, `chart: Lines[0].Name: is "b", as another one's is`},
		{func(c *Chart) { c.Stack[0].Name = "" }, "chart: Stack[0].Name: is empty"},
		{func(c *Chart) { c.Lines[0].Values = []float64{1} }, "chart: Lines[0].Values: has 1 values for 2 points of X"},
		{func(c *Chart) { c.Lines[0].Values[0] = math.Inf(-1) }, "chart: Lines[0].Values[0]: is -Inf, and must not be beyond 1e+15"},
		{func(c *Chart) { c.Stack[0].Values[1] = 2e15 }, "chart: Stack[0].Values[1]: is 2e+15, and must not be beyond 1e+15"},
		{func(c *Chart) { c.Stack[0].Values[1] = -1 }, "chart: Stack[0].Values[1]: is -1: a layer cannot be negative"},
		{func(c *Chart) { c.Log, c.Stack, c.Lines[0].Values[0] = true, nil, -2 }, "chart: Lines[0].Values[0]: is -2: with Log it cannot be negative"},
		{func(c *Chart) { c.Lines[0].Of = "c" }, `chart: Lines[0].Of: is "c", and no line or layer of that name has a colour of its own`},
		{func(c *Chart) { c.Lines[0].Of = "a" }, `chart: Lines[0].Of: is "a", and no line or layer of that name has a colour of its own`},
		{func(c *Chart) { c.Marks[0].At = 2 }, "chart: Marks[0].At: is 2, and X has 2 points"},
		{func(c *Chart) { c.Marks[0].At = -1 }, "chart: Marks[0].At: is -1, and X has 2 points"},
	} {
		chart := ok()
		c.change(&chart)
		var b bytes.Buffer
		if err := chart.WriteSVG(&b); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
		if b.Len() > 0 {
			t.Errorf("%s: something was written", c.want)
		}
	}
}

// full is a writer without room.
type full struct{ err error }

func (w full) Write([]byte) (int, error) { return 0, w.err }

func TestWriterError(t *testing.T) {
	want := errors.New("disk full")
	if err := charts()["one"].WriteSVG(full{want}); !errors.Is(err, want) {
		t.Error(err)
	}
}

// The same chart gives the same bytes, also when several are drawn at once, and stays as it is.
func TestSameBytes(t *testing.T) {
	for name, c := range charts() {
		first := drawn(t, c)
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				var b bytes.Buffer
				if err := c.WriteSVG(&b); err != nil || !bytes.Equal(b.Bytes(), first) {
					t.Errorf("%s: another drawing, or %v", name, err)
				}
			})
		}
		wait.Wait()
	}
}

// What hosts are called is text, whatever it looks like.
func TestEscape(t *testing.T) {
	svg := string(drawn(t, charts()["hostile"]))
	for _, s := range []string{"<script", "<img", "<style", "<b>", "<a>", "<!--", "\x00", "\x1b", "\u202e", "\ufffe", "&#x0;"} {
		if strings.Contains(svg, s) {
			t.Errorf("%q is in the drawing", s)
		}
	}
	for _, s := range []string{"&lt;script&gt;", "&lt;img src=x", "&lt;b&gt;late&lt;/b&gt;", "&amp;amp;", "line break"} {
		if !strings.Contains(svg, s) {
			t.Errorf("%q is not in the drawing", s)
		}
	}
}

// Nothing is fetched, and nothing refers to anything.
func TestAlone(t *testing.T) {
	for name, c := range charts() {
		svg := strings.Replace(string(drawn(t, c)), `xmlns="http://www.w3.org/2000/svg"`, "", 1)
		for _, s := range []string{"://", "url(", "href", " id="} {
			if strings.Contains(svg, s) {
				t.Errorf("%s has %s", name, s)
			}
		}
	}
}

func TestDescription(t *testing.T) {
	c := Chart{
		Title: "t", Subtitle: "What is sent.", X: []string{"day 1", "day 2", "day 3"},
		Stack: []Layer{{Name: "waiting", Values: []float64{7, 7, 7}}},
		Lines: []Line{
			{Name: "google", Values: []float64{1200, 2000000, 1500}},
			{Name: "share", Values: []float64{0.5, 0.25, 0.66666}},
			{Name: "yahoo", Values: []float64{math.NaN(), math.NaN(), math.NaN()}},
		},
		Marks: []Mark{{At: 1, Text: "rollback"}, {At: 2}},
	}
	const want = "<desc>What is sent. From day 1 to day 3: waiting 7; google 1,200 to 1,500, at most 2,000,000; " +
		"share 0.5 to 0.6667, at least 0.25; yahoo unknown. day 2: rollback.</desc>"
	if svg := string(drawn(t, c)); !strings.Contains(svg, want) {
		t.Errorf("%s, want %s", svg[:800], want)
	}
}

// Gaps, zeros with Log, and points by themselves.
func TestPieces(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		values      []float64
		log         bool
		lines, dots int
	}{
		{[]float64{1, 2, 3, 4, 5}, false, 1, 0},
		{[]float64{1, 2, nan, 4, 5}, false, 2, 0},
		{[]float64{nan, 2, nan, 4, 5}, false, 1, 1},
		{[]float64{0, 2, 0, 4, 0}, false, 1, 0},
		{[]float64{0, 2, 0, 4, 0}, true, 0, 2},
		{[]float64{0, 0, 0, 0, 0}, true, 0, 0},
		{[]float64{0, 0, 0, 0, 0}, false, 1, 0},
		{[]float64{nan, nan, nan, nan, nan}, false, 0, 0},
		{[]float64{-5, -5, -5, -5, -5}, false, 1, 0},
		{[]float64{1e15, 1e15, 1e15, 1e15, 1e15}, true, 1, 0},
		{[]float64{3e-9, 1e-300, 1, 1, 1}, true, 1, 1},
		{[]float64{100, 100, 100, 100, 100}, false, 1, 0},
	} {
		svg := string(drawn(t, Chart{Title: "t", X: days(5), Log: c.log, Lines: []Line{{Name: "a", Values: c.values}}}))
		_, group, ok := strings.Cut(svg, "<title>a</title>")
		if !ok {
			t.Fatal("no group of the line")
		}
		lines, dots := strings.Count(group, "<path"), strings.Count(group, "<circle")
		if lines != c.lines || dots != c.dots {
			t.Errorf("%v: %d lines and %d dots, want %d and %d", c.values, lines, dots, c.lines, c.dots)
		}
	}
}

// A line has the colour of what it is the cap of, whichever comes first.
func TestOf(t *testing.T) {
	d := newDrawing(Chart{
		X:     []string{"1"},
		Stack: []Layer{{Name: "a", Values: []float64{1}}},
		Lines: []Line{
			{Name: "cap of c", Of: "c", Values: []float64{1}}, {Name: "cap of a", Of: "a", Values: []float64{1}},
			{Name: "b", Values: []float64{1}}, {Name: "c", Values: []float64{1}},
		},
		Width: 860, Height: 440,
	})
	for i, want := range []string{palette[0], palette[2], palette[0], palette[1], palette[2]} {
		if s := d.series[i]; s.color != hex(want) {
			t.Errorf("%s has %v, want %s", s.name, s.color, want)
		}
	}
}

// Whatever the names and values, there is a sound drawing, or an error that names a field.
func FuzzWriteSVG(f *testing.F) {
	f.Add("title", "name", "day", "text", []byte{0, 0, 0, 0, 0, 0, 240, 63, 1, 2, 3, 4, 5, 6, 7, 64}, 0, 0, 0, false)
	f.Add("<title>", "\x00", "\xff\ufffe", "]]>", []byte{255, 255, 255, 255, 255, 255, 255, 127}, 320, 240, 0, true)
	f.Add(strings.Repeat("long ", 300), strings.Repeat("W", 700), "…", "\u202e", []byte{1, 0, 0, 0, 0, 0, 0, 0}, 4000, 4000, -1, true)
	f.Fuzz(func(t *testing.T, title, name, day, text string, raw []byte, width, height, at int, log bool) {
		var v []float64
		for ; len(raw) >= 8 && len(v) < 100; raw = raw[8:] {
			v = append(v, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
		}
		c := Chart{
			Title: title, Subtitle: text, XLabel: name, YLabel: day, X: make([]string, len(v)), Log: log, Width: width, Height: height,
			Lines: []Line{{Name: name, Values: v, Step: log}, {Name: name + "2", Of: name, Values: v, Dashed: true}},
			Marks: []Mark{{At: at, Text: text}, {At: at, Text: name}, {At: at / 2, Text: day}, {At: len(v) - 1, Text: title}},
		}
		for i := range c.X {
			c.X[i] = day[:i%(len(day)+1)]
		}
		if !log {
			c.Stack = []Layer{{Name: "layer" + name, Values: v}, {Name: "layer 2" + name, Values: v}}
		}
		var a, b bytes.Buffer
		if err := c.WriteSVG(&a); err != nil {
			if !strings.HasPrefix(err.Error(), "chart: ") {
				t.Fatal(err)
			}
			return
		}
		if err := sound(a.Bytes()); err != nil {
			t.Fatalf("%v in %s", err, a.Bytes())
		}
		if err := c.WriteSVG(&b); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Fatalf("not the same again, or %v", err)
		}
	})
}
