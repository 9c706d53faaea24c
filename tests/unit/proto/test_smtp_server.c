/*
 * The SMTP server engine against dialogues. Each is fed whole (everything pipelined), byte by byte
 * and at random splits, with the caller's replies at once and late: what the server says may depend
 * on none of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing.h"
#include <posthouse/sasl.h>
#include <posthouse/smtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUBMISSION = 1,
    TLS = 2,
    TLS_ON = 4,
    UTF8 = 8,
    LMTP = 16,
    KEEP_BARE = 32,
    SMALL = 64,
    TRACE = 128,
    PLAINTEXT = 256,
    BINARY = 512,
    REQUIRETLS = 1024,
    TRUSTED = 2048
};

/* C: lines are sent, S: lines are expected; \r\n is added. C~ is sent without it, with C escapes as
 * written. `got`: what the caller saw: events and bodies. */
struct script {
    const char *name;
    unsigned options;
    const char *text;
    const char *got;
};

#define HELLO "S:220 mx.test ESMTP Posthouse\nC:EHLO c.test\nS:250 EHLO\n"
#define LETTER                                                                                     \
    "C:MAIL FROM:<a@b.test>\nS:250 2.1.0 Ok\nC:RCPT TO:<c@d.test>\nS:250 2.1.5 Ok\nC:DATA\nS:354 " \
    "Go\n"
#define ENVELOPE "C:MAIL FROM:<a@b.test>\nS:250 2.1.0 Ok\nC:RCPT TO:<c@d.test>\nS:250 2.1.5 Ok\n"
#define AUTHED HELLO

