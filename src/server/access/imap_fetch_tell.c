/* FETCH: what is told of one message, in pieces where it is large and the client slow. */
#include "imap_fetch.h"
#include <stdio.h>

enum { PIECE = 128 * 1024, AT_ONCE = 1024 * 1024 };

/* Those of extensions that come with the row. */
static void rare_attributes(struct imap *im, unsigned mask)
{
    struct fetching *f = im->job;
    char id[24];
    if (mask & PH_IMAP_F_MODSEQ ||
        (mask & PH_IMAP_F_FLAGS && imap_enabled(im, PH_IMAP_CAP(CONDSTORE))))
        ph_imap_server_fetch_modseq(im->e, f->row.modseq);
    if (mask & PH_IMAP_F_SAVEDATE)
        ph_imap_server_fetch_savedate(im->e, f->row.saved / 1000000);
    if (mask & PH_IMAP_F_EMAILID) {
        snprintf(id, sizeof id, "M%llx", (unsigned long long)f->row.emailid);
        ph_imap_server_fetch_emailid(im->e, ph_str_c(id));
    }
    if (mask & PH_IMAP_F_THREADID) {
        snprintf(id, sizeof id, "T%llx", (unsigned long long)f->row.thread);
        ph_imap_server_fetch_threadid(im->e, ph_str_c(id));
    }
}

static void attributes(struct imap *im, const struct ph_summary *sum)
{
    struct fetching *f = im->job;
    unsigned mask = f->items->mask | (f->tells_seen ? (unsigned)PH_IMAP_F_FLAGS : 0);
    if (mask & PH_IMAP_F_UID)
        ph_imap_server_fetch_uid(im->e, f->row.uid);
    if (mask & PH_IMAP_F_FLAGS) {
        struct ph_imap_flags flags = imap_flags(im, &f->row);
        ph_imap_server_fetch_flags(im->e, &flags);
    }
    if (mask & PH_IMAP_F_INTERNALDATE)
        ph_imap_server_fetch_date(im->e, f->row.date / 1000000);
    if (mask & PH_IMAP_F_SIZE)
        ph_imap_server_fetch_size(im->e, f->row.size);
    rare_attributes(im, mask);
    if (!sum) {
        if (mask & PH_IMAP_F_PREVIEW)
            ph_imap_server_fetch_preview(im->e, (ph_str){0});
        return;
    }
    if (mask & PH_IMAP_F_PREVIEW)
        ph_imap_server_fetch_preview(im->e, sum->preview.p ? sum->preview : PH_STR(""));
    if (mask & PH_IMAP_F_ENVELOPE) {
        static const struct ph_imap_envelope none;
        const struct ph_imap_envelope *e = imap_envelope(f->arena, sum->root->envelope);
        ph_imap_server_fetch_envelope(im->e, e ? e : &none);
    }
    if (mask & (PH_IMAP_F_BODY | PH_IMAP_F_BODYSTRUCTURE)) {
        static const struct ph_imap_body none;
        const struct ph_imap_body *b = imap_structure(f->arena, sum->root);
        if (mask & PH_IMAP_F_BODY)
            ph_imap_server_fetch_body(im->e, b ? b : &none, false);
        if (mask & PH_IMAP_F_BODYSTRUCTURE)
            ph_imap_server_fetch_body(im->e, b ? b : &none, true);
    }
}

/* The bytes of a section, or {NULL, 0}. */
static ph_str section_bytes(struct fetching *f, const struct ph_imap_section *sec)
{
    bool binary = sec->as == PH_IMAP_AS_BINARY || sec->as == PH_IMAP_AS_BINARY_SIZE;
    ph_str bytes = {0};
    ph_buf_clear(&f->built);
    int r = !f->root && f->tree ? -PH_ENOENT
            : binary ? imap_section_binary(f->root, f->body.bytes, sec, &f->built, &bytes)
                     : imap_section(f->root, f->body.bytes, sec, &f->built, &bytes);
    f->unknown_cte |= r == -PH_ENOTIMPL;
    return r < 0 ? (ph_str){0} : bytes;
}

