package autoreply

import (
	"bytes"
	"strings"
)

// returned reports whether the message is what a mail system returned, or tells of mail that was not delivered.
func (r *reading) returned() bool {
	h := r.m.Header
	if r.status != "" || h.Has("X-Failed-Recipients") || fromMailSystem(h.Get("From")) {
		return true
	}
	if r.m.MediaType == "multipart/report" && strings.EqualFold(r.m.Params["report-type"], "delivery-status") {
		return true
	}
	auto := strings.ToLower(h.Raw("Auto-Submitted"))
	if _, comment, ok := strings.Cut(auto, "("); ok { // "auto-generated (failure)": sendmail
		for _, w := range []string{"fail", "postmaster", "warning", "bounce", "return"} {
			if strings.Contains(comment, w) {
				return true
			}
		}
	}
	failure := first(r.subject.all, returnSubjects)
	answer := -1
	for _, phrases := range [][]string{autoSubjects, awaySubjects, ackSubjects} {
		if i := first(r.subject.all, phrases); i >= 0 && (answer < 0 || i < answer) {
			answer = i
		}
	}
	if failure >= 0 && !r.subject.reply && (answer < 0 || failure < answer) {
		return true
	}
	if r.decisiveSubject() != "" {
		return false
	}
	text := r.text.text[:min(len(r.text.text), maxReturnText)]
	return r.trace || r.text.before(maxReturnText, returnTexts) || quotesReply(text) || abandoned(text)
}

// maxReturnText is within how many bytes a text says that it is about mail that was returned. What people have below their names says anything.
const maxReturnText = 3000

// abandoned reports whether a text says that a mailbox, rather than its user, is gone: what answers for it is the mail system.
func abandoned(text string) bool {
	const window = 80
	for _, gone := range []string{"is no longer in use", "is no longer active", "is no longer valid", "is no longer available", "no longer exists", "has been deactivated", "has been closed", "has been disabled"} {
		for from := 0; ; {
			i := find(text[from:], gone)
			if i < 0 {
				break
			}
			if i += from; contains(text[max(0, i-window):i], []string{"inbox", "mailbox", "email account", "email address", "mail account", "this address", "this account", "user account"}) {
				return true
			}
			from = i + len(gone)
		}
	}
	return false
}

// fromMailSystem reports whether an author is a mail system.
func fromMailSystem(from string) bool {
	words := normal(from)
	for _, p := range []string{"mailerdaemon", "mailer daemon", "postmaster", "mail delivery", "mail system", "delivery subsystem", "delivery system", "mail administrator", "mta administrator"} {
		if find(words, p) >= 0 {
			return true
		}
	}
	return false
}

// quotesTrace reports whether a text quotes the trace of a message (RFC 5321 section 4.4). Mail systems do that to show what they return.
func quotesTrace(body []byte) bool {
	body = body[:min(len(body), maxText)]
	for len(body) > 0 {
		line, rest, _ := bytes.Cut(body, []byte{'\n'})
		line = bytes.TrimLeft(line, "> \t|")
		if len(line) > 10 && bytes.EqualFold(line[:9], []byte("received:")) || len(line) > 13 && bytes.EqualFold(line[:12], []byte("return-path:")) {
			return true
		}
		body = rest
	}
	return false
}

// quotesReply reports whether a text in normal form has a reply of SMTP that refuses, with its enhanced status: "550 5 1 1".
func quotesReply(text string) bool {
	code := false // the word before was a reply code of the class
	var class byte
	for w := range strings.FieldsSeq(text) {
		if code && len(w) == 1 && w[0] == class {
			return true
		}
		code = len(w) == 3 && (w[0] == '4' || w[0] == '5') && w[1] <= '5' && w[1] >= '0' && w[2] >= '0' && w[2] <= '9'
		class = w[0]
	}
	return false
}

