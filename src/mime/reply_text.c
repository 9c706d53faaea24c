/* What an answer says, and what goes along with a letter that is passed on. */
#include "build_int.h"
#include "reply_int.h"

static const ph_str flowed = PH_STR_INIT("text/plain; format=flowed");

int ph__reply_subject(struct ph_email *to, ph_str subject, enum ph_subject kind, ph_str prefix,
                      struct ph_error *reterr)
{
    struct ph_buf text;
    ph_str plain = {0};
    ph_buf_init(&text, NULL, PH_EMAIL_VALUE / 8);
    int rc = subject.n ? ph_field_text(to->arena, subject, &plain) : 0;
    if (rc == 0)
        rc = ph_subject_write(ph_str_sub(plain, 0, PH_EMAIL_VALUE / 16), kind, prefix, &text);
    if (rc == 0)
        rc = ph_email_add_header(to, PH_STR("Subject"), ph_str_trim(ph_buf_str(&text)), reterr);
    ph_buf_done(&text);
    return rc;
}

/* The text of the original, cut at whole lines. */
static int original_text(const struct ph_message *m, struct ph_buf *out)
{
    int rc = ph_message_text(m, out);
    if (rc == -PH_ELIMIT) {
        size_t nl = ph_str_rchr(ph_buf_str(out), '\n');
        out->err = 0;
        out->n = nl == PH_NPOS ? 0 : nl + 1;
        rc = 0;
    }
    return rc < 0 ? rc : 0;
}

/* Up to the signature, without empty lines at the end. */
static ph_str without_signature(ph_str s)
{
    size_t at = ph_str_has_prefix(s, PH_STR("-- \n")) ? 0 : ph_str_find(s, PH_STR("\n-- \n"));
    s = ph_str_sub(s, 0, at);
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == ' '))
        s.n--;
    return s;
}

static void add_quoted(struct ph_buf *out, ph_str text)
{
    ph_str line;
    while (ph_str_token(&text, '\n', &line)) {
        ph_buf_addc(out, '>');
        if (line.n && line.p[0] != '>')
            ph_buf_addc(out, ' ');
        ph_buf_add(out, line);
        ph_buf_addc(out, '\n');
    }
}

static int add_attribution(struct ph_arena *arena, const struct ph_envelope *of, ph_str given,
                           struct ph_buf *out)
{
    ph_str name = {0};
    const struct ph_address *from = of->from;
    int rc = 0;
    if (given.n) {
        ph_buf_add(out, given);
        ph_buf_addc(out, '\n');
        return ph_buf_err(out);
    }
    if (of->has_sent) {
        ph_buf_add(out, PH_STR("On "));
        ph_date_write(out, &of->sent);
        ph_buf_add(out, PH_STR(", "));
    }
    if (from && from->name.n)
        rc = ph_field_text(arena, from->name, &name);
    if (rc == 0 && ph_str_trim(name).n)
        ph_buf_add(out, ph_str_trim(name));
    else if (rc == 0 && from && from->local.n)
        rc = ph_address_text(from, out);
    else
        ph_buf_add(out, PH_STR("someone"));
    ph_buf_add(out, PH_STR(" wrote:\n"));
    return rc < 0 ? rc : ph_buf_err(out);
}

/* Text with lines of any length becomes the content, flowed. */
static int set_flowed(struct ph_email *to, ph_str text, struct ph_error *reterr)
{
    struct ph_buf lines;
    ph_buf_init(&lines, NULL, SIZE_MAX / 2);
    int rc = ph_flowed_encode(text, 0, &lines);
    ph_str kept = rc ? (ph_str){0} : ph_arena_copy(to->arena, ph_buf_str(&lines));
    ph_buf_done(&lines);
    if (!kept.p)
        return rc ? rc : -PH_ENOMEM;
    return ph_email_set_content(to, PH_CONTENT(.text = kept, .type = flowed), reterr);
}

static void add_own(struct ph_buf *out, ph_str text)
{
    ph_buf_add(out, text);
    if (text.n && text.p[text.n - 1] != '\n')
        ph_buf_addc(out, '\n');
}

int ph__reply_text(struct ph_email *to, const struct ph_message *m, const struct ph_envelope *of,
                   const struct ph_reply *reply, struct ph_error *reterr)
{
    struct ph_buf text, original;
    ph_buf_init(&text, NULL, SIZE_MAX / 2);
    ph_buf_init(&original, NULL, PH_REPLY_QUOTE);
    int rc = reply->no_quote ? 0 : original_text(m, &original);
    if (!reply->text_below)
        add_own(&text, reply->text);
    if (rc == 0 && !reply->no_quote) {
        if (text.n)
            ph_buf_addc(&text, '\n');
        rc = add_attribution(to->arena, of, reply->attribution, &text);
        add_quoted(&text, without_signature(ph_buf_str(&original)));
    }
    if (reply->text_below) {
        if (text.n)
            ph_buf_addc(&text, '\n');
        add_own(&text, reply->text);
    }
    if (rc == 0)
        rc = ph_buf_err(&text);
    if (rc == 0)
        rc = set_flowed(to, ph_buf_str(&text), reterr);
    ph_buf_done(&text);
    ph_buf_done(&original);
    return rc;
}

/* ---- forwarding ---- */

