package warmup

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestMigrationHashIsFixed: the points of recipients never change, or people would be moved back.
func TestMigrationHashIsFixed(t *testing.T) {
	for _, c := range []struct {
		salt, recipient string
		want            float64
	}{
		{"", "", 0.72270648634033896},
		{"move", "ann@example.com", 0.43930086114849076},
		{"move", "Ben@Example.net", 0.7388602361880926},
		{"other", "ann@example.com", 0.77312881385986265},
	} {
		if got := point(hashSalt(c.salt), c.recipient); got != c.want {
			t.Errorf("%q, %q: got %.17g, want %.17g", c.salt, c.recipient, got, c.want)
		}
	}
}

func TestMigrationHashIgnoresCase(t *testing.T) {
	salted := hashSalt("x")
	if point(salted, "Ann.Lee@Example.COM") != point(salted, "ann.lee@example.com") {
		t.Error("the case matters")
	}
	if point(salted, "ann.lee@example.com") == point(salted, "ann.lee@example.org") {
		t.Error("the domain does not matter")
	}
	if point(hashSalt("a"), "bc") == point(hashSalt("ab"), "c") {
		t.Error("salt and recipient run together")
	}
}

// TestMigrationHashIsUniform: points of similar addresses are spread evenly, those under different salts independently.
func TestMigrationHashIsUniform(t *testing.T) {
	const n, cells = 50_000, 100
	for _, format := range []string{"user%d@example.com", "a@host%d.example.net", "%d", "%08d@" + strings.Repeat("long.", 30) + "example"} {
		var count, low [cells]int
		both := 0
		one, two := hashSalt("one"), hashSalt("two")
		for i := range n {
			to := fmt.Sprintf(format, i)
			p, q := point(one, to), point(two, to)
			count[int(p*cells)]++
			low[int(math.Mod(p*1e6, 1)*cells)]++
			if p < 0.1 && q < 0.1 {
				both++
			}
		}
		for name, c := range map[string][cells]int{"points": count, "low digits": low} {
			chi := 0.0
			for _, k := range c {
				d := float64(k) - n/cells
				chi += d * d / (n / cells)
			}
			if chi > 170 || chi < 50 { // 99 degrees of freedom: beyond with a probability of about 1e-5
				t.Errorf("%s of %q: chi square is %g", name, format, chi)
			}
		}
		if d := math.Abs(float64(both) - n/100); d > 4.5*math.Sqrt(n/100) {
			t.Errorf("%q: %d of %d are low under both salts", format, both, n)
		}
	}
}

// TestMigrationSticky: a larger share keeps the recipients that the new arm has.
func TestMigrationSticky(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		salted := hashSalt(rapid.String().Draw(t, "salt"))
		p := point(salted, rapid.String().Draw(t, "recipient"))
		if !(p >= 0 && p < 1) {
			t.Fatalf("point %g", p)
		}
	})
}