// returnSubjects are what the subjects of bounces say.
var returnSubjects = []string{
	"delivery status notification", "delivery notification", "delivery report", "delivery fail", "delivery has failed", "delivery error",
	"delivery problem", "delivery delayed", "delivery unsuccessful",
	"delivery incomplete", "failed delivery", "failed to deliver", "failed mail", "failure notice", "failure notification", "failure delivery",
	"mail failure", "mail failed", "mail delivery", "message delivery",
	"mail error", "mail system error", "mail could not be", "mail not deliver", "mail was not", "mail returned", "email could not be",
	"message could not be", "message not deliver", "message was not",
	"message undeliver", "message rejected", "message delayed", "message status undeliver", "nondelivery", "non delivery", "non delivered",
	"not delivered", "undeliver", "unable to deliver", "returned mail", "returned email", "returned message",
	"returned to sender", "return to sender", "returning message", "returning mail", "rejected mail", "rejected message", "mail rejected", "bounced",
	"bounce notification", "user unknown", "unknown user", "unknown address",
	"warning message", "warning could not send", "could not send message", "couldnt send", "mailbox full", "mailbox is full", "over quota",
	"quota exceeded", "address not found", "invalid address", "recipient not found", "postmaster notify", "ndn", "ndr",
	"unzustellbar", "nicht zugestellt", "nicht zustellbar", "zustellung fehlgeschlagen", "zustellungsfehler", "zustellfehler",
	"fehler bei der zustellung", "unzustellbare", "benachrichtigung uber den zustellungsstatus",
	"non remis", "non distribue", "non delivre", "echec de", "notification detat de remise", "message non", "courrier non", "avis de non remise",
	"no se ha podido entregar", "no se puede entregar", "no entregado", "devuelto", "error de entrega", "error en la entrega", "fallo en la entrega",
	"notificacion de estado de entrega", "correo devuelto", "imposible entregar",
	"mancato recapito", "mancata consegna", "non recapitabile", "impossibile recapitare", "messaggio non", "notifica di stato", "avviso di mancata",
	"nao entregue", "nao foi entregue", "falha na entrega", "falha de entrega", "notificacao de status de entrega", "mensagem devolvida",
	"email devolvido", "nao e possivel entregar", "erro de entrega",
	"onbestelbaar", "niet bezorgd", "niet afgeleverd", "bezorging mislukt", "niet bestelbaar", "nie dostarczono", "niedostarczono", "niedostarczon",
	"nie mozna dostarczyc", "zwrot poczty", "nelze dorucit", "nedoruceno", "nedorucitel",
	"olevererbart", "kunde inte levereras", "kunne ikke leveres", "kan ikke leveres", "ej levererat", "ikke leveret", "ikke levert",
	"toimitus epaonnistui", "viestia ei voitu", "ei voida toimittaa", "palautettu",
	"не доставлен", "недоставлен", "не удалось доставить", "невозможно доставить", "уведомление о доставке", "уведомление о недоставке",
	"сообщение не доставлено", "возврат",
	"配信不能", "配信できません", "配達できません", "配信エラー", "送信できません", "送信エラー", "エラーメール", "不達", "未達", "配信失敗", "退信", "退件", "投递失败", "无法投递", "未送达", "無法傳遞", "无法传递", "传递失败",
	"无法送达", "傳送失敗", "系统退信",
	"배달되지", "배달 실패", "전송 실패", "반송", "전달 실패", "배달할 수 없", "teslim edilemedi", "iletilemedi", "kezbesithetetlen", "nem kezbesitheto", "nelivrat",
	"ανεπιδοτ", "αδυναμια παραδοσης",
}

