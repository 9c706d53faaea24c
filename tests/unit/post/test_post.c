/* post: the verbs as they are called, with their output; no server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "account.h"
#include "editor.h"
#include "file.h"

#include "scratch.h"

static char out[1 << 20], err[1 << 16];

/* Where a descriptor leads is changed around the call. */
static int redirected(int fd, const char *name, int flags)
{
    int old = dup(fd), to = open(below(name), flags, 0600);
    assert_true(to >= 0);
    dup2(to, fd);
    close(to);
    return old;
}

static void back(int fd, int old)
{
    dup2(old, fd);
    close(old);
}

/* Runs `post words...`; the words are separated by '|'. The exit code; out and err hold what was
 * printed. */
static int run(const char *words, const char *input)
{
    char copy[4096], *argv[64], *save = NULL;
    int argc = 0;
    snprintf(copy, sizeof copy, "post|%s", words);
    for (char *w = strtok_r(copy, "|", &save); w && argc < 63; w = strtok_r(NULL, "|", &save))
        argv[argc++] = w;
    argv[argc] = NULL;
    put("in", input);
    fflush(NULL);
    int in0 = redirected(0, "in", O_RDONLY),
        out0 = redirected(1, "out", O_WRONLY | O_CREAT | O_TRUNC),
        err0 = redirected(2, "err", O_WRONLY | O_CREAT | O_TRUNC);
    int rc = post_main(argc, argv);
    fflush(NULL);
    back(0, in0);
    back(1, out0);
    back(2, err0);
    slurp("out", out, sizeof out);
    slurp("err", err, sizeof err);
    return rc;
}

static void has(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("\"%s\" is not in:\n%s", what, text);
}

/* ---- tests ------------------------------------------------------------------------------- */