static const struct script scripts[] = {
    {"a letter", 0,
     HELLO LETTER
     "C:Subject: x\nC:\nC:..dot\nC:...\nC:.\nS:250 2.0.0 Queued\nC:QUIT\nS:221 2.0.0 Goodbye\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;DATA;[Subject: x\r\n\r\n.dot\r\n..\r\n]EOM;QUIT;"},
    {"an empty letter", 0, HELLO LETTER "C:.\nS:250 2.0.0 Queued\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;DATA;[]EOM;"},
    {"two letters", 0,
     HELLO LETTER "C:1\nC:.\nS:250 2.0.0 Queued\n" LETTER "C:2\nC:.\nS:250 2.0.0 Queued\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;DATA;[1\r\n]EOM;MAIL a@b.test;RCPT "
     "c@d.test;DATA;[2\r\n]EOM;"},
    {"HELO has no enhanced codes", 0,
     "S:220 mx.test ESMTP Posthouse\nC:HELO c.test\nS:250 mx.test\nC:MAIL FROM:<>\nS:250 "
     "Ok\nC:RCPT TO:<Postmaster>\nS:250 Ok\n",
     "HELO c.test;MAIL ;RCPT Postmaster;RESET;"},
    {"parameters need EHLO", 0,
     "S:220 mx.test ESMTP Posthouse\nC:HELO c.test\nS:250 mx.test\nC:MAIL FROM:<> SIZE=1\nS:555 "
     "unknown parameter SIZE\n",
     "HELO c.test;"},
    {"order", 0,
     "S:220 mx.test ESMTP Posthouse\nC:MAIL FROM:<a@b.test>\nS:503 Say EHLO first\nC:EHLO "
     "c.test\nS:250 EHLO\nC:RCPT TO:<c@d.test>\nS:503 5.5.1 Say MAIL FROM first\nC:MAIL "
     "FROM:<a@b.test>\nS:250 2.1.0 Ok\nC:DATA\nS:554 5.5.1 No valid recipients\nC:MAIL "
     "FROM:<a@b.test>\nS:503 5.5.1 A transaction is under way; RSET ends it\nC:RSET\nS:250 2.0.0 "
     "Forgotten\n",
     "HELO c.test;MAIL a@b.test;RESET;"},
    {"nobody", 0,
     HELLO "C:MAIL FROM:<a@b.test>\nS:250 2.1.0 Ok\nC:RCPT TO:<nobody@d.test>\nS:550 5.1.1 No such "
           "user\nC:DATA\nS:554 5.5.1 No valid recipients\n",
     "HELO c.test;MAIL a@b.test;RCPT nobody@d.test;RESET;"},
    {"paths", 0,
     HELLO "C:MAIL FROM:<@one.test,@two.test:\"a\"@b.test>\nS:250 2.1.0 Ok\nC:RCPT TO:<\"a "
           "b\\\\\\\"\"@[192.0.2.1]>\nS:250 2.1.5 Ok\nC:RCPT TO: <x@[IPv6:2001:db8::1]>\nS:250 "
           "2.1.5 Ok\nC:RCPT TO:<x@[IPv6:::ffff:1.2.3.4]>\nS:250 2.1.5 Ok\n",
     "HELO c.test;MAIL a@b.test;RCPT \"a b\\\\\\\"\"@[192.0.2.1];RCPT x@[IPv6:2001:db8::1];RCPT "
     "x@[IPv6:::ffff:1.2.3.4];RESET;"},
    {"bad paths", 0,
     HELLO
     "C:MAIL FROM:a@b.test\nS:501 5.1.7 the address is not in angle brackets\nC:MAIL "
     "FROM:<a..b@c.test>\nS:501 5.1.7 the local part of the address is not a dot-string or quoted "
     "string\nC:MAIL FROM:<a@b.test\nS:501 5.1.7 the address does not end in an angle "
     "bracket\nC:MAIL FROM:<a@b..test>\nS:501 5.1.7 the domain of the address is not a domain name "
     "or address literal\nC:MAIL FROM:<a@[1.2.3.256]>\nS:501 5.1.7 the domain of the address is "
     "not a domain name or address literal\nC:MAIL FROM:<a@[IPv6:1::2::3]>\nS:501 5.1.7 the domain "
     "of the address is not a domain name or address literal\nC:MAIL FROM:<a>\nS:501 5.1.7 the "
     "address has no domain\nC:MAIL FROM:<\xc3\xa4@b.test>\nS:501 5.1.7 the local part of the "
     "address is not a dot-string or quoted string\nC:MAIL FROM:<a@b.test>x\nS:501 5.5.4 there is "
     "more behind the address\nC:MAIL TO:<a@b.test>\nS:501 5.5.4 MAIL FROM:<address> is "
     "expected\nC:MAIL FROM:<>\nS:250 2.1.0 Ok\nC:RCPT TO:a@b.test\nS:501 5.1.3 the address is not "
     "in angle brackets\n",
     "HELO c.test;MAIL ;RESET;"},
    {"parameters", 0,
     HELLO "C:MAIL FROM:<a@b.test> SIZE=1001\nS:552 5.3.4 The message is larger than SIZE "
           "allows\nC:MAIL FROM:<a@b.test> SIZE=x\nS:501 5.5.4 parameter SIZE has no legal value "
           "or comes twice\nC:MAIL FROM:<a@b.test> SIZE=1 SIZE=1\nS:501 5.5.4 parameter SIZE has "
           "no legal value or comes twice\nC:MAIL FROM:<a@b.test> X=1\nS:555 5.5.4 unknown "
           "parameter X\nC:MAIL FROM:<a@b.test> size=1000 BODY=8bitmime\nS:250 2.1.0 Ok\nC:RCPT "
           "TO:<a@b.test> X\nS:555 5.5.4 unknown parameter X\n",
     "HELO c.test;MAIL a@b.test 8bit 1000;RESET;"},
    {"UTF-8", UTF8,
     "S:220 mx.test ESMTP Posthouse\nC:EHLO c.test\nS:250 EHLO\nC:MAIL "
     "FROM:<\xc3\xa4@b.test>\nS:553 5.6.7 an address with UTF-8 needs the parameter "
     "SMTPUTF8\nC:MAIL FROM:<a@b.test>\nS:250 2.1.0 Ok\nC:RCPT TO:<\xc3\xa4@b.test>\nS:553 5.6.7 "
     "An address with UTF-8 needs SMTPUTF8 at MAIL\nC:RSET\nS:250 2.0.0 Forgotten\nC:MAIL "
     "FROM:<\xc3\xa4@b.test> SMTPUTF8\nS:250 2.1.0 Ok\nC:RCPT TO:<x@\xc3\xa4.test>\nS:250 2.1.5 "
     "Ok\n",
     "HELO c.test;MAIL a@b.test;RESET;MAIL \xc3\xa4@b.test utf8;RCPT x@\xc3\xa4.test;RESET;"},
    {"only CRLF.CRLF ends: LF.LF", 0,
     HELLO LETTER "C~x\\n.\\nMAIL FROM:<evil@b.test>\\r\\n\nC:.\nS:550 5.6.0 The message has a CR "
                  "or LF that is not part of CRLF\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;DATA;[x\n.\nMAIL FROM:<evil@b.test>\r\n]RESET;"},
    {"only CRLF.CRLF ends: CR.CR", 0,
     HELLO LETTER
     "C~x\\r.\\rQUIT\\r\\n\nC:.\nS:550 5.6.0 The message has a CR or LF that is not part of CRLF\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;DATA;[x\r.\rQUIT\r\n]RESET;"},
    {"only CRLF.CRLF ends: CRLF.LF", KEEP_BARE,
     HELLO LETTER "C~x\\r\\n.\\nQUIT\\r\\n\nC:.\nS:250 2.0.0 Queued\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;DATA;[x\r\n\nQUIT\r\n]EOM;"},
    {"only CRLF.CRLF ends: LF.CRLF", KEEP_BARE,
     HELLO LETTER "C~x\\n.\\r\\n..\\r\\r\\n.\\r.\\r\\n\nC:.\nS:250 2.0.0 Queued\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;DATA;[x\n.\r\n.\r\r\n\r.\r\n]EOM;"},
    {"lines end in CRLF", 0,
     HELLO "C~NOOP\\n\nS:500 5.5.2 Lines end in CRLF and hold no other CR, LF or "
           "NUL\nC~NO\\rOP\\r\\n\nS:500 5.5.2 Lines end in CRLF and hold no other CR, LF or "
           "NUL\nC:NOOP\nS:250 2.0.0 Ok\n",
     "HELO c.test;"},
    {"other commands", 0,
     HELLO "C:VRFY x\nS:252 2.5.2 Not verified here; send a letter and see\nC:VRFY\nS:501 5.5.4 An "
           "address is expected\nC:EXPN x\nS:252 2.5.2 Not expanded here\nC:EXPN\nS:501 5.5.4 The "
           "name of a list is expected\nC:HELP\nS:214 2.0.0 Commands: EHLO HELO LHLO STARTTLS AUTH "
           "MAIL RCPT DATA BDAT RSET NOOP VRFY EXPN HELP XTRACE XCLIENT XFORWARD QUIT\nC:DATA "
           "x\nS:501 5.5.4 this "
           "command has no argument\nC:noop  x y\nS:250 2.0.0 Ok\nC:AUTH PLAIN\nS:502 5.5.1 AUTH "
           "is not offered here\nC:STARTTLS\nS:502 5.5.1 STARTTLS is not offered here\nC:XTRACE "
           "x\nS:502 5.5.1 XTRACE is for logged-in users of submission\nC:\nS:500 5.5.2 not a "
           "command of this server\nC:LHLO x\nS:500 5.5.1 Say EHLO: this is not LMTP\n",
     "HELO c.test;"},
    {"HTTP", 0,
     "S:220 mx.test ESMTP Posthouse\nC:GET / HTTP/1.1\nS:500 not a command of this server\n",
     "BROKEN;"},
    {"no password in clear", SUBMISSION | TLS,
     "S:220 mx.test ESMTP Posthouse\nC:EHLO c.test\nS:250 EHLO\nC:AUTH PLAIN AGEAYg==\nS:538 "
     "5.7.11 Use STARTTLS first: no password travels in clear here\nC:MAIL FROM:<a@b.test>\nS:530 "
     "5.7.0 Log in first\n",
     "HELO c.test;"},
    {"passwords in clear where that is allowed", SUBMISSION | PLAINTEXT,
     AUTHED "C:AUTH PLAIN AGEAYg==\nS:235 2.7.0 Welcome\nC:MAIL FROM:<a@b.test>\nS:250 2.1.0 Ok\n",
     "HELO c.test;AUTH PLAIN a b;MAIL a@b.test;RESET;"},
    {"nothing behind STARTTLS", SUBMISSION | TLS,
     "S:220 mx.test ESMTP Posthouse\nC:EHLO c.test\nS:250 EHLO\nC!STARTTLS\\r\\nRSET\\r\\n\nS:554 "
     "5.5.1 Nothing may be sent behind STARTTLS before the handshake\n",
     "HELO c.test;BROKEN;"},
    {"PLAIN", SUBMISSION | TLS_ON,
     AUTHED "C:AUTH PLAIN AGEAYg==\nS:235 2.7.0 Welcome\nC:AUTH PLAIN AGEAYg==\nS:503 5.5.1 You "
            "are logged in already\nC:MAIL FROM:<a@b.test> AUTH=<>\nS:250 2.1.0 Ok\n",
     "HELO c.test;AUTH PLAIN a b;MAIL a@b.test;RESET;"},
    {"PLAIN after a prompt", SUBMISSION | TLS_ON,
     AUTHED "C:auth plain\nS:334 \nC:AGEAYg==\nS:235 2.7.0 Welcome\n",
     "HELO c.test;AUTH PLAIN a b;"},
    {"LOGIN", SUBMISSION | TLS_ON,
     AUTHED
     "C:AUTH LOGIN\nS:334 VXNlcm5hbWU6\nC:YQ==\nS:334 UGFzc3dvcmQ6\nC:Yg==\nS:235 2.7.0 Welcome\n",
     "HELO c.test;AUTH LOGIN a b;"},
    {"LOGIN with a name", SUBMISSION | TLS_ON,
     AUTHED "C:AUTH LOGIN YQ==\nS:334 UGFzc3dvcmQ6\nC:Yg==\nS:235 2.7.0 Welcome\n",
     "HELO c.test;AUTH LOGIN a b;"},
    {"failed logins", SUBMISSION | TLS_ON,
     AUTHED "C:AUTH LOGIN\nS:334 VXNlcm5hbWU6\nC:*\nS:501 5.7.0 Login cancelled\nC:AUTH PLAIN "
            "=\nS:501 5.5.2 Malformed\nC:AUTH PLAIN !\nS:501 5.5.2 The answer is not "
            "base64\nC:AUTH PLAIN AGEAYw==\nS:535 5.7.8 No\nC:AUTH CRAM-MD5\nS:504 5.5.4 This "
            "mechanism is not offered\nC:AUTH LOGIN\nS:334 VXNlcm5hbWU6\nC:x\nS:501 5.5.2 The "
            "answer is not base64\nS:421 4.7.0 Too many failed logins\n",
     "HELO c.test;AUTH PLAIN a c;BROKEN;"},
    {"XTRACE", SUBMISSION | TLS_ON | TRACE,
     AUTHED
     "C:XTRACE <x>\nS:530 5.7.0 Log in first\nC:AUTH PLAIN AGEAYg==\nS:235 2.7.0 Welcome\nC:EHLO "
     "c.test\nS:250 EHLO\nC:XTRACE <m@x>\nS:250-2.0.0 one\nS:250 2.0.0 two\n",
     "HELO c.test;AUTH PLAIN a b;HELO c.test;XTRACE <m@x>;"},
    {"LMTP", LMTP,
     "S:220 mx.test LMTP Posthouse\nC:EHLO x\nS:500 Say LHLO: this is LMTP\nC:LHLO c.test\nS:250 "
     "EHLO\nC:MAIL FROM:<>\nS:250 2.1.0 Ok\nC:RCPT TO:<a@b.test>\nS:250 2.1.5 Ok\nC:RCPT "
     "TO:<nobody@b.test>\nS:550 5.1.1 No such user\nC:RCPT TO:<b@b.test>\nS:250 2.1.5 "
     "Ok\nC:DATA\nS:354 Go\nC:x\nC:.\nS:250 2.0.0 Queued\nS:250 2.0.0 Queued\nC:QUIT\nS:221 2.0.0 "
     "Goodbye\n",
     "HELO c.test;MAIL ;RCPT a@b.test;RCPT nobody@b.test;RCPT b@b.test;DATA;[x\r\n]EOM;QUIT;"},
    {"BDAT", 0,
     HELLO ENVELOPE
     "C:BDAT 6\nC~Hello\\n\nS:250 2.0.0 6 octets received\nC:BDAT 2\nC~\\r\\n\nS:250 2.0.0 2 "
     "octets received\nC:NOOP\nS:250 2.0.0 Ok\nC:bdat 5 last\nC~.\\r\\n.x\nS:550 5.6.0 The message "
     "has a CR or LF that is not part of CRLF\nC:QUIT\nS:221 2.0.0 Goodbye\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;DATA;[Hello\n\r\n.\r\n.x]RESET;QUIT;"},
    {"BDAT is not dot-stuffed", 0,
     HELLO ENVELOPE "C:BDAT 13\nC~..a\\r\\n.\\r\\nQUIT\\r\nS:250 2.0.0 13 octets received\nC:BDAT "
                    "1 LAST\nC~\\n\nS:250 2.0.0 Queued\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;DATA;[..a\r\n.\r\nQUIT\r\n]EOM;"},
    {"an empty BDAT", 0,
     HELLO ENVELOPE
     "C:BDAT 0 LAST\nS:250 2.0.0 Queued\n" ENVELOPE
     "C:BDAT 3\nC~abc\nS:250 2.0.0 3 octets received\nC:BDAT 0 LAST\nS:250 2.0.0 Queued\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;DATA;[]EOM;MAIL a@b.test;RCPT "
     "c@d.test;DATA;[abc]EOM;"},
    {"BDAT out of order is read, not obeyed", 0,
     HELLO "C:BDAT 6 LAST\nC~RSET\\r\\n\nS:503 5.5.1 Say MAIL FROM first\nC:MAIL "
           "FROM:<a@b.test>\nS:250 2.1.0 Ok\nC:RCPT TO:<nobody@d.test>\nS:550 5.1.1 No such user\n"
           "C:BDAT 6\nC~RSET\\r\\n\nS:554 5.5.1 No valid recipients\nC:BDAT 6 "
           "LAST\nC~QUIT\\r\\n\nS:554 5.5.1 No valid recipients\nC:RSET\nS:250 2.0.0 Forgotten\n",
     "HELO c.test;MAIL a@b.test;RCPT nobody@d.test;RESET;"},
    {"BDAT is a command of EHLO", 0,
     "S:220 mx.test ESMTP Posthouse\nC:HELO c.test\nS:250 mx.test\nC:MAIL FROM:<>\nS:250 "
     "Ok\nC:RCPT TO:<x@y.test>\nS:250 Ok\nC:BDAT 6 LAST\nC~RSET\\r\\n\nS:503 Say EHLO first\n",
     "HELO c.test;MAIL ;RCPT x@y.test;RESET;"},
    {"BDAT needs the login", SUBMISSION | TLS_ON,
     HELLO "C:BDAT 6 LAST\nC~RSET\\r\\n\nS:503 5.5.1 Say MAIL FROM first\n", "HELO c.test;"},
    {"BDAT ends what RSET ends", 0,
     HELLO ENVELOPE
     "C:BDAT 3\nC~abc\nS:250 2.0.0 3 octets received\nC:DATA\nS:503 5.5.1 Not allowed in a "
     "transaction\nC:RCPT TO:<x@y.test>\nS:503 5.5.1 Not allowed in a transaction\nC:RSET\nS:250 "
     "2.0.0 Forgotten\nC:BDAT 3 LAST\nC~abc\nS:503 5.5.1 Say MAIL FROM first\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;DATA;[abc]RESET;"},
    {"a BDAT that can not be read ends the session", 0,
     HELLO ENVELOPE "C:BDAT x\nS:501 5.5.4 BDAT <octets> [LAST] is expected\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;RESET;BROKEN;"},
    {"BDAT larger than SIZE", SMALL,
     HELLO ENVELOPE "C:BDAT 6\nC~123456\nS:250 2.0.0 6 octets received\nC:BDAT 6\nC~123456\nS:552 "
                    "5.3.4 The message "
                    "is larger than SIZE allows\nC:BDAT 6 LAST\nC~123456\nS:503 5.5.1 Say MAIL "
                    "FROM first\n" ENVELOPE
                    "C:BDAT 9 LAST\nC~123456789\nS:250 2.0.0 Queued\n" ENVELOPE
                    "C:BDAT 100 LAST\nS:552 5.3.4 The message is far larger than SIZE allows\n",
     "HELO c.test;MAIL a@b.test;RCPT c@d.test;DATA;[123456]RESET;MAIL a@b.test;RCPT "
     "c@d.test;DATA;[123456789]EOM;MAIL a@b.test;RCPT c@d.test;RESET;BROKEN;"},
    {"BDAT of LMTP", LMTP,
     "S:220 mx.test LMTP Posthouse\nC:LHLO c.test\nS:250 EHLO\nC:MAIL FROM:<>\nS:250 2.1.0 "
     "Ok\nC:RCPT TO:<a@b.test>\nS:250 2.1.5 Ok\nC:RCPT TO:<b@b.test>\nS:250 2.1.5 Ok\nC:BDAT "
     "3\nC~abc\nS:250 2.0.0 3 octets received\nC:BDAT 2 LAST\nC~\\r\\n\nS:250 2.0.0 Queued\nS:250 "
     "2.0.0 Queued\n",
     "HELO c.test;MAIL ;RCPT a@b.test;RCPT b@b.test;DATA;[abc\r\n]EOM;"},
    {"BINARYMIME", BINARY,
     HELLO "C:MAIL FROM:<a@b.test> BODY=BINARYMIME\nS:250 2.1.0 Ok\nC:RCPT TO:<c@d.test>\nS:250 "
           "2.1.5 Ok\nC:DATA\nS:503 5.5.1 A BINARYMIME message comes with BDAT\nC:BDAT 4 "
           "LAST\nC~\\n\\r.\\n\nS:250 2.0.0 Queued\n",
     "HELO c.test;MAIL a@b.test binary;RCPT c@d.test;DATA;[\n\r.\n]EOM;"},
    {"BINARYMIME is not taken where it is not offered", 0,
     HELLO "C:MAIL FROM:<a@b.test> BODY=BINARYMIME\nS:501 5.5.4 parameter BODY has no legal value "
           "or comes twice\n",
     "HELO c.test;"},
    {"DSN", 0,
     HELLO "C:MAIL FROM:<a@b.test> RET=HDRS ENVID=QQ+2B314159+3D\nS:250 2.1.0 Ok\nC:RCPT "
           "TO:<c@d.test> NOTIFY=success,FAILURE ORCPT=rfc822;Bob+40d.test\nS:250 2.1.5 Ok\n"
           "C:RCPT TO:<c@d.test> NOTIFY=NEVER ORCPT=utf-8;b\\x{F6}b@d.test\nS:250 2.1.5 Ok\nC:RCPT "
           "TO:<c@d.test> NOTIFY=NEVER,DELAY\nS:501 5.5.4 parameter NOTIFY has no legal value or "
           "comes twice\n"
           "C:RCPT TO:<c@d.test> NOTIFY=WHEN\nS:501 5.5.4 parameter NOTIFY has no legal value or "
           "comes twice\nC:RCPT TO:<c@d.test> ORCPT=bob@d.test\nS:501 5.5.4 parameter ORCPT has no "
           "legal value or comes twice\n"
           "C:RCPT TO:<c@d.test> ORCPT=rfc822;bob+0D+0AX\nS:501 5.5.4 parameter ORCPT has no legal "
           "value or comes twice\nC:RCPT TO:<c@d.test> RET=FULL\nS:555 5.5.4 unknown parameter "
           "RET\nC:RSET\nS:250 2.0.0 Forgotten\n"
           "C:MAIL FROM:<a@b.test> RET=SOME\nS:501 5.5.4 parameter RET has no legal value or comes "
           "twice\nC:MAIL FROM:<a@b.test> ENVID=+0A\nS:501 5.5.4 parameter ENVID has no legal "
           "value or comes twice\nC:MAIL FROM:<> RET=FULL\nS:250 2.1.0 Ok\n",
     "HELO c.test;MAIL a@b.test hdrs {QQ+314159=};RCPT c@d.test 6 {rfc822;Bob@d.test};RCPT "
     "c@d.test 1 {utf-8;b\\x{F6}b@d.test};RESET;MAIL  full;RESET;"},
    {"REQUIRETLS", TLS_ON | REQUIRETLS,
     HELLO "C:MAIL FROM:<a@b.test> REQUIRETLS=1\nS:501 5.5.4 parameter REQUIRETLS has no legal "
           "value or comes twice\nC:MAIL FROM:<a@b.test> REQUIRETLS\nS:250 2.1.0 Ok\n",
     "HELO c.test;MAIL a@b.test requiretls;RESET;"},
    {"XCLIENT begins anew", TRUSTED,
     "S:220 mx.test ESMTP Posthouse\nC:XCLIENT ADDR=192.0.2.1 PORT=5\nS:220 Anew\nC:MAIL "
     "FROM:<>\nS:503 Say EHLO first\nC:EHLO c.test\nS:250 EHLO\nC:XFORWARD NAME=x\nS:250-2.0.0 "
     "one\nS:250 2.0.0 two\nC:MAIL FROM:<a@b.test>\nS:250 2.1.0 Ok\nC:XCLIENT "
     "ADDR=192.0.2.2\nS:503 5.5.1 Not allowed in a transaction\n",
     "XCLIENT ADDR=192.0.2.1 PORT=5;HELO c.test;XFORWARD NAME=x;MAIL a@b.test;RESET;"},
    {"XCLIENT is for the trusted", 0,
     HELLO "C:XCLIENT ADDR=192.0.2.1\nS:550 5.7.0 This command is for trusted programs\n",
     "HELO c.test;"},
    {"REQUIRETLS not in clear", TLS | REQUIRETLS,
     HELLO "C:MAIL FROM:<a@b.test> REQUIRETLS\nS:555 5.5.4 unknown parameter REQUIRETLS\n",
     "HELO c.test;"},
};

