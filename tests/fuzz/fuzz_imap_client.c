/* The IMAP client engine against any server. The first byte chooses how the rest is cut. */
#include <posthouse/imap.h>

static void ask(struct ph_imap_client *c, uint8_t how)
{
    int64_t r = ph_imap_client_capability(c);
    if (how & 128)
        r |= ph_imap_client_auth(c, PH_STR("PLAIN"), PH_STR("\0a\0b"), true);
    else
        r |= ph_imap_client_login(c, PH_STR("a\xc3\xa9"), PH_STR("b"));
    r |= ph_imap_client_select(c, PH_STR("x\xc3\xa9"), false);
    r |= ph_imap_client_fetch(c, true, PH_STR("1:*"), PH_STR("BODY[]"));
    r |= ph_imap_client_append(c, PH_STR("x"), NULL, 0, 0, 3);
    r |= ph_imap_client_append_data(c, PH_STR("abc"));
    r |= ph_imap_client_simple(c, PH_IMAP_IDLE);
    (void)r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ph_proto_ops *ops = &ph_imap_client_ops;
    struct ph_imap_client_options o = {
        .struct_size = sizeof o, .allow_plaintext = true, .line_max = 8192};
    struct ph_imap_client *c = ph_imap_client_new(NULL, &o);
    struct ph_imap_client_event ev;
    ph_str in = ph_str_skip((ph_str){(const char *)data, size}, 1);
    uint8_t how = size ? data[0] : 0;
    ops->tick(c, 1);
    ask(c, how);
    while (in.n) {
        int64_t n = ops->feed(c, ph_str_sub(in, 0, (how & 127) + 1u));
        if (n <= 0)
            break;
        in = ph_str_skip(in, (size_t)n);
        while (ph_imap_client_next(c, &ev) != PH_IMAP_NEED)
            if (ev.kind == PH_IMAP_RESULT || ev.kind == PH_IMAP_CONTINUE)
                ask(c, how);
        if (ops->want(c) & PH_WANT_TLS)
            ph_imap_client_tls_started(c);
        for (ph_str out; (out = ops->out(c)).n;)
            ops->sent(c, out.n);
    }
    ops->feed_eof(c);
    (void)ph_imap_client_next(c, &ev);
    ph_imap_client_free(c);
    return 0;
}
