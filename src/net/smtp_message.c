/* Letters whose envelope stands in their own header (RFC 5322 3.6.2, 3.6.3, 3.6.6): as bytes, and
 * as they were built. */
#include "smtp_session.h"
#include <posthouse/mime.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_MAX = 64 * 1024 * 1024 };

struct envelope {
    struct ph_arena *arena;
    bool resent;
    ph_str sender;
    ph_str *to;
    size_t count;
    struct ph_buf message; /* without Bcc */
};

/* Addresses of a field as they go into the envelope; added to `to`, at most max in all. */
static int add(struct envelope *v, ph_str value, size_t max)
{
    struct ph_address *list = NULL;
    int n = ph_address_parse(v->arena, value, &list);
    if (n < 0)
        return n;
    ph_str *more = ph_arena_array(v->arena, v->count + (size_t)n + 1, sizeof *more);
    if (!more)
        return -PH_ENOMEM;
    for (size_t i = 0; i < v->count; i++)
        more[i] = v->to[i];
    v->to = more;
    for (; list && v->count < max; list = list->next) {
        struct ph_buf b;
        if (list->kind != PH_ADDRESS_MAILBOX || !list->host.n)
            continue;
        ph_buf_init(&b, NULL, PH_SMTP_PATH);
        ph_address_write(&b, list->local, list->host);
        ph_str copy = ph_buf_err(&b) ? (ph_str){0} : ph_arena_copy(v->arena, ph_buf_str(&b));
        ph_buf_done(&b);
        if (!copy.p)
            return -PH_ENOMEM;
        v->to[v->count++] = copy;
    }
    return 0;
}

static bool is_named(const struct ph_field *f, bool resent, const char *name)
{
    ph_str own = f->name;
    if (resent && !ph_str_has_iprefix(own, PH_STR("Resent-")))
        return false;
    return ph_str_ieq(resent ? ph_str_skip(own, 7) : own, ph_str_c(name));
}

/* Of the address fields the ones of the last resending count, which stand on top (RFC 5322
 * 3.6.6). */
static int read_fields(struct envelope *v, ph_str head, const char *const *names, size_t n,
                       size_t max)
{
    int rc = 0;
    struct ph_field f;
    while (rc == 0 && ph_field_next(&head, &f))
        for (size_t i = 0; i < n; i++)
            if (is_named(&f, v->resent, names[i]))
                rc = add(v, f.value, max);
    return rc;
}

static int read_envelope(struct envelope *v, ph_str head)
{
    static const char *const recipients[] = {"To", "Cc", "Bcc"};
    static const char *const sender[] = {"Sender"}, *const author[] = {"From"};
    struct ph_field f;
    v->resent = ph_field_find(head, PH_STR("Resent-From"), 0, &f);
    int rc = read_fields(v, head, sender, 1, 1);
    if (rc == 0 && v->count == 0)
        rc = read_fields(v, head, author, 1, 1);
    if (rc < 0)
        return rc;
    if (v->count)
        v->sender = v->to[0];
    v->count = 0;
    return read_fields(v, head, recipients, 3, SIZE_MAX);
}

static void leave_out_bcc(struct envelope *v, ph_str head, ph_str message)
{
    struct ph_field f;
    ph_str rest = head;
    const char *from = message.p;
    while (ph_field_next(&rest, &f))
        if (is_named(&f, false, "Bcc") || is_named(&f, true, "Bcc")) {
            ph_buf_add(&v->message, (ph_str){from, (size_t)(f.all.p - from)});
            from = f.all.p + f.all.n;
        }
    ph_buf_add(&v->message, (ph_str){from, (size_t)(message.p + message.n - from)});
}

static int hand_over(struct ph_smtp_session *s, struct ph_smtp_letter *l,
                     struct ph_buf *ret_refused, struct ph_trouble *rett)
{
    struct ph_smtp_outcome *each = calloc(l->count ? l->count : 1, sizeof *each);
    l->struct_size = sizeof *l;
    l->ret_each = each;
    int rc =
        each ? ph_smtp_sendmail(s, l, rett) : ph__smtp_misuse(s, -PH_ENOMEM, "the letter", rett);
    for (size_t i = 0; each && ret_refused && i < l->count; i++)
        if (each[i].code && each[i].code / 100 != 2)
            ph_buf_addf(ret_refused, "%.*s: %d %s\n", PH_FMT(l->recipients[i]), each[i].code,
                        each[i].text);
    free(each);
    return rc;
}

