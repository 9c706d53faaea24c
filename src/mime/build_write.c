/*
 * Writing the letter. First the tree is made:
 *
 *   mixed( related( alternative(plain, html), pictures ), files )
 *
 * with every level left out that has one member; then it is written through a buffer of
 * PH_BUILD_CHUNK to the sink.
 */
#include <string.h>

#include "build_int.h"
#include "codec.h"
#include "utf8.h"

enum { PIECE = 57 * 512, LINE_MOST = 998 };

struct node {
    struct node *next, *child, **last;
    const char *subtype; /* of a multipart; NULL: a leaf */
    const struct ph__leaf *leaf;
};

struct writer {
    struct ph_build *b;
    struct ph_buf buf;
    ph_build_sink *sink;
    void *ctx;
    int err;           /* of sink, source or memory; the first one */
    char boundary[32]; /* what all boundaries of the letter begin with */
    unsigned levels;
    struct ph_buf made; /* the plain text made from the HTML */
};

/* ---- output ---- */

static void flush(struct writer *w)
{
    if (!w->err)
        w->err = ph_buf_err(&w->buf);
    if (!w->err && w->buf.n) {
        int rc = w->sink(w->ctx, ph_buf_str(&w->buf));
        w->err = rc < 0 ? rc : 0;
    }
    ph_buf_clear(&w->buf);
}

static void spill(struct writer *w)
{
    if (w->buf.n >= PH_BUILD_CHUNK / 4 || ph_buf_err(&w->buf))
        flush(w);
}

static void put(struct writer *w, ph_str s)
{
    ph_buf_add(&w->buf, s);
}

/* The next piece of a leaf's content from offset `at`; empty at the end or after a failure. */
static ph_str piece(struct writer *w, const struct ph__leaf *l, uint64_t at, char *room)
{
    if (w->err)
        return (ph_str){0};
    if (!l->source)
        return at < l->bytes.n ? ph_str_sub(l->bytes, (size_t)at, PIECE) : (ph_str){0};
    size_t have = 0;
    while (have < PIECE) {
        int64_t n = l->source->read(l->source->ctx, at + have, room + have, PIECE - have);
        if (n < 0)
            w->err = (int)n;
        if (n <= 0 || (uint64_t)n > PIECE - have)
            break;
        have += (size_t)n;
    }
    return w->err ? (ph_str){0} : (ph_str){room, have};
}

/* ---- how a content is written ---- */

struct look {
    size_t high, other, longest, total; /* `other`: NUL and bare CR, which no text may hold */
    size_t line;
    bool after_cr;
};

static void look_at(struct look *k, ph_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        k->high += c >= 0x80;
        k->other += c == 0 || (k->after_cr && c != '\n');
        k->after_cr = c == '\r';
        k->line = c == '\n' ? 0 : k->line + 1;
        if (k->line > k->longest)
            k->longest = k->line;
    }
    k->total += s.n;
}

static enum ph_encoding encoding_of(struct writer *w, const struct ph__leaf *l, char *room)
{
    struct look k = {0};
    bool is_message = ph_str_has_iprefix(l->type, PH_STR("message/rfc822")) ||
                      ph_str_has_iprefix(l->type, PH_STR("message/global"));
    if (!l->is_text && !is_message)
        return PH_ENC_BASE64;
    uint64_t at = 0;
    for (ph_str s; (s = piece(w, l, at, room)).n; at += s.n)
        look_at(&k, s);
    if (is_message) /* must not be encoded (RFC 2046 5.2.1) */
        return k.high ? PH_ENC_8BIT : PH_ENC_7BIT;
    bool fits = k.longest <= LINE_MOST && !k.other && !k.after_cr;
    if (fits && !k.high)
        return PH_ENC_7BIT;
    if (fits && (w->b->flags & PH_BUILD_8BIT))
        return PH_ENC_8BIT;
    /* quoted-printable needs two bytes more for each such byte, base64 a third of all */
    return (k.high + k.other) * 6 > k.total && k.total > 60 ? PH_ENC_BASE64 : PH_ENC_QP;
}

static ph_str encoding_name(enum ph_encoding e)
{
    return e == PH_ENC_QP       ? PH_STR("quoted-printable")
           : e == PH_ENC_BASE64 ? PH_STR("base64")
           : e == PH_ENC_8BIT   ? PH_STR("8bit")
                                : PH_STR("7bit");
}

