package dsn

import "strings"

// daemons are the names that programs which return mail give themselves: in the local-part of From or the name before it.
func daemons() []string {
	return []string{
		"mailer-daemon", "mailerdaemon", "mailer_daemon", "postmaster", "post_master", "mail-daemon", "maildaemon", "mdaemon", "mail delivery", "mail-delivery", "delivery system", "delivery subsystem",
		"mail system", "mail administrator", "system administrator", "mail-admin", "mailadmin", "smtp server", "mail server", "mail router", "message router",
		"email delivery", "delivery status", "delivery agent", "internet mail delivery", "mailsystem", "mta-", "daemon", "systemadministrator", "mail gateway", "email system",
	}
}

// subjects are what bounces have for their subject.
func subjects() []string {
	return []string{
		"undeliver", "not deliver", "non-deliver", "nondeliver", "delivery fail", "delivery status", "delivery notification", "delivery error", "delivery problem", "delivery report", "delivery has failed", "delivery incomplete",
		"failure notice", "failure notification", "failed delivery", "mail failure", "message failure", "returned mail", "returned to sender", "returned message", "returning message", "mail returned", "return to sender",
		"could not be delivered", "couldn't be delivered", "cannot be delivered", "can't be delivered", "unable to deliver", "unable to send", "error sending your mail", "mail error", "mail system error", "delivery warning", "mail delivery", "message delivery",
		"message status", "user unknown", "unknown user", "unknown address", "address not found", "message blocked", "message rejected", "mail rejected", "rejected mail", "message undeliver", "warning: message", "delayed mail", "mail could not be", "message not sent",
		"nicht zugestellt", "unzustellbar", "zustellung fehl", "zustellungsfehler", "zustellfehler", "non remis", "échec", "echec", "non distribu", "non délivr", "avis de non", "impossible de remettre", "mancata consegna", "mancato recapito", "recapito non", "non recapitat", "no se pudo entregar", "no se ha podido entregar", "no entregado",
		"error de entrega", "no se puede entregar", "devuelto", "falha na entrega", "falha de entrega", "não entregue", "não foi possível entregar", "devolvid", "onbestelbaar", "niet bezorgd", "niet afgeleverd", "kan niet worden bezorgd", "niedostarcz", "nie dostarcz", "zwrot", "nedoručiteln", "nelze doručit", "kézbesít",
		"не доставлено", "недоставлен", "не удалось доставить", "невозможно доставить", "ошибка доставки", "отказ в доставке", "配信", "エラー", "送信できません", "配達", "不達", "未送達", "退信", "系统退信", "无法投递", "投递失败", "未能送達", "전송", "반송", "발송 실패", "kan inte levereras", "kunne ikke leveres", "kan ikke leveres", "kunne ikke sendes", "ikke leveret", "ikke levert", "leveringsfe", "olevererbar", "går inte att leverera", "ei voitu toimittaa", "iletilemedi", "teslim edilemedi", "gönderilemedi",
		"возврат", "не може", "не беше доставен", "αποτυχία παράδοσης", "δεν παραδόθηκε", "לא נמסר", "تعذر", "فشل", "kézbesíthet", "nedoruč", "nu a putut fi", "nelivrat", "neisporuč", "không thể gửi", "gagal terkirim", "tidak terkirim",
		"宛先不明", "返送", "退回", "寄件失敗", "傳送失敗", "传送失败", "無法投遞", "배달 실패", "발송실패", "not been delivered", "wasn't delivered", "hasn't been delivered", "delivery delayed", "delivery is delayed", "was refused", "delivery refused", "bounce notification", "mail bounced",
	}
}