// returnTexts are what bounces say, and answers hardly ever.
var returnTexts = []string{
	"could not be delivered", "couldnt be delivered", "cannot be delivered", "can not be delivered", "cant be delivered", "was not delivered",
	"wasnt delivered", "were not delivered", "not been delivered", "not delivered to", "not be delivered to",
	"unable to deliver", "failed to deliver", "error delivering", "trouble delivering", "error sending your", "attempting to deliver",
	"while delivering", "incorrectly constructed", "malformed address", "mail loop", "domain does not exist", "not a member of this mailing list",
	"not a member of the mailing list", "not member", "failure reason", "returned message", "could not deliver", "couldnt deliver", "cannot deliver",
	"delivery failed", "delivery failure", "delivery has failed", "delivery to the following", "delivery attempt", "undeliverable", "undelivered",
	"delivery status", "returned to you", "returned to sender", "return to sender", "returning your m", "returning your email", "returned mail",
	"message was returned", "mail was returned", "bounced", "permanent error", "permanent fatal error", "fatal error", "fatal delivery",
	"following address", "following recipient", "failed recipient", "failed address", "did not reach", "user unknown", "unknown user", "no such user",
	"unknown recipient", "unknown address", "recipient unknown", "recipient address rejected", "address rejected",
	"recipient not found", "user not found", "user doesnt exist", "user does not exist", "account does not exist", "address does not exist",
	"mailbox does not exist", "mailbox not found", "mailbox unavailable", "mailbox is unavailable", "invalid recipient", "not a valid recipient",
	"no mailbox here", "account is disabled", "account has been disabled", "mailbox is full", "mailbox full", "mailbox is over", "over quota",
	"overquota", "exceeded its quota", "exceeded quota", "quota exceeded", "exceeds the quota", "exceeded the maximum", "exceeded its",
	"insufficient disk",
	"message rejected", "message was rejected", "message has been rejected", "mail was rejected", "mail has been rejected", "email was rejected",
	"email has been rejected", "was refused", "connection refused", "connection timed out", "relaying denied", "unrouteable", "host unknown",
	"host not found",
	"name service error", "giving up on it", "ive given up", "i gave up", "transcript of session", "original message follows", "remote host said",
	"in reply to rcpt to", "in reply to end of data", "diagnostic code", "reporting mta", "final recipient",
	"message size exceeds", "message is too large", "message too large", "notificationtype", "considered spam", "detected as spam",
	"identified as spam", "has been blocked", "was blocked",
	"nicht zugestellt", "konnte nicht zugestellt", "nicht zustellbar", "unzustellbar", "nicht ausgeliefert", "unbekannter empfanger",
	"empfanger unbekannt", "postfach ist voll", "postfach voll", "existiert nicht", "zuruckgewiesen", "wurde abgelehnt",
	"na pas pu etre", "nont pas pu etre", "na pas ete remis", "ne peut etre remis", "ne peut pas etre remis", "ne peut pas etre delivre",
	"ne peut pas etre distribue", "impossible de remettre", "impossible de delivrer", "boite pleine", "boite aux lettres pleine", "utilisateur inconnu",
	"destinataire inconnu", "adresse inconnue",
	"no se ha podido entregar", "no se pudo entregar", "no pudo ser entregado", "no ha podido ser entregado", "no se puede entregar",
	"usuario desconocido", "buzon lleno", "buzon esta lleno", "no existe",
	"non e stato consegnato", "non e stato recapitato", "impossibile recapitare", "impossibile consegnare", "utente sconosciuto", "casella piena", "non esiste",
	"nao foi entregue", "nao pode ser entregue", "nao foi possivel entregar", "usuario desconhecido", "caixa postal cheia", "caixa de correio cheia",
	"caixa cheia", "nao existe",
	"niet bezorgd", "niet afgeleverd", "niet worden bezorgd", "niet worden afgeleverd", "onbekende gebruiker", "bestaat niet",
	"nie mogla zostac dostarczona", "nie zostala dostarczona", "nie udalo sie dostarczyc", "nie istnieje", "nieznany uzytkownik",
	"nelze dorucit", "nebyla dorucena", "nemohla byt dorucena", "neexistuje", "kunde inte levereras", "kunde ikke leveres", "kunne ikke leveres",
	"blev ikke leveret", "ble ikke levert", "ei voitu toimittaa", "finns inte", "findes ikke", "finnes ikke",
	"не доставлен", "не удалось доставить", "не может быть доставлен", "не было доставлено", "невозможно доставить", "пользователь не найден",
	"не существует", "ящик переполнен",
	"配信できません", "配信されません", "配達できません", "配達されません", "お届けできません", "届けることができません", "送信できません", "送信できなかった", "配信不能", "宛先が見つかりません", "宛先不明", "ユーザーが見つかりません",
	"存在しません", "メールボックスがいっぱい",
	"无法投递", "未能投递", "无法送达", "未送达", "被退回", "退回", "无法传递", "無法傳遞", "用户不存在", "地址不存在", "邮箱不存在", "收件人不存在", "帐号不存在", "邮箱已满", "배달되지", "배달할 수 없", "전송되지",
	"전송하지 못", "반송", "존재하지 않", "teslim edilemedi", "iletilemedi", "teslim edilememis", "kullanici bulunamadi", "adres bulunamadi", "alici bulunamadi",
}