/* ---- the caller -------------------------------------------------------------------------- */

struct caller {
    struct ph_smtp_server *s;
    struct ph_sasl_server sasl;
    struct ph_buf got, out;
    enum ph_smtp_server_ev owed;
    int code;
    const char *esc, *text;
    ph_str challenge;
    unsigned replies;
    bool late, challenged;
};

static void reply(struct caller *c, int code, const char *esc, const char *text)
{
    c->code = code;
    c->esc = esc;
    c->text = text;
    c->replies = 1;
}

static void on_auth(struct caller *c, const struct ph_smtp_server_event *ev, bool first)
{
    if (first) {
        assert_int_equal(ph_sasl_server_init(&c->sasl, ev->name, PH_SASL_PASSWORD, NULL), 0);
    }
    int r = ph_sasl_server_step(&c->sasl, ev->data, ev->has_data);
    if (r == PH_SASL_MORE) {
        c->challenged = true;
        c->challenge = c->sasl.challenge;
        c->replies = 1;
    } else if (r < 0) {
        reply(c, 501, "5.5.2", "Malformed");
    } else {
        const char *name = c->sasl.mechanism == 0 ? "PLAIN" : "LOGIN";
        ph_buf_addf(&c->got, "AUTH %s %.*s %.*s;", name, PH_FMT(c->sasl.user),
                    PH_FMT(c->sasl.password));
        ph_str_eq(c->sasl.password, PH_STR("b")) ? reply(c, 235, "2.7.0", "Welcome")
                                                 : reply(c, 535, "5.7.8", "No");
    }
}

