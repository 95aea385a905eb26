package autoreply

import (
	"testing"

	"pgregory.net/rapid"
)

func TestNormal(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", " "},
		{"Hello,  World!", " hello world "},
		{"I'm out-of-office", " im outofoffice "},
		{"e-mail and - dash", " email and dash "},
		{"a-", " a "},
		{"1-2", " 1 2 "},
		{"Réponse automatique : D’ABSENCE", " reponse automatique dabsence "},
		{"Abwesend: Straße, Łódź, Øre", " abwesend strasse lodz ore "},
		{"Автоматический ответ", " автоматический ответ "},
		{"自動応答：件名", " 自動応答 件名 "},
		{"자동 회신", " 자동 회신 "},
		{"Otomatik Yanıt İZİN", " otomatik yanit izin "},
		{"Ａｕｔｏ", " auto "},
		{"soft\u00adhyphen \u200bzero", " softhyphen zero "},
		{"bad \xff byte", " bad byte "},
	} {
		if got := normal(tt.in); got != tt.want {
			t.Errorf("normal(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestNormalTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := normal(rapid.StringOf(rapid.RuneFrom([]rune("aZ-' \n0é\u0301ßłIİ가が。\u200b"))).Draw(t, "text"))
		if again := normal(s); again != s {
			t.Fatalf("%q becomes %q", s, again)
		}
	})
}

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		text, phrase string
		want         int
	}{
		{" out of office ", "office", 8},
		{" backoffice ", "office", -1},
		{" backoffice office ", "office", 12},
		{" offices ", "office", 1},
		{" 在不在办公室 ", "不在办公室", 4},
		{" ", "x", -1},
	} {
		if got := find(tt.text, tt.phrase); got != tt.want {
			t.Errorf("find(%q, %q) = %d, want %d", tt.text, tt.phrase, got, tt.want)
		}
	}
}

func TestPhrasesAreNormal(t *testing.T) {
	for name, list := range map[string][]string{
		"autoSubjects": autoSubjects, "awaySubjects": awaySubjects, "ackSubjects": ackSubjects, "autoTexts": autoTexts, "answerTexts": answerTexts, "awayTexts": awayTexts, "ackTexts": ackTexts, "listWords": listWords,
		"returnSubjects": returnSubjects, "returnTexts": returnTexts, "soleWords": soleWords, "oursTexts": oursTexts, "asks": asks, "purposes": purposes, "vaguePurposes": vaguePurposes, "challengeSubjects": challengeSubjects,
	} {
		seen := make(map[string]bool)
		for _, p := range list {
			if want := normal(p); " "+p+" " != want {
				t.Errorf("%s: %q should be %q", name, p, want)
			}
			if seen[p] {
				t.Errorf("%s: %q stands twice", name, p)
			}
			seen[p] = true
		}
	}
}
