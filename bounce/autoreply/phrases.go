package autoreply

// autoSubjects are what programs put before or around a subject, and hardly anybody else. All phrases here are in normal form.
var autoSubjects = []string{
	"automatic reply", "automatic response", "automated reply", "automated response", "automatic email reply", "automatic email response",
	"automatically generated reply", "auto reply", "autoreply", "auto response", "autoresponse", "auto responder", "autoresponder",
	"auto answer", "autoanswer", "vacation reply", "vacation response", "vacation auto", "vacation message", "vacation notice", "vacation notification",
	"out of office autoreply", "out of office auto", "out of office reply", "out of office response", "out of office message",
	"out of office notification", "outofoffice reply",
	"automatische antwort", "automatische antwortmail", "automatische ruckantwort", "abwesenheitsnotiz", "abwesenheitsnachricht", "abwesenheitsmeldung",
	"abwesenheitsbenachrichtigung", "abwesenheitsinformation", "automatische abwesenheit", "autoantwort", "auto antwort", "urlaubsmeldung",
	"reponse automatique", "message dabsence", "notification dabsence", "avis dabsence", "message dabsence automatique", "reponse dabsence",
	"respuesta automatica", "respuesta automatizada", "autorespuesta", "auto respuesta", "contestacion automatica",
	"risposta automatica", "risponditore automatico", "risposta automatizzata", "autorisposta", "avviso di assenza", "messaggio di assenza",
	"resposta automatica", "auto resposta", "autoresposta", "mensagem de ausencia", "aviso de ausencia",
	"automatisch antwoord", "automatische beantwoording", "automatische reactie", "automatische ontvangst", "afwezigheidsbericht",
	"afwezigheidsmelding", "afwezigheidsassistent",
	"automatyczna odpowiedz", "odpowiedz automatyczna", "autoodpowiedz", "automaticka odpoved", "automaticke odpoved", "automatisch antwort",
	"autosvar", "automatiskt svar", "automatsvar", "automatisk svar", "franvaromeddelande", "fravaersmeddelelse", "fravaersmelding", "fravaerssvar",
	"ferieautosvar", "autosvarer",
	"automaattinen vastaus", "automaattivastaus", "automaattinen poissaolo", "poissaoloviesti", "poissaoloilmoitus", "lomavastaaja",
	"автоматический ответ", "автоответ", "автоответчик", "автоматическое уведомление об отсутствии", "автоматична відповідь", "автовідповідь",
	"автоматичен отговор",
	"自動応答", "自動返信", "自動回答", "不在通知", "不在メッセージ", "不在応答", "自动回复", "自动答复", "自动应答", "自動回覆", "自動答覆", "自動回復", "休假自动", "자동 회신", "자동회신", "자동 응답", "자동응답",
	"자동 답장", "자동답장", "부재중 자동", "부재 중 자동", "부재중 메시지",
	"otomatik yanit", "otomatik cevap", "automatikus valasz", "raspuns automat", "automatski odgovor", "samodejni odgovor", "automatiska atbilde",
	"automatinis atsakymas", "automaatvastus", "automaatne vastus",
	"αυτοματη απαντηση", "αυτόματη απάντηση", "תשובה אוטומטית", "מענה אוטומטי", "رد تلقائي", "الرد التلقائي", "ตอบกลับอัตโนมัติ", "การตอบกลับอัตโนมัติ",
	"tra loi tu dong", "thu tra loi tu dong", "balasan otomatis",
}

