/* result.c - what became of an attempt: outcomes and events, and the answer to the queue. */
#include "file.h"
#include "relay.h"

#include <string.h>

enum { TEXT_MAX = 1000, OUTCOME_BYTES = 262144 };

/* A reply as one line for tables: its lines joined by spaces, controls gone. */
static ph_str one_line(struct ph_arena *a, ph_str text)
{
    ph_str copy = ph_arena_copy(a, ph_str_sub(text, 0, TEXT_MAX));
    char *p = (char *)copy.p;
    for (size_t i = 0; i < copy.n; i++)
        if ((unsigned char)p[i] < 32 || p[i] == 127)
            p[i] = ' ';
    return copy;
}

void result_rcpt(struct attempt *t, size_t i, int fate, uint32_t code, ph_str esc, ph_str text)
{
    struct outcome *o = &t->outcomes[i];
    if (o->known)
        return;
    *o = (struct outcome){.known = true,
                          .fate = (uint8_t)fate,
                          .code = code,
                          .esc = ph_arena_copy(t->arena, ph_str_sub(esc, 0, 16)),
                          .text = one_line(t->arena, text)};
}

void result_rest(struct attempt *t, int fate, uint32_t code, ph_str esc, ph_str text)
{
    for (size_t i = 0; i < t->n; i++)
        result_rcpt(t, i, fate, code, esc, text);
}

void result_event(struct attempt *t, struct ipc_event e)
{
    if (t->events.n > RELAY_EVENT_BYTES || !t->relay->p->conf->journey)
        return;
    struct ph_mark mark = ph_arena_mark(t->arena);
    e.time = ph_wall_us();
    if (!e.process.n)
        e.process = PH_STR("relay");
    e.qid = t->qid;
    e.reply = one_line(t->arena, e.reply);
    e.note = one_line(t->arena, ph_str_sub(e.note, 0, 500));
    if (!e.host.n)
        e.host = t->relay->p->conf->hostname;
    ipc_add(event, &t->events, &e);
    ph_arena_back(t->arena, mark);
}

void result_failed(struct attempt *t, uint32_t code, ph_str esc, ph_str text)
{
    t->last_code = code;
    t->last_esc = ph_arena_copy(t->arena, ph_str_sub(esc, 0, 16));
    t->last_text = one_line(t->arena, text);
}

void attempt_free(struct attempt *t)
{
    proc_wait_cancel(t->relay->waits, &t->mx);
    proc_wait_cancel(t->relay->waits, &t->a);
    proc_wait_cancel(t->relay->waits, &t->aaaa);
    relay_routing(t, false);
    t->site = site_leave(t->site);
    site_wait_no_more(t);
    t->ways = ways_drop(t->ways);
    *t->at = t->next;
    if (t->next)
        t->next->at = t->at;
    ph_buf_done(&t->events);
    ph_unmap(t->mapped);
    ph_buf_done(&t->copy);
    ph_arena_free(t->arena);
    ph_free(NULL, t, sizeof *t);
}

static void outcome_rows(struct attempt *t, struct ph_buf *rows)
{
    struct relay *r = t->relay;
    for (size_t i = 0; i < t->n; i++) {
        const struct outcome *o = &t->outcomes[i];
        struct ipc_outcome row = {.index = (uint32_t)i,
                                  .fate = o->known ? o->fate : IPC_DEFERRED,
                                  .code = o->code,
                                  .esc = o->esc,
                                  .dsn = o->dsn,
                                  .text = o->known ? o->text
                                                   : PH_STR("the attempt ended without a result")};
        r->sent += row.fate == IPC_SENT;
        r->deferred += row.fate == IPC_DEFERRED;
        r->refused += row.fate == IPC_REFUSED;
        ipc_add(outcome, rows, &row);
    }
}

void result_send(struct attempt *t)
{
    struct relay *r = t->relay;
    struct ipc_chan *queue = proc_peer(r->p, ROLE_QUEUE);
    struct ph_buf rows;
    ph_buf_init(&rows, NULL, OUTCOME_BYTES);
    if (!t->rest)
        outcome_rows(t, &rows);
    if (queue && ipc_send(queue, RELAY_TRIED, -1, .req = t->req, .outcomes = ph_buf_str(&rows),
                          .events = ph_buf_str(&t->events), .site = t->site_name,
                          .most = t->way->t.connections, .rest = t->rest) < 0)
        ipc_send(queue, RELAY_TRIED, -1, .req = t->req, .outcomes = ph_buf_str(&rows));
    ph_buf_done(&rows);
    attempt_free(t);
    relay_next_queued(r);
    if (r->p->draining && !r->tries)
        proc_done(r->p);
}