/* Lines as they are, with CRLF; a CR at the end of a piece waits for the next in *cr. */
static void put_lines(struct ph_buf *out, ph_str s, bool *cr)
{
    if (*cr && (s.n == 0 || s.p[0] != '\n'))
        ph_buf_addc(out, '\r');
    *cr = s.n && s.p[s.n - 1] == '\r';
    s.n -= *cr;
    for (size_t nl; (nl = ph_str_chr(s, '\n')) != PH_NPOS; s = ph_str_skip(s, nl + 1)) {
        ph_buf_add(out, (ph_str){s.p, nl && s.p[nl - 1] == '\r' ? nl - 1 : nl});
        ph_buf_add(out, PH_STR("\r\n"));
    }
    ph_buf_add(out, s);
}

struct content {
    enum ph_encoding encoding;
    struct ph_b64_encoder b64;
    struct ph_qp_encoder qp;
    bool cr;
    struct ph_buf lines; /* text on its way to base64: lines end with CRLF there too */
};

static void put_piece(struct writer *w, struct content *c, bool is_text, ph_str s)
{
    if (c->encoding == PH_ENC_QP) {
        ph_qp_encoder_feed(&c->qp, s, &w->buf);
    } else if (c->encoding != PH_ENC_BASE64) {
        put_lines(&w->buf, s, &c->cr);
    } else if (!is_text) {
        ph_b64_encoder_feed(&c->b64, s, &w->buf);
    } else {
        ph_buf_clear(&c->lines);
        put_lines(&c->lines, s, &c->cr);
        ph_b64_encoder_feed(&c->b64, ph_buf_str(&c->lines), &w->buf);
    }
}

static void put_content(struct writer *w, const struct ph__leaf *l, enum ph_encoding e, char *room)
{
    struct content c = {.encoding = e};
    char last = '\n';
    uint64_t at = 0;
    ph_buf_init(&c.lines, NULL, 2 * PIECE + 2);
    for (ph_str s; (s = piece(w, l, at, room)).n; at += s.n) {
        put_piece(w, &c, l->is_text, s);
        last = s.p[s.n - 1];
        spill(w);
    }
    if (l->is_text && last != '\n')
        put_piece(w, &c, true, PH_STR("\r\n"));
    put_piece(w, &c, l->is_text, PH_STR(""));
    if (e == PH_ENC_BASE64)
        ph_b64_encoder_end(&c.b64, &w->buf);
    else if (e == PH_ENC_QP)
        ph_qp_encoder_end(&c.qp, &w->buf);
    if (!w->err)
        w->err = ph_buf_err(&c.lines);
    ph_buf_done(&c.lines);
}

/* ---- parts ---- */

static struct ph__fold folding(struct writer *w)
{
    return (struct ph__fold){.out = &w->buf, .utf8 = w->b->flags & PH_BUILD_UTF8};
}

static void put_line(struct writer *w, const char *name, ph_str value)
{
    struct ph__fold f = folding(w);
    ph__fold_begin(&f, ph_str_c(name));
    ph__fold_piece(&f, value);
    ph__fold_end(&f);
}

static void put_leaf(struct writer *w, const struct ph__leaf *l)
{
    char room[PIECE];
    enum ph_encoding e = encoding_of(w, l, room);
    struct ph__fold f = folding(w);
    ph__fold_begin(&f, PH_STR("Content-Type"));
    ph__fold_piece(&f, l->type);
    if (l->is_text)
        ph__fold_param(&f, "charset", e == PH_ENC_7BIT ? PH_STR("us-ascii") : PH_STR("utf-8"));
    ph__fold_end(&f);
    put_line(w, "Content-Transfer-Encoding", encoding_name(e));
    if (l->disposition) {
        ph__fold_begin(&f, PH_STR("Content-Disposition"));
        ph__fold_piece(&f, ph_str_c(l->disposition));
        if (l->name.n)
            ph__fold_param(&f, "filename", l->name);
        ph__fold_end(&f);
    }
    if (l->cid.n) {
        ph_buf_add(&w->buf, PH_STR("Content-ID: <"));
        put(w, l->cid);
        put(w, PH_STR(">\r\n"));
    }
    put(w, PH_STR("\r\n"));
    put_content(w, l, e, room);
    spill(w);
}

