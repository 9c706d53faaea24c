/* The POP3 server engine against any client. The first byte chooses options and how the rest is
 * cut. */
#include <posthouse/pop3.h>

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

static void run(struct ph_pop3_server *s, size_t cut)
{
    const struct ph_proto_ops *ops = &ph_pop3_server_ops;
    struct ph_pop3_server_event ev;
    for (;;) {
        enum ph_pop3_server_ev what;
        do
            what = ph_pop3_server_next(s, &ev);
        while (answer(s, what, &ev));
        if (ops->want(s) & PH_WANT_TLS)
            ph_pop3_server_tls_started(s);
        ph_str out = ops->out(s);
        if (!out.n)
            return;
        ops->sent(s, out.n < cut ? out.n : cut);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ph_proto_ops *ops = &ph_pop3_server_ops;
    uint8_t how = size ? data[0] : 0;
    struct ph_pop3_server_options o = {.struct_size = sizeof o,
                                       .tls_possible = how & 1,
                                       .plaintext = how & 2,
                                       .apop_stamp = ph_str_c(how & 128 ? "<1.2@a.test>" : ""),
                                       .max_errors = 1000,
                                       .max_failures = 1000};
    struct ph_pop3_server *s = ph_pop3_server_new(NULL, &o);
    ph_str in = ph_str_skip((ph_str){(const char *)data, size}, 1);
    size_t cut = (size_t)(how >> 2) + 1;
    ops->tick(s, 0);
    run(s, cut * 50);
    while (in.n) {
        int64_t n = ops->feed(s, ph_str_sub(in, 0, cut));
        if (n < 0)
            break;
        in = ph_str_skip(in, (size_t)n);
        run(s, cut * 50);
    }
    ops->feed_eof(s);
    run(s, cut * 50);
    ph_pop3_server_free(s);
    return 0;
}
