package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is drawn to the golden files")

// days names n points.
func days(n int) []string {
	x := make([]string, n)
	for i := range x {
		x[i] = fmt.Sprint("day ", i+1)
	}
	return x
}

// values are those of f at n points.
func values(n int, f func(i int) float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = math.Round(f(i)*1000) / 1000
	}
	return v
}

// growth is a cap that starts at first, doubles in so many days, is halved on day 9 and frozen for three days, and ends at last.
func growth(n int, first, doubles, last float64) []float64 {
	c := first
	return values(n, func(i int) float64 {
		switch {
		case i == 9:
			c /= 2
		case i > 9 && i < 13 || i == 0:
		default:
			c *= math.Pow(2, 1/doubles)
		}
		return math.Floor(min(c, last))
	})
}

// least is the lesser at each point.
func least(a, b []float64) []float64 {
	return values(len(a), func(i int) float64 { return min(a[i], b[i]) })
}

// charts are those of the golden files, by name.
func charts() map[string]Chart {
	const n = 60
	demand := func(mean float64) []float64 {
		return values(n, func(i int) float64 { return math.Floor(mean * (1 + 0.25*math.Sin(float64(i)*2*math.Pi/7))) })
	}
	google, microsoft, yahoo := growth(n, 50, 3.2, 1e6), growth(n, 50, 4, 400000), growth(n, 100, 5, 200000)
	sentGoogle, sentMicrosoft, sentYahoo := least(google, demand(300000)), least(microsoft, demand(120000)), least(yahoo, demand(40000))
	marks := []Mark{{At: 9, Text: "google steps back"}, {At: 13, Text: "grows again"}, {At: 45, Text: "all of the demand is sent"}}

	logarithmic := Chart{
		Title:    "Messages a day by provider",
		Subtitle: "What is sent, and the caps of the stages (dashed). 60 days from 50 a day.",
		XLabel:   "since the start", YLabel: "messages a day",
		X: days(n),
		Lines: []Line{
			{Name: "google", Values: sentGoogle},
			{Name: "cap of google", Of: "google", Values: google, Dashed: true},
			{Name: "microsoft", Values: sentMicrosoft},
			{Name: "cap of microsoft", Of: "microsoft", Values: microsoft, Dashed: true},
			{Name: "yahoo", Values: sentYahoo},
			{Name: "cap of yahoo", Of: "yahoo", Values: yahoo, Dashed: true},
		},
		Marks: marks,
		Log:   true,
	}

	waiting := 0.0
	backlog := Chart{
		Title:    "What is sent and what waits",
		Subtitle: "Messages that are due on a day: sent by provider, or held back for a later day.",
		YLabel:   "messages",
		X:        days(n),
		Stack: []Layer{
			{Name: "google", Values: sentGoogle},
			{Name: "microsoft", Values: sentMicrosoft},
			{Name: "yahoo", Values: sentYahoo},
			{Name: "waiting", Values: values(n, func(i int) float64 {
				waiting = max(0, waiting*0.9+460000-sentGoogle[i]-sentMicrosoft[i]-sentYahoo[i]-float64(i)*4000)
				return math.Floor(waiting / 4)
			})},
		},
		Lines: []Line{{Name: "due", Values: values(n, func(int) float64 { return 460000 }), Dashed: true}},
		Marks: marks[:2],
	}

	share := Chart{
		Title:    "Migration to the new arm",
		Subtitle: "The share of the new arm, and how often each arm's messages are deferred. Rolled back on 14 March: new arm beyond 1.5 times the old one.",
		YLabel:   "% of messages",
		X: func() []string {
			x := make([]string, 30)
			for i := range x {
				x[i] = fmt.Sprint(i+1, " March")
			}
			return x
		}(),
		Lines: []Line{
			{Name: "share of the new arm", Step: true, Values: values(30, func(i int) float64 {
				switch {
				case i < 14:
					return math.Floor(min(50, math.Pow(1.42, float64(i))))
				case i < 18:
					return 0
				}
				return math.Floor(min(100, math.Pow(1.55, float64(i-17))))
			})},
			{Name: "deferred, old arm", Values: values(30, func(i int) float64 { return 4 + math.Sin(float64(i)) })},
			{Name: "deferred, new arm", Values: values(30, func(i int) float64 {
				if i >= 14 && i < 18 {
					return math.NaN()
				}
				return 4.5 + math.Sin(float64(i)+1) + max(0, float64(8-(13-i)*(13-i)))
			})},
		},
		Marks: []Mark{{At: 13, Text: "rollback"}, {At: 18, Text: "second start"}, {At: 29, Text: "last day of the plan"}},
	}

	year := Chart{
		Title: "A year of growth", X: days(400), YLabel: "messages a day", Log: true,
		Lines: []Line{{Name: "sent", Values: values(400, func(i int) float64 { return math.Floor(50 * math.Pow(1.026, float64(i))) })}},
	}
	one := Chart{
		Title: "One day", X: days(1), YLabel: "messages",
		Stack: []Layer{{Name: "google", Values: []float64{120}}, {Name: "microsoft", Values: []float64{60}}},
		Lines: []Line{{Name: "cap", Values: []float64{200}, Dashed: true}},
		Marks: []Mark{{Text: "start"}},
		Width: 420, Height: 300,
	}
	hostile := Chart{
		Title:    `</title><script>alert("1")</script> & co`,
		Subtitle: "]]> <!-- \x00 \u202e \xff \ufffe line\nbreak",
		XLabel:   `" onload="alert(2)`, YLabel: "'&#x0;'",
		X:     []string{"<a>", "&amp;", "\x1b[31m"},
		Lines: []Line{{Name: `"><img src=x onerror=alert(3)>`, Values: []float64{1, math.NaN(), 3}}},
		Stack: []Layer{{Name: `<style>*{display:none}</style>`, Values: []float64{1, 2, math.NaN()}}},
		Marks: []Mark{{At: 2, Text: "<b>late</b>"}},
	}
	many := Chart{Title: "As many as there may be, some with names that are longer than there is room for, so that the title itself goes on in a second line and ends there", X: days(21), Width: 640}
	for i := range maxSeries {
		many.Lines = append(many.Lines, Line{
			Name:   fmt.Sprintf("provider %d%s", i+1, strings.Repeat(", and more", i/3)),
			Values: values(21, func(j int) float64 { return float64(i*10 + j*j) }), Dashed: i%2 == 1,
		})
	}
	for i := range 21 {
		many.Marks = append(many.Marks, Mark{At: i, Text: fmt.Sprint("what happens on day ", i+1)})
	}
	return map[string]Chart{
		"messages": logarithmic, "backlog": backlog, "share": share, "year": year, "one": one, "hostile": hostile, "many": many,
	}
}

