/*
 * index.c - the search index: texts as an indexer read them, and their grams.
 *
 *   (none, indexed = -1) --first search--> indexed = 0
 *                        --texts, in the order of email ids--> indexed = N
 *
 * Every letter with emailid <= indexed has its row in `text`, every later one is unknown.
 * What is deleted stays in the index until an idle moment, which hurts nobody: ids are never used
 * again.
 */
#include "schema.sql.h"
#include "sqlite_int.h"

#include <string.h>

enum { TEXT_MAX = 4 * 1024 * 1024, CLEAN_EACH = 16, GRAMS_MAX = 16 * 1024 * 1024 };

static int out_of_memory(struct store_account *a)
{
    return sq_fail(a, PH_ENOMEM, 0, "out of memory");
}

/* The words of a text's grams, into a->s->plain's stead: a buffer of the caller. */
static int words_of(struct store_account *a, ph_str head, ph_str body, struct ph_buf *out)
{
    struct grams g = {0};
    int r = grams_add(&g, head);
    if (r == 0)
        r = grams_add(&g, body);
    grams_sort(&g);
    if (r == 0)
        grams_print(&g, " ", out);
    grams_done(&g);
    return r < 0 || ph_buf_err(out) ? out_of_memory(a) : 0;
}

/* head and body behind one another, as zstd. */
static int pack_text(struct store_account *a, const struct store_text *in, ph_str *ret)
{
    struct store *s = a->s;
    struct ph_buf all;
    ph_buf_init(&all, NULL, TEXT_MAX);
    ph_buf_add(&all, in->head);
    ph_buf_add(&all, in->body);
    size_t room = ZSTD_compressBound(all.n);
    ph_buf_clear(&s->packed);
    char *out = ph_buf_reserve(&s->packed, room);
    size_t n = 0;
    if (out) {
        ZSTD_CCtx_reset(s->zc, ZSTD_reset_session_only);
        n = ZSTD_compress2(s->zc, out, room, all.p, all.n);
    }
    int r = !out || ph_buf_err(&all) || ZSTD_isError(n) ? out_of_memory(a) : 0;
    ph_buf_done(&all);
    *ret = (ph_str){out, n};
    return r;
}

static int keep_unread(struct store_account *a, uint64_t emailid)
{
    sqlite3_stmt *st = sq_start(a, ST_TEXT_ADD, "iii", (int64_t)emailid, (int64_t)0, (int64_t)0);
    if (!st)
        return -a->err.code;
    sqlite3_bind_null(st, 5);
    return sq_step(a, st);
}

static int keep(struct store_account *a, const struct store_text *in)
{
    struct ph_buf words;
    ph_str packed;
    sqlite3_stmt *st = sq_start(a, ST_EMAIL_FORM, "i", (int64_t)in->emailid);
    int r = st ? sq_step(a, st) : -a->err.code;
    bool there = r > 0;
    sqlite3_reset(st);
    ph_buf_init(&words, NULL, GRAMS_MAX);
    a->partial = true;
    if ((int64_t)in->emailid <= a->indexed)
        there = false; /* a second answer */
    if (r >= 0 && there && in->unread)
        r = keep_unread(a, in->emailid);
    else if (r >= 0 && there) {
        r = words_of(a, in->head, in->body, &words);
        if (r >= 0)
            r = pack_text(a, in, &packed);
        if (r >= 0)
            r = sq_run(a, ST_TEXT_ADD, "iiib", (int64_t)in->emailid, (int64_t)in->head.n,
                       (int64_t)(in->head.n + in->body.n), packed);
        if (r >= 0)
            r = sq_run(a, ST_GRAM_ADD, "it", (int64_t)in->emailid, ph_buf_str(&words));
    }
    ph_buf_done(&words);
    if (r < 0)
        return r;
    if ((int64_t)in->emailid > a->indexed) {
        a->indexed = (int64_t)in->emailid;
        a->meta_dirty = true;
    }
    return 0;
}

