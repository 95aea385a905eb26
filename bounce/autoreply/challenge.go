package autoreply

import "strings"

// challenge is by which evidence the message wants its reader to prove something, so that the message that it answers is delivered, or "".
func (r *reading) challenge() string {
	for f := range r.m.Header.All() {
		name := strings.ToLower(f.Name)
		for _, p := range challengeFields {
			if strings.HasPrefix(name, p) {
				return f.Name
			}
		}
	}
	if r.status != "" {
		if words := newWords(r.status).which(soleWords); words != "" {
			return words
		}
	}
	if r.posted() {
		return ""
	}
	returned := r.status != "" || fromMailSystem(r.m.Header.Get("From"))
	if words := r.text.which(soleWords); words != "" && (returned || r.answers()) {
		return words
	}
	if returned { // the text quotes replies, and those name pages about anything
		return ""
	}
	if answersTo := strings.ToLower(r.m.Header.Raw("Reply-To") + r.m.Header.Raw("From")); strings.Contains(answersTo, "-confirm-") && !r.text.has(listWords[1:4]) {
		return "-confirm-" // TMDA, qconfirm
	}
	return r.near()
}

// near finds what is asked for and what for within a sentence or two of each other.
func (r *reading) near() string {
	if !r.text.has(oursTexts) || !r.answers() {
		return ""
	}
	if words := r.text.together(asks, purposes); words != "" {
		return words
	}
	automatic := r.hint() != "" || r.decisiveField() != "" || r.text.has([]string{"spam", "antispam", "automat"})
	if !automatic || r.text.has(returnTexts) || quotesReply(r.text.text) {
		return ""
	}
	return r.text.together(asks, vaguePurposes)
}

// answers reports whether anything in the header says that the message answers another, or what it is about.
func (r *reading) answers() bool {
	return r.subject.reply || r.hint() != "" || r.faintHint() != "" || r.m.Header.Has("In-Reply-To") || r.decisiveField() != "" || r.subject.has(challengeSubjects)
}

// challengeSubjects are what the subjects of challenges say.
var challengeSubjects = []string{
	"confirm", "verif", "challenge", "approval", "approve", "authori", "authenticat", "whitelist", "spam", "antispam", "unknown sender", "sender",
	"your email to", "your message to", "your mail to", "message held", "message on hold", "held", "action required", "delivery",
	"bestatigung", "bestatigen", "validation", "valider", "expediteur", "remitente", "remetente", "mittente", "bevestig", "подтверд",
}

// challengeFields begin the names of fields that filters give their challenges.
var challengeFields = []string{
	"x-bluebottle-request", "x-boxbe-notice", "x-spamarrest", "x-sa-challenge", "x-choicemail", "x-digiportal", "x-tmda-confirm", "x-askversion",
	"x-challenge", "x-mailinblack", "x-vade-challenge", "x-sender-verification", "x-spamblocker-challenge", "x-qconfirm",
}

// soleWords can mean nothing but a challenge, also in the reply of a host.
var soleWords = []string{
	"sender not preapproved", "sender is not preapproved", "sender not yet approved", "sender not on my guest list", "requires confirmation visit",
	"server requires confirmation", "to confirm this mail server", "confirm that you are human", "confirm you are human", "prove that you are human",
	"prove you are human", "verify that you are human", "verify you are human",
	"prove that you are a human", "prove you are a human", "confirm that you are a human", "verify that you are a human",
	"verify that you are a real person", "prove that you are a real person", "prove you are a real person", "prove you are not a spammer",
	"confirm that you are not a spammer", "confirm you are not a spammer", "not an automated spam program", "challenge response spam",
	"challenge response antispam", "challengeresponse", "boxbe guest list", "to my guest list so",
}

// oursTexts are what a challenge is about: our message.
var oursTexts = []string{
	"your message", "your email", "your mail", "your recent email", "your recent message", "your original", "you sent", "you have sent",
	"you recently sent", "email from you", "emails from you", "mail from you", "messages from you", "message from you", "your letter",
	"ihre nachricht", "ihre email", "ihre mail", "deine email", "deine mail", "deine nachricht", "votre message", "votre email", "votre mail",
	"votre courriel", "votre courrier", "su mensaje", "su correo", "tu mensaje", "il tuo messaggio", "il suo messaggio", "la tua email", "sua mensagem",
	"seu email", "uw bericht", "uw email", "uw mail",
	"ваше письмо", "ваше сообщение", "вашего письма", "вашего сообщения",
}

