/*
 * post probe: what a server offers, on one page, without a login. Every line stands for something
 * that the server said: the dialogue of the library's sessions is listened to.
 */
#include "post.h"
#include <posthouse/fetch.h>
#include <posthouse/send.h>
#include <string.h>
#include <sysexits.h>

enum { TEXT_MAX = 64 * 1024, CONNECT_MS = 10000, REPLY_MS = 20000, TRIES = 4 };

enum kind { SMTP, IMAP, POP3 };

/* The ports that mail is spoken on (RFC 8314 7.3, RFC 5321). */
static const struct place {
    const char *name;
    enum kind kind;
    unsigned port;
    enum ph_tls_mode tls;
    bool unknown; /* kind and tls are to be found out */
} places[] = {
    {"mx", SMTP, 25, PH_TLS_STARTTLS, false},     {"submission", SMTP, 587, PH_TLS_STARTTLS, false},
    {"submissions", SMTP, 465, PH_TLS_ON, false}, {"imap", IMAP, 143, PH_TLS_STARTTLS, false},
    {"imaps", IMAP, 993, PH_TLS_ON, false},       {"pop3", POP3, 110, PH_TLS_STARTTLS, false},
    {"pop3s", POP3, 995, PH_TLS_ON, false}};
static const char *const kinds[] = {"smtp", "imap", "pop3"};

/* What was heard; `offers` starts again when TLS begins, since all of it may be another then (RFC
 * 3207 4.2). */
struct heard {
    enum kind kind;
    struct ph_buf greeting, offers, before;
    bool listing; /* the lines that come are a list of capabilities */
    int64_t first_ms;
    struct ph_transcript debug;
};

static void offer(struct heard *h, ph_str words)
{
    words = ph_str_trim(words);
    if (words.n)
        ph_buf_addf(&h->offers, "%s%.*s", h->offers.n ? "\n" : "", PH_FMT(words));
}

static void smtp_line(struct heard *h, ph_str line)
{
    if (h->listing && line.n > 4 && ph_str_has_prefix(line, PH_STR("250"))) {
        offer(h, ph_str_skip(line, 4));
        h->listing = line.p[3] == '-';
    }
}

static void imap_line(struct heard *h, ph_str line)
{
    size_t at = ph_str_ifind(line, PH_STR("CAPABILITY "));
    if (at == PH_NPOS || at > 6)
        return;
    ph_str words = ph_str_skip(line, at + 11), word;
    size_t end = ph_str_chr(words, ']');
    words = ph_str_sub(words, 0, end);
    ph_buf_clear(&h->offers);
    while (ph_str_token(&words, ' ', &word))
        offer(h, word);
}

static void pop3_line(struct heard *h, ph_str line)
{
    if (!h->listing || ph_str_has_prefix(line, PH_STR("+OK")))
        return;
    h->listing = !ph_str_eq(line, PH_STR(".")) && !ph_str_has_prefix(line, PH_STR("-ERR"));
    if (h->listing)
        offer(h, line);
}

static void on_line(void *ctx, int64_t at_ms, char who, ph_str line)
{
    struct heard *h = ctx;
    if (h->debug.level)
        h->debug.line(h->debug.ctx, at_ms, who, line);
    if (who == 'C') {
        bool starttls = ph_str_ifind(line, PH_STR("STLS")) != PH_NPOS ||
                        ph_str_ifind(line, PH_STR("STARTTLS")) != PH_NPOS;
        h->listing =
            ph_str_has_prefix(line, PH_STR("EHLO")) || ph_str_has_prefix(line, PH_STR("CAPA"));
        if (starttls)
            ph_buf_add(&h->before, ph_buf_str(&h->offers));
        if (starttls || h->listing)
            ph_buf_clear(&h->offers);
    }
    if (who != 'S')
        return;
    if (h->greeting.n == 0) {
        ph_buf_add(&h->greeting, line);
        h->first_ms = at_ms;
    }
    if (h->kind == SMTP)
        smtp_line(h, line);
    else if (h->kind == IMAP)
        imap_line(h, line);
    else
        pop3_line(h, line);
}

/* ---- one place --------------------------------------------------------------------------- */

