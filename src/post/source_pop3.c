/* POP3 as a source: LIST and UIDL, RETR or TOP, DELE; QUIT makes deletions real (RFC 1939 6). */
#include "source.h"
#include <posthouse/fetch.h>
#include <stdlib.h>
#include <string.h>

enum { DELETIONS = 500 }; /* told in one go */

struct pop3 {
    struct ph_pop3_session *session;
    struct ph_pop3_item *picked;
    size_t at; /* in items: of the letter that comes */
    struct post_source *source;
    post_take_piece *take;
    void *take_ctx;
};

static int pop3_open(struct post_source *s, bool select)
{
    struct pop3 *m = s->state = calloc(1, sizeof *m);
    (void)select;
    if (!m)
        return ph_fail(&s->trouble.error, PH_ENOMEM, 0, "out of memory");
    m->source = s;
    return ph_pop3_open(&s->login->account, &m->session, &s->trouble);
}

static int pop3_scan(struct post_source *s, ph_str set)
{
    struct pop3 *m = s->state;
    struct ph_pop3_item *all;
    size_t n;
    (void)set;
    int rc = ph_pop3_items(m->session, &all, &n, &s->trouble);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct post_item *item = post_source_add(s);
        if (!item) {
            rc = -PH_ENOMEM;
            break;
        }
        item->number = all[i].number;
        item->size = all[i].size;
        memcpy(item->uid, all[i].uid, sizeof all[i].uid);
    }
    ph_pop3_items_free(all);
    post_source_sort(s);
    return rc;
}

static int on_begin(void *ctx, const struct ph_pop3_item *item)
{
    struct pop3 *m = ctx;
    while (m->source->items[m->at].number != item->number)
        m->at++;
    return 0;
}

static int on_piece(void *ctx, ph_str bytes)
{
    struct pop3 *m = ctx;
    return m->take(m->take_ctx, &m->source->items[m->at], bytes, false);
}

static int on_end(void *ctx)
{
    struct pop3 *m = ctx;
    return m->take(m->take_ctx, &m->source->items[m->at], (ph_str){0}, true);
}

/* The items picked, as the library knows them; free with ph_pop3_items_free's peer, free. */
static struct ph_pop3_item *picked(struct post_source *s, size_t *ret_n)
{
    struct ph_pop3_item *v = calloc(s->item_n + 1, sizeof *v);
    size_t n = 0;
    if (!v)
        ph_fail(&s->trouble.error, PH_ENOMEM, 0, "out of memory");
    for (size_t i = 0; v && i < s->item_n; i++)
        if (s->items[i].picked)
            v[n++] = (struct ph_pop3_item){.number = s->items[i].number, .size = s->items[i].size};
    *ret_n = n;
    return v;
}

static int pop3_get(struct post_source *s, bool head_only, post_take_piece *take, void *ctx)
{
    struct pop3 *m = s->state;
    const struct ph_letter_sink sink = {on_begin, on_piece, on_end, m};
    size_t n;
    struct ph_pop3_item *v = picked(s, &n);
    m->at = 0;
    m->take = take;
    m->take_ctx = ctx;
    int rc = v ? ph_pop3_retrieve(m->session, v, n, head_only ? 0 : UINT32_MAX, &sink, &s->trouble)
               : -PH_ENOMEM;
    free(v);
    return rc;
}

static int pop3_remove(struct post_source *s)
{
    struct pop3 *m = s->state;
    size_t n;
    struct ph_pop3_item *v = picked(s, &n);
    int rc = v ? 0 : -PH_ENOMEM;
    for (size_t at = 0; rc == 0 && at < n; at += DELETIONS)
        rc = ph_pop3_delete(m->session, v + at, n - at < DELETIONS ? n - at : DELETIONS,
                            &s->trouble);
    free(v);
    return rc;
}

static int pop3_close(struct post_source *s, bool commit)
{
    struct pop3 *m = s->state;
    int rc = m && m->session ? ph_pop3_close(m->session, commit, &s->trouble) : 0;
    free(m);
    return rc;
}

const struct post_source_ops post_source_pop3 = {pop3_open, pop3_scan, pop3_get, pop3_remove,
                                                 pop3_close};
