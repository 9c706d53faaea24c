/* The SMTP server engine: any bytes, cut anywhere, with replies of all kinds. The first two bytes
 * choose options and cuts. */
#include <posthouse/smtp.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned turn;

static void answer(struct ph_smtp_server *s, enum ph_smtp_server_ev kind)
{
    static const int codes[] = {250, 250, 250, 451, 550, 250, 250, 421};
    int code = codes[turn++ % (sizeof codes / sizeof codes[0])];
    struct ph_smtp_server_info info;
    ph_smtp_server_info(s, &info);
    if (kind == PH_SMTP_S_AUTH && turn % 3)
        ph_smtp_server_challenge(s, PH_STR("more"));
    else if (kind == PH_SMTP_S_AUTH || kind == PH_SMTP_S_AUTHDATA)
        ph_smtp_server_reply(s, code == 250 ? 235 : 535, "2.7.0", "auth");
    else if (kind == PH_SMTP_S_DATA)
        ph_smtp_server_reply(s, code == 250 ? 354 : code, "", "data");
    else if (kind == PH_SMTP_S_COMMAND)
        ph_smtp_server_reply_long(s, turn % 2 ? 250 : 220, PH_STR("2.0.0"), PH_STR("one\ntwo"));
    else if (kind == PH_SMTP_S_MAIL || kind == PH_SMTP_S_RCPT || kind == PH_SMTP_S_EOM)
        ph_smtp_server_reply(s, code, "2.0.0", "text\nmore");
}

static void drain(struct ph_smtp_server *s)
{
    struct ph_smtp_server_event ev;
    enum ph_smtp_server_ev kind;
    while ((kind = ph_smtp_server_next(s, &ev)) != PH_SMTP_S_NEED) {
        /* No parameter may carry what would begin a line of a report or a command. */
        for (size_t i = 0; i < ev.params.envid.n; i++)
            if ((unsigned char)ev.params.envid.p[i] < 32)
                abort();
        for (size_t i = 0; i < ev.params.orcpt.n; i++)
            if ((unsigned char)ev.params.orcpt.p[i] < 32)
                abort();
        /* A mailbox that was read is read again as itself. */
        struct ph_smtp_mailbox m;
        struct ph_buf scratch;
        ph_buf_init(&scratch, NULL, 4096);
        if ((kind == PH_SMTP_S_MAIL || kind == PH_SMTP_S_RCPT) &&
            (ph_smtp_mailbox_parse(ev.mailbox.address, 7, &scratch, &m, NULL) < 0 ||
             !ph_str_eq(m.address, ev.mailbox.address)))
            abort();
        ph_buf_done(&scratch);
        answer(s, kind);
    }
    ph_str out = ph_smtp_server_out(s);
    ph_smtp_server_sent(s, out.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_smtp_server_options o;
    if (size < 2)
        return 0;
    ph_smtp_server_defaults(&o);
    o.hostname = PH_STR("fuzz.test");
    o.auth = data[0] & 1 ? PH_STR("PLAIN LOGIN") : (ph_str){0};
    o.auth_required = data[0] & 2;
    o.tls_active = data[0] & 4;
    o.tls_available = data[0] & 8;
    o.smtputf8 = data[0] & 16;
    o.lmtp = data[0] & 32;
    o.keep_bare = data[0] & 64;
    o.xtrace = data[0] & 128;
    o.binary = o.requiretls = data[1] & 1;
    o.trusted = data[1] & 2;
    o.limits.message = 100;
    turn = data[1];
    struct ph_smtp_server *s = ph_smtp_server_new(NULL, &o);
    ph_str in = {(const char *)data + 2, size - 2};
    for (size_t step = 1 + data[1] % 32; in.n;) {
        ph_smtp_server_tick(s, 1);
        int64_t n = ph_smtp_server_feed(s, ph_str_sub(in, 0, step));
        drain(s);
        if (ph_smtp_server_want(s) & PH_WANT_TLS) {
            ph_smtp_server_tls_started(s);
            continue;
        }
        if (n <= 0)
            break;
        in = ph_str_skip(in, (size_t)n);
    }
    ph_smtp_server_feed_eof(s);
    drain(s);
    ph_smtp_server_free(s);
    return 0;
}