int ph_smtp_send_message(struct ph_smtp_session *s, ph_str message, struct ph_buf *ret_refused,
                         struct ph_trouble *rett)
{
    struct envelope v = {.arena = ph_arena_new(NULL, ARENA_MAX)};
    ph_str head = ph_message_head(message);
    s->stage = PH_STAGE_SENDER;
    ph_buf_init(&v.message, NULL, message.n + 1);
    int rc = v.arena ? read_envelope(&v, head) : -PH_ENOMEM;
    if (rc == 0) {
        leave_out_bcc(&v, head, message);
        rc = ph_buf_err(&v.message);
    }
    if (rc < 0)
        rc = ph__smtp_misuse(s, rc, "the letter", rett);
    else
        rc = hand_over(s,
                       &(struct ph_smtp_letter){.sender = v.sender,
                                                .recipients = v.to,
                                                .count = v.count,
                                                .message = ph_buf_str(&v.message)},
                       ret_refused, rett);
    ph_buf_done(&v.message);
    ph_arena_free(v.arena);
    return rc;
}

/* ---- as it was built --------------------------------------------------------------------- */

struct outgoing {
    struct ph_stream *stream;
    struct ph_error why;
};

static int64_t read_stream(void *ctx, char *to, size_t max)
{
    struct outgoing *o = ctx;
    return ph_stream_read(o->stream, to, max, &o->why);
}

/* The size is needed before the first byte goes (RFC 1870), so it is written twice, once to
 * nowhere. */
static int measure(struct ph_email *email, unsigned flags, uint64_t *ret_size,
                   struct ph_error *reterr)
{
    struct ph_stream *stream;
    ph_str piece;
    int rc = ph_email_stream(email, flags, &stream, reterr);
    if (rc)
        return rc;
    for (*ret_size = 0; (rc = ph_stream_next(stream, &piece, reterr)) > 0;)
        *ret_size += piece.n;
    ph_stream_free(stream);
    return rc;
}

static int take_recipients(struct ph_email *email, ph_str **ret_list, size_t *ret_count)
{
    size_t n = 0;
    ph_str one, *list;
    while (ph_email_recipient(email, n, &one))
        n++;
    if (!(list = calloc(n + 1, sizeof *list)))
        return -PH_ENOMEM;
    for (size_t i = 0; i < n; i++)
        (void)ph_email_recipient(email, i, &list[i]);
    *ret_list = list;
    *ret_count = n;
    return 0;
}

int ph_smtp_send_email(struct ph_smtp_session *s, struct ph_email *email,
                       struct ph_buf *ret_refused, struct ph_trouble *rett)
{
    bool utf8 = ph_email_needs_utf8(email);
    unsigned flags = utf8 ? PH_EMAIL_UTF8 : 0;
    struct outgoing out = {0};
    ph_str *to = NULL;
    struct ph_smtp_letter l = {.read = read_stream, .ctx = &out, .smtputf8 = utf8};
    int rc = take_recipients(email, &to, &l.count);
    l.recipients = to;
    s->stage = PH_STAGE_LETTER;
    if (rc == 0)
        rc = measure(email, flags, &l.size, &out.why);
    if (rc == 0)
        rc = ph_email_stream(email, flags, &out.stream, &out.why);
    if (rc < 0 && !out.why.code)
        rc = ph__smtp_misuse(s, rc, "the letter", rett);
    else if (rc == 0) {
        (void)ph_email_sender(email, &l.sender);
        rc = hand_over(s, &l, ret_refused, rett);
    }
    if (out.why.code)
        rc = ph__smtp_fail(s, rett, &out.why);
    ph_stream_free(out.stream);
    free(to);
    return rc;
}

int ph_send_email(const struct ph_account *account, struct ph_email *email, struct ph_trouble *rett)
{
    struct ph_smtp_session *s;
    int rc = ph_smtp_open(account, &s, rett);
    if (rc < 0)
        return rc;
    rc = ph_smtp_send_email(s, email, NULL, rett);
    ph_smtp_close(s);
    return rc;
}

int ph_send_message(const struct ph_account *account, ph_str message, struct ph_trouble *rett)
{
    struct ph_smtp_session *s;
    int rc = ph_smtp_open(account, &s, rett);
    if (rc < 0)
        return rc;
    rc = ph_smtp_send_message(s, message, NULL, rett);
    ph_smtp_close(s);
    return rc;
}
