/* The IMAP client engine against any server. The first byte chooses how the rest is cut. */
#include <posthouse/imap.h>

#include "tape.h"

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

static void note(struct tape *t, const struct ph_imap_client *c,
                 const struct ph_imap_client_event *ev)
{
    switch (ev->kind) {
    case PH_IMAP_CHUNK:
        tape_piece(t, PH_IMAP_CHUNK, ev->chunk.seq, ev->chunk.data);
        break;
    case PH_IMAP_FETCHED:
        tape_event(t, PH_IMAP_FETCHED, ev->fetch.seq, ev->fetch.size ^ ev->fetch.modseq,
                   (ph_str){0});
        for (size_t i = 0; i < ev->fetch.part_count; i++)
            ph_buf_add(&t->events,
                       ev->fetch.parts[i].value.p ? ev->fetch.parts[i].value : (ph_str){0});
        break;
    case PH_IMAP_BROKEN:
        tape_event(t, PH_IMAP_BROKEN, 0, 0, ph_str_c(ph_imap_client_error(c)->text));
        break;
    default:
        tape_event(t, (int)ev->kind, ev->caps ^ ev->count, ev->n ^ (uint64_t)ev->id, ev->text);
    }
}

static void run(void *engine, struct tape *t)
{
    const struct ph_proto_ops *ops = &ph_imap_client_ops;
    struct ph_imap_client *c = engine;
    struct ph_imap_client_event ev;
    enum ph_imap_client_ev kind;
    do {
        while (tape_send(t, ops, c))
            ;
        if (ops->want(c) & PH_WANT_TLS) {
            t->timed = true;
            ph_imap_client_tls_started(c);
        }
        kind = ph_imap_client_next(c, &ev);
        if (kind != PH_IMAP_NEED)
            note(t, c, &ev);
        if (kind == PH_IMAP_RESULT || kind == PH_IMAP_CONTINUE)
            ask(c, t->how);
    } while (kind != PH_IMAP_NEED);
}

static void play(ph_str in, struct tape *t)
{
    const struct ph_proto_ops *ops = &ph_imap_client_ops;
    struct ph_imap_client_options o = {
        .struct_size = sizeof o, .allow_plaintext = true, .line_max = 8192};
    struct ph_imap_client *c = ph_imap_client_new(NULL, &o);
    t->timed = ph_str_has_prefix(in, PH_STR("+")) || ph_str_find(in, PH_STR("\n+")) != PH_NPOS;
    ops->tick(c, 1);
    ask(c, t->how);
    run(c, t);
    tape_feed(ops, c, in, run, t);
    ph_imap_client_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size)
        tape_compare(play, (ph_str){(const char *)data + 1, size - 1}, (data[0] & 127) + 1u,
                     data[0]);
    return 0;
}