// sayings are how bounces say that they are one.
func sayings() []string {
	return []string{
		"could not be delivered", "couldn't be delivered", "cannot be delivered", "can not be delivered", "can't be delivered", "could not deliver", "couldn't deliver", "was not delivered", "wasn't delivered", "not be delivered", "has not been delivered", "been undeliver", "undeliverable", "unable to deliver",
		"wasn't able to deliver", "not able to deliver", "failed to deliver", "failed to be delivered", "delivery failed", "delivery has failed", "delivery failure", "delivery error", "delivery to the following", "delivering your mail", "delivering your message", "deliver the mail to", "trouble delivering", "problem delivering", "error delivering", "error sending your",
		"did not reach", "didn't reach", "not reach", "permanent error", "permanent fatal error", "fatal error", "delivery problems", "returned to sender", "returned to you", "is returned", "being returned", "following recipient", "following address", "rejected your message", "message was rejected", "message has been rejected", "been rejected", "was rejected by", "message rejected",
		"failure reasons", "non-delivered", "non-delivery", "nondelivery", "failed recipient", "unknown user", "user unknown", "invalid recipient", "invalid user", "no such user", "mailbox full", "mailbox is full", "mailbox exceeds", "address not found", "is no longer in use", "no longer valid", "no longer active", "does not exist", "doesn't exist", "not listed in", "not a member", "are not member", "cannot be sent", "could not be sent", "couldn't be sent", "not accepted",
		"relaying denied", "unrouteable", "not been found", "still undelivered", "delayed for", "has been delayed", "gave up", "given up", "giving up", "diagnostic code", "remote host said", "technical details", "bouncedrecipients", "error occurred while attempting to deliver", "error occurred while trying to deliver", "not permitted to",
		"nicht zugestellt", "nicht zustellen", "unzustellbar", "n'a pas pu", "pas pu être", "n'a pu être", "impossible de", "non è stato possibile", "non può essere consegnat", "non e' stato", "no se pudo", "no se ha podido", "no pudo", "não pôde", "não foi possível", "niet worden bezorgd", "niet bezorgd", "nie zosta", "nie może zostać dostarcz", "nelze doručit",
		"не может быть доставлено", "не было доставлено", "не доставлено", "не удалось доставить", "送信できません", "届け", "配信できません", "お届けできません", "無法", "无法投递", "退回", "被退", "전송하지", "반송",
		"hasn't been delivered", "is delayed to", "was refused", "refused your", "kunne ikke", "kunde inte", "ei voitu", "nem sikerült", "nu a putut", "edilemedi", "δεν παραδόθηκε", "לא ניתן", "تعذر", "不存在", "無法投遞", "見つかりません", "존재하지 않",
	}
}

// evidence is what the header of a message says for or against its being a bounce.
type evidence struct {
	failed   bool // it names failed recipients in a field
	daemon   bool // the sender is a program that returns mail
	null     bool // it has no return path, as bounces must have none (RFC 5321 section 4.5.5)
	pathed   bool // it has one
	subject  bool
	report   bool // multipart/report
	auto     bool // RFC 3834
	person   bool // a person's program wrote it
	answered bool // the subject is that of an answer
	bulk     bool // a mailing list or a newsletter
}

func (f *free) judgeHeader() evidence {
	h := f.m.Header
	from := strings.ToLower(h.Get("From"))
	name, _, _ := strings.Cut(from, "<")
	path := strings.ToLower(strings.TrimSpace(h.Raw("Return-Path")))
	e := evidence{
		failed:  len(failedRecipients(f.m)) > 0,
		daemon:  containsAny(from, daemons()) || strings.Contains(f.local, "bounce") || strings.Contains(f.local, "undeliver") || strings.Contains(name, "undeliverable"),
		subject: containsAny(f.subject, subjects()),
		report:  f.m.MediaType == "multipart/report",
		auto:    strings.HasPrefix(strings.ToLower(h.Raw("Auto-Submitted")), "auto-"),
		bulk:    h.Has("List-Unsubscribe") || h.Has("List-Id"),
	}
	e.null = path == "<>" || containsAny(path, []string{"mailer-daemon", "postmaster"}) || from == "" || strings.HasSuffix(strings.TrimSpace(from), "<>")
	e.pathed = path != "" && !e.null
	e.person = h.Has("In-Reply-To") || h.Has("User-Agent") || h.Has("X-Mailer")
	e.answered = hasPrefixOf(f.subject, []string{"re:", "fwd:", "fw:", "aw:", "wg:", "tr:", "rv:"})
	return e
}

