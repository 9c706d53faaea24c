/* What SEARCH, SORT and THREAD answer: the messages found, kept, ordered, and told as numbers, as
 * sets, or as a part of them. */
#include "grow.h"
#include "imap_search.h"
#include <stdlib.h>
#include <string.h>

int imap_results_add(struct imap *im, struct imap_results *r, uint32_t place,
                     const struct ipc_message *row, const struct ph_summary *sum)
{
    struct imap_found *v = ph_grow(r->v, r->n, &r->cap, sizeof *v);
    if (!v)
        return -PH_ENOMEM;
    r->v = v;
    struct imap_found *f = &r->v[r->n++];
    *f = (struct imap_found){.place = place,
                             .modseq = row->modseq,
                             .size = row->size,
                             .arrival = row->date,
                             .sent = sum && sum->has_date ? sum->date.time : row->date / 1000000};
    bool ordered = im->cmd->verb != PH_IMAP_SEARCH;
    return ordered ? imap_sort_keys(r->arena, im->cmd, sum, f) : 0;
}

static uint32_t number_of(const struct imap *im, const struct imap_found *f)
{
    return im->cmd->uid ? imap_view_uid(&im->view, f->place) : f->place + 1;
}

static int by_place(const void *a, const void *b)
{
    const struct imap_found *x = a, *y = b;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* A set as text, from..to (exclusive) in the order they have: of a SORT it is that order (RFC 5267
 * 3). */
static void put_set(const struct imap *im, const struct imap_results *r, size_t from, size_t to,
                    struct ph_buf *out)
{
    for (size_t i = from; i < to;) {
        uint32_t lo = number_of(im, &r->v[i]), hi = lo;
        while (++i < to && number_of(im, &r->v[i]) == hi + 1)
            hi++;
        imap_put_range(out, lo, hi);
    }
}

/* Which of the results PARTIAL names: from..to (exclusive). */
static void partial_bounds(const struct imap_results *r, const struct ph_imap_partial *p,
                           size_t *from, size_t *to)
{
    *from = p->lo - 1;
    *to = p->hi < r->n ? p->hi : r->n;
    if (p->from_end) {
        *from = p->hi < r->n ? r->n - p->hi : 0;
        *to = p->lo <= r->n ? r->n - p->lo + 1 : 0;
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* "$": all that was found; of MIN, MAX and PARTIAL without ALL and COUNT, only what they name (RFC
 * 5182 2.1, RFC 9394 3.2). */
static int save(struct imap *im, const struct imap_results *r, unsigned ret)
{
    bool some = ret & (PH_IMAP_RETURN_MIN | PH_IMAP_RETURN_MAX | PH_IMAP_RETURN_PARTIAL) &&
                !(ret & (PH_IMAP_RETURN_ALL | PH_IMAP_RETURN_COUNT));
    uint32_t *uids = calloc(r->n ? r->n : 1, sizeof *uids), n = 0;
    size_t from = 0, to = 0;
    if (!uids)
        return -PH_ENOMEM;
    if (ret & PH_IMAP_RETURN_PARTIAL)
        partial_bounds(r, &im->cmd->search.partial, &from, &to);
    for (size_t i = 0; i < r->n; i++) {
        bool min = i == 0 && ret & PH_IMAP_RETURN_MIN,
             max = i + 1 == r->n && ret & PH_IMAP_RETURN_MAX, part = i >= from && i < to;
        if (!some || min || max || part)
            uids[n++] = imap_view_uid(&im->view, r->v[i].place);
    }
    qsort(uids, n, sizeof *uids, by_value); /* of a SORT they are in its order */
    imap_forget_saved(im);
    im->saved = uids;
    im->saved_n = n;
    return 0;
}

/* Of all that is told, the highest (RFC 4731 3.2): of MIN and MAX alone, theirs. */
static uint64_t modseq_of(const struct imap_results *r, unsigned ret)
{
    bool ends = ret & (PH_IMAP_RETURN_MIN | PH_IMAP_RETURN_MAX) &&
                !(ret & (PH_IMAP_RETURN_ALL | PH_IMAP_RETURN_COUNT));
    uint64_t most = 0;
    for (size_t i = 0; i < r->n; i++) {
        bool told = !ends || (i == 0 && ret & PH_IMAP_RETURN_MIN) ||
                    (i + 1 == r->n && ret & PH_IMAP_RETURN_MAX);
        if (told && r->v[i].modseq > most)
            most = r->v[i].modseq;
    }
    return most;
}

static void tell_esearch(struct imap *im, const struct imap_results *r, uint64_t modseq)
{
    const struct ph_imap_command *c = im->cmd;
    struct ph_imap_esearch e = {.has = c->search.ret,
                                .uid = c->uid,
                                .count = r->n,
                                .modseq = modseq,
                                .range = c->search.partial};
    struct ph_buf all, part;
    ph_buf_init(&all, NULL, 64 * 1024 * 1024);
    ph_buf_init(&part, NULL, 64 * 1024 * 1024);
    if (r->n) {
        e.min = number_of(im, &r->v[0]);
        e.max = number_of(im, &r->v[r->n - 1]);
    } else {
        e.has &= ~(unsigned)(PH_IMAP_RETURN_MIN | PH_IMAP_RETURN_MAX | PH_IMAP_RETURN_ALL);
    }
    if (e.has & PH_IMAP_RETURN_ALL)
        put_set(im, r, 0, r->n, &all);
    if (e.has & PH_IMAP_RETURN_PARTIAL) {
        size_t lo, hi;
        partial_bounds(r, &e.range, &lo, &hi);
        put_set(im, r, lo, hi, &part);
    }
    e.all = ph_buf_str(&all);
    e.partial = ph_buf_str(&part);
    ph_imap_server_esearch(im->e, &e);
    ph_buf_done(&all);
    ph_buf_done(&part);
}

static void tell_numbers(struct imap *im, const struct imap_results *r, uint64_t modseq)
{
    ph_imap_server_search_begin(im->e);
    for (size_t i = 0; i < r->n; i++)
        ph_imap_server_found(im->e, number_of(im, &r->v[i]));
    ph_imap_server_search_end(im->e, modseq);
}

void imap_results_tell(struct imap *im, struct imap_results *r)
{
    const struct ph_imap_command *c = im->cmd;
    unsigned ret = c->search.ret;
    if (r->n)
        qsort(r->v, r->n, sizeof *r->v, by_place);
    uint64_t modseq = r->n && c->needs & PH_IMAP_CAP(CONDSTORE) ? modseq_of(r, ret) : 0;
    if (c->verb == PH_IMAP_SORT)
        imap_sort(c, r);
    if (c->verb == PH_IMAP_THREAD && imap_thread(im, r) < 0) {
        imap_no_memory(im);
        return;
    }
    if (ret & PH_IMAP_RETURN_SAVE && save(im, r, ret) < 0) {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_NOTSAVED, "Out of memory; try again.");
        return;
    }
    bool only_save = ret == (PH_IMAP_RETURN_ESEARCH | PH_IMAP_RETURN_SAVE);
    if (ret & PH_IMAP_RETURN_ESEARCH && !only_save)
        tell_esearch(im, r, modseq);
    else if (c->verb != PH_IMAP_THREAD && !only_save)
        tell_numbers(im, r, modseq);
    imap_finish(im, PH_IMAP_OK, NULL, "Searched.");
}