// awaySubjects are what subjects of vacation notices say, and those of people who are going away.
var awaySubjects = []string{
	"out of office", "out of the office", "outofoffice", "outofthe office", "ooo", "away from the office", "away from my", "away from email",
	"away until", "away from", "currently away", "i am away", "im away", "on vacation", "vacation", "on holiday", "on leave", "annual leave",
	"maternity leave", "parental leave", "is away", "no longer with", "no longer at", "has left",
	"nicht im buro", "ausser haus", "abwesend", "abwesenheit", "im urlaub", "urlaub", "in elternzeit", "nicht erreichbar",
	"absent", "absence", "repondeur", "en conge", "en vacances", "hors du bureau", "conges",
	"fuera de la oficina", "fuera de oficina", "ausente", "de vacaciones", "ausencia", "vacaciones",
	"fuori sede", "fuori ufficio", "assente", "assenza", "in ferie", "ferie",
	"fora do escritorio", "de ferias", "ferias", "fora da empresa",
	"afwezig", "niet aanwezig", "op vakantie", "vakantie", "buiten kantoor", "uit kantoor",
	"poza biurem", "nieobecn", "na urlopie", "urlop", "mimo kancelar", "nepritomn", "dovolen", "mimo pracoviste",
	"franvaro", "franvarande", "pa semester", "semester", "ikke til stede", "pa ferie", "fravaer", "borte fra kontoret", "ikke pa kontoret",
	"ute av kontoret", "ude af kontoret", "inte pa kontoret", "poissa", "lomalla",
	"в отпуске", "отпуск", "отсутству", "нет на рабочем", "вне офиса", "нет в офисе", "нет на работе", "у відпустці", "відпустка",
	"不在", "休暇", "休業", "不在办公室", "外出", "休假", "不在辦公室", "부재중", "부재 중", "휴가", "ofis disinda", "izinde", "tatilde", "yillik izin",
	"hazon kivul", "szabadsag", "plecat din birou", "concediu", "godisnji odmor", "dopust", "puhkus", "atvalinajum", "atostog", "biroja",
	"εκτος γραφειου", "εκτός γραφείου",
}

// ackSubjects are what subjects of acknowledgements say.
var ackSubjects = []string{
	"we have received your", "we received your", "weve received your", "your message has been received", "your email has been received",
	"your request has been received", "your request was received", "your enquiry", "your inquiry", "message received", "email received",
	"request received", "ticket received", "case received",
	"thank you for your e", "thank you for your m", "thank you for your inquiry", "thank you for your enquiry", "thank you for your request",
	"thank you for contacting", "thank you for writing", "thank you for getting in touch", "thanks for your email", "thanks for your message",
	"thanks for contacting", "thanks for getting in touch",
	"acknowledgement", "acknowledgment", "confirmation of receipt", "receipt confirmation", "ticket created", "ticket opened", "new ticket",
	"ticket id", "support request", "case id", "case number",
	"eingangsbestatigung", "empfangsbestatigung", "ihre anfrage", "ihre nachricht", "ihre email", "ihre mail", "vielen dank fur ihre", "danke fur ihre",
	"accuse de reception", "votre message", "votre demande", "votre courriel", "merci pour votre",
	"acuse de recibo", "hemos recibido", "su mensaje", "su solicitud", "su consulta", "gracias por su mensaje", "gracias por contactar",
	"gracias por escribir", "conferma di ricezione", "conferma ricezione", "abbiamo ricevuto", "richiesta ricevuta", "grazie per averci",
	"grazie per il suo messaggio", "recebemos", "confirmacao de recebimento", "sua mensagem", "obrigado por sua mensagem", "obrigado pelo seu contato",
	"ontvangstbevestiging", "bevestiging van ontvangst", "uw bericht", "uw email", "bedankt voor uw", "potwierdzenie otrzymania",
	"dziekujemy za wiadomosc", "potvrzeni o prijeti", "dekujeme za zpravu",
	"mottagningsbekraftelse", "tack for ditt", "kvittering for", "tak for din", "takk for din", "kiitos viestista", "vastaanottokuittaus",
	"подтверждение получения", "ваше обращение", "ваше письмо", "ваша заявка", "спасибо за обращение", "спасибо за письмо",
	"受付完了", "受付のお知らせ", "お問い合わせ", "お問合せ", "受信確認", "已收到", "收到您的", "感谢您的来信", "접수되었", "접수 완료", "talebiniz", "mesajiniz", "eposta aldik",
}