static void answer(struct caller *c)
{
    while (c->replies) {
        c->replies--;
        bool challenge = c->challenged;
        c->challenged = false;
        if (challenge)
            ph_smtp_server_challenge(c->s, c->challenge);
        else
            ph_smtp_server_reply(c->s, c->code, c->esc, "%s", c->text);
    }
}

static void on_event(struct caller *c, enum ph_smtp_server_ev kind,
                     const struct ph_smtp_server_event *ev, bool *in_body)
{
    static const char *const bodies[] = {"", " 8bit", " binary"}, *const rets[] = {"", " full",
                                                                                   " hdrs"};
    struct ph_smtp_server_info info;
    ph_smtp_server_info(c->s, &info);
    switch (kind) {
    case PH_SMTP_S_HELO:
        ph_buf_addf(&c->got, "HELO %.*s;", PH_FMT(ev->name));
        break;
    case PH_SMTP_S_AUTH:
    case PH_SMTP_S_AUTHDATA:
        on_auth(c, ev, kind == PH_SMTP_S_AUTH);
        break;
    case PH_SMTP_S_MAIL:
        ph_buf_addf(&c->got, "MAIL %.*s%s%s%s%s", PH_FMT(ev->mailbox.address),
                    bodies[ev->params.body], ev->params.smtputf8 ? " utf8" : "",
                    ev->params.requiretls ? " requiretls" : "", rets[ev->params.ret]);
        if (ev->params.envid.n)
            ph_buf_addf(&c->got, " {%.*s}", PH_FMT(ev->params.envid));
        if (ev->params.size)
            ph_buf_addf(&c->got, " %d", (int)ev->params.size);
        ph_buf_addc(&c->got, ';');
        reply(c, 250, "2.1.0", "Ok");
        break;
    case PH_SMTP_S_RCPT:
        ph_buf_addf(&c->got, "RCPT %.*s", PH_FMT(ev->mailbox.address));
        if (ev->params.notify)
            ph_buf_addf(&c->got, " %u", ev->params.notify);
        if (ev->params.orcpt.n)
            ph_buf_addf(&c->got, " {%.*s}", PH_FMT(ev->params.orcpt));
        ph_buf_addc(&c->got, ';');
        ph_str_eq(ev->mailbox.local, PH_STR("nobody")) ? reply(c, 550, "5.1.1", "No such user")
                                                       : reply(c, 250, "2.1.5", "Ok");
        break;
    case PH_SMTP_S_DATA:
        ph_buf_addf(&c->got, "DATA;");
        reply(c, 354, "", "Go");
        break;
    case PH_SMTP_S_BODY:
        if (!*in_body)
            ph_buf_addc(&c->got, '[');
        *in_body = true;
        ph_buf_add(&c->got, ev->data);
        return;
    case PH_SMTP_S_EOM:
        if (!*in_body)
            ph_buf_addc(&c->got, '[');
        ph_buf_addf(&c->got, "]EOM;");
        reply(c, 250, "2.0.0", "Queued");
        if (!strncmp(info.with, "LMTP", 4))
            c->replies = info.recipients;
        break;
    case PH_SMTP_S_RESET:
        ph_buf_addf(&c->got, *in_body ? "]RESET;" : "RESET;");
        break;
    case PH_SMTP_S_COMMAND:
        ph_buf_addf(&c->got, "%.*s %.*s;", PH_FMT(ev->name), PH_FMT(ev->data));
        if (ph_str_eq(ev->name, PH_STR("XCLIENT")))
            reply(c, 220, "", "Anew");
        else
            reply(c, 250, "2.0.0", "one\ntwo");
        break;
    case PH_SMTP_S_QUIT:
        ph_buf_addf(&c->got, "QUIT;");
        break;
    case PH_SMTP_S_BROKEN:
        ph_buf_addf(&c->got, "BROKEN;");
        break;
    default:
        break;
    }
    *in_body = false;
}

