package chart_test

import (
	"bytes"
	"fmt"
	"log"
	"strings"

	"github.com/reputemail/repute/warmup/chart"
)

// What a provider is sent over a warm-up, below its cap.
func Example() {
	c := chart.Chart{
		Title:  "Messages a day",
		YLabel: "messages",
		Log:    true,
		Lines: []chart.Line{
			{Name: "google", Values: []float64{50, 100, 200, 400, 650, 700}},
			{Name: "cap of google", Of: "google", Values: []float64{50, 100, 200, 400, 800, 1600}, Dashed: true},
		},
		Marks: []chart.Mark{{At: 4, Text: "all is sent"}},
	}
	for day := range 6 {
		c.X = append(c.X, fmt.Sprint("day ", day+1))
	}
	var svg bytes.Buffer // or a file, or an http.ResponseWriter with the Content-Type image/svg+xml
	if err := c.WriteSVG(&svg); err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(svg.String()) {
		if strings.HasPrefix(line, "<desc>") {
			fmt.Print(line)
		}
	}
	// Output:
	// <desc>From day 1 to day 6: google 50 to 700; cap of google 50 to 1,600. day 5: all is sent.</desc>
}

// An error names the field that cannot be.
func ExampleChart_WriteSVG() {
	c := chart.Chart{Title: "Messages a day", X: []string{"day 1"}, Lines: []chart.Line{{Name: "google", Values: []float64{50, 100}}}}
	fmt.Println(c.WriteSVG(&bytes.Buffer{}))
	// Output:
	// chart: Lines[0].Values: has 2 values for 1 points of X
}