/* Connects, asks what there is, says good-bye. 0, or negative with *t. */
static int visit(const struct ph_account *a, enum kind kind, struct ph_conn_info *ret_info,
                 struct ph_trouble *t)
{
    int rc;
    if (kind == SMTP) {
        struct ph_smtp_session *s;
        rc = ph_smtp_open(a, &s, t);
        if (rc == 0)
            *ret_info = *ph_smtp_session_info(s);
        if (rc == 0)
            ph_smtp_close(s);
    } else if (kind == IMAP) {
        struct ph_imap_session *s;
        rc = ph_imap_open(a, &s, t);
        if (rc == 0)
            *ret_info = *ph_imap_session_info(s);
        if (rc == 0)
            ph_imap_close(s);
    } else {
        struct ph_pop3_session *s;
        rc = ph_pop3_open(a, &s, t);
        if (rc == 0)
            *ret_info = *ph_pop3_session_info(s);
        if (rc == 0)
            (void)ph_pop3_close(s, true, NULL);
    }
    return rc < 0 ? rc : 0;
}

static void row(const char *name, ph_str text)
{
    if (!text.n)
        return;
    printf("  %-12s ", name);
    for (ph_str line; ph_str_token(&text, '\n', &line);) {
        post_print(stdout, line);
        if (text.n)
            fputs(", ", stdout);
    }
    putchar('\n');
}

static void show(const struct place *p, const struct heard *h, const struct ph_conn_info *info,
                 const struct ph_trouble *t)
{
    static const char *const modes[] = {"STARTTLS", "TLS", "no TLS"};
    printf("%s (port %u, %s)\n", p->name, p->port, modes[p->tls]);
    if (t) {
        row("no", ph_str_c(t->error.text));
        row("", ph_str_c(t->means));
        row("", ph_str_c(t->remedy));
    }
    ph_str greeting = ph_buf_str(&h->greeting);
    size_t caps = ph_str_find(greeting, PH_STR("[CAPABILITY ")); /* they have a line of their own */
    row("greeting", ph_str_sub(greeting, 0, caps));
    row("in the open", ph_buf_str(&h->before));
    if (info && info->tls[0]) {
        row("TLS", ph_str_c(info->tls));
        row("certificate", ph_str_c(info->subject));
        row("", info->verified ? PH_STR("verified") : ph_str_c(info->why));
    }
    row("offers", ph_buf_str(&h->offers));
    putchar('\n');
}

static void json_list(const char *name, ph_str text)
{
    printf(",\"%s\":[", name);
    bool first = true;
    for (ph_str line; ph_str_token(&text, '\n', &line); first = false) {
        if (!first)
            putchar(',');
        post_json_string(stdout, line);
    }
    putchar(']');
}

static void json_text(const char *name, const char *text)
{
    printf(",\"%s\":", name);
    post_json_string(stdout, ph_str_c(text));
}

static void show_json(const struct place *p, struct heard *h, const struct ph_conn_info *info,
                      const struct ph_trouble *t)
{
    printf("{\"name\":\"%s\",\"port\":%u", p->name, p->port);
    json_text("error", t ? t->error.text : "");
    json_text("greeting", ph_buf_cstr(&h->greeting));
    json_list("offers_in_the_open", ph_buf_str(&h->before));
    json_list("offers", ph_buf_str(&h->offers));
    json_text("peer", info ? info->peer : "");
    json_text("tls", info ? info->tls : "");
    json_text("certificate", info ? info->subject : "");
    printf(",\"verified\":%s", info && info->verified ? "true" : "false");
    json_text("why", info ? info->why : "");
    printf(",\"ms\":%lld}", (long long)h->first_ms);
}

/* What to try instead at a port of which nobody said what is spoken there; false: nothing more. TLS
 * comes first, since a server that begins in plain text tells so at once, and one that waits for
 * TLS says nothing for long. */
static bool guess(struct place *p, const struct heard *h, const struct ph_trouble *t)
{
    static const char *const greetings[] = {"220", "* ", "+OK"};
    enum kind kind = SMTP;
    if (t->kind == PH_TROUBLE_TLS_NOT_SPOKEN && p->tls == PH_TLS_ON) {
        p->tls = PH_TLS_STARTTLS;
        return true;
    }
    while (kind <= POP3 && !ph_str_has_prefix(ph_buf_str(&h->greeting), ph_str_c(greetings[kind])))
        kind++;
    if (kind > POP3 || kind == p->kind)
        return false;
    p->kind = kind;
    p->name = kinds[kind];
    return true;
}

