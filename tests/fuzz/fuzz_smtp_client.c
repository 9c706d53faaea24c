/* The SMTP client engine: any bytes from the server, cut anywhere. The first byte chooses what is
 * asked, the second the cuts. */
#include <posthouse/smtp.h>

#include "tape.h"

static int ignored;

static void letter(struct ph_smtp_client *c)
{
    ignored += ph_smtp_client_mail(c, PH_STR("a@b.test"), NULL);
    ignored += ph_smtp_client_rcpt(c, PH_STR("c@d.test"),
                                   &(struct ph_smtp_params){.notify = PH_SMTP_NOTIFY_SUCCESS,
                                                            .orcpt = PH_STR("rfc822;C@d.test")});
    ignored += ph_smtp_client_rcpt(c, PH_STR("e@d.test"), NULL);
    ignored += ph_smtp_client_data(c);
}

static void on_event(struct ph_smtp_client *c, enum ph_smtp_client_ev kind, unsigned how,
                     unsigned *rounds)
{
    if (kind == PH_SMTP_C_GREETING)
        ignored += ph_smtp_client_hello(c, PH_STR("x"));
    if (kind == PH_SMTP_C_HELLO && (*rounds)++ < 4) {
        if (how & 2)
            ignored += ph_smtp_client_starttls(c);
        if (how & 4)
            ignored += ph_smtp_client_auth(c, PH_STR("LOGIN"), (ph_str){0}, false);
        if (how & 8)
            ignored += ph_smtp_client_auth(c, PH_STR("PLAIN"), (ph_str){0}, false);
        letter(c);
        if (how & 16)
            letter(c);
        ignored += ph_smtp_client_quit(c);
    }
    if (kind == PH_SMTP_C_CHALLENGE)
        ignored += ph_smtp_client_auth_data(c, PH_STR("x"), how & 32);
    if (kind == PH_SMTP_C_DATA || kind == PH_SMTP_C_MORE)
        ignored += ph_smtp_client_body(c, PH_STR("a\r\n.b\nc\r"), kind == PH_SMTP_C_MORE);
}

static void note(struct tape *t, enum ph_smtp_client_ev kind, const struct ph_smtp_client_event *ev)
{
    if (kind == PH_SMTP_C_MORE)
        return;
    tape_event(t, kind, (uint64_t)ev->reply.code, ev->index, ev->reply.text);
    ph_buf_add(&t->events, kind == PH_SMTP_C_BROKEN      ? ph_str_c(ev->error.text)
                           : kind == PH_SMTP_C_CHALLENGE ? ev->data
                                                         : ev->reply.esc);
}

static void drain(void *engine, struct tape *t)
{
    struct ph_smtp_client *c = engine;
    do {
        struct ph_smtp_client_event ev = {0};
        enum ph_smtp_client_ev kind;
        while ((kind = ph_smtp_client_next(c, &ev)) != PH_SMTP_C_NEED) {
            note(t, kind, &ev);
            on_event(c, kind, t->how, &t->turn);
        }
        if (ph_smtp_client_want(c) & PH_WANT_TLS) {
            t->timed = true;
            ph_smtp_client_tls_started(c);
            ignored += ph_smtp_client_hello(c, PH_STR("x"));
        }
    } while (tape_send(t, &ph_smtp_client_ops, c));
}

static void play(ph_str in, struct tape *t)
{
    struct ph_smtp_client_options o;
    ph_smtp_client_defaults(&o);
    o.lmtp = t->how & 1;
    o.refuse_bare = t->how & 64;
    o.no_pipelining = t->how & 128;
    struct ph_smtp_client *c = ph_smtp_client_new(NULL, &o);
    tape_feed(&ph_smtp_client_ops, c, in, drain, t);
    ph_smtp_client_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 2)
        tape_compare(play, (ph_str){(const char *)data + 2, size - 2}, 1 + data[1] % 32, data[0]);
    return 0;
}