static int begin_index(struct store_account *a)
{
    int rc = sqlite3_exec(a->db, SCHEMA_SEARCH, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return sq_error(a, rc);
    a->indexed = 0;
    a->meta_dirty = true;
    return 0;
}

static int next_letter(struct store_account *a, uint64_t after, struct store_todo *ret)
{
    sqlite3_stmt *st = sq_start(a, ST_EMAIL_NEXT, "i", (int64_t)after);
    int r = st ? sq_step(a, st) : -a->err.code;
    if (r <= 0)
        return r;
    struct store_todo t = {.emailid = (uint64_t)sqlite3_column_int64(st, 0),
                           .size = (uint64_t)sqlite3_column_int64(st, 2),
                           .fd = -1};
    enum form form = (enum form)sqlite3_column_int(st, 1);
    r = t.size > STORE_INLINE_MAX
            ? body_unpack_fd(a, form, t.emailid, sq_blob(st, 3), t.size, &t.fd)
            : body_unpack(a, form, t.emailid, sq_blob(st, 3), t.size, &t.bytes);
    sqlite3_reset(st);
    if (r == -PH_ECORRUPT) { /* a body that is lost has no text, and stops nothing */
        t.bytes = (ph_str){0};
        t.size = 0;
        r = 0;
    }
    if (r < 0)
        return r;
    *ret = t;
    return 1;
}

int sq_index(struct store_account *a, const struct store_text *in, uint64_t after,
             struct store_todo *todo, struct ph_error *reterr)
{
    bool begins = a->indexed < 0 && a->wants_index && !a->s->no_index;
    bool keeps = in && a->indexed >= 0;
    int r = sq_enter(a, begins || keeps);
    if (r >= 0 && a->indexed < 0 && begins)
        r = begin_index(a);
    if (r >= 0 && keeps && a->indexed >= 0)
        r = keep(a, in);
    if (r >= 0 && todo && a->indexed >= 0 && !a->s->no_index)
        r = next_letter(a, after > (uint64_t)a->indexed ? after : (uint64_t)a->indexed, todo);
    return sq_leave(a, r, reterr);
}

int index_text(struct store_account *a, uint64_t emailid, ph_str *ret_head, ph_str *ret_body)
{
    sqlite3_stmt *st = sq_start(a, ST_TEXT_GET, "i", (int64_t)emailid);
    int r = st ? sq_step(a, st) : -a->err.code;
    if (r <= 0)
        return r;
    size_t head = (size_t)sqlite3_column_int64(st, 0), size = (size_t)sqlite3_column_int64(st, 1);
    ph_str data = sq_blob(st, 2);
    bool unread = sqlite3_column_type(st, 2) == SQLITE_NULL;
    char *out = NULL;
    if (!unread && size <= TEXT_MAX && head <= size) {
        ph_buf_clear(&a->s->plain);
        out = ph_buf_reserve(&a->s->plain, size ? size : 1);
    }
    if (out) {
        size_t n = ZSTD_decompressDCtx(a->s->zd, out, size, data.p, data.n);
        r = n == size ? 1
                      : sq_fail(a, PH_ECORRUPT, 0, "%s/mail.sqlite: text %llu is damaged", a->dir,
                                (unsigned long long)emailid);
        *ret_head = (ph_str){out, head};
        *ret_body = (ph_str){out + head, size - head};
    } else {
        r = unread ? 0 : out_of_memory(a);
    }
    sqlite3_reset(st);
    return r;
}

int index_dropped(struct store_account *a, uint64_t emailid)
{
    return (int64_t)emailid > a->indexed ? 0 : sq_run(a, ST_DROPPED_ADD, "i", (int64_t)emailid);
}

static int clean_one(struct store_account *a, uint64_t emailid)
{
    ph_str head, body;
    struct ph_buf words;
    ph_buf_init(&words, NULL, GRAMS_MAX);
    int r = index_text(a, emailid, &head, &body);
    if (r > 0) {
        r = words_of(a, head, body, &words);
        if (r >= 0)
            r = sq_run(a, ST_GRAM_DEL, "it", (int64_t)emailid, ph_buf_str(&words));
    }
    if (r >= 0)
        r = sq_run(a, ST_TEXT_DEL, "i", (int64_t)emailid);
    if (r >= 0)
        r = sq_run(a, ST_DROPPED_DEL, "i", (int64_t)emailid);
    ph_buf_done(&words);
    return r;
}

static int first_dropped(struct store_account *a, uint64_t *ret)
{
    sqlite3_stmt *st = sq_start(a, ST_DROPPED_GET, "");
    int r = st ? sq_step(a, st) : -a->err.code;
    if (r > 0) {
        *ret = (uint64_t)sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
    }
    return r;
}

int index_clean(struct store_account *a)
{
    uint64_t id;
    if (a->indexed < 0 || a->in_sql || sq_enter(a, false) < 0)
        return 0;
    int r = a->indexed < 0 ? 0 : first_dropped(a, &id);
    sq_leave(a, r < 0 ? r : 0, NULL);
    if (r <= 0 || sq_enter(a, true) < 0)
        return 0;
    for (int i = 0; r > 0 && i < CLEAN_EACH; i++) {
        r = first_dropped(a, &id);
        if (r > 0 && (r = clean_one(a, id)) >= 0)
            r = 1;
    }
    int more = r;
    return sq_leave(a, r < 0 ? r : 0, NULL) < 0 ? 0 : more;
}

int index_forget(struct store_account *a)
{
    static const enum statement of_index[] = {
        ST_TEXT_ADD,    ST_TEXT_GET,    ST_TEXT_DEL, ST_TEXT_UNREAD, ST_TEXT_ALL, ST_DROPPED_ADD,
        ST_DROPPED_GET, ST_DROPPED_DEL, ST_GRAM_ADD, ST_GRAM_DEL,    ST_GRAM_FIND};
    for (size_t i = 0; i < sizeof of_index / sizeof *of_index; i++) {
        sqlite3_finalize(a->st[of_index[i]]);
        a->st[of_index[i]] = NULL;
    }
    int rc = sqlite3_exec(a->db, "DROP TABLE gram; DROP TABLE text; DROP TABLE dropped", NULL, NULL,
                          NULL);
    if (rc != SQLITE_OK)
        return sq_error(a, rc);
    a->wants_index = true;
    return begin_index(a);
}