static int add_line(struct ph_arena *arena, const char *name, ph_str raw, struct ph_buf *out)
{
    ph_str value;
    if (raw.n == 0)
        return 0;
    int rc = ph_field_text(arena, raw, &value);
    if (rc == 0)
        ph_buf_addf(out, "%s: ", name);
    for (size_t i = 0; i < value.n && rc == 0; i++)
        ph_buf_addc(out, (unsigned char)value.p[i] < 32 ? ' ' : value.p[i]);
    ph_buf_addc(out, '\n');
    return rc ? rc : ph_buf_err(out);
}

static int add_list(const char *name, const struct ph_address *list, struct ph_buf *out)
{
    bool first = true;
    int rc = 0;
    for (; list && rc >= 0; list = list->next) {
        if (list->kind != PH_ADDRESS_MAILBOX)
            continue;
        ph_buf_addf(out, first ? "%s: " : ", ", name);
        rc = ph_address_text(list, out);
        first = false;
    }
    if (!first)
        ph_buf_addc(out, '\n');
    return rc < 0 ? rc : ph_buf_err(out);
}

/* The original's header as a person needs it, and its text. */
static int add_original(struct ph_email *to, const struct ph_message *m,
                        const struct ph_envelope *of, struct ph_buf *out)
{
    struct ph_buf original;
    ph_buf_init(&original, NULL, SIZE_MAX / 2);
    int rc = original_text(m, &original);
    ph_buf_add(out, PH_STR("---------- Forwarded message ----------\n"));
    if (rc == 0)
        rc = add_list("From", of->from, out);
    if (rc == 0)
        rc = add_line(to->arena, "Date", of->date, out);
    if (rc == 0)
        rc = add_line(to->arena, "Subject", of->subject, out);
    if (rc == 0)
        rc = add_list("To", of->to, out);
    if (rc == 0)
        rc = add_list("Cc", of->cc, out);
    ph_buf_addc(out, '\n');
    ph_buf_add(out, ph_buf_str(&original));
    ph_buf_done(&original);
    return rc ? rc : ph_buf_err(out);
}

static ph_str type_of(struct ph_arena *arena, const struct ph_part *p)
{
    bool fine = ph__is_token(p->type) && ph__is_token(p->subtype) &&
                p->type.n + p->subtype.n < 120 && !ph_str_ieq(p->type, PH_STR("multipart"));
    return fine ? ph_arena_printf(arena, "%.*s/%.*s", PH_FMT(p->type), PH_FMT(p->subtype))
                : PH_STR("application/octet-stream");
}

static int add_file(struct ph_email *to, const struct ph_message *m, const struct ph_attachment *a,
                    struct ph_error *reterr)
{
    struct ph_content c = {.struct_size = sizeof c, .filename = a->name};
    struct ph_buf bytes;
    if (a->part->kind == PH_PART_MESSAGE) {
        c.bytes = ph_part_body(m, a->part);
        c.type = PH_STR("message/rfc822");
        return ph_email_add_attachment(to, &c, NULL, reterr);
    }
    ph_buf_init(&bytes, NULL, SIZE_MAX / 2);
    int rc = ph_part_decode(m, a->part, &bytes);
    c.bytes = rc ? (ph_str){0} : ph_arena_copy(to->arena, ph_buf_str(&bytes));
    c.type = type_of(to->arena, a->part);
    if (rc == 0 && (!c.bytes.p || !c.type.p))
        rc = -PH_ENOMEM;
    if (rc == 0)
        rc = ph_email_add_attachment(to, &c, NULL, reterr);
    ph_buf_done(&bytes);
    return rc;
}

static int add_inline(struct ph_email *to, struct ph_message *m, const struct ph_forward *f,
                      const struct ph_envelope *of, struct ph_error *reterr)
{
    struct ph_attachment *files;
    struct ph_buf text;
    ph_buf_init(&text, NULL, SIZE_MAX / 2);
    add_own(&text, f->text);
    if (text.n)
        ph_buf_addc(&text, '\n');
    int rc = add_original(to, m, of, &text);
    if (rc == 0)
        rc = set_flowed(to, ph_buf_str(&text), reterr);
    ph_buf_done(&text);
    int count = rc ? rc : ph_message_attachments(to->arena, m, &files);
    for (const struct ph_attachment *a = count > 0 ? files : NULL; a && rc == 0; a = a->next)
        rc = add_file(to, m, a, reterr);
    return rc ? rc : count < 0 ? count : 0;
}

static int add_attached(struct ph_email *to, const struct ph_message *m, const struct ph_forward *f,
                        struct ph_error *reterr)
{
    int rc = set_flowed(to, f->text, reterr);
    return rc ? rc
              : ph_email_add_attachment(
                    to, PH_CONTENT(.bytes = m->bytes, .type = PH_STR("message/rfc822")), NULL,
                    reterr);
}

int ph_forward_build(struct ph_arena *arena, struct ph_message *m, const struct ph_forward *forward,
                     struct ph_email **ret_email, struct ph_error *reterr)
{
    struct ph_email *to = ph_email_new(arena);
    struct ph_envelope *of;
    int rc = to ? ph_mime_envelope(arena, m->root, &of) : -PH_ENOMEM;
    if (rc == 0)
        rc = ph_email_add_header(to, PH_STR("From"), forward->from, reterr);
    if (rc == 0 && forward->to.n)
        rc = ph_email_add_header(to, PH_STR("To"), forward->to, reterr);
    if (rc == 0)
        rc = ph__reply_subject(to, of->subject, PH_SUBJECT_FORWARD, forward->prefix, reterr);
    if (rc == 0)
        rc = forward->is_attached ? add_attached(to, m, forward, reterr)
                                  : add_inline(to, m, forward, of, reterr);
    if (rc == 0)
        *ret_email = to;
    return rc;
}
