/* The POP3 client engine against any server. The first byte chooses how the rest is cut. */
#include <posthouse/pop3.h>

static void ask(struct ph_pop3_client *c)
{
    int64_t r = ph_pop3_client_capa(c);
    r |= ph_pop3_client_user(c, PH_STR("a"));
    r |= ph_pop3_client_pass(c, PH_STR("b"));
    r |= ph_pop3_client_stat(c);
    r |= ph_pop3_client_list(c, 0);
    r |= ph_pop3_client_uidl(c, 0);
    r |= ph_pop3_client_uidl(c, 1);
    r |= ph_pop3_client_retr(c, 1);
    r |= ph_pop3_client_top(c, 1, 1);
    r |= ph_pop3_client_quit(c);
    (void)r;
}

static void run(struct ph_pop3_client *c)
{
    const struct ph_proto_ops *ops = &ph_pop3_client_ops;
    struct ph_pop3_client_event ev;
    while (ph_pop3_client_next(c, &ev) != PH_POP3_C_NEED)
        ;
    if (ops->want(c) & PH_WANT_TLS)
        ph_pop3_client_tls_started(c);
    ops->sent(c, ops->out(c).n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ph_proto_ops *ops = &ph_pop3_client_ops;
    struct ph_pop3_client_options o = {.struct_size = sizeof o, .plaintext = true};
    struct ph_pop3_client *c = ph_pop3_client_new(NULL, &o);
    ph_str in = ph_str_skip((ph_str){(const char *)data, size}, 1);
    size_t cut = size ? (size_t)data[0] + 1 : 1;
    ops->tick(c, 0);
    ask(c);
    while (in.n) {
        int64_t n = ops->feed(c, ph_str_sub(in, 0, cut));
        if (n < 0)
            break;
        run(c);
        in = ph_str_skip(in, (size_t)n);
        if (n == 0)
            break;
    }
    ops->feed_eof(c);
    run(c);
    ph_pop3_client_free(c);
    return 0;
}