static void tell_section(struct imap *im, const struct ph_imap_section *sec)
{
    struct fetching *f = im->job;
    ph_str bytes = section_bytes(f, sec);
    if (sec->as == PH_IMAP_AS_BINARY_SIZE) {
        ph_imap_server_fetch_binary_size(im->e, sec, bytes.n);
    } else if (!bytes.p) {
        ph_imap_server_fetch_nil(im->e, sec);
    } else {
        ph_imap_server_fetch_section(im->e, sec, bytes.n);
        f->piece = bytes;
    }
}

/* Sends pieces of sections while there is room. false: wait for DRAINED. */
static bool send_sections(struct imap *im, bool at_once)
{
    struct fetching *f = im->job;
    while (f->piece.n || f->section < f->items->section_count) {
        if (!at_once && ph_imap_server_backlog(im->e) > IMAP_HIGH)
            return false;
        if (f->piece.n) {
            ph_str now = ph_str_sub(f->piece, 0, PIECE);
            ph_imap_server_section_data(im->e, now);
            f->piece = ph_str_skip(f->piece, now.n);
            continue;
        }
        const struct ph_imap_section *sec = &f->items->sections[f->section++];
        tell_section(im, sec);
    }
    return true;
}

static void message_done(struct imap *im)
{
    struct fetching *f = im->job;
    ph_imap_server_fetch_end(im->e);
    imap_body_done(&f->body);
    ph_buf_clear(&f->kept);
    ph_buf_shrink(&f->kept);
}

static void sections_on(struct imap *im)
{
    if (!send_sections(im, false)) {
        im->resume = sections_on;
        ph_imap_server_when_drained(im->e, IMAP_LOW);
        return;
    }
    message_done(im);
    fetch_rows_on(im);
}

/* The tree that sections are cut by: from the summary, or from the bytes where the summary is
 * partial or damaged. */
static bool tree_of(struct fetching *f, const struct ph_summary *sum)
{
    struct ph_message *m;
    f->root = sum && !sum->partial && sum->size == f->body.bytes.n ? sum->root : NULL;
    if (!f->root && ph_mime_parse(f->arena, f->body.bytes, NULL, &m) == 0)
        f->root = m->root;
    return f->root != NULL;
}

/* BODYSTRUCTURE of a message whose structure did not fit its summary: made anew from the bytes. */
static struct ph_summary *full_summary(struct fetching *f)
{
    struct ph_summary *sum = NULL;
    ph_buf_done(&f->kept);
    ph_buf_init(&f->kept, NULL, FETCH_ARENA);
    if (ph_summary_full(f->body.bytes, &f->kept) < 0 ||
        ph_summary_read(f->arena, ph_buf_str(&f->kept), &sum) < 0)
        return NULL;
    return sum;
}

/* An inline body of MSG_BODY is borrowed from that answer: a copy, where not all of it goes out
 * now. */
static bool keep_body(struct fetching *f)
{
    struct ph_buf copy;
    ph_buf_init(&copy, NULL, FETCH_PAGE_MAX);
    ph_buf_add(&copy, f->body.bytes);
    ph_buf_done(&f->kept);
    f->kept = copy;
    f->body.bytes = ph_buf_str(&f->kept);
    return ph_buf_err(&copy) == 0;
}

bool fetch_tell(struct imap *im)
{
    struct fetching *f = im->job;
    bool bytes = f->body.bytes.n > 0;
    f->section = 0;
    f->piece = (ph_str){0};
    f->root = NULL;
    if (f->tree && (!bytes || !tree_of(f, f->sum)))
        f->root = NULL;
    if (f->items->mask & FETCH_FROM_SUMMARY && (!f->sum || f->sum->partial) && bytes)
        f->sum = full_summary(f);
    imap_fetch_begin(im, f->place, f->row.uid);
    attributes(im, f->sum);
    if (!f->sections) {
        message_done(im);
        return true;
    }
    bool borrowed = !f->body.mapped && f->body.bytes.p != f->row.body.p;
    bool small = f->body.bytes.n * f->items->section_count <= AT_ONCE;
    if (!f->body.mapped && small) {
        send_sections(im, true);
        message_done(im);
        return true;
    }
    if (borrowed && !keep_body(f)) {
        fetch_break_off(im, true);
        return false;
    }
    sections_on(im);
    return false;
}