// stranger reports whether the message comes from somebody who is no program that returns mail, as far as the header tells.
func (f *free) stranger() bool {
	e := f.evidence
	return !e.daemon && !e.null && !e.failed && !e.report
}

// unnamed reports whether nothing in the header but a missing return path makes it a bounce.
func (f *free) unnamed() bool {
	e := f.evidence
	return !e.daemon && !e.subject && !e.failed && !e.report
}

// mayBeBounce judges by the header alone.
func (f *free) mayBeBounce() bool {
	e := f.evidence
	switch {
	case f.stranger() && (e.person && !e.auto || e.bulk || !e.subject):
		return false
	case e.answered && !e.daemon && !e.failed:
		return false
	}
	return true
}

// isBounce judges by all evidence: who sent it, to what return path, with what subject and words.
func (f *free) isBounce() bool {
	e := f.evidence
	reply := hasReply(f.text)
	back := f.returned != "" || hasReturned(f.m)
	if f.unnamed() && !reply && !back && f.retired() == "" { // an answer of a program that says "no longer active"
		return false
	}
	score := 0
	for _, e := range []struct {
		is     bool
		weight int
	}{{e.failed, 5}, {e.daemon, 2}, {e.null, 2}, {e.subject, 2}, {reply, 2}, {back, 1}, {e.report, 2}, {e.auto, 1}} {
		if e.is {
			score += e.weight
		}
	}
	if score >= minScore && (reply || e.failed || e.daemon && e.subject) {
		return true
	}
	return score >= minScore-1 && containsAny(f.lower, sayings())
}

// minScore is how much evidence makes a bounce; that it says so is worth 1.
const minScore = 4

// isReceipt reports whether a message tells that it was read (RFC 8098).
func isReceipt(mediaType, reportType string) bool {
	return mediaType == "multipart/report" && strings.EqualFold(reportType, "disposition-notification")
}

// isDelay reports whether a notification only warns: the message is still under way.
func (f *free) isDelay() bool {
	subject := containsAny(f.subject, []string{
		"delay", "still trying", "still being", "warning: could not send", "warning: message", "verzögert", "verspätet", "retardé", "retard", "retrasad", "demorad", "atrasad", "in ritardo", "ritardat", "vertraagd", "opóźnion", "försen", "forsink", "задерж", "遅延", "遅れ", "延迟", "延遲", "지연",
	})
	if subject && containsAny(f.subject, []string{"undeliver", "failure", "failed", "returned", "rejected", "refused", "unzustellbar", "non remis", "onbestelbaar"}) && !strings.Contains(f.subject, "(delay)") {
		subject = false // of what it returns
	}
	says := subject || containsAny(f.head(), []string{
		"this is a warning message only", "this is a warning only", "no need to resend", "do not need to resend", "don't need to resend", "no action is required", "will be retried", "will keep trying", "will continue to try", "will retry", "still being retried",
		"delivery attempts will continue", "not yet been delivered", "hasn't been delivered yet", "noch nicht zugestellt", "weiter versucht", "weiterhin versucht", "n'a pas encore", "aún no se ha", "ainda não", "non è ancora", "nog niet bezorgd", "nie została jeszcze", "попытки доставки будут",
	})
	return says && !containsAny(f.lower, []string{"giving up", "given up", "gave up", "has been returned", "returned to sender", "permanent error", "permanent fatal", "permanently failed"})
}

// head is the beginning of the text, in lower case, where a reporter says in his own words what it is about.
func (f *free) head() string { return f.lower[:min(len(f.lower), maxHead)] }

// maxHead is how long that is, in bytes.
const maxHead = 4 << 10

func containsAny(s string, list []string) bool {
	for _, l := range list {
		if strings.Contains(s, l) {
			return true
		}
	}
	return false
}
