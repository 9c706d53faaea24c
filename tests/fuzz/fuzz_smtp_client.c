/* The SMTP client engine: any bytes from the server, cut anywhere. The first byte chooses what is
 * asked, the second the cuts. */
#include <posthouse/smtp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void drain(struct ph_smtp_client *c, unsigned how, unsigned *rounds)
{
    struct ph_smtp_client_event ev;
    enum ph_smtp_client_ev kind;
    while ((kind = ph_smtp_client_next(c, &ev)) != PH_SMTP_C_NEED)
        on_event(c, kind, how, rounds);
    ph_str out = ph_smtp_client_out(c);
    ph_smtp_client_sent(c, out.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_smtp_client_options o;
    unsigned rounds = 0;
    if (size < 2)
        return 0;
    ph_smtp_client_defaults(&o);
    o.lmtp = data[0] & 1;
    o.refuse_bare = data[0] & 64;
    o.no_pipelining = data[0] & 128;
    struct ph_smtp_client *c = ph_smtp_client_new(NULL, &o);
    ph_str in = {(const char *)data + 2, size - 2};
    for (size_t step = 1 + data[1] % 32; in.n;) {
        ph_smtp_client_tick(c, 1);
        int64_t n = ph_smtp_client_feed(c, ph_str_sub(in, 0, step));
        drain(c, data[0], &rounds);
        if (ph_smtp_client_want(c) & PH_WANT_TLS) {
            ph_smtp_client_tls_started(c);
            ignored += ph_smtp_client_hello(c, PH_STR("x"));
            continue;
        }
        if (n <= 0)
            break;
        in = ph_str_skip(in, (size_t)n);
    }
    ph_smtp_client_feed_eof(c);
    drain(c, data[0], &rounds);
    ph_smtp_client_free(c);
    return 0;
}
