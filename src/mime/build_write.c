/*
 * Writing a message: a walk through the tree, one step at a time, so that the bytes can be pulled.
 *
 *            +---- enclosed message, first part (behind its boundary line) ----+
 *            v                                                                 |
 *        --> HEAD --leaf--> BODY --its end--> LEAVE --last in its multipart--> closing boundary,
 *            ^  composite                       |                             LEAVE the parent
 *            +---- next part (behind its boundary line) --+-- the root --> DONE
 */
#include <string.h>

#include "build_int.h"
#include "codec.h"
#include "utf8.h"

enum state { HEAD, BODY, LEAVE, DONE };

struct ph_stream {
    struct ph_email *root, *at;
    enum state state;
    unsigned flags;
    int err;
    struct ph_buf *out; /* `own`, or that of the caller */
    struct ph_buf own;
    ph_str rest;              /* of it, for ph_stream_read */
    struct ph__reader reader; /* of the leaf under way */
    struct ph_b64_encoder b64;
    struct ph_qp_encoder qp;
    bool after_cr, ends_line;
    struct ph_buf lines;  /* text on its way to base64: lines end with CRLF there too */
    char room[PH__PIECE]; /* for what is not in memory */
};

/* ---- headers ---- */

static struct ph__fold folding(struct ph_stream *s)
{
    return (struct ph__fold){.out = s->out, .utf8 = s->flags & PH_EMAIL_UTF8};
}

static void put(struct ph_stream *s, ph_str bytes)
{
    ph_buf_add(s->out, bytes);
}

static void put_fields(struct ph_stream *s, const struct ph_email *e)
{
    struct ph__fold f = folding(s);
    for (const struct ph__field *h = e->fields; h; h = h->next)
        if (!(h->is & PH__IS_HIDDEN) || (s->flags & PH_EMAIL_BCC))
            ph__fold_field(&f, h);
}

static void put_defaults(struct ph_stream *s, struct ph_email *e)
{
    if (!ph__email_find(e, PH_STR("Date"))) {
        struct ph_date now = {.time = e->time, .zone = e->zone};
        put(s, PH_STR("Date: "));
        ph_date_write(s->out, &now);
        put(s, PH_STR("\r\n"));
    }
    if (!ph__email_find(e, PH_STR("Message-ID"))) {
        struct ph__fold f = folding(s);
        ph__fold_begin(&f, PH_STR("Message-ID"));
        ph__fold_piece(&f, ph_email_message_id(e));
        ph__fold_end(&f);
    }
}

static void put_pairs(struct ph__fold *f, const struct ph__pair *list)
{
    for (const struct ph__pair *p = list; p; p = p->next)
        if (!ph_str_ieq(p->name, PH_STR("boundary")))
            ph__fold_param(f, p->name, p->value);
}

static bool is_global(const struct ph_email *e)
{
    return ph__email_is_message(e) && e->child->has_wide_header &&
           ph_str_eq(e->type, PH_STR("message/rfc822"));
}

static void put_type(struct ph_stream *s, const struct ph_email *e)
{
    struct ph__fold f = folding(s);
    ph__fold_begin(&f, PH_STR("Content-Type"));
    ph__fold_piece(&f, is_global(e) ? PH_STR("message/global") : ph_email_get_content_type(e));
    if (e->is_text && ph_str_has_prefix(e->type, PH_STR("text/")))
        ph__fold_param(&f, PH_STR("charset"),
                       e->encoding == PH_ENC_7BIT ? PH_STR("us-ascii") : PH_STR("utf-8"));
    put_pairs(&f, e->params);
    if (ph_email_is_multipart(e)) {
        if (ph_str_eq(e->type, PH_STR("multipart/related")) && e->child &&
            !ph__pair_get(e->params, PH_STR("type")).p) /* RFC 2387 3.1 */
            ph__fold_param(&f, PH_STR("type"), ph_email_get_content_type(e->child));
        ph__fold_quoted(&f, PH_STR("boundary"), e->boundary);
    }
    ph__fold_end(&f);
}

static ph_str encoding_name(enum ph_encoding e)
{
    return e == PH_ENC_QP       ? PH_STR("quoted-printable")
           : e == PH_ENC_BASE64 ? PH_STR("base64")
           : e == PH_ENC_8BIT   ? PH_STR("8bit")
                                : PH_STR("7bit");
}

