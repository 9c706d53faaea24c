/* The SMTP server engine: any bytes, cut anywhere, with replies of all kinds. The first two bytes
 * choose options and cuts. */
#include <posthouse/smtp.h>

#include "tape.h"

static void answer(struct ph_smtp_server *s, enum ph_smtp_server_ev kind, struct tape *t)
{
    static const int codes[] = {250, 250, 250, 451, 550, 250, 250, 421};
    int code = codes[t->turn++ % (sizeof codes / sizeof codes[0])];
    struct ph_smtp_server_info info;
    ph_smtp_server_info(s, &info);
    if (kind == PH_SMTP_S_AUTH && t->turn % 3)
        ph_smtp_server_challenge(s, PH_STR("more"));
    else if (kind == PH_SMTP_S_AUTH || kind == PH_SMTP_S_AUTHDATA)
        ph_smtp_server_reply(s, code == 250 ? 235 : 535, "2.7.0", "auth");
    else if (kind == PH_SMTP_S_DATA)
        ph_smtp_server_reply(s, code == 250 ? 354 : code, "", "data");
    else if (kind == PH_SMTP_S_COMMAND)
        ph_smtp_server_reply_long(s, t->turn % 2 ? 250 : 220, PH_STR("2.0.0"), PH_STR("one\ntwo"));
    else if (kind == PH_SMTP_S_MAIL || kind == PH_SMTP_S_RCPT || kind == PH_SMTP_S_EOM)
        ph_smtp_server_reply(s, code, "2.0.0", "text\nmore");
}

static void check(enum ph_smtp_server_ev kind, const struct ph_smtp_server_event *ev)
{
    /* No parameter may carry what would begin a line of a report or a command. */
    for (size_t i = 0; i < ev->params.envid.n; i++)
        if ((unsigned char)ev->params.envid.p[i] < 32)
            abort();
    for (size_t i = 0; i < ev->params.orcpt.n; i++)
        if ((unsigned char)ev->params.orcpt.p[i] < 32)
            abort();
    /* A mailbox that was read is read again as itself. */
    struct ph_smtp_mailbox m;
    struct ph_buf scratch;
    ph_buf_init(&scratch, NULL, 4096);
    if ((kind == PH_SMTP_S_MAIL || kind == PH_SMTP_S_RCPT) &&
        (ph_smtp_mailbox_parse(ev->mailbox.address, 7, &scratch, &m, NULL) < 0 ||
         !ph_str_eq(m.address, ev->mailbox.address)))
        abort();
    ph_buf_done(&scratch);
}

static void note(struct tape *t, enum ph_smtp_server_ev kind, const struct ph_smtp_server_event *ev)
{
    if (kind == PH_SMTP_S_BODY) {
        tape_piece(t, kind, 0, ev->data);
        return;
    }
    if (kind != PH_SMTP_S_EOM)
        tape_break_off(t);
    if (kind == PH_SMTP_S_BROKEN)
        tape_event(t, kind, 0, (uint64_t)ev->error.code, ph_str_c(ev->error.text));
    else
        tape_event(t, kind, ev->params.size, 0, ev->mailbox.address);
    ph_buf_add(&t->events, ev->name);
    ph_buf_add(&t->events, ev->data);
}

static void drain(void *engine, struct tape *t)
{
    struct ph_smtp_server *s = engine;
    do {
        struct ph_smtp_server_event ev = {0};
        enum ph_smtp_server_ev kind;
        while ((kind = ph_smtp_server_next(s, &ev)) != PH_SMTP_S_NEED) {
            check(kind, &ev);
            note(t, kind, &ev);
            if (kind != PH_SMTP_S_BODY)
                answer(s, kind, t);
        }
        if (ph_smtp_server_want(s) & PH_WANT_TLS) {
            t->timed = true;
            ph_smtp_server_tls_started(s);
        }
    } while (tape_send(t, &ph_smtp_server_ops, s));
}

/* how, and the first octet of `in`: options. */
static void play(ph_str in, struct tape *t)
{
    struct ph_smtp_server_options o;
    uint8_t more = (uint8_t)in.p[0];
    in = ph_str_skip(in, 1);
    ph_smtp_server_defaults(&o);
    o.hostname = PH_STR("fuzz.test");
    o.auth = t->how & 1 ? PH_STR("PLAIN LOGIN") : (ph_str){0};
    o.auth_required = t->how & 2;
    o.tls_active = t->how & 4;
    o.tls_available = t->how & 8;
    o.smtputf8 = t->how & 16;
    o.lmtp = t->how & 32;
    o.keep_bare = t->how & 64;
    o.xtrace = t->how & 128;
    o.binary = o.requiretls = more & 1;
    o.trusted = more & 2;
    o.limits.message = 100;
    t->turn = more;
    struct ph_smtp_server *s = ph_smtp_server_new(NULL, &o);
    tape_feed(&ph_smtp_server_ops, s, in, drain, t);
    ph_smtp_server_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 2)
        tape_compare(play, (ph_str){(const char *)data + 1, size - 1}, 1 + data[1] % 32, data[0]);
    return 0;
}
