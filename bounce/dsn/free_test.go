package dsn_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/dsn"
)

// TestReadFreeForm reads bounces that we wrote in the manner of many systems.
func TestReadFreeForm(t *testing.T) {
	classifier, err := bounce.NewClassifier(bounce.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name       string // of the file
		form       dsn.Form
		action     bounce.Action
		recipients []string
		categories string // of each recipient, with "|" between; "" where the text says nothing
	}{
		{"exim-two", "exim", bounce.ActionFailed, []string{"alice@example.com", "bob@example.net"}, "bad-mailbox|mailbox-full"},
		{"exim-alias", "exim", bounce.ActionFailed, []string{"carol@new.example.com"}, "bad-domain"},
		{"exim-warning", "exim", bounce.ActionDelayed, []string{"dave@example.com"}, "network"},
		{"exim-german", "exim", bounce.ActionFailed, []string{"emil@example.com"}, "mailbox-full"},
		{"qmail", "qmail", bounce.ActionFailed, []string{"frank@example.com", "grace@example.net"}, "bad-mailbox|bad-mailbox"},
		{"qmail-clone", dsn.FormOther, bounce.ActionFailed, []string{"heidi@example.com"}, "bad-mailbox"},
		{"qmail-quota", "qmail", bounce.ActionFailed, []string{"ivan@example.com"}, "mailbox-full"},
		{"postfix-plain", "postfix", bounce.ActionFailed, []string{"judy@example.com", "ken@example.com"}, "blocklisted|network"},
		{"postfix-delay", "postfix", bounce.ActionDelayed, []string{"laura@example.com"}, "greylisted"},
		{"sendmail-old", "sendmail", bounce.ActionFailed, []string{"mallory@example.com"}, "bad-mailbox"},
		{"sendmail-new", "sendmail", bounce.ActionFailed, []string{"nina@example.com"}, "spam-content"},
		{"sendmail-warning", "sendmail", bounce.ActionDelayed, []string{"peggy@example.com"}, "network"},
		{"exchange-55", "exchange", bounce.ActionFailed, []string{"quentin@example.com"}, "bad-mailbox"},
		{"exchange-2003", dsn.FormOther, bounce.ActionFailed, []string{"rupert@corp.example.net"}, "bad-mailbox"},
		{"exchange-2007", "exchange", bounce.ActionFailed, []string{"sybil@corp.example.net"}, "mailbox-full"},
		{"exchange-365", dsn.FormOther, bounce.ActionFailed, []string{"trent@tenant.example.net"}, "bad-mailbox"},
		{"exchange-french", dsn.FormOther, bounce.ActionFailed, []string{"ursule@corp.example.net"}, "bad-mailbox"},
		{"exchange-german", dsn.FormOther, bounce.ActionFailed, []string{"viktor@corp.example.net"}, "mailbox-full"},
		{"domino", "domino", bounce.ActionFailed, []string{"walter@dom.example.net"}, "bad-mailbox"},
		{"domino-german", dsn.FormOther, bounce.ActionFailed, []string{"xaver@dom.example.net"}, ""},
		{"domino-italian", dsn.FormOther, bounce.ActionFailed, []string{"yara@dom.example.net"}, "mailbox-full"},
		{"groupwise", "groupwise", bounce.ActionFailed, []string{"zoe@gw.example.net", "adam@gw.example.net"}, "bad-mailbox|mailbox-full"},
		{"mdaemon", dsn.FormOther, bounce.ActionFailed, []string{"beth@example.com"}, "bad-mailbox"},
		{"communigate", dsn.FormOther, bounce.ActionFailed, []string{"carl@example.com", "dora@cg.example.net"}, "bad-mailbox|mailbox-full"},
		{"kerio", dsn.FormOther, bounce.ActionFailed, []string{"erik@example.com"}, "auth-failure"},
		{"hmailserver", dsn.FormOther, bounce.ActionFailed, []string{"fay@example.com"}, "bad-mailbox"},
		{"smartermail", dsn.FormOther, bounce.ActionFailed, []string{"gus@example.com"}, "mailbox-full"},
		{"icewarp", dsn.FormOther, bounce.ActionFailed, []string{"hanna@example.com"}, "bad-mailbox"},
		{"mailenable", dsn.FormOther, bounce.ActionFailed, []string{"ines@example.com"}, "bad-mailbox"},
		{"mercury", dsn.FormOther, bounce.ActionFailed, []string{"jonas@example.com"}, "bad-mailbox"},
		{"courier", dsn.FormOther, bounce.ActionFailed, []string{"karen@example.com"}, "bad-mailbox"},
		{"james", "qmail", bounce.ActionFailed, []string{"leo@example.com"}, "bad-mailbox"},
		{"opensmtpd", "opensmtpd", bounce.ActionFailed, []string{"mia@example.com"}, "reputation-block"},
		{"dma", "dma", bounce.ActionFailed, []string{"noah@example.com"}, "bad-mailbox"},
		{"haraka", "qmail", bounce.ActionFailed, []string{"olga@example.com"}, "inactive-mailbox"},
		{"zonemta", "gmail", bounce.ActionFailed, []string{"paul@example.com"}, "message-too-large"},
		{"gmail-old", "gmail", bounce.ActionFailed, []string{"rita@example.com"}, "bad-mailbox"},
		{"gmail-new", "gmail", bounce.ActionFailed, []string{"saul@example.com"}, "bad-mailbox"},
		{"gmail-blocked", dsn.FormOther, bounce.ActionFailed, []string{"tina@example.com"}, "spam-content"},
		{"gmail-delay", dsn.FormOther, bounce.ActionDelayed, []string{"uma@example.com"}, ""},
		{"yahoo", dsn.FormOther, bounce.ActionFailed, []string{"vera@yh.example.net"}, ""},
		{"aol", "sendmail", bounce.ActionFailed, []string{"wanda@ao.example.net"}, "bad-mailbox"},
		{"outlookcom", dsn.FormOther, bounce.ActionFailed, []string{"xenia@ol.example.net"}, ""},
		{"gmx", "exim", bounce.ActionFailed, []string{"yann@gx.example.net"}, "mailbox-full"},
		{"webde-german", dsn.FormOther, bounce.ActionFailed, []string{"zita@wd.example.net"}, "bad-mailbox"},
		{"t-online", dsn.FormOther, bounce.ActionFailed, []string{"abel@to.example.net"}, "bad-mailbox"},
		{"mailru", dsn.FormOther, bounce.ActionFailed, []string{"boris@mr.example.net"}, "bad-mailbox"},
		{"yandex", dsn.FormOther, bounce.ActionFailed, []string{"vadim@example.com"}, "mailbox-full"},
		{"qq", dsn.FormOther, bounce.ActionFailed, []string{"chen@qq.example.net"}, "bad-mailbox"},
		{"netease", dsn.FormOther, bounce.ActionFailed, []string{"dong@163.example.net"}, "bad-mailbox"},
		{"naver", dsn.FormOther, bounce.ActionFailed, []string{"kim@nv.example.net"}, "bad-mailbox"},
		{"icloud", dsn.FormOther, bounce.ActionFailed, []string{"emma@ic.example.net"}, "mailbox-full"},
		{"zoho", "exim", bounce.ActionFailed, []string{"fred@example.com"}, "bad-mailbox"},
		{"protonmail", dsn.FormOther, bounce.ActionFailed, []string{"gina@example.com"}, "no-reverse-dns"},
		{"barracuda", dsn.FormOther, bounce.ActionFailed, []string{"hugo@example.com"}, "spam-content"},
		{"mimecast", "mimecast", bounce.ActionFailed, []string{"inge@example.com"}, "spam-content"},
		{"proofpoint", "sendmail", bounce.ActionFailed, []string{"jana@example.com"}, ""},
		{"ironport", dsn.FormOther, bounce.ActionFailed, []string{"kurt@example.com"}, "bad-mailbox"},
		{"symantec", dsn.FormOther, bounce.ActionFailed, []string{"lena@example.com"}, "message-too-large"},
		{"sophos", dsn.FormOther, bounce.ActionFailed, []string{"mona@example.com"}, "relay-denied"},
		{"fortimail", dsn.FormOther, bounce.ActionFailed, []string{"nils@example.com", "olaf@example.com"}, "bad-mailbox|bad-mailbox"},
		{"au-kddi", dsn.FormOther, bounce.ActionFailed, []string{"pira@au.example.net"}, "bad-mailbox"},
		{"au-html", dsn.FormOther, bounce.ActionFailed, []string{"quin@au.example.net"}, "mailbox-full"},
		{"docomo", dsn.FormOther, bounce.ActionFailed, []string{"rin@dc.example.net"}, "bad-mailbox"},
		{"softbank", dsn.FormOther, bounce.ActionFailed, []string{"sora@sb.example.net"}, "bad-mailbox"},
		{"biglobe", dsn.FormOther, bounce.ActionFailed, []string{"taro@bg.example.net"}, ""},
		{"nifty", dsn.FormOther, bounce.ActionFailed, []string{"umi@nf.example.net"}, "mailbox-full"},
		{"x400", dsn.FormOther, bounce.ActionFailed, []string{"valt@x4.example.net"}, "bad-mailbox"},
		{"ezmlm-probe", dsn.FormOther, bounce.ActionFailed, []string{"wolf@example.com"}, "bad-mailbox"},
		{"mailman-unknown", dsn.FormOther, bounce.ActionFailed, []string{"xara@example.com"}, "mailbox-full"},
		{"ses-delivery", "ses", bounce.ActionDelivered, []string{"yoko@example.com"}, ""},
		{"ses-bounce", "ses", bounce.ActionFailed, []string{"zack@example.com", "abby@example.com"}, "bad-mailbox|mailbox-full"},
		{"ses-delay", "ses", bounce.ActionDelayed, []string{"bela@example.com"}, "mailbox-full"},
		{"sendgrid-like", dsn.FormOther, bounce.ActionFailed, []string{"cleo@example.com"}, "bad-mailbox"},
		{"local-user", dsn.FormOther, bounce.ActionFailed, []string{"dino@shell.example.net"}, "bad-mailbox"},
		{"in-returned-only", dsn.FormOther, bounce.ActionFailed, []string{"ella@tiny.example.net"}, "mailbox-full"},
		{"in-returned-part", dsn.FormOther, bounce.ActionFailed, []string{"finn@tiny.example.net"}, "bad-mailbox"},
		{"spanish", dsn.FormOther, bounce.ActionFailed, []string{"gema@es.example.net"}, "mailbox-full"},
		{"portuguese", dsn.FormOther, bounce.ActionFailed, []string{"hilda@br.example.net"}, "bad-mailbox"},
		{"dutch", dsn.FormOther, bounce.ActionFailed, []string{"ilse@nl.example.net"}, "bad-mailbox"},
		{"polish", dsn.FormOther, bounce.ActionFailed, []string{"jacek@pl.example.net"}, "mailbox-full"},
		{"turkish", dsn.FormOther, bounce.ActionFailed, []string{"kemal@tr.example.net"}, "bad-mailbox"},
		{"czech", dsn.FormOther, bounce.ActionFailed, []string{"lenka@cz.example.net"}, "bad-mailbox"},
		{"swedish", dsn.FormOther, bounce.ActionFailed, []string{"maja@se.example.net"}, "bad-mailbox"},
		{"hebrew", dsn.FormOther, bounce.ActionFailed, []string{"noam@il.example.net"}, "bad-mailbox"},
		{"relay-own-words", dsn.FormOther, bounce.ActionFailed, []string{"otto@example.com"}, "bad-mailbox"},
		{"three-reasons", dsn.FormOther, bounce.ActionFailed, []string{"pia@example.com", "ralf@example.com", "sven@example.com"}, "bad-mailbox|mailbox-full|spam-content"},
		{"mailmarshal", dsn.FormOther, bounce.ActionFailed, []string{"amy@example.com"}, "bad-mailbox"},
		{"mailfoundry", dsn.FormOther, bounce.ActionFailed, []string{"ben@example.com"}, "bad-mailbox"},
		{"interscan", dsn.FormOther, bounce.ActionFailed, []string{"cid@example.com"}, "bad-mailbox"},
		{"surfcontrol", dsn.FormOther, bounce.ActionFailed, []string{"dan@example.com"}, "bad-mailbox"},
		{"sendmail-5", "sendmail", bounce.ActionFailed, []string{"eve@nosuch.example.com"}, "bad-domain"},
		{"sun-messaging", dsn.FormOther, bounce.ActionFailed, []string{"fox@example.com"}, "bad-mailbox"},
		{"google-group", dsn.FormOther, bounce.ActionFailed, []string{"readers@gg.example.net"}, ""},
		{"novell-local", "groupwise", bounce.ActionFailed, []string{"gil@nw.example.net"}, "bad-mailbox"},
		{"imail", dsn.FormOther, bounce.ActionFailed, []string{"hal@example.com"}, "bad-mailbox"},
		{"expired-queue", dsn.FormOther, bounce.ActionFailed, []string{"ian@example.com"}, ""},
		{"workmail-like", dsn.FormOther, bounce.ActionFailed, []string{"joe@example.com"}, "mailbox-full"},
		{"chinese-traditional", dsn.FormOther, bounce.ActionFailed, []string{"kay@tw.example.net"}, "bad-mailbox"},
		{"korean", dsn.FormOther, bounce.ActionFailed, []string{"lee@kr.example.net"}, "mailbox-full"},
		{"danish", dsn.FormOther, bounce.ActionFailed, []string{"mads@dk.example.net"}, "bad-mailbox"},
		{"finnish", dsn.FormOther, bounce.ActionFailed, []string{"noora@fi.example.net"}, "mailbox-full"},
		{"hungarian", dsn.FormOther, bounce.ActionFailed, []string{"otto@hu.example.net"}, "bad-mailbox"},
		{"greek", dsn.FormOther, bounce.ActionFailed, []string{"petros@gr.example.net"}, "bad-mailbox"},
		{"norwegian", dsn.FormOther, bounce.ActionFailed, []string{"ragnar@no.example.net"}, "mailbox-full"},
		{"arabic", dsn.FormOther, bounce.ActionFailed, []string{"sami@ae.example.net"}, "bad-mailbox"},
		{"null-path", dsn.FormOther, bounce.ActionFailed, []string{"tom@example.com"}, "spam-content"},
		{"own-domain-postmaster", dsn.FormOther, bounce.ActionFailed, []string{"udo@example.org"}, "mailbox-full"},
		{"wrote-to-self", dsn.FormOther, bounce.ActionFailed, []string{"news@example.org"}, "mailbox-full"},
		{"html-list", dsn.FormOther, bounce.ActionFailed, []string{"vic@example.com", "wim@example.com"}, "bad-mailbox|mailbox-full"},
		{"reasons-first", dsn.FormOther, bounce.ActionFailed, []string{"xin@example.com", "yan@example.com"}, "bad-mailbox|mailbox-full"},
		{"table", dsn.FormOther, bounce.ActionFailed, []string{"zed@example.com", "ann@example.com"}, "bad-mailbox|mailbox-full"},
		{"delay-german", dsn.FormOther, bounce.ActionDelayed, []string{"uta@example.com"}, ""},
		{"delay-exchange", dsn.FormOther, bounce.ActionDelayed, []string{"vito@corp.example.net"}, ""},
		{"delay-japanese", dsn.FormOther, bounce.ActionDelayed, []string{"waka@jp.example.net"}, "mailbox-full"},
		{"failed-about-delay", dsn.FormOther, bounce.ActionFailed, []string{"yves@corp.example.net"}, "bad-mailbox"},
		{"empty-alternative", dsn.FormOther, bounce.ActionFailed, []string{"zoltan@example.com"}, "bad-mailbox"},
		{"cut-sentence", dsn.FormOther, bounce.ActionFailed, []string{"anna@example.net"}, "mailbox-full"},
		{"cut-below", dsn.FormOther, bounce.ActionFailed, []string{"anna@example.net"}, "mailbox-full"},
		{"cut-below-later", dsn.FormOther, bounce.ActionFailed, []string{"anna@example.net"}, "mailbox-full"},
		{"cut-value", dsn.FormOther, bounce.ActionFailed, []string{"anna@example.net"}, "mailbox-full"},
		{"cut-message-id", dsn.FormOther, bounce.ActionFailed, []string{"anna@example.net"}, "mailbox-full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := dsn.Parse(readFree(t, tt.name))
			if err != nil {
				t.Fatal(err)
			}
			if n.Form != tt.form {
				t.Errorf("form %q, want %q", n.Form, tt.form)
			}
			var got []string
			for _, r := range n.Recipients {
				got = append(got, r.Final)
				if r.Action != tt.action {
					t.Errorf("%s: action %q, want %q", r.Final, r.Action, tt.action)
				}
			}
			if !slices.Equal(got, tt.recipients) {
				t.Fatalf("recipients %q, want %q", got, tt.recipients)
			}
			if tt.categories == "" {
				return
			}
			for i, want := range strings.Split(tt.categories, "|") {
				if got := classifier.Classify("", n.Recipients[i].Reply()).Category; got != bounce.Category(want) {
					t.Errorf("%s: %s, want %s, for %q", n.Recipients[i].Final, got, want, n.Recipients[i].Diagnostic)
				}
			}
		})
	}
}

// TestReadFreeFormNot reads mail that only looks or sounds like a bounce.
func TestReadFreeFormNot(t *testing.T) {
	files, err := filepath.Glob("testdata/free/no-*.eml")
	if err != nil || len(files) < 25 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := dsn.Parse(raw); err != dsn.ErrNotBounce {
				t.Fatalf("a bounce: %+v, %v", n, err)
			}
		})
	}
}

// TestReadFreeFormLineEnds: the line ends of a message change nothing.
func TestReadFreeFormLineEnds(t *testing.T) {
	files, err := filepath.Glob("testdata/free/*.eml")
	if err != nil || len(files) < 80 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lf, err1 := dsn.Parse(raw)
		crlf, err2 := dsn.Parse(bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n")))
		if err1 != err2 {
			t.Errorf("%s: %v with LF, %v with CRLF", file, err1, err2)
			continue
		}
		if lf != nil && !slices.Equal(lf.Recipients, crlf.Recipients) {
			t.Errorf("%s: %+v with LF, %+v with CRLF", file, lf.Recipients, crlf.Recipients)
		}
	}
}

func readFree(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/free/" + name + ".eml")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
