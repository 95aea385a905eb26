package warmup

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Curve is how many messages a host has to send each day, and when.
type Curve struct {
	// Days are the messages of each day, from the first on. Required; each between 0 and MaxCap.
	Days []int `json:"days"`
	// Repeat begins again after the last of Days. Defaults to false: nothing comes after it.
	Repeat bool `json:"repeat,omitempty"`
	// At is when in a day they begin to come, from its start. Below 24 hours. Defaults to 0.
	At time.Duration `json:"at,omitempty"`
	// Over is how long they keep on coming, evenly. Up to 24 hours. Defaults to the whole day.
	Over time.Duration `json:"over,omitempty"`
}

// maxCurve is the largest number of days of a curve.
const maxCurve = 10_000

// Flat is the same number of messages every day, all day long.
func Flat(perDay int) Curve { return Curve{Days: []int{perDay}, Repeat: true} }

// WeeklyCampaign is a campaign on the first day of each week, handed over within the hour from nine o'clock on, and so many messages on each other day.
func WeeklyCampaign(campaign, otherDays int) Curve {
	c := Curve{Days: []int{campaign}, Repeat: true, At: 9 * time.Hour, Over: time.Hour}
	for range 6 {
		c.Days = append(c.Days, otherDays)
	}
	return c
}

// ReadCurve reads a measured curve from CSV: a line for each day, whose last column is the number of messages; other columns (a date, say) are not
// looked at, nor is a first line whose last column is no number. Errors name the line.
func ReadCurve(r io.Reader) (Curve, error) {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord = -1
	rows.TrimLeadingSpace = true
	var c Curve
	for first := true; ; first = false {
		row, err := rows.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Curve{}, fmt.Errorf("warmup: curve: %w", err)
		}
		line, _ := rows.FieldPos(0)
		n, err := strconv.Atoi(strings.TrimSpace(row[len(row)-1]))
		switch {
		case err != nil && first:
			continue
		case err != nil:
			return Curve{}, fmt.Errorf("warmup: curve: line %d: %q is no number of messages", line, row[len(row)-1])
		case n < 0 || n > MaxCap:
			return Curve{}, fmt.Errorf("warmup: curve: line %d: %d messages: must be between 0 and %d", line, n, MaxCap)
		case len(c.Days) == maxCurve:
			return Curve{}, fmt.Errorf("warmup: curve: more than %d days", maxCurve)
		}
		c.Days = append(c.Days, n)
	}
	if len(c.Days) == 0 {
		return Curve{}, errors.New("warmup: curve: there is no day in it")
	}
	return c, nil
}

// Peak is the largest day.
func (c Curve) Peak() int {
	peak := 0
	for _, n := range c.Days {
		peak = max(peak, n)
	}
	return peak
}

func (c Curve) check() error {
	switch {
	case len(c.Days) == 0:
		return fault("Days", "is empty: there must be at least one")
	case len(c.Days) > maxCurve:
		return fault("Days", "has %d entries: at most %d are allowed", len(c.Days), maxCurve)
	case c.At < 0 || c.At >= 24*time.Hour:
		return fault("At", "is %s: must be between 0 and 24 hours", c.At)
	case c.Over < 0 || c.Over > 24*time.Hour:
		return fault("Over", "is %s: must be between 0 and 24 hours", c.Over)
	}
	for i, n := range c.Days {
		if n < 0 || n > MaxCap {
			return fault(fmt.Sprintf("Days[%d]", i), "is %d: must be between 0 and %d", n, MaxCap)
		}
	}
	return nil
}

// on is the number of messages of a day, from 0.
func (c Curve) on(day int) int {
	switch {
	case c.Repeat:
		return c.Days[day%len(c.Days)]
	case day < len(c.Days):
		return c.Days[day]
	default:
		return 0
	}
}

// by is how many messages of a day have come by a time of it.
func (c Curve) by(day int, t time.Duration) int {
	over := c.Over
	if over == 0 {
		over = 24 * time.Hour
	}
	part := min(max(t-c.At, 0), over)
	return int(float64(c.on(day)) * (float64(part) / float64(over)))
}
