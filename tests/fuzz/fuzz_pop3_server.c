/* The POP3 server engine against any client. The first byte chooses options and how the rest is
 * cut. */
#include <posthouse/pop3.h>

#include "tape.h"

static const char mail[] = "Subject: x\r\n\r\n.\r\n..a\nb\rc\r\n.";

static bool answer(struct ph_pop3_server *s, enum ph_pop3_server_ev what,
                   const struct ph_pop3_server_event *ev)
{
    switch (what) {
    case PH_POP3_S_NEED:
        return false;
    case PH_POP3_S_LOGIN:
    case PH_POP3_S_APOP:
        for (uint64_t i = 0; i < 5 && ev->password.n % 2; i++)
            if (ph_pop3_server_message(s, sizeof mail - 1, i) < 0)
                break;
        if (ev->password.n % 2)
            ph_pop3_server_welcome(s, 1);
        else
            ph_pop3_server_refuse(s, PH_POP3_CODE_AUTH, ev->user);
        return true;
    case PH_POP3_S_AUTH:
        ph_pop3_server_challenge(s, ev->data);
        return true;
    case PH_POP3_S_AUTHDATA:
        ph_pop3_server_refuse(s, PH_POP3_CODE_AUTH, ev->data);
        return true;
    case PH_POP3_S_MAIL:
        ph_pop3_server_body(s, (ph_str){mail, sizeof mail - 1}, true);
        return true;
    case PH_POP3_S_UPDATE:
        ph_pop3_server_updated(s, true);
        return true;
    case PH_POP3_S_MORE:
    case PH_POP3_S_BROKEN:
        return true;
    }
    return false;
}

static void note(struct tape *t, enum ph_pop3_server_ev what, const struct ph_pop3_server_event *ev)
{
    if (what == PH_POP3_S_BROKEN)
        tape_event(t, what, 0, (uint64_t)ev->error.code, ph_str_c(ev->error.text));
    else if (what == PH_POP3_S_MAIL)
        tape_event(t, what, ev->number, ev->lines, (ph_str){0});
    else if (what == PH_POP3_S_LOGIN)
        tape_event(t, what, ev->user.n, ev->password.n, ev->user);
    else if (what != PH_POP3_S_NEED && what != PH_POP3_S_MORE)
        tape_event(t, what, 0, 0, ev->data);
}

static void run(void *engine, struct tape *t)
{
    struct ph_pop3_server *s = engine;
    const struct ph_proto_ops *ops = &ph_pop3_server_ops;
    do {
        struct ph_pop3_server_event ev = {0};
        enum ph_pop3_server_ev what;
        do {
            what = ph_pop3_server_next(s, &ev);
            note(t, what, &ev);
        } while (answer(s, what, &ev));
        if (ops->want(s) & PH_WANT_TLS) {
            t->timed = true;
            ph_pop3_server_tls_started(s);
        }
    } while (tape_send(t, ops, s));
}

static void play(ph_str in, struct tape *t)
{
    const struct ph_proto_ops *ops = &ph_pop3_server_ops;
    struct ph_pop3_server_options o = {.struct_size = sizeof o,
                                       .tls_possible = t->how & 1,
                                       .plaintext = t->how & 2,
                                       .apop_stamp = ph_str_c(t->how & 128 ? "<1.2@a.test>" : ""),
                                       .max_errors = 1000,
                                       .max_failures = 1000};
    struct ph_pop3_server *s = ph_pop3_server_new(NULL, &o);
    ops->tick(s, 0);
    run(s, t);
    tape_feed(ops, s, in, run, t);
    ph_pop3_server_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size)
        tape_compare(play, (ph_str){(const char *)data + 1, size - 1}, (size_t)(data[0] >> 2) + 1,
                     data[0]);
    return 0;
}
