/* The POP3 client engine against any server. The first byte chooses how the rest is cut. */
#include <posthouse/pop3.h>

#include "tape.h"

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

static void run(void *engine, struct tape *t)
{
    struct ph_pop3_client *c = engine;
    struct ph_pop3_client_event ev;
    enum ph_pop3_client_ev kind;
    do {
        while ((kind = ph_pop3_client_next(c, &ev)) != PH_POP3_C_NEED)
            if (kind == PH_POP3_C_CHUNK)
                tape_piece(t, kind, ev.id, ev.text);
            else if (kind == PH_POP3_C_BROKEN)
                tape_event(t, kind, 0, (uint64_t)ev.error.code, ph_str_c(ev.error.text));
            else
                tape_event(t, kind, ev.id * 2 + ev.ok, ev.size ^ ev.number, ev.text);
    } while (tape_send(t, &ph_pop3_client_ops, c));
}

static void play(ph_str in, struct tape *t)
{
    const struct ph_proto_ops *ops = &ph_pop3_client_ops;
    struct ph_pop3_client_options o = {.struct_size = sizeof o, .plaintext = true};
    struct ph_pop3_client *c = ph_pop3_client_new(NULL, &o);
    ops->tick(c, 0);
    ask(c);
    tape_feed(ops, c, in, run, t);
    ph_pop3_client_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size)
        tape_compare(play, (ph_str){(const char *)data + 1, size - 1}, (size_t)data[0] + 1, 0);
    return 0;
}