static void put_node(struct writer *w, const struct node *n);

static void put_multipart(struct writer *w, const struct node *n)
{
    char boundary[48];
    struct ph__fold f = folding(w);
    struct ph_buf type;
    ph_buf_init(&type, NULL, 64);
    ph_buf_addf(&type, "multipart/%s", n->subtype);
    int len = 0;
    for (const char *p = w->boundary; *p; p++)
        boundary[len++] = *p;
    boundary[len++] = (char)('a' + w->levels++);
    ph_str mark = {boundary, (size_t)len};
    ph__fold_begin(&f, PH_STR("Content-Type"));
    ph__fold_piece(&f, ph_buf_str(&type));
    if (strcmp(n->subtype, "related") == 0)
        ph__fold_param(&f, "type",
                       n->child->leaf ? n->child->leaf->type : PH_STR("multipart/alternative"));
    ph__fold_param(&f, "boundary", mark);
    ph__fold_end(&f);
    if (ph_buf_err(&type))
        w->err = ph_buf_err(&type);
    ph_buf_done(&type);
    for (const struct node *c = n->child; c && !w->err; c = c->next) {
        put(w, PH_STR("\r\n--"));
        put(w, mark);
        put(w, PH_STR("\r\n"));
        put_node(w, c);
    }
    put(w, PH_STR("\r\n--"));
    put(w, mark);
    put(w, PH_STR("--\r\n"));
}

/* At most four levels deep. */
static void put_node(struct writer *w, const struct node *n)
{
    if (n->subtype)
        put_multipart(w, n);
    else
        put_leaf(w, n->leaf);
}

/* ---- the tree ---- */

static struct node *new_node(struct ph_build *b, const char *subtype, const struct ph__leaf *leaf)
{
    struct node *n = PH_ARENA_NEW(b->arena, struct node);
    if (n) {
        n->subtype = subtype;
        n->leaf = leaf;
        n->last = &n->child;
    }
    return n;
}

static bool add_child(struct node *parent, struct node *child)
{
    if (!parent || !child)
        return false;
    *parent->last = child;
    parent->last = &child->next;
    return true;
}

static bool add_leaves(struct ph_build *b, struct node *parent, const struct ph__leaf *l)
{
    bool ok = true;
    for (; l && ok; l = l->next)
        ok = add_child(parent, new_node(b, NULL, l));
    return ok;
}

static struct node *unwrap(struct node *n)
{
    return n && n->subtype && n->child && !n->child->next ? n->child : n;
}

/* Each level takes what is inside it as its first member. NULL: no memory. */
static struct node *make_tree(struct ph_build *b, const struct ph__leaf *plain)
{
    struct node *body = new_node(b, "alternative", NULL);
    if (plain && !add_child(body, new_node(b, NULL, plain)))
        return NULL;
    if (b->html && !add_child(body, new_node(b, NULL, b->html)))
        return NULL;
    struct node *shown = new_node(b, b->html ? "related" : "mixed", NULL);
    struct node *all = new_node(b, "mixed", NULL);
    if (!body || !shown || !all || (body->child && !add_child(shown, unwrap(body))) ||
        !add_leaves(b, shown, b->pictures))
        return NULL;
    if (!b->html) { /* pictures that no HTML shows stand beside the files */
        if (!add_leaves(b, shown, b->files))
            return NULL;
        return unwrap(shown);
    }
    if (!add_child(all, unwrap(shown)) || !add_leaves(b, all, b->files))
        return NULL;
    return unwrap(all);
}

/* ---- boundaries ---- */

static bool occurs(struct writer *w, const struct ph__leaf *l, ph_str mark)
{
    char *room = ph_buf_reserve(&w->buf, PIECE);
    uint64_t at = 0;
    bool found = false;
    if (!room || l->source == NULL)
        return ph_str_find(l->bytes, mark) != PH_NPOS;
    for (ph_str s; !found && (s = piece(w, l, at, room)).n; at += s.n - mark.n + 1) {
        found = ph_str_find(s, mark) != PH_NPOS;
        if (s.n < PIECE)
            break;
    }
    return found;
}