/* 0 when something answered. */
static int probe_one(const struct place *asked, const struct post_login *login, bool json,
                     const char *comma)
{
    struct place place = *asked, *p = &place;
    struct heard h = {.debug = login->account.transcript};
    struct ph_account a = {.struct_size = sizeof a,
                           .host = login->account.host,
                           .port = p->port,
                           .insecure = true, /* no password is sent; what it is worth is told */
                           .ca_file = login->ca,
                           .proxy = ph_str_c(login->proxy),
                           .connect_ms = CONNECT_MS,
                           .timeout_ms = REPLY_MS,
                           .transcript = {2, on_line, &h}};
    struct ph_conn_info info;
    struct ph_trouble t = {0};
    struct ph_buf *const bufs[] = {&h.greeting, &h.offers, &h.before};
    for (size_t i = 0; i < 3; i++)
        ph_buf_init(bufs[i], NULL, TEXT_MAX);
    int rc, tries = 0;
    do {
        for (size_t i = 0; i < 3; i++)
            ph_buf_clear(bufs[i]);
        h.kind = p->kind;
        a.tls = p->tls;
        rc = visit(&a, p->kind, &info, &t);
    } while (rc < 0 && p->unknown && ++tries < TRIES && guess(p, &h, &t));
    bool heard = h.greeting.n > 0;
    if (json) {
        fputs(comma, stdout);
        show_json(p, &h, rc < 0 ? NULL : &info, rc < 0 ? &t : NULL);
    } else {
        show(p, &h, rc < 0 ? NULL : &info, rc < 0 ? &t : NULL);
    }
    fflush(stdout);
    for (size_t i = 0; i < 3; i++)
        ph_buf_done(bufs[i]);
    return rc == 0 || heard ? 0 : post_exit_code(t.error.code);
}

/* ---- the verb ---------------------------------------------------------------------------- */

/* --port with the protocol that is spoken there: what was said, else what the port is known for,
 * else to be found out. */
static int one_place(const char *protocol, const char *port, const char *tls, struct place *ret)
{
    uint64_t n = 0;
    int kind = 0, mode = post_tls_mode(tls ? tls : "starttls");
    while (kind < 3 && strcmp(kinds[kind], protocol ? protocol : "smtp") != 0)
        kind++;
    if (kind == 3 || mode < 0 || !ph_str_u64(ph_str_c(port), 65535, &n) || n == 0)
        return post_fail(EX_USAGE, "--port N goes with --protocol smtp, imap or pop3 and --tls "
                                   "starttls, tls or none");
    *ret = (struct place){kinds[kind], (enum kind)kind, (unsigned)n, (enum ph_tls_mode)mode, false};
    if (protocol || tls)
        return 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (places[i].port == n) {
            *ret = places[i];
            return 0;
        }
    ret->tls = PH_TLS_ON;
    ret->unknown = true;
    return 0;
}

int post_probe(int argc, char **argv)
{
    static const char details[] =
        "Without --port all ports that mail is spoken on are tried; with --port alone it is found "
        "out what is spoken there. Nobody "
        "logs in and nothing is sent.\n\n"
        "  post probe mail.example.org\n"
        "  post probe 127.0.0.1 --port 2587 --protocol smtp --tls starttls\n";
    struct post_login login = {0};
    const char *port = NULL, *protocol = NULL;
    struct place lone;
    bool json = false;
    const struct post_option own[] = {
        {"--port", "N", .value = &port, .help = "this port alone"},
        {"--protocol", "NAME", .value = &protocol, .help = "smtp, imap or pop3, with --port"},
        {"--tls", "MODE", .value = &login.tls, .help = "starttls, tls or none, with --port"},
        {"--ca", "FILE", .value = &login.ca, .help = "trust the certificates in this file"},
        {"--proxy", "URL", .value = &login.proxy,
         .help = "go through socks5://[user:password@]host:port or http://..."},
        {"--debug", NULL, .flag = &login.debug, .help = "show the dialogue"},
        {"--json", NULL, .flag = &json, .help = "as JSON"},
        {0}};
    const struct post_option *const tables[] = {own, NULL};
    int rc = post_options(argc, argv, tables, details, 1, 1);
    if (rc < 0)
        return -1 - rc;
    login.account.host = ph_str_c(argv[1]);
    login.account.transcript = post_transcript(&login);
    if (port && (rc = one_place(protocol, port, login.tls, &lone)))
        return rc;
    const struct place *v = port ? &lone : places;
    size_t n = port ? 1 : sizeof places / sizeof places[0], heard = 0;
    if (json)
        putchar('[');
    rc = 0;
    for (size_t i = 0; i < n; i++) {
        int one = probe_one(&v[i], &login, json, i ? ",\n" : "");
        heard += one == 0;
        rc = one ? one : rc;
    }
    if (json)
        puts("]");
    return heard ? 0 : rc;
}