static bool in_body;

static void drain(struct caller *c)
{
    struct ph_smtp_server_event ev;
    enum ph_smtp_server_ev kind;
    if (c->late)
        answer(c);
    while ((kind = ph_smtp_server_next(c->s, &ev)) != PH_SMTP_S_NEED) {
        on_event(c, kind, &ev, &in_body);
        if (!c->late)
            answer(c);
    }
    ph_str out = ph_smtp_server_out(c->s);
    ph_buf_add(&c->out, out);
    ph_smtp_server_sent(c->s, out.n);
    if (c->replies)
        drain(c);
}

/* ---- scripts ----------------------------------------------------------------------------- */

static void unescape(ph_str s, struct ph_buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n && (s.p[i + 1] == 'r' || s.p[i + 1] == 'n'))
            ph_buf_addc(out, s.p[++i] == 'r' ? '\r' : '\n');
        else
            ph_buf_addc(out, s.p[i]);
    }
}

static void split(const char *text, struct ph_buf *said, struct ph_buf *expected)
{
    ph_str rest = ph_str_c(text), line;
    while (ph_str_token(&rest, '\n', &line)) {
        if (line.p[0] == 'S') {
            ph_buf_add(expected, ph_str_skip(line, 2));
            ph_buf_add(expected, PH_STR("\r\n"));
        } else if (line.p[1] == ':') {
            ph_buf_add(said, ph_str_skip(line, 2));
            ph_buf_add(said, PH_STR("\r\n"));
        } else {
            unescape(ph_str_skip(line, 2), said);
        }
    }
}

