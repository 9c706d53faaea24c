/* Reports: multipart/report (RFC 6522) with delivery status (RFC 3464) or disposition
 * notification (RFC 8098). A status part is groups of fields: the first is about the message,
 * each other about one recipient; the groups are read by one table of fields. */
#include "ascii.h"
#include "mime_int.h"

static enum ph_report_kind kind_of(const struct ph_part *p)
{
    static const struct {
        const char *subtype;
        enum ph_report_kind kind;
    } rows[] = {
        {"delivery-status", PH_REPORT_DELIVERY},
        {"global-delivery-status", PH_REPORT_DELIVERY},
        {"disposition-notification", PH_REPORT_DISPOSITION},
        {"global-disposition-notification", PH_REPORT_DISPOSITION},
        {"feedback-report", PH_REPORT_FEEDBACK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (ph_part_is(p, "message", rows[i].subtype))
            return rows[i].kind;
    return PH_REPORT_OTHER;
}

/* ---- values of fields ---- */

static int on_string(struct ph_arena *arena, ph_str raw, void *to, bool *has)
{
    (void)has;
    return ph_field_unfold(arena, raw, to);
}

static int on_typed(struct ph_arena *arena, ph_str raw, void *to, bool *has)
{
    (void)has;
    struct ph_typed *t = to;
    ph_str all;
    if (ph_field_unfold(arena, raw, &all))
        return -PH_ENOMEM;
    size_t semi = ph_str_chr(all, ';');
    if (semi == PH_NPOS) {
        *t = (struct ph_typed){.value = all};
        return 0;
    }
    char *type = ph_arena_get(arena, semi + 1);
    if (!type)
        return -PH_ENOMEM;
    for (size_t i = 0; i < semi; i++)
        type[i] = ph_lower(all.p[i]);
    *t = (struct ph_typed){ph_str_trim((ph_str){type, semi}),
                           ph_str_trim(ph_str_skip(all, semi + 1))};
    return 0;
}

static int on_date(struct ph_arena *arena, ph_str raw, void *to, bool *has)
{
    (void)arena;
    *has = ph_date_parse(raw, to) == 0;
    return 0;
}

static ph_str first_word(ph_str raw)
{
    size_t n = 0;
    raw = ph__skip_cfws(raw);
    while (n < raw.n && (uint8_t)raw.p[n] > ' ' && raw.p[n] != '(')
        n++;
    return (ph_str){raw.p, n};
}

static int on_status(struct ph_arena *arena, ph_str raw, void *to, bool *has)
{
    (void)arena;
    (void)has;
    *(ph_str *)to = first_word(raw);
    return 0;
}

static int on_action(struct ph_arena *arena, ph_str raw, void *to, bool *has)
{
    static const ph_str names[] = {
        [PH_ACTION_FAILED] = PH_STR_INIT("failed"),
        [PH_ACTION_DELAYED] = PH_STR_INIT("delayed"),
        [PH_ACTION_DELIVERED] = PH_STR_INIT("delivered"),
        [PH_ACTION_RELAYED] = PH_STR_INIT("relayed"),
        [PH_ACTION_EXPANDED] = PH_STR_INIT("expanded"),
    };
    (void)arena;
    (void)has;
    for (size_t i = 1; i < sizeof names / sizeof names[0]; i++)
        if (ph_str_ieq(first_word(raw), names[i]))
            *(enum ph_report_action *)to = (enum ph_report_action)i;
    return 0;
}

/* ---- groups of fields ---- */

struct row {
    ph_str name;
    int (*read)(struct ph_arena *arena, ph_str raw, void *to, bool *has);
    void *to;
    bool *has;
    bool seen;
};

static int read_group(struct ph_arena *arena, ph_str group, struct row *rows, size_t n)
{
    struct ph_field f;
    while (ph_field_next(&group, &f))
        for (size_t i = 0; i < n; i++) {
            if (rows[i].seen || !ph_str_ieq(f.name, rows[i].name))
                continue;
            rows[i].seen = true;
            if (rows[i].read(arena, f.value, rows[i].to, rows[i].has))
                return -PH_ENOMEM;
            break;
        }
    return 0;
}

#define ROWS(rows) (rows), sizeof(rows) / sizeof((rows)[0])

static int read_message(struct ph_arena *arena, ph_str group, struct ph_report *r)
{
    struct row rows[] = {
        {PH_STR("Original-Envelope-Id"), on_string, &r->envelope_id},
        {PH_STR("Reporting-MTA"), on_typed, &r->reporting_mta},
        {PH_STR("DSN-Gateway"), on_typed, &r->gateway},
        {PH_STR("Received-From-MTA"), on_typed, &r->received_from},
        {PH_STR("Arrival-Date"), on_date, &r->arrival, &r->has_arrival},
        {PH_STR("Original-Message-ID"), on_string, &r->original_message_id},
        {PH_STR("Disposition"), on_string, &r->disposition},
    };
    r->fields = group;
    return read_group(arena, group, ROWS(rows));
}

static int read_recipient(struct ph_arena *arena, ph_str group, struct ph_report_recipient *to)
{
    struct row rows[] = {
        {PH_STR("Original-Recipient"), on_typed, &to->original},
        {PH_STR("Final-Recipient"), on_typed, &to->final},
        {PH_STR("Action"), on_action, &to->action},
        {PH_STR("Status"), on_status, &to->status},
        {PH_STR("Remote-MTA"), on_typed, &to->remote_mta},
        {PH_STR("Diagnostic-Code"), on_typed, &to->diagnostic},
        {PH_STR("Last-Attempt-Date"), on_date, &to->last_attempt, &to->has_last_attempt},
        {PH_STR("Will-Retry-Until"), on_date, &to->retry_until, &to->has_retry_until},
        {PH_STR("Final-Log-ID"), on_string, &to->log_id},
    };
    to->fields = group;
    return read_group(arena, group, ROWS(rows));
}

static int add_recipient(struct ph_arena *arena, ph_str group, struct ph_report *r,
                         struct ph_report_recipient ***last)
{
    struct ph_report_recipient *to = PH_ARENA_NEW(arena, struct ph_report_recipient);
    if (!to || read_recipient(arena, group, to))
        return -PH_ENOMEM;
    **last = to;
    *last = &to->next;
    r->recipient_count++;
    return 0;
}

/* Empty lines separate groups; some programs write several, or begin with one. */
static ph_str next_group(ph_str *rest)
{
    while (rest->n && (rest->p[0] == '\r' || rest->p[0] == '\n'))
        *rest = ph_str_skip(*rest, 1);
    ph_str group = ph_message_head(*rest);
    if (group.n == 0 && rest->n) /* a line that is no field: pass over it */
        group = ph__line(*rest);
    *rest = ph_str_skip(*rest, group.n);
    return group;
}

static int read_status(struct ph_arena *arena, ph_str body, struct ph_report *r)
{
    struct ph_report_recipient **last = &r->recipients;
    struct ph_field any;
    bool first = true;
    while (body.n && r->recipient_count < PH_REPORT_RECIPIENTS) {
        ph_str group = next_group(&body), look = group;
        if (!ph_field_next(&look, &any))
            continue;
        if (first && read_message(arena, group, r))
            return -PH_ENOMEM;
        /* a notification has one group for both; so do reports of careless programs */
        bool both = first && ph_field_find(group, PH_STR("Final-Recipient"), 0, &any);
        if ((!first || both) && add_recipient(arena, group, r, &last))
            return -PH_ENOMEM;
        first = false;
    }
    return 0;
}

static bool is_original(const struct ph_part *p)
{
    return p->kind == PH_PART_MESSAGE || ph_part_is(p, "text", "rfc822-headers") ||
           ph_part_is(p, "message", "rfc822") || ph_part_is(p, "message", "global") ||
           ph_part_is(p, "message", "global-headers");
}

static void find_parts(const struct ph_part *p, struct ph_report *r)
{
    bool alone = p->kind != PH_PART_MULTIPART;
    for (const struct ph_part *c = alone ? p : p->child; c; c = alone ? NULL : c->next) {
        if (!r->status && kind_of(c) != PH_REPORT_OTHER) {
            r->status = c;
            r->kind = kind_of(c);
        } else if (!r->original && is_original(c)) {
            r->original = c;
        } else if (!r->text && !r->status && !is_original(c)) {
            r->text = c;
        }
    }
}

int ph_report_parse(struct ph_arena *arena, const struct ph_message *m, const struct ph_part *p,
                    struct ph_report *ret)
{
    struct ph_report r = {0};
    struct ph_buf body;
    find_parts(p, &r);
    if (!r.status)
        return -PH_ENOENT;
    ph_str bytes = ph_part_body(m, r.status);
    ph_buf_init(&body, NULL, SIZE_MAX / 2);
    int rc = 0;
    if (r.status->encoding == PH_ENC_BASE64 || r.status->encoding == PH_ENC_QP) {
        rc = ph_part_decode(m, r.status, &body);
        bytes = rc ? (ph_str){0} : ph_arena_copy(arena, ph_buf_str(&body));
        if (!bytes.p)
            rc = -PH_ENOMEM;
    }
    ph_buf_done(&body);
    if (rc == 0)
        rc = read_status(arena, bytes, &r);
    if (rc == 0)
        *ret = r;
    return rc;
}