// autoTexts are by which answers of programs say that they are.
var autoTexts = []string{
	"this is an automated reply", "this is an automated response", "this is an automatic reply", "this is an automatic response",
	"this is an auto reply", "this is an autoreply", "this is an auto response", "this is an autoresponse", "this is an automatically generated reply",
	"this is an automatically generated response", "this is an autogenerated reply", "this is an autogenerated response",
	"this is a computer generated reply", "this is a computer generated response", "this automated reply", "this automated response",
	"this automatic reply", "this automatic response", "this autoreply", "automatically generated response", "automatically generated reply",
	"automated acknowledgement", "automated acknowledgment", "automatic acknowledgement", "automatic acknowledgment", "autoresponder",
	"dies ist eine automatische antwort", "dies ist eine automatisch generierte antwort", "dies ist eine automatisch erstellte antwort",
	"automatische empfangsbestatigung", "automatische eingangsbestatigung", "ceci est une reponse automatique", "reponse automatique",
	"esta es una respuesta automatica", "respuesta automatica", "questa e una risposta automatica", "risposta automatica",
	"esta e uma resposta automatica", "resposta automatica", "dit is een automatisch antwoord", "dit is een automatische reactie",
	"automatisch gegenereerd antwoord", "dit is een automatisch gegenereerd", "to jest automatyczna odpowiedz", "toto je automaticka odpoved",
	"detta ar ett automatiskt svar", "detta ar ett autosvar", "dette er et automatisk svar", "dette er et autosvar", "tama on automaattinen vastaus",
	"это автоматический ответ", "автоматический ответ", "это автоответ", "自動返信", "自動応答", "自動的に返信", "自动回复", "自动答复", "自動回覆", "자동 회신", "자동 응답", "자동응답",
	"otomatik yanit", "otomatik cevap",
}

// answerTexts are by which programs say that they answer a message.
var answerTexts = []string{
	"automated response to your", "automated reply to your", "automatic response to your", "automatic reply to your", "autoresponse to your",
	"autoreply to your", "automatically generated in response to", "automatically sent in response to",
	"only notification you will receive while this person is away",
	"automatische antwort auf ihre", "reponse automatique a votre", "respuesta automatica a su", "risposta automatica al suo",
	"risposta automatica alla sua", "resposta automatica a sua", "resposta automatica ao seu", "automatisch antwoord op uw",
	"automatische reactie op uw", "automatyczna odpowiedz na", "automatiskt svar pa ditt", "automatisk svar pa din", "автоматический ответ на ваше",
}

// awayTexts are how people say that they are away.
var awayTexts = []string{
	"i am out of", "im out of", "i will be out of", "ill be out of", "i am currently out", "im currently out", "i am currently away",
	"im currently away", "i am away", "im away", "i will be away", "ill be away", "i am presently out", "out of the office", "out of office",
	"away from the office", "away from my desk", "away from my office", "away from my email", "on vacation", "on holiday", "on annual leave",
	"on maternity leave", "on parental leave", "on sick leave", "on leave", "on a business trip",
	"limited access to email", "limited access to my email", "limited email access", "intermittent access", "no access to email",
	"no access to my email", "will not have access", "wont have access", "will not be checking", "upon my return", "when i return", "on my return",
	"i will return", "ill return", "returning to the office", "i will be back", "ill be back", "back in the office", "will be traveling",
	"will be travelling", "will respond to your", "i will reply", "as soon as i return",
	"no longer works", "no longer work", "no longer employed", "no longer with", "has left the company", "have left the company", "left the company",
	"is no longer monitored", "is not monitored", "email address has changed", "my new email", "please use my new",
	"ich bin nicht im buro", "bin nicht im buro", "nicht im buro", "ausser haus", "nicht im hause", "derzeit abwesend", "bin abwesend", "bin im urlaub",
	"im urlaub", "in elternzeit", "bis zum einschliesslich", "wieder erreichbar", "nicht erreichbar", "ab dem wieder", "in dringenden fallen",
	"nicht mehr fur", "nicht mehr im unternehmen", "nicht weitergeleitet",
	"je suis absent", "actuellement absent", "absente du bureau", "absent du bureau", "en conge", "en conges", "en vacances", "de retour",
	"en mon absence", "ne travaille plus", "en cas durgence",
	"estoy fuera", "estare fuera", "fuera de la oficina", "de vacaciones", "me encuentro fuera", "estare ausente", "en mi ausencia", "ya no trabaja",
	"sono fuori", "saro fuori", "sono assente", "saro assente", "fuori ufficio", "in ferie", "al mio rientro", "in mia assenza",
	"estou fora", "estarei fora", "estou ausente", "estarei ausente", "fora do escritorio", "de ferias", "em ferias", "na minha ausencia", "retornarei",
	"ik ben afwezig", "ben ik afwezig", "niet aanwezig", "op vakantie", "met vakantie", "afwezig tot", "niet op kantoor", "tijdens mijn afwezigheid",
	"jestem nieobecn", "przebywam na urlopie", "na urlopie", "poza biurem", "nieobecna w biurze", "nieobecny w biurze", "bede nieobecn", "jsem mimo",
	"na dovolene", "mam dovolenou", "nebudu pritom", "nejsem v kancelari",
	"jag ar franvarande", "pa semester", "inte pa kontoret", "ar borta", "ar ledig", "tillbaka pa kontoret", "jeg er ikke", "pa ferie",
	"ikke pa kontoret", "er bortreist", "jeg er tilbage", "jeg er tilbake", "ude af huset", "olen lomalla", "olen poissa", "lomalla", "en ole paikalla",
	"poissa toimistosta",
	"я в отпуске", "нахожусь в отпуске", "в отпуске", "отсутствую", "буду отсутствовать", "меня нет в офисе", "вне офиса", "больше не работает",
	"不在にして", "休暇を", "休暇中", "休暇のため", "外出して", "出張中", "夏季休業", "年末年始", "不在のため", "出差", "休假", "不在办公室", "度假", "不在辦公室", "부재중", "부재 중", "휴가", "출장",
	"ofis disindayim", "izindeyim", "izinliyim", "tatildeyim", "yillik izin",
	"szabadsagon vagyok", "nem vagyok az irodaban", "sunt in concediu", "nu sunt la birou", "na godisnjem", "esmu atvalinajuma", "atostogauju", "puhkusel",
}