static void put_content_fields(struct ph_stream *s, const struct ph_email *e)
{
    struct ph__fold f = folding(s);
    bool composite = e->child || ph_email_is_multipart(e);
    put_type(s, e);
    if (!composite || e->encoding != PH_ENC_7BIT) {
        put(s, PH_STR("Content-Transfer-Encoding: "));
        put(s, encoding_name(e->encoding));
        put(s, PH_STR("\r\n"));
    }
    if (e->disposition.n) {
        ph__fold_begin(&f, PH_STR("Content-Disposition"));
        ph__fold_piece(&f, e->disposition);
        put_pairs(&f, e->disposition_params);
        ph__fold_end(&f);
    }
    if (e->cid.n) {
        put(s, PH_STR("Content-ID: <"));
        put(s, e->cid);
        put(s, PH_STR(">\r\n"));
    }
}

/* A message as opposed to a part of one. */
static bool is_message(const struct ph_stream *s, const struct ph_email *e)
{
    return (e == s->root && !e->parent) || (e->parent && ph__email_is_message(e->parent));
}

static void put_header(struct ph_stream *s, struct ph_email *e)
{
    put_fields(s, e);
    if (e == s->root && !e->parent)
        put_defaults(s, e);
    if (is_message(s, e))
        put(s, PH_STR("MIME-Version: 1.0\r\n"));
    put_content_fields(s, e);
    put(s, PH_STR("\r\n"));
}

/* ---- contents ---- */

static size_t count_lf(ph_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        uint8_t block = 0;
        for (size_t end = s.n - i < 240 ? s.n : i + 240; i < end; i++)
            block = (uint8_t)(block + (s.p[i] == '\n'));
        n += block;
    }
    return n;
}

/* Lines as they are, with CRLF; a CR at the end of a piece waits for the next in *cr. */
static void put_lines(struct ph_buf *out, ph_str s, bool *cr)
{
    if (*cr && (s.n == 0 || s.p[0] != '\n'))
        ph_buf_addc(out, '\r');
    *cr = s.n && s.p[s.n - 1] == '\r';
    s.n -= *cr;
    if (!s.n)
        return;
    char *start = ph_buf_reserve(out, s.n + count_lf(s)), *to = start;
    if (!start)
        return;
    for (const char *nl; s.n && (nl = memchr(s.p, '\n', s.n));) {
        size_t line = (size_t)(nl - s.p), text = line - (line && nl[-1] == '\r');
        memcpy(to, s.p, text);
        to += text;
        *to++ = '\r';
        *to++ = '\n';
        s = (ph_str){nl + 1, s.n - line - 1};
    }
    if (s.n)
        memcpy(to, s.p, s.n);
    ph_buf_commit(out, (size_t)(to - start) + s.n);
}

static void put_piece(struct ph_stream *s, ph_str piece)
{
    const struct ph_email *e = s->at;
    if (e->encoding == PH_ENC_QP) {
        ph_qp_encoder_feed(&s->qp, piece, s->out);
    } else if (e->encoding != PH_ENC_BASE64) {
        put_lines(s->out, piece, &s->after_cr);
    } else if (!e->is_text) {
        ph_b64_encoder_feed(&s->b64, piece, s->out);
    } else {
        ph_buf_clear(&s->lines);
        put_lines(&s->lines, piece, &s->after_cr);
        ph_b64_encoder_feed(&s->b64, ph_buf_str(&s->lines), s->out);
        if (ph_buf_err(&s->lines))
            s->err = ph_buf_err(&s->lines);
    }
}

static void begin_content(struct ph_stream *s, struct ph_error *reterr)
{
    s->b64 = (struct ph_b64_encoder){0};
    s->qp = (struct ph_qp_encoder){0};
    s->after_cr = false;
    s->ends_line = true;
    ph__reader_open(&s->reader, s->at, reterr);
    s->err = s->reader.err;
}

static void end_content(struct ph_stream *s)
{
    if (s->at->is_text && !s->ends_line)
        put_piece(s, PH_STR("\r\n"));
    put_piece(s, PH_STR(""));
    if (s->at->encoding == PH_ENC_BASE64)
        ph_b64_encoder_end(&s->b64, s->out);
    else if (s->at->encoding == PH_ENC_QP)
        ph_qp_encoder_end(&s->qp, s->out);
    ph__reader_close(&s->reader);
}

/* ---- steps ---- */

static void put_boundary(struct ph_stream *s, const struct ph_email *multipart, const char *before,
                         const char *after)
{
    put(s, ph_str_c(before));
    put(s, multipart->boundary);
    put(s, ph_str_c(after));
}

static void step_head(struct ph_stream *s, struct ph_error *reterr)
{
    struct ph_email *e = s->at;
    put_header(s, e);
    if (ph_email_is_multipart(e)) {
        put_boundary(s, e, "--", "\r\n");
        if (!e->child)
            put(s, PH_STR("\r\n")); /* no part at all is not allowed: an empty one */
    }
    s->state = e->child ? HEAD : ph_email_is_multipart(e) ? LEAVE : BODY;
    if (e->child)
        s->at = e->child;
    else if (ph_email_is_multipart(e))
        put_boundary(s, e, "\r\n--", "--\r\n");
    else
        begin_content(s, reterr);
}

