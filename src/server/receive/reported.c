/* Delivery reports of other houses, and receipts of their readers: see reported.h. */
#include "reported.h"
#include "ipc.h"
#include "summary.h"

#include <string.h>

enum { MEMORY = 4 * 1024 * 1024, PARTS_MOST = 100, HOST = 255, NOTE = 512 };

static int kind_of(enum ph_report_action action)
{
    static const int kinds[] = {
        [PH_ACTION_OTHER] = EV_COUNT,      [PH_ACTION_FAILED] = EV_BOUNCED,
        [PH_ACTION_DELAYED] = EV_DEFERRED, [PH_ACTION_DELIVERED] = EV_DELIVERED,
        [PH_ACTION_RELAYED] = EV_RELAYED,  [PH_ACTION_EXPANDED] = EV_DELIVERED};
    return kinds[action];
}

/* "550" of "550 5.1.1 no such user"; 0. */
static uint32_t code_of(ph_str diagnostic)
{
    uint64_t code;
    return ph_str_u64(ph_str_sub(diagnostic, 0, 3), 599, &code) && code >= 200 ? (uint32_t)code : 0;
}

static bool has_room(ph_str s, size_t most)
{
    return s.n <= most;
}

static void write_one(const struct ph_report *r, const struct ph_report_recipient *to, int64_t now,
                      struct ph_buf *rows)
{
    int kind = kind_of(to->action);
    int64_t time = to->has_last_attempt ? to->last_attempt.time * 1000000 : now;
    ph_str host = r->reporting_mta.value,
           rcpt = to->original.value.n ? to->original.value : to->final.value;
    struct ph_buf note;
    if (kind == EV_COUNT || !host.n || !has_room(host, HOST) || !has_room(rcpt, 1024))
        return;
    ph_buf_init(&note, NULL, NOTE);
    if (to->action == PH_ACTION_EXPANDED)
        ph_buf_add(&note, PH_STR("expanded; "));
    if (to->status.n && has_room(to->status, 16))
        ph_buf_addf(&note, "%.*s; ", PH_FMT(to->status));
    ph_buf_add(&note, PH_STR("not seen by us: its delivery report says so"));
    ipc_add(event, rows,
            &((struct ipc_event){.time = time > 0 && time < now ? time : now,
                                 .kind = (ipc_u8)kind,
                                 .process = PH_STR(IPC_HEARD),
                                 .rcpt = rcpt,
                                 .peer = ph_str_sub(to->remote_mta.value, 0, HOST),
                                 .code = code_of(to->diagnostic.value),
                                 .reply = ph_str_sub(to->diagnostic.value, 0, 1024),
                                 .note = ph_buf_str(&note),
                                 .host = host}));
    ph_buf_done(&note);
}

static bool read_recipients(const struct ph_report *r, int64_t now, struct ph_buf *rows)
{
    size_t n = 0;
    for (const struct ph_report_recipient *to = r->recipients; to && n < REPORTED_MOST;
         to = to->next, n++)
        write_one(r, to, now, rows);
    return rows->n;
}

static bool keep_id(ph_str id, char ret_id[REPORTED_ID + 1])
{
    if (!id.n || id.n > REPORTED_ID)
        return false;
    memcpy(ret_id, id.p, id.n);
    ret_id[id.n] = '\0';
    return true;
}

/* RFC 8098 3.2.6: "automatic-action/MDN-sent-automatically; displayed/error". */
static bool is_displayed(ph_str disposition)
{
    size_t semicolon = ph_str_chr(disposition, ';');
    ph_str type = ph_str_trim(ph_str_skip(disposition, semicolon == PH_NPOS ? 0 : semicolon + 1));
    size_t slash = ph_str_chr(type, '/');
    return semicolon != PH_NPOS &&
           ph_str_ieq(ph_str_trim(ph_str_sub(type, 0, slash == PH_NPOS ? type.n : slash)),
                      PH_STR("displayed"));
}

/* The reader's program says that the letter was shown; what else it says is no step. */
static bool read_receipt(const struct ph_report *r, int64_t now, char ret_id[REPORTED_ID + 1],
                         struct ph_buf *rows)
{
    const struct ph_report_recipient *to = r->recipients;
    ph_str rcpt = to ? to->original.value.n ? to->original.value : to->final.value : (ph_str){0};
    size_t at = ph_str_chr(rcpt, '@');
    if (!is_displayed(r->disposition) || at == PH_NPOS || !has_room(rcpt, 1024) ||
        !keep_id(ph_str_trim(r->original_message_id), ret_id))
        return false;
    ph_str host = ph_str_skip(rcpt, at + 1);
    if (!host.n || !has_room(host, HOST))
        return false;
    ipc_add(event, rows,
            &((struct ipc_event){
                .time = now,
                .kind = EV_FETCHED,
                .process = PH_STR(IPC_HEARD),
                .rcpt = rcpt,
                .note = PH_STR("displayed; not seen by us: the reader's receipt says so"),
                .host = host}));
    return rows->n;
}

/* The Message-ID of the letter that is returned, whole or as its header. */
static bool read_id(const struct ph_message *m, const struct ph_report *r,
                    char ret_id[REPORTED_ID + 1])
{
    const struct ph_part *o = r->original;
    if (!o)
        return false;
    ph_str id, head = o->child ? o->child->head
                               : ph_str_sub(m->bytes, (size_t)o->body.at, (size_t)o->body.n);
    unsigned received;
    ph_summary_trace(head, &id, &received);
    return keep_id(id, ret_id);
}

bool reported_read(ph_str letter, int64_t now, char ret_id[REPORTED_ID + 1], struct ph_buf *rows)
{
    const struct ph_mime_limits limits = {.parts = PARTS_MOST};
    struct ph_field type;
    if (!ph_field_find(ph_message_head(letter), PH_STR("Content-Type"), 0, &type) ||
        !ph_str_ieq(ph_str_sub(ph_str_trim(type.value), 0, 16), PH_STR("multipart/report")))
        return false;
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph_message *m;
    struct ph_report r;
    bool good = arena && ph_mime_parse(arena, letter, &limits, &m) == 0 &&
                ph_report_parse(arena, m, m->root, &r) == 0;
    if (good && r.kind == PH_REPORT_DISPOSITION)
        good = read_receipt(&r, now, ret_id, rows);
    else if (good)
        good = r.kind == PH_REPORT_DELIVERY && read_id(m, &r, ret_id) &&
               read_recipients(&r, now, rows);
    ph_arena_free(arena);
    return good && rows->n;
}
