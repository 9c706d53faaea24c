/* The IMAP server engine against any client. The first byte chooses how the rest is cut, and how
 * the handler answers. */
#include <posthouse/imap_server.h>

#include "tape.h"

static void fetch(struct ph_imap_server *s, const struct ph_imap_command *k)
{
    ph_imap_server_fetch_begin(s, 1);
    for (size_t i = 0; i < k->fetch.items.section_count; i++) {
        const struct ph_imap_section *sec = &k->fetch.items.sections[i];
        if (sec->as == PH_IMAP_AS_BINARY_SIZE) {
            ph_imap_server_fetch_binary_size(s, sec, 1);
            continue;
        }
        ph_imap_server_fetch_section(s, sec, 1);
        ph_imap_server_section_data(s, PH_STR("x"));
    }
    ph_imap_server_fetch_end(s);
}

static void handle(struct ph_imap_server *s, const struct ph_imap_server_event *ev, uint8_t how)
{
    const struct ph_imap_command *k = ev->command;
    bool goes_on =
        k->verb == PH_IMAP_APPEND || k->verb == PH_IMAP_REPLACE || k->verb == PH_IMAP_IDLE;
    switch (ev->kind) {
    case PH_IMAP_SRV_COMMAND:
        if (k->verb == PH_IMAP_FETCH)
            fetch(s, k);
        if (k->verb == PH_IMAP_LIST)
            for (size_t i = 0; i < k->list.pattern_count; i++)
                ph_imap_server_list(
                    s, &(struct ph_imap_list){.name = k->list.patterns[i], .separator = '/'});
        if (k->verb == PH_IMAP_SEARCH && k->search.ret)
            ph_imap_server_esearch(s,
                                   &(struct ph_imap_esearch){.has = k->search.ret, .uid = k->uid});
        if (goes_on && how & 128)
            ph_imap_server_accept(s);
        else if (k->verb == PH_IMAP_AUTHENTICATE && how & 64)
            ph_imap_server_challenge(s, k->auth.mechanism);
        else
            ph_imap_server_done(s, goes_on ? PH_IMAP_NO : PH_IMAP_OK, NULL, "x");
        break;
    case PH_IMAP_SRV_MORE:
        if (how & 64)
            ph_imap_server_accept(s);
        else
            ph_imap_server_done(s, PH_IMAP_NO, NULL, "x");
        break;
    case PH_IMAP_SRV_DATA_END:
    case PH_IMAP_SRV_RESPONSE:
    case PH_IMAP_SRV_IDLE_END:
        ph_imap_server_done(s, PH_IMAP_OK, NULL, "x");
        break;
    default:
        break;
    }
}

static void run(void *engine, struct tape *t)
{
    struct ph_imap_server *s = engine;
    const struct ph_proto_ops *ops = &ph_imap_server_ops;
    do {
        struct ph_imap_server_event ev = {0};
        while (ph_imap_server_next(s, &ev) != PH_IMAP_SRV_NEED) {
            if (ev.kind == PH_IMAP_SRV_DATA)
                tape_piece(t, (int)ev.kind, 0, ev.data);
            else
                tape_event(t, (int)ev.kind, ev.command ? ev.command->verb : 0, 0, ev.data);
            handle(s, &ev, t->how);
        }
        t->timed |= (ops->want(s) & (PH_WANT_TLS | PH_WANT_DEFLATE)) != 0;
        if (ops->want(s) & PH_WANT_TLS)
            ph_imap_server_tls_started(s);
        if (ops->want(s) & PH_WANT_DEFLATE)
            ph_imap_server_compressed(s);
    } while (tape_send(t, ops, s));
}

static void play(ph_str in, struct tape *t)
{
    const struct ph_proto_ops *ops = &ph_imap_server_ops;
    struct ph_imap_server_options o = {.struct_size = sizeof o,
                                       .secure = true,
                                       .compress = true,
                                       .max_bad = 1000,
                                       .command_max = 4096,
                                       .append_max = 100,
                                       .caps = ~(uint64_t)0};
    struct ph_imap_server *s = ph_imap_server_new(NULL, &o);
    ops->tick(s, 0);
    tape_feed(ops, s, in, run, t);
    ph_imap_server_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size)
        tape_compare(play, (ph_str){(const char *)data + 1, size - 1}, (data[0] & 63) + 1u,
                     data[0]);
    return 0;
}