static void help_teaches(void **state)
{
    (void)state;
    static const char *const names[] = {"send",  "fetch", "list", "read",   "mailboxes",
                                        "trace", "tree",  "help", "version"};
    char words[64];
    assert_int_equal(run("--help", ""), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        has(out, names[i]);
    assert_int_equal(run("completion|bash", ""), 0);
    has(out, "    move) words=\"");
    assert_int_equal(run("completion|csh", ""), EX_USAGE);
    for (size_t i = 0; i < 7; i++) {
        snprintf(words, sizeof words, "%s|--help", names[i]);
        assert_int_equal(run(words, ""), 0);
        has(out, "usage: post");
        snprintf(words, sizeof words, "help|%s", names[i]);
        assert_int_equal(run(words, ""), 0);
        has(out, names[i]);
    }
    assert_int_equal(run("version", ""), 0);
}

static void misuse(void **state)
{
    (void)state;
    static const struct {
        const char *words, *says;
        int code;
    } row[] = {
        {"sned", "there is no verb sned", EX_USAGE},
        {"send|--tp|x", "unknown option --tp", EX_USAGE},
        {"send|--to", "--to needs a value: ADDRESS", EX_USAGE},
        {"send|--debug=yes", "takes no value", EX_USAGE},
        {"send|--from|a@a.test|--to|b@b.test|--text|x", "which server?", EX_USAGE},
        {"send|--dry-run|--to|b@b.test|--text|x", "who sends this?", EX_USAGE},
        {"send|--dry-run|--from|a@a.test|--text|x", "to whom?", EX_USAGE},
        {"send|--dry-run|--from|nobody|--to|b@b.test|--text|x", "holds no address", EX_USAGE},
        {"send|--dry-run|--from|a@a.test|--to|b@b.test|--header|nocolon", "--header is", EX_USAGE},
        {"send|--dry-run|--from|a@a.test|--to|b@b.test|--header|Content-Type: x|--text|x",
         "Content-Type", EX_DATAERR},
        {"send|--dry-run|--from|a@a.test|--to|b@b.test|--attach|/none",
         "/none cannot be read: No such file", EX_NOINPUT},
        {"send|--server|127.0.0.1|--tls|maybe|--from|a@a.test|--to|b@b.test",
         "starttls, tls or none", EX_USAGE},
        {"send|--server|127.0.0.1|--port|99999|--from|a@a.test|--to|b@b.test", "1 to 65535",
         EX_USAGE},
        {"send|--server|127.0.0.1|--port|9|--from|a@a.test|--to|b@b.test|--text|x",
         "is the server running?", EX_UNAVAILABLE},
        {"send|--server|127.0.0.1|--user|a|--password-env|NOT_SET|--from|a@a.test|--to|b@b.test",
         "NOT_SET is not set", EX_USAGE},
        {"send|--server|127.0.0.1|--user|a|--password-command|false|--from|a@a.test|--to|b@b.test",
         "gave no password", EX_CONFIG},
        {"list|--server|127.0.0.1", "whose mailbox?", EX_USAGE},
        {"list|--pop3|--imap|--server|127.0.0.1", "say --pop3 or --imap", EX_USAGE},
        {"list|--pop3|--mailbox|x|--server|127.0.0.1", "POP3 has one mailbox only", EX_USAGE},
        {"list|--pop3|--server|127.0.0.1", "whose mailbox?", EX_USAGE},
        {"fetch|--pop3|--server|127.0.0.1", "where to?", EX_USAGE},
        {"fetch|--pop3|--server|127.0.0.1|--delete|1", "--delete goes with --maildir", EX_USAGE},
        {"read|/none", "/none", EX_NOINPUT},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        int rc = run(row[i].words, "");
        if (rc != row[i].code || !strstr(err, row[i].says))
            fail_msg("%s: %d, %s", row[i].words, rc, err);
    }
}

static void a_letter(void **state)
{
    (void)state;
    put("plan.txt", "the plan");
    put("dot.png", "\x89PNG");
    char words[1000];
    snprintf(
        words, sizeof words,
        "send|--output|-|--from|\xc3\x84lice <alice@a.test>|--to|bob@b.test, Carol "
        "<carol@c.test>|--bcc|secret@s.test|--subject|Gr\xc3\xbc\xc3\x9f"
        "e|--html|<p>hello <img src=\"cid:dot.png\"></p>|--attach|%s|--inline|%s|--header|X-Test: "
        "yes|--message-id|one@a.test",
        below("plan.txt"), below("dot.png"));
    assert_int_equal(run(words, "from standard input"), 0);
    assert_null(strstr(out, "secret@s.test"));
    assert_null(strstr(out, "Bcc"));
    has(out, "Message-ID: <one@a.test>\r\n");
    has(out, "X-Test: yes\r\n");
    has(out, "multipart/related");
    has(out, "@a.test>\r\n");
    put("letter", out);
    snprintf(words, sizeof words, "tree|%s", below("letter"));
    assert_int_equal(run(words, ""), 0);
    has(out, "multipart/mixed");
    has(out, "\"plan.txt\"");
    snprintf(words, sizeof words, "tree|--json|%s", below("letter"));
    assert_int_equal(run(words, ""), 0);
    has(out, "\"defects\":[]");
    snprintf(words, sizeof words, "read|%s", below("letter"));
    assert_int_equal(run(words, ""), 0);
    has(out, "Subject: Gr\xc3\xbc\xc3\x9f"
             "e\n");
    has(out, "hello");
    has(out, "[attachment: plan.txt, text/plain");
    snprintf(words, sizeof words, "save|%s|%s", below("letter"), below("saved"));
    assert_int_equal(run(words, ""), 0);
    slurp("saved/plan.txt", out, sizeof out);
    assert_string_equal(out, "the plan");
    assert_int_equal(run(words, ""), EX_CANTCREAT); /* it is there already */
}

static void raw(void **state)
{
    (void)state;
    const char *letter =
        "From: a@a.test\r\nTo: b@b.test\r\nBcc: hidden@h.test\r\nSubject: x\r\n\r\n.dot\r\n";
    assert_int_equal(run("send|--output|-|--raw|-", letter), 0);
    assert_string_equal(out, "From: a@a.test\r\nTo: b@b.test\r\nSubject: x\r\n\r\n.dot\r\n");
    assert_int_equal(run("send|--output|-|--raw|-|--to|c@c.test", letter), 0);
    assert_string_equal(out, letter); /* recipients were named: not a byte is changed */
    assert_int_equal(run("send|--output|-|--raw|-|--to|c@c.test|--header|X: y", letter), EX_USAGE);
    assert_int_equal(run("send|--output|-|--raw|-|--to|c@c.test", "Subject: nobody\r\n\r\n"),
                     EX_USAGE);
}

/* A folder, a Maildir and a list stand for the letters in them; one that is wrong stops no
 * other. */
static void many_raw(void **state)
{
    (void)state;
    static const char *const folders[] = {"box", "maildir", "maildir/cur", "maildir/new"};
    char words[600];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(mkdir(below(folders[i]), 0700), 0);
    put("box/2", "From: a@a.test\r\nTo: b@b.test\r\nSubject: two\r\n\r\n");
    put("box/1", "From: a@a.test\r\nTo: b@b.test\r\nSubject: one\r\n\r\n");
    put("box/.hidden", "From: a@a.test\r\nTo: b@b.test\r\nSubject: hidden\r\n\r\n");
    put("maildir/cur/3:2,S", "From: a@a.test\r\nTo: b@b.test\r\nSubject: three\r\n\r\n");
    put("maildir/new/4", "Subject: from nobody\r\n\r\n");
    snprintf(words, sizeof words, "%s\n%s\n", below("box/2"), below("maildir"));
    put("list", words);
    snprintf(words, sizeof words, "send|--output|-|--raw-list|%s|--raw|%s|%s", below("list"),
             below("box"), below("maildir"));
    assert_int_equal(run(words, ""), EX_USAGE);
    const char *order[] = {"one", "two", "three", "two", "three"}, *at = out;
    for (size_t i = 0; i < 5; i++) {
        at = strstr(at, order[i]);
        assert_non_null(at);
    }
    assert_null(strstr(out, "hidden"));
    has(err, "5 of 7 letters");
    assert_int_equal(run("send|--output|-|--raw|/none/here|--from|a@a.test", ""), EX_NOINPUT);
    assert_int_equal(run("send|--output|-|--from|a@a.test|--to|b@b.test|stray", ""), EX_USAGE);
}

static void hostile_text(void **state)
{
    (void)state;
    assert_int_equal(
        run("read|-", "From: x@x.test\r\nSubject: =?utf-8?q?=1B[31mred=E2=80=AEtxt?=\r\n\r\nbell "
                      "\a esc \x1b]0;title\a\r\n"),
        0);
    assert_null(strchr(out, '\x1b'));
    assert_null(strchr(out, '\a'));
    assert_null(strstr(out, "\xe2\x80\xae"));
    assert_int_equal(run("read|--json|-", "Subject: \"q\\\" \x01\r\n\r\n\x80\x81\r\n"), 0);
    assert_null(strchr(out, '\x01'));
}

static void configuration(void **state)
{
    (void)state;
    put("post.conf", "server = \"127.0.0.1\"\nsmtp_port = 9\nfrom = \"conf@a.test\"\n");
    setenv("POST_CONFIG", below("post.conf"), 1);
    assert_int_equal(run("send|--to|b@b.test|--text|x", ""), EX_UNAVAILABLE);
    has(err, "127.0.0.1:9 refused");
    assert_int_equal(run("send|--to|b@b.test|--text|x|--port|10", ""),
                     EX_UNAVAILABLE); /* options weigh more */
    has(err, "127.0.0.1:10 refused");
    put("post.conf", "sevrer = \"x\"\n");
    assert_int_equal(run("send|--to|b@b.test|--text|x", ""), EX_CONFIG);
    has(err, "post.conf:1");
    setenv("POST_CONFIG", "/nonexistent/post.conf", 1);
    setenv("POST_SERVER", "127.0.0.1", 1);
    setenv("POST_PORT", "9", 1);
    setenv("POST_FROM", "env@a.test", 1);
    assert_int_equal(run("send|--to|b@b.test|--text|x", ""), EX_UNAVAILABLE);
    unsetenv("POST_SERVER");
    unsetenv("POST_PORT");
    unsetenv("POST_FROM");
}

/* What the options make of a letter. */
static void send_options(void **state)
{
    (void)state;
    static const struct {
        const char *options, *has;
        int code;
    } row[] = {
        {"--markdown|# Title\n\nsome *words*", "<h1>Title</h1>", 0},
        {"--markdown|# Title\n\nsome *words*", "multipart/alternative", 0},
        {"--markdown|x|--text|y", "", EX_USAGE},
        {"--text|x|--date|2026-11-22T19:53:48+01:00", "Date: Sun, 22 Nov 2026 19:53:48 +0100\r\n",
         0},
        {"--text|x|--date|tomorrow", "", EX_USAGE},
        {"--text|x|--reply-to|Desk <desk@a.test>", "Reply-To: Desk <desk@a.test>\r\n", 0},
        {"--text|x|--stop-after|lunch", "", EX_USAGE},
    };
    char words[600];
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        snprintf(words, sizeof words, "send|--output|-|--from|a@a.test|--to|b@b.test|%s",
                 row[i].options);
        assert_int_equal(run(words, ""), row[i].code);
        has(out, row[i].has);
    }
    put("inner", "From: i@i.test\r\nSubject: inner\r\n\r\nbody\r\n");
    snprintf(words, sizeof words,
             "send|--dry-run|--from|a@a.test|--to|b@b.test|--text|see|--forward|%s",
             below("inner"));
    assert_int_equal(run(words, ""), 0);
    has(out, "from a@a.test to b@b.test\n");
    has(out, "message/rfc822");
    has(out, "Subject: inner");
}