// drawn is what a chart is drawn as.
func drawn(t *testing.T, c Chart) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := c.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	all := charts()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			svg := drawn(t, all[name])
			if err := sound(svg); err != nil {
				t.Error(err)
			}
			file := filepath.Join("testdata", name+".svg")
			if *update {
				if err := os.WriteFile(file, svg, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(svg, want) {
				t.Errorf("not as in %s; look at what changed, and if it is right: go test ./warmup/chart -update", file)
			}
		})
	}
}

// elements are those that a drawing is made of, and attributes those they have.
var (
	elements   = []string{"svg", "title", "desc", "g", "path", "rect", "circle", "text"}
	attributes = []string{
		"xmlns", "width", "height", "viewBox", "role", "font-family", "stroke-linejoin", "d", "fill", "fill-opacity", "stroke", "stroke-opacity",
		"stroke-width", "stroke-dasharray", "x", "y", "rx", "cx", "cy", "r", "font-size", "font-weight", "text-anchor", "transform",
	}
)

// sound finds what a drawing must not have: it is XML of a few elements, without numbers that are none.
func sound(svg []byte) error {
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if !slices.Contains(elements, token.Name.Local) {
				return fmt.Errorf("element %s", token.Name.Local)
			}
			for _, a := range token.Attr {
				if !slices.Contains(attributes, a.Name.Local) || a.Name.Space != "" {
					return fmt.Errorf("attribute %s of %s", a.Name.Local, token.Name.Local)
				}
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					return fmt.Errorf("%s of %s is %s", a.Name.Local, token.Name.Local, a.Value)
				}
			}
		case xml.CharData:
		case xml.EndElement:
		default:
			return fmt.Errorf("%T", token)
		}
	}
}