static struct ph_smtp_server *server_for(unsigned options, const struct ph_alloc *al)
{
    struct ph_smtp_server_options o;
    ph_smtp_server_defaults(&o);
    o.hostname = PH_STR("mx.test");
    o.limits.message = options & SMALL ? 10 : 1000;
    o.auth = options & SUBMISSION ? PH_STR("PLAIN LOGIN") : (ph_str){0};
    o.auth_required = options & SUBMISSION;
    o.plaintext = options & PLAINTEXT;
    o.tls_available = options & TLS;
    o.tls_active = options & TLS_ON;
    o.smtputf8 = options & UTF8;
    o.lmtp = options & LMTP;
    o.keep_bare = options & KEEP_BARE;
    o.xtrace = options & TRACE;
    o.binary = options & BINARY;
    o.requiretls = options & REQUIRETLS;
    o.trusted = options & TRUSTED;
    return ph_smtp_server_new(al, &o);
}

/* What EHLO announces has a test of its own: here its reply is "250 EHLO". */
static void shorten(struct ph_buf *out)
{
    static const char head[] = "250-mx.test\r\n";
    char *at, *last;
    while ((at = strstr((char *)(uintptr_t)ph_buf_cstr(out), head))) {
        last = at + strlen(head);
        while (!strncmp(last, "250-", 4) && strstr(last, "\r\n"))
            last = strstr(last, "\r\n") + 2;
        char *end = strstr(last, "\r\n");
        if (!end)
            return;
        static const char text[] = "250 EHLO\r\n";
        size_t tail = (size_t)(out->p + out->n - (end + 2));
        memcpy(at, text, strlen(text));
        memmove(at + strlen(text), end + 2, tail);
        out->n = (size_t)(at - out->p) + strlen(text) + tail;
    }
}

/* step: bytes at once; 0: random; SIZE_MAX: all */
static void run(const struct script *sc, size_t step, bool late)
{
    struct ph_buf said, expected;
    struct caller c = {.late = late};
    ph_buf_init(&said, NULL, 1 << 20);
    ph_buf_init(&expected, NULL, 1 << 20);
    ph_buf_init(&c.got, NULL, 1 << 20);
    ph_buf_init(&c.out, NULL, 1 << 20);
    split(sc->text, &said, &expected);
    c.s = server_for(sc->options, NULL);
    assert_non_null(c.s);
    in_body = false;
    ph_smtp_server_tick(c.s, 1000);
    ph_str rest = ph_buf_str(&said);
    if (strstr(sc->text, "C!"))
        step = SIZE_MAX; /* about bytes that come together */
    drain(&c);
    while (rest.n) {
        ph_str part = ph_str_sub(rest, 0, step ? step : 1 + (size_t)rand() % 40);
        int64_t n = ph_smtp_server_feed(c.s, part);
        if (n < 0)
            break;
        drain(&c);
        rest = ph_str_skip(rest, (size_t)n);
    }
    ph_smtp_server_feed_eof(c.s);
    drain(&c);
    shorten(&c.out);
    ph_str got = ph_buf_str(&c.got), end = PH_STR("BROKEN;");
    if (!ph_str_has_suffix(ph_str_c(sc->got), end) && ph_str_has_suffix(got, end))
        got.n -= end.n; /* the end of input */
    if (strcmp(ph_buf_cstr(&c.out), ph_buf_cstr(&expected)) || !ph_str_eq(got, ph_str_c(sc->got)))
        fail_msg("%s (step %zu)\nsaid:\n%s\nexpected:\n%s\ngot:      %.*s\nexpected: %s", sc->name,
                 step, ph_buf_cstr(&c.out), ph_buf_cstr(&expected), PH_FMT(got), sc->got);
    ph_smtp_server_free(c.s);
    ph_buf_done(&said);
    ph_buf_done(&expected);
    ph_buf_done(&c.got);
    ph_buf_done(&c.out);
}