// ackTexts are how acknowledgements begin.
var ackTexts = []string{
	"thank you for your email", "thank you for you email", "thank you for your mail", "thank you for your message", "thank you for your inquiry",
	"thank you for your enquiry", "thank you for your request", "thank you for contacting", "thank you for writing", "thank you for getting in touch",
	"thank you for reaching out", "thank you for emailing", "thanks for your email", "thanks for your message", "thanks for contacting",
	"thanks for getting in touch", "thanks for reaching out", "thanks for emailing",
	"we have received your", "weve received your", "we received your", "i have received your", "i received your", "your message has been received",
	"your message was received", "your email has been received", "your email was received", "your mail has been received",
	"your request has been received", "your request was received", "your inquiry has been received", "has been assigned", "a ticket has been",
	"a case has been", "support ticket", "ticket number",
	"vielen dank fur ihre", "danke fur ihre", "haben ihre nachricht erhalten", "haben ihre anfrage erhalten", "haben ihre email erhalten",
	"ist bei uns eingegangen", "merci pour votre message", "merci de votre message", "nous avons bien recu", "nous vous remercions",
	"votre message a bien ete recu", "votre demande a bien ete",
	"gracias por su mensaje", "gracias por contactar", "gracias por escribir", "gracias por comunicarse", "hemos recibido su", "hemos recibido tu",
	"grazie per averci", "grazie per il messaggio", "abbiamo ricevuto la", "abbiamo ricevuto il", "obrigado pelo seu", "obrigado por sua",
	"obrigado pela sua", "obrigado por entrar", "agradecemos o seu contato", "recebemos sua", "recebemos seu", "recebemos a sua",
	"bedankt voor uw", "hartelijk dank voor uw", "wij hebben uw", "we hebben uw", "dziekujemy za wiadomosc", "dziekujemy za kontakt",
	"otrzymalismy panstwa", "dekujeme za vasi", "dekujeme za vas", "vasi zpravu jsme", "tack for ditt", "vi har mottagit", "tak for din",
	"vi har modtaget", "takk for din", "takk for henvendelsen", "vi har mottatt", "kiitos viestistasi", "olemme vastaanottaneet",
	"спасибо за ваше", "спасибо за обращение", "благодарим за обращение", "ваше обращение", "ваше письмо получено", "мы получили ваше", "お問い合わせいただき",
	"お問い合わせありがとう", "お問合せありがとう", "メールを受け付け", "受け付けました", "受付いたしました", "受信いたしました", "感谢您的来信", "感谢您的邮件", "您的邮件已收到", "已收到您的", "收到您的邮件", "已收到", "문의해 주셔서",
	"접수되었습니다", "감사합니다 귀하", "talebiniz alinmistir", "mesajiniz alinmistir", "epostaniz alinmistir", "mesajiniz icin tesekkur",
}

// listWords are by which mailing list managers ask or tell.
var listWords = []string{
	"confirm", "subscribe", "subscription", "unsubscribe", "awaits moderator", "awaiting moderator", "is being held", "has been held", "held until",
	"moderator", "welcome to the", "request for mailing list", "command", "results of your email commands", "mailing list",
}
