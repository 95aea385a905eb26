// Package autoreply recognises the answers of programs (RFC 3834): vacation notices, acknowledgements, read receipts (RFC 8098), answers of
// mailing list managers, and challenges, by which a filter wants the sender to prove that he is a person. None of them is a
// bounce, though many look like one.
//
// To read a message is to ask, in this order:
//
//  1. Is it a challenge? The field of a filter known for them, or a text that asks for something (click, reply, confirm) so that our message is
//     delivered or our address gets on a list. In what a mail system returned, only words that can mean nothing else count.
//  2. Is it a receipt: a message/disposition-notification part?
//  3. Is it something that was returned? Then it is no answer, whatever else it says, for mail systems mark bounces as auto-replied, too. Returned
//     is what a mail system sent, has a message/delivery-status part, names failed recipients, or speaks of a delivery that failed. In the subject the
//     words that come first decide: the subject of our message is quoted behind them.
//  4. Does a field say that it is an answer: Auto-Submitted: auto-replied (RFC 3834 section 5), Precedence: auto_reply, or one of
//     the fields of vendors?
//  5. Does the subject begin with what some program puts there, in about 30 languages, or does the text say that it is a program's answer to ours?
//  6. Else two things must come together: a hint in the header, such as an empty return path, Precedence: bulk, X-Auto-Response-Suppress or
//     Auto-Submitted: auto-generated, none of which is proof; and words in the subject or the text.
//     Words alone never do: people write about holidays. Mailing list posts and newsletters are left out.
//
// An answer tells that the message arrived, and nothing else. Whoever answers may lie; nothing should be done for it but not
// to count it as a bounce, and not to answer it (RFC 3834 section 2).
package autoreply
