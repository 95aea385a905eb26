package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/pgtest"
)

// asProgram makes the test's program behave as the example, so that the example can start itself.
const asProgram = "OUTBOX_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Setenv(asProgram, "1") // for those that it starts
	os.Exit(m.Run())
}

// report runs the example with -json, and decodes what it prints.
func runJSON(t *testing.T, want int, args ...string) *report {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), append(args, "-json"), &stdout, &stderr)
	if status != want {
		t.Fatalf("outbox %q: status %d, want %d\n%s%s", args, status, want, &stdout, &stderr)
	}
	var r report
	d := json.NewDecoder(&stdout)
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if d.More() {
		t.Error("more than one document")
	}
	return &r
}

// stores are the databases that a test runs with: flags for an empty one.
func stores(t *testing.T, test func(t *testing.T, store []string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, []string{"-db", filepath.Join(t.TempDir(), "shop.db")})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, []string{"-postgres", pgtest.DSN(t)})
	})
}

// with is a command line.
func with(store []string, more ...string) []string { return slices.Concat(store, more) }

// Whatever kills the process, each order has its mail, and what it has twice goes back to a kill.
func TestCrashes(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, store []string) {
		const crashes = 16 // each point twice
		r := runJSON(t, 0, with(store, "-orders", "70", "-every", "5ms", "-crashes", "16")...)
		if len(r.Crashes) != crashes || r.Orders != 60 || r.Declined != 10 || r.Delivered != 60 || r.Waiting != 0 || !r.Counted {
			t.Errorf("%+v", r)
		}
		again := 0
		for _, d := range r.Duplicates {
			again += len(d.Lives) - 1
			if !strings.Contains(d.Cause, "killed") {
				t.Errorf("no cause: %+v", d)
			}
		}
		if len(r.Missing) > 0 || r.Mails != r.Orders+again {
			t.Errorf("%d mails for %d orders, %d of them again, %v missing", r.Mails, r.Orders, again, r.Missing)
		}
		for _, c := range r.Crashes {
			// The receiver has the message then and the queue does not know: the one certain duplicate.
			if c.Point == atReply && c.Duplicates == 0 {
				t.Errorf("no duplicate came of %+v", c)
			}
		}
		if t.Failed() {
			t.Logf("%+v", r)
		}
	})
}

// A killed process is gone on with by hand, on the same database.
func TestGoesOnByHand(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, store []string) {
		host, err := openMailHost(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer host.close()
		o, status := parse(with(store, "-orders", "12", "-every", "0s"), os.Stderr)
		if status != proceed {
			t.Fatal(status)
		}
		// Eight orders were charged then, of which the 7th was declined. Of the seven in the table, three are placed again.
		c, err := o.start(t.Context(), 1, doom{atMail, 9}, host.addr)
		if err != nil || c.Point != atMail {
			t.Fatalf("%+v, %v", c, err)
		}
		r := runJSON(t, 0, with(store, "-orders", "12", "-every", "0s", "-addr", host.addr)...)
		if r.Orders != 11 || r.Declined != 1 || r.Delivered != 11 || r.Repeated != 2 || r.Counted {
			t.Errorf("%+v", r)
		}
		for id := range int64(12) {
			if n := len(host.arrived[id+1]); (n == 0) != (id+1 == 7) {
				t.Errorf("order %d has %d mails", id+1, n)
			}
		}
	})
}

// A run without kills sends each mail once; a second one finds nothing to do, or goes on with more orders.
func TestPlain(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, store []string) {
		for _, tt := range []struct {
			upTo                                string
			orders, declined, mails, repetition int
		}{{"20", 18, 2, 18, 0}, {"20", 18, 2, 0, 3}, {"30", 26, 4, 8, 3}} {
			r := runJSON(t, 0, with(store, "-orders", tt.upTo, "-every", "1ms")...)
			if r.Orders != tt.orders || r.Declined != tt.declined || r.Delivered != tt.orders || r.Mails != tt.mails || r.Repeated != tt.repetition ||
				len(r.Duplicates)+len(r.Missing)+len(r.Problems) > 0 {
				t.Errorf("up to %s: %+v", tt.upTo, r)
			}
		}
	})
}

func TestPlainOutput(t *testing.T) {
	var stdout, stderr bytes.Buffer
	db := filepath.Join(t.TempDir(), "shop.db")
	if status := run(t.Context(), []string{"-db", db, "-orders", "8", "-every", "1ms"}, &stdout, &stderr); status != 0 {
		t.Fatalf("status %d\n%s%s", status, &stdout, &stderr)
	}
	for _, want := range []string{"Orders and mail are in " + db, "mails arrived", "Each order has exactly one mail; those that were declined have none."} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, &stdout)
		}
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error: %s", &stderr)
	}
}

// An interrupted run keeps what is open, and the next one goes on.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	host, err := openMailHost(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer host.close()
	store := []string{"-db", filepath.Join(t.TempDir(), "shop.db"), "-addr", host.addr, "-orders", "40"}
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	status := make(chan int)
	go func() { status <- run(ctx, with(store, "-every", "1m"), &stdout, &stderr) }()
	for host.confirmed() == 0 {
		time.Sleep(time.Millisecond)
	}
	interrupt()
	if got := <-status; got != 0 || !strings.Contains(stdout.String(), "Interrupted. Another run with the same database goes on.") {
		t.Fatalf("status %d\n%s%s", got, &stdout, &stderr)
	}
	if r := runJSON(t, 0, with(store, "-every", "0s")...); r.Orders != 35 || r.Delivered != 35 || host.confirmed() != 35 {
		t.Errorf("%+v, %d confirmed", r, host.confirmed())
	}
}

// Another process that has the file open is told of in words.
func TestSecondProcess(t *testing.T) {
	o := options{db: filepath.Join(t.TempDir(), "shop.db")}
	q, err := openStore(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-db", o.db}, &stdout, &stderr); status != 1 || !strings.Contains(stderr.String(), "in use") {
		t.Errorf("status %d: %s", status, &stderr)
	}
}