static void step_body(struct ph_stream *s, struct ph_error *reterr)
{
    ph_str piece = ph__reader_next(&s->reader, s->room, reterr);
    if (s->reader.err) {
        s->err = s->reader.err;
    } else if (piece.n) {
        put_piece(s, piece);
        s->ends_line = piece.p[piece.n - 1] == '\n';
    } else {
        end_content(s);
        s->state = LEAVE;
    }
}

static void step_leave(struct ph_stream *s)
{
    struct ph_email *e = s->at;
    if (e == s->root) {
        s->state = DONE;
    } else if (e->next) {
        put_boundary(s, e->parent, "\r\n--", "\r\n");
        s->at = e->next;
        s->state = HEAD;
    } else {
        s->at = e->parent;
        if (ph_email_is_multipart(s->at))
            put_boundary(s, s->at, "\r\n--", "--\r\n");
    }
}

static void step(struct ph_stream *s, struct ph_error *reterr)
{
    if (s->state == HEAD)
        step_head(s, reterr);
    else if (s->state == BODY)
        step_body(s, reterr);
    else
        step_leave(s);
    if (!s->err)
        s->err = ph_buf_err(s->out);
}

/* ---- the two ways to have the bytes ---- */

static int begin(struct ph_stream *s, struct ph_email *e, unsigned flags, struct ph_buf *out,
                 struct ph_error *reterr)
{
    s->root = s->at = e;
    s->state = HEAD;
    s->flags = flags;
    s->err = 0;
    s->out = out;
    s->reader.fd = -1;
    ph_buf_init(&s->lines, NULL, 2 * PH__PIECE + 2);
    ph__email_seed(e);
    if (!ph_email_message_id(e).p)
        return -PH_ENOMEM;
    uint64_t used = e->used;
    int rc = ph__email_plan(e, flags, s->room, reterr);
    e->used = used; /* the same boundaries again the next time */
    return rc;
}

static void end(struct ph_stream *s)
{
    ph__reader_close(&s->reader);
    ph_buf_done(&s->lines);
}

/* A little more than most messages need. */
static size_t guess(struct ph_email *root)
{
    size_t n = 1024;
    for (struct ph_email *e = root; e; e = ph_email_walk(root, e))
        n += 512 + e->bytes.n + (e->is_text ? e->bytes.n / 16 : e->bytes.n / 57 * 21);
    return n;
}

int ph_email_as_bytes(struct ph_email *e, unsigned flags, struct ph_buf *out,
                      struct ph_error *reterr)
{
    struct ph_stream s;
    size_t start = out->n, wanted = guess(e);
    int rc = begin(&s, e, flags, out, reterr);
    if (rc == 0 && wanted < out->max - out->n)
        ph_buf_reserve(out, wanted);
    while (rc == 0 && s.state != DONE) {
        step(&s, reterr);
        rc = s.err;
    }
    end(&s);
    if (rc && !ph_buf_err(out))
        out->n = start;
    return rc;
}

int ph_email_stream(struct ph_email *e, unsigned flags, struct ph_stream **ret_stream,
                    struct ph_error *reterr)
{
    struct ph_stream *s = ph_new0(NULL, sizeof *s);
    if (!s)
        return -PH_ENOMEM;
    ph_buf_init(&s->own, NULL, 4 * PH_EMAIL_CHUNK + 16 * (size_t)PH_EMAIL_VALUE);
    int rc = begin(s, e, flags, &s->own, reterr);
    if (rc)
        ph_stream_free(s);
    else
        *ret_stream = s;
    return rc;
}

int ph_stream_next(struct ph_stream *s, ph_str *ret_bytes, struct ph_error *reterr)
{
    ph_buf_clear(&s->own);
    while (!s->err && s->state != DONE && s->own.n < PH_EMAIL_CHUNK)
        step(s, reterr);
    if (s->err)
        return s->err;
    *ret_bytes = ph_buf_str(&s->own);
    return s->own.n > 0;
}

int64_t ph_stream_read(struct ph_stream *s, char *to, size_t max, struct ph_error *reterr)
{
    if (s->rest.n == 0) {
        int rc = ph_stream_next(s, &s->rest, reterr);
        if (rc <= 0)
            return rc;
    }
    size_t n = s->rest.n < max ? s->rest.n : max;
    memcpy(to, s->rest.p, n);
    s->rest = ph_str_skip(s->rest, n);
    return (int64_t)n;
}

struct ph_stream *ph_stream_free(struct ph_stream *s)
{
    if (s) {
        end(s);
        ph_buf_done(&s->own);
        ph_free(NULL, s, sizeof *s);
    }
    return NULL;
}