static void dialogues(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
        for (int late = 0; late < 2; late++) {
            run(&scripts[i], SIZE_MAX, late);
            run(&scripts[i], 1, late);
            run(&scripts[i], 2, late);
            for (int k = 0; k < 20; k++)
                run(&scripts[i], 0, late);
        }
}

/* ---- limits, time, memory ---------------------------------------------------------------- */

static struct caller session(unsigned options)
{
    struct caller c = {0};
    ph_buf_init(&c.got, NULL, 1 << 20);
    ph_buf_init(&c.out, NULL, 1 << 20);
    c.s = server_for(options, NULL);
    ph_smtp_server_tick(c.s, 1000);
    in_body = false;
    return c;
}

static void say(struct caller *c, const char *text)
{
    ph_str rest = ph_str_c(text);
    while (rest.n) {
        int64_t n = ph_smtp_server_feed(c->s, rest);
        if (n <= 0)
            return;
        rest = ph_str_skip(rest, (size_t)n);
        drain(c);
    }
}

static void finish(struct caller *c, const char *last)
{
    const char *out = ph_buf_cstr(&c->out);
    if (!strstr(out, last))
        fail_msg("no %s in:\n%s", last, out);
    ph_smtp_server_free(c->s);
    ph_buf_done(&c->got);
    ph_buf_done(&c->out);
}

