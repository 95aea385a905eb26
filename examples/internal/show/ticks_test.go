package show

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ticks Ticks
		calls, lasts := 0, 0
		ticks.Start(func(n int, last bool) {
			if n != calls {
				t.Errorf("call %d has the number %d", calls, n)
			}
			calls++
			if last {
				lasts++
			}
		})
		time.Sleep(10*Tick + Tick/2)
		ticks.Stop()
		ticks.Stop()
		if calls != 11 || lasts != 1 {
			t.Errorf("%d calls, %d of them the last", calls, lasts)
		}
	})
}