/* A letter that cannot be sent is kept, and what is printed sends it. */
static void draft(void **state)
{
    (void)state;
    char words[600], path[300];
    setenv("XDG_STATE_HOME", below("state-home"), 1);
    assert_int_equal(
        run("send|--server|127.0.0.1|--port|9|--tls|none|--from|a@a.test|--to|b@b.test|--bcc|it's "
            "<c@c.test>|--text|precious",
            ""),
        EX_UNAVAILABLE);
    has(err, "post send --server 127.0.0.1 --port 9 --tls none --from a@a.test --to b@b.test --to "
             "c@c.test --raw ");
    const char *at = strstr(err, "--raw ") + 6;
    snprintf(path, sizeof path, "%.*s", (int)strcspn(at, "\n"), at);
    snprintf(words, sizeof words, "send|--output|-|--to|b@b.test|--raw|%s", path);
    assert_int_equal(run(words, ""), 0);
    has(out, "precious");
    assert_null(strstr(out, "c.test")); /* Bcc stands nowhere */
    unsetenv("XDG_STATE_HOME");
}

/* $EDITOR writes the text; when it leaves nothing, nothing is sent. */
static void editor(void **state)
{
    (void)state;
    struct ph_buf b;
    ph_buf_init(&b, NULL, 1000);
    unsetenv("VISUAL");
    setenv("EDITOR", "printf 'written\\n' >>", 1);
    assert_int_equal(post_edit(PH_STR("start\n"), &b), 0);
    assert_string_equal(ph_buf_cstr(&b), "start\nwritten\n");
    ph_buf_clear(&b);
    setenv("EDITOR", "true", 1);
    assert_int_equal(post_edit(PH_STR("start\n"), &b), EX_USAGE);
    setenv("EDITOR", "false", 1);
    assert_int_equal(post_edit(PH_STR("start\n"), &b), EX_TEMPFAIL);
    ph_buf_done(&b);
    unsetenv("EDITOR");
}