static void announced(void **state)
{
    static const struct {
        unsigned options;
        const char *lines;
    } rows[] = {
        {0, "PIPELINING;SIZE 1000;8BITMIME;CHUNKING;ENHANCEDSTATUSCODES;DSN;LIMITS RCPTMAX=1000;"},
        {UTF8 | BINARY | REQUIRETLS | TLS,
         "PIPELINING;SIZE 1000;8BITMIME;CHUNKING;BINARYMIME;SMTPUTF8;ENHANCEDSTATUSCODES;DSN;"
         "LIMITS RCPTMAX=1000;STARTTLS;"},
        {REQUIRETLS | TLS_ON | TLS | SUBMISSION | TRACE,
         "PIPELINING;SIZE 1000;8BITMIME;CHUNKING;ENHANCEDSTATUSCODES;DSN;LIMITS RCPTMAX=1000;"
         "REQUIRETLS;AUTH PLAIN LOGIN;"},
        {TRUSTED,
         "PIPELINING;SIZE 1000;8BITMIME;CHUNKING;ENHANCEDSTATUSCODES;DSN;LIMITS RCPTMAX=1000;"
         "XCLIENT NAME ADDR PORT PROTO HELO;XFORWARD NAME ADDR PORT PROTO HELO;"},
        {SUBMISSION | TLS,
         "PIPELINING;SIZE 1000;8BITMIME;CHUNKING;ENHANCEDSTATUSCODES;DSN;LIMITS RCPTMAX=1000;"
         "STARTTLS;"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct caller c = session(rows[i].options);
        struct ph_buf lines;
        ph_str rest, line;
        say(&c, "EHLO x\r\n");
        ph_buf_init(&lines, NULL, 4096);
        rest = ph_str_skip(ph_buf_str(&c.out),
                           (size_t)(strstr(ph_buf_cstr(&c.out), "250-mx.test") - c.out.p) + 13);
        while (ph_str_token(&rest, '\n', &line))
            ph_buf_addf(&lines, "%.*s;", PH_FMT(ph_str_sub(line, 4, line.n - 5)));
        assert_string_equal(ph_buf_cstr(&lines), rows[i].lines);
        ph_buf_done(&lines);
        finish(&c, "250 ");
    }
}

static void limits(void **state)
{
    (void)state;
    struct caller c = session(0);
    for (int i = 0; i < 30; i++)
        say(&c, "WHAT\r\n");
    assert_true(ph_smtp_server_want(c.s) & PH_WANT_CLOSE);
    finish(&c, "\r\n421 Too many errors");
    c = session(0);
    for (int i = 0; i < 200; i++)
        say(&c, "NOOP\r\n");
    finish(&c, "\r\n421 Too many commands without a letter");
    c = session(0);
    char *line = malloc(5002);
    memset(line, 'x', 5000);
    memcpy(line + 4998, "\r\n", 3);
    line[5000] = '\0';
    say(&c, line);
    say(&c, "NOOP\r\n");
    assert_string_equal(ph_buf_cstr(&c.out),
                        "220 mx.test ESMTP Posthouse\r\n500 The line is too long\r\n250 Ok\r\n");
    free(line);
    finish(&c, "250");
    c = session(0);
    say(&c, "EHLO x\r\nMAIL FROM:<a@b.test>\r\n");
    for (int i = 0; i < 1001; i++)
        say(&c, "RCPT TO:<a@b.test>\r\n");
    finish(&c, "\r\n452 4.5.3 Too many recipients");
    c = session(SMALL);
    say(&c, "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n");
    for (int i = 0; i < 5; i++)
        say(&c, "0123456789\r\n");
    finish(&c, "\r\n552 5.3.4 The message is far larger");
    c = session(SMALL);
    say(&c, "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n0123456789\r\n.\r\n");
    assert_string_equal(ph_buf_cstr(&c.got), "HELO x;MAIL a@b.test;RCPT a@b.test;DATA;RESET;");
    finish(&c, "\r\n552 5.3.4 The message is larger than SIZE allows");
}

static void time_outs(void **state)
{
    (void)state;
    struct caller c = session(0);
    drain(&c);
    assert_int_equal(ph_smtp_server_deadline(c.s), 1000 + PH_SMTP_TIMEOUT);
    ph_smtp_server_tick(c.s, 1000 + PH_SMTP_TIMEOUT - 1);
    drain(&c);
    assert_int_equal(c.got.n, 0);
    ph_smtp_server_tick(c.s, 1000 + PH_SMTP_TIMEOUT);
    drain(&c);
    assert_string_equal(ph_buf_cstr(&c.got), "BROKEN;");
    finish(&c, "\r\n421 You were silent for too long");
    /* A trickle is not life, a line is, and so are many octets of a message. */
    c = session(0);
    drain(&c);
    ph_smtp_server_tick(c.s, 2000);
    say(&c, "EHLO");
    assert_int_equal(ph_smtp_server_deadline(c.s), 1000 + PH_SMTP_TIMEOUT);
    say(&c, " x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n");
    assert_int_equal(ph_smtp_server_deadline(c.s), 2000 + PH_SMTP_TIMEOUT);
    ph_smtp_server_tick(c.s, 3000);
    for (int i = 0; i < 10; i++)
        say(&c, "01234567");
    assert_int_equal(ph_smtp_server_deadline(c.s), 2000 + PH_SMTP_TIMEOUT);
    for (int i = 0; i < 200; i++)
        say(&c, "01234567");
    assert_int_equal(ph_smtp_server_deadline(c.s), 3000 + PH_SMTP_TIMEOUT);
    finish(&c, "354");
    /* While the caller thinks, the client is not late. */
    c = session(0);
    c.late = true;
    say(&c, "EHLO x\r\n");
    struct ph_smtp_server_event ev;
    assert_int_equal(ph_smtp_server_feed(c.s, PH_STR("MAIL FROM:<>\r\n")), 14);
    assert_int_equal(ph_smtp_server_next(c.s, &ev), PH_SMTP_S_MAIL);
    assert_true(ph_smtp_server_deadline(c.s) == PH_NEVER);
    ph_smtp_server_reply(c.s, 250, "2.1.0", "Ok");
    finish(&c, "250");
}

static void late_greeting(void **state)
{
    (void)state;
    struct ph_smtp_server_options o;
    struct caller c = {0};
    for (int early = 0; early < 3; early++) {
        ph_smtp_server_defaults(&o);
        o.hostname = PH_STR("mx.test");
        o.greeting_delay_ms = 500;
        ph_buf_init(&c.got, NULL, 1000);
        ph_buf_init(&c.out, NULL, 1000);
        c.s = ph_smtp_server_new(NULL, &o);
        ph_smtp_server_tick(c.s, 1000);
        drain(&c);
        assert_int_equal(c.out.n, 0);
        assert_int_equal(ph_smtp_server_deadline(c.s), 1500);
        if (early == 1)
            say(&c, "EHLO x\r\n");
        if (early == 2)
            ph_smtp_server_feed_eof(c.s);
        ph_smtp_server_tick(c.s, 1500);
        drain(&c);
        assert_string_equal(ph_buf_cstr(&c.got), early ? "BROKEN;" : "");
        if (early == 0)
            say(&c, "NOOP\r\n");
        finish(&c, early == 0   ? "220 mx.test ESMTP Posthouse\r\n250 Ok\r\n"
                   : early == 1 ? "554 You spoke before the greeting\r\n"
                                : "");
    }
}

static void draining(void **state)
{
    (void)state;
    struct caller c = session(0);
    say(&c, "EHLO x\r\nMAIL FROM:<a@b.test>\r\n");
    ph_smtp_server_drain(c.s);
    say(&c, "RCPT TO:<a@b.test>\r\nDATA\r\nx\r\n.\r\n");
    assert_true(ph_smtp_server_want(c.s) & PH_WANT_CLOSE);
    finish(&c, "\r\n250 2.0.0 Queued\r\n421 4.3.2 The server is shutting down");
    c = session(0);
    ph_smtp_server_drain(c.s);
    drain(&c);
    finish(&c, "421 The server is shutting down");
}

static void tls(void **state)
{
    (void)state;
    struct caller c = session(TLS | SUBMISSION);
    say(&c, "EHLO x\r\nSTARTTLS\r\n");
    assert_int_equal(ph_smtp_server_want(c.s), PH_WANT_TLS);
    ph_smtp_server_tls_started(c.s);
    say(&c, "MAIL FROM:<a@b.test>\r\nEHLO x\r\n");
    assert_non_null(
        strstr(ph_buf_cstr(&c.out), "220 2.0.0 Go ahead with TLS\r\n503 Say EHLO first\r\n"));
    finish(&c, "250 AUTH PLAIN LOGIN\r\n");
}

static void out_of_memory(void **state)
{
    (void)state;
    for (long k = 0; k < 60; k++) {
        struct failing f = {.left = k};
        struct ph_alloc al = {&f, failing_resize};
        struct caller c = {0};
        ph_buf_init(&c.got, NULL, 1 << 20);
        ph_buf_init(&c.out, NULL, 1 << 20);
        in_body = false;
        c.s = server_for(SUBMISSION | TLS_ON, &al);
        if (c.s) {
            drain(&c);
            say(&c, "EHLO x\r\nAUTH LOGIN\r\nYQ==\r\nYg==\r\nMAIL FROM:<a@b.test>\r\nRCPT "
                    "TO:<\"x\"@y.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n");
            drain(&c);
        }
        ph_smtp_server_free(c.s);
        assert_int_equal(f.live, 0);
        ph_buf_done(&c.got);
        ph_buf_done(&c.out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialogues), cmocka_unit_test(announced),
        cmocka_unit_test(limits),    cmocka_unit_test(time_outs),
        cmocka_unit_test(draining),  cmocka_unit_test(late_greeting),
        cmocka_unit_test(tls),       cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
