package dsn

import (
	"regexp"
	"strings"
)

// daemons are the names that programs which return mail give themselves: in the local-part of From or the name before it.
func daemons() []string {
	return []string{
		"mailer-daemon", "mailerdaemon", "mailer_daemon", "postmaster", "post_master", "mail-daemon", "maildaemon", "mdaemon", "mail delivery", "mail-delivery", "delivery system", "delivery subsystem",
		"mail system", "mail administrator", "system administrator", "bounce", "mail-admin", "undeliverable", "mailadmin", "smtp server", "mail server", "mail router", "message router",
		"email delivery", "delivery status", "delivery agent", "internet mail delivery", "mailsystem", "mta-", "daemon",
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
		"не доставлено", "недоставлен", "не удалось доставить", "невозможно доставить", "ошибка доставки", "отказ в доставке", "配信", "エラー", "送信できません", "配達", "不達", "未送達", "退信", "系统退信", "无法投递", "投递失败", "未能送達", "전송", "반송", "발송 실패", "kan inte levereras", "kunne ikke leveres", "kan ikke leveres", "kunne ikke sendes", "ei voitu toimittaa", "iletilemedi", "teslim edilemedi", "gönderilemedi",
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
	}
}

// isBounce judges by evidence: who sent it, to what return path, with what subject and words.
func (f *free) isBounce() bool {
	h := f.m.Header
	if isReceipt(f.m.MediaType, f.m.Params["report-type"]) {
		return false
	}
	failed := len(failedRecipients(f.m)) > 0
	if f.isNotification() {
		return true
	}
	from := strings.ToLower(h.Get("From"))
	daemon := containsAny(from, daemons())
	path := strings.TrimSpace(h.Raw("Return-Path"))
	null := path == "<>" || containsAny(strings.ToLower(path), []string{"mailer-daemon", "postmaster"}) || from == "" || strings.HasSuffix(strings.TrimSpace(from), "<>")
	subject := containsAny(f.subject, subjects())
	reply := replyForm.MatchString(f.text)
	says := containsAny(f.lower, sayings())
	back := f.returned != "" || hasReturned(f.m)
	report := f.m.MediaType == "multipart/report"
	auto := strings.HasPrefix(strings.ToLower(h.Raw("Auto-Submitted")), "auto-")
	person := !daemon && !null && (h.Has("In-Reply-To") || h.Has("User-Agent") || h.Has("X-Mailer")) && !report && !auto && !failed
	answered := strings.HasPrefix(f.subject, "re:") || strings.HasPrefix(f.subject, "fwd:") || strings.HasPrefix(f.subject, "fw:") || strings.HasPrefix(f.subject, "aw:") || strings.HasPrefix(f.subject, "wg:")
	if person || answered && !daemon && !failed || !says && !reply && !failed && !(daemon && subject) || !daemon && !null && !failed && !report && !subject {
		return false
	}
	score := 0
	for _, e := range []struct {
		is     bool
		weight int
	}{{failed, 5}, {daemon, 2}, {null, 2}, {subject, 2}, {says, 1}, {reply, 2}, {back, 1}, {report, 2}, {auto, 1}} {
		if e.is {
			score += e.weight
		}
	}
	return score >= 4
}

// replyForm is a reply of SMTP: a code with an enhanced one, a code behind the words that quote it, or at the beginning of a line.
var replyForm = regexp.MustCompile(`\b[45]\d\d[ -]#?[45]\.\d{1,3}\.\d{1,3}\b|(?i:said|reply|error|response|reason|code|replied|server|failed)[^\n]{0,40}?\b[45][0-7]\d\b|(?m:^\W{0,6}[45][0-5]\d[ -]\S)|\(#?[45]\.\d\.\d\)`)

// isReceipt reports whether a message tells that it was read (RFC 8098).
func isReceipt(mediaType, reportType string) bool {
	return mediaType == "multipart/report" && strings.EqualFold(reportType, "disposition-notification")
}

// isDelay reports whether a notification only warns: the message is still under way.
func (f *free) isDelay() bool {
	if containsAny(f.subject, []string{"delayed", "still trying", "warning: could not send", "warning: message", "delay"}) || containsAny(f.lower, []string{"this is a warning message only", "no need to resend", "do not need to resend", "don't need to resend", "no action is required", "will be retried", "will keep trying", "will continue to try", "still being retried", "delivery attempts will continue"}) {
		return !containsAny(f.lower, []string{"giving up", "given up", "has been returned", "returned to sender", "permanent error", "permanent fatal"})
	}
	return false
}

func containsAny(s string, list []string) bool {
	for _, l := range list {
		if strings.Contains(s, l) {
			return true
		}
	}
	return false
}