/* Accounts: files in a folder, a default, their passwords; options weigh more, and a server that is
 * named has no account's password. */
static void accounts(void **state)
{
    (void)state;
    char path[200];
    unsetenv("POST_CONFIG");
    setenv("XDG_CONFIG_HOME", below("config"), 1);
    assert_int_equal(run("accounts", ""), 0);
    has(out, "no account yet");
    static const char work[] = "from = \"Me <me@a.test>\"\nserver = \"127.0.0.1\"\nsmtp_port = "
                               "\"9\"\nsmtp_tls = \"none\"\nuser = \"me\"\npassword_env = "
                               "\"NOT_SET\"\n";
    assert_int_equal(post_account_write("work", ph_str_c(work)), 0);
    assert_int_equal(post_account_write("home", PH_STR("from = \"x@h.test\"\nserver = "
                                                       "\"127.0.0.2\"\nsmtp_port = \"9\"\n")),
                     0);
    assert_int_equal(post_account_write("../out", PH_STR("")), EX_USAGE);
    snprintf(path, sizeof path, "%s/post/work.conf", below("config"));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(run("accounts", ""), 0);
    has(out, "* work");
    has(out, "  home");
    assert_int_equal(run("accounts|--json", ""), 0);
    has(out, "{\"name\":\"home\",\"default\":false,\"from\":\"x@h.test\"");
    assert_int_equal(run("send|--to|b@b.test|--text|x", ""), EX_USAGE);
    has(err, "NOT_SET is not set");
    assert_int_equal(run("send|--account|home|--to|b@b.test|--text|x", ""), EX_UNAVAILABLE);
    has(err, "127.0.0.2:9");
    assert_int_equal(run("send|--account|none|--to|b@b.test|--text|x", ""), EX_CONFIG);
    assert_int_equal(
        run("send|--server|127.0.0.3|--port|9|--from|y@y.test|--to|b@b.test|--text|x", ""),
        EX_UNAVAILABLE); /* nobody's login is tried there */
    assert_int_equal(run("send|--dry-run|--to|b@b.test|--text|x", ""), 0);
    has(out, "From: Me <me@a.test>");
    assert_int_equal(run("accounts|--default|home", ""), 0);
    assert_int_equal(run("accounts|--remove|work", ""), 0);
    assert_int_equal(run("accounts", ""), 0);
    has(out, "* home");
    assert_null(strstr(out, "work"));
    assert_int_equal(run("accounts|--remove|work", ""), EX_CONFIG);
    setenv("POST_CONFIG", "/nonexistent/post.conf", 1);
    unsetenv("XDG_CONFIG_HOME");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_teaches),  cmocka_unit_test(misuse),
        cmocka_unit_test(a_letter),      cmocka_unit_test(raw),
        cmocka_unit_test(many_raw),      cmocka_unit_test(hostile_text),
        cmocka_unit_test(configuration), cmocka_unit_test(send_options),
        cmocka_unit_test(draft),         cmocka_unit_test(editor),
        cmocka_unit_test(accounts),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