/* Only what is written as it is can hold a boundary: "=_" is neither base64 nor
 * quoted-printable (RFC 2045 6.7). */
static void choose_boundary(struct writer *w, const struct ph__leaf *plain)
{
    const struct ph__leaf *lists[] = {plain, w->b->html, w->b->files, w->b->pictures};
    for (bool found = true; found && !w->err;) {
        memcpy(w->boundary, "=_", 3);
        ph__build_random(w->b, w->boundary + 2);
        w->boundary[26] = 0;
        ph_str mark = ph_str_c(w->boundary);
        found = false;
        for (size_t i = 0; i < sizeof lists / sizeof lists[0] && !found; i++)
            for (const struct ph__leaf *l = lists[i]; l && !found; l = l->next)
                if (l->is_text || ph_str_has_iprefix(l->type, PH_STR("message/")))
                    found = occurs(w, l, mark);
    }
}

/* ---- the header ---- */

static void put_fields(struct writer *w)
{
    struct ph__fold f = folding(w);
    for (const struct ph__field *h = w->b->fields; h && !w->err; h = h->next, spill(w)) {
        if (h->is_hidden)
            continue;
        ph__fold_begin(&f, h->name);
        if (h->is_address)
            ph__fold_addresses(&f, h->list);
        else if (h->is_ascii)
            for (ph_str rest = h->value, word; ph_str_token(&rest, ' ', &word);)
                word.n ? ph__fold_piece(&f, word) : (void)0;
        else
            ph__fold_text(&f, h->value);
        ph__fold_end(&f);
    }
}

static void put_defaults(struct writer *w)
{
    struct ph_build *b = w->b;
    if (!ph__build_find(b, PH_STR("Date"))) {
        struct ph_date now = {.time = b->time, .zone = b->zone};
        put(w, PH_STR("Date: "));
        ph_date_write(&w->buf, &now);
        put(w, PH_STR("\r\n"));
    }
    if (!ph__build_find(b, PH_STR("Message-ID")))
        put_line(w, "Message-ID", ph_build_message_id(b));
    put(w, PH_STR("MIME-Version: 1.0\r\n"));
}

static int write_letter(struct writer *w, struct ph_error *reterr)
{
    struct ph_build *b = w->b;
    struct ph__leaf made = {.type = PH_STR("text/plain"), .is_text = true};
    const struct ph__leaf *plain = b->text;
    if (!ph__build_find(b, PH_STR("From")))
        return ph_fail(reterr, PH_EINVAL, 0, "From is not set");
    if (ph_build_message_id(b).n == 0)
        return -PH_ENOMEM;
    if (!plain && b->html) {
        int rc = ph_html_text(b->html->bytes, &w->made);
        if (rc < 0)
            return rc;
        made.bytes = ph_buf_str(&w->made);
        plain = &made;
    }
    if (!plain && !b->files && !b->pictures)
        plain = &made;
    const struct node *tree = make_tree(b, plain);
    if (!tree)
        return -PH_ENOMEM;
    if (tree->subtype)
        choose_boundary(w, plain);
    put_fields(w);
    put_defaults(w);
    put_node(w, tree);
    flush(w);
    return w->err;
}

int ph_build_write(struct ph_build *b, ph_build_sink *sink, void *ctx, struct ph_error *reterr)
{
    struct writer w = {.b = b, .sink = sink, .ctx = ctx};
    struct ph_mark mark;
    ph_build_message_id(b); /* outlives the mark */
    mark = ph_arena_mark(b->arena);
    uint64_t used = b->used;
    ph_buf_init(&w.buf, NULL, 4 * PH_BUILD_CHUNK + PH_BUILD_VALUE * 8);
    ph_buf_init(&w.made, NULL, SIZE_MAX / 2);
    int rc = write_letter(&w, reterr);
    ph_buf_done(&w.buf);
    ph_buf_done(&w.made);
    ph_arena_back(b->arena, mark);
    b->used = used;
    return rc;
}

static int add_to_buf(void *ctx, ph_str bytes)
{
    ph_buf_add(ctx, bytes);
    return ph_buf_err(ctx);
}

int ph_build_bytes(struct ph_build *b, struct ph_buf *out, struct ph_error *reterr)
{
    return ph_build_write(b, add_to_buf, out, reterr);
}