// asks are what a challenge wants to be done.
var asks = []string{
	"click", "clicking", "reply to this", "replying to this", "reply to the", "just reply", "simply reply", "press reply", "hit reply", "hitting reply",
	"respond to this", "responding to this", "follow the", "following the", "visit", "go to", "confirm", "verify", "authenticate", "complete the",
	"completing", "fill out", "fill in", "enter the", "type the", "register", "request permission", "add yourself", "identify yourself", "use the link",
	"link below",
	"klick", "anklick", "bestatig", "antworten sie", "beantworten sie", "cliquez", "cliquer", "en cliquant", "confirmer", "authentifier",
	"vous identifier", "repondre a ce", "validez", "valider", "haga clic", "haciendo clic", "pulse", "pinche", "confirme", "confirmar", "responda",
	"clicca", "cliccare", "cliccando", "fare clic", "conferma", "rispond", "clique", "clicando", "autoriz", "klik", "bevestig", "beantwoord",
	"нажмите", "подтверд", "перейдите", "ответьте",
}

// purposes are what it is to be done for.
var purposes = []string{
	"deliver your m", "deliver your email", "deliver your original", "have your message delivered", "have your email delivered",
	"have your mail delivered", "message to be delivered", "email to be delivered", "mail to be delivered", "message will be delivered",
	"message will then be", "email will be delivered", "email will then be", "mail will be delivered", "mail will then be", "message can be delivered",
	"email can be delivered", "mail can be delivered",
	"message is delivered", "email is delivered", "message gets delivered", "message be delivered", "ensure delivery of your",
	"ensure that your message", "ensure that your email", "ensure your message", "complete delivery of", "complete the delivery of your m",
	"complete the delivery of your email", "delivery of your message", "delivery of your email", "delivery of your mail", "delivered to my inbox",
	"delivered to his inbox", "delivered to her inbox", "release your m", "release your email", "get your message through",
	"recipients allowed list", "recipients approved", "allowed list", "allowed senders", "allow list", "approved senders", "approved sender",
	"accepted senders", "authorized senders", "authorised senders", "authorized sender", "permitted senders", "my white list", "my whitelist",
	"recipients white list", "recipients whitelist", "added to the whitelist", "added to the white list", "my safe senders", "trusted senders",
	"nachricht zugestellt wird", "nachricht zugestellt werden kann", "email zugestellt wird", "mail zugestellt wird", "nachricht freizugeben",
	"nachricht freigeben", "kein spammer", "kein roboter", "ein mensch sind", "weisse liste", "positivliste",
	"message soit delivre", "message soit remis", "message soit distribue", "mail soit delivre", "email soit delivre", "courriel soit delivre",
	"delivrer votre", "distribution de votre", "liste blanche", "expediteur autorise", "expediteurs autorises", "netes pas un robot", "pas un spammeur",
	"mensaje sea entregado", "correo sea entregado", "entregar su mensaje", "lista de remitentes", "lista blanca", "remitentes autorizados",
	"remitente autorizado", "messaggio venga consegnato", "messaggio sia consegnato", "email venga consegnata", "mittenti autorizzati", "lista bianca",
	"mensagem seja entregue", "email seja entregue", "entregar sua mensagem", "liberar sua mensagem", "liberacao da sua", "lista de autorizados",
	"remetentes autorizados", "remetente autorizado", "lista branca", "bericht wordt afgeleverd", "bericht wordt bezorgd", "mail wordt afgeleverd",
	"email wordt afgeleverd", "witte lijst",
	"белый список", "письмо было доставлено", "сообщение было доставлено", "письмо будет доставлено", "сообщение будет доставлено", "что вы не робот",
	"не являетесь спамером",
}

// vaguePurposes are of challenges, too, and of messages that were returned.
var vaguePurposes = []string{
	"deliver this message", "deliver the message", "before your message", "before your email", "accept your message", "accept your email",
	"accept mail from you", "accept email from you", "receive your message", "receive your email", "receive email from you", "receive mail from you",
	"receive messages from you", "see your message", "see your email", "release the message", "release this message",
	"future messages", "future emails", "future mail", "that you sent", "you are the sender", "you are a person", "you are a legitimate",
	"you are a valid", "you are legitimate", "you are not a robot", "you are not a bot", "not a machine", "not spam", "not junk", "sent by a human",
	"sent by a person", "real person", "human being", "legitimate sender", "unknown sender",
	"kein spam", "zustellung ihrer", "expediteur inconnu", "remettre votre", "entrega de su mensaje", "consegna del messaggio",
	"entrega da sua mensagem", "entrega de sua mensagem", "geen spam", "не спам",
}
