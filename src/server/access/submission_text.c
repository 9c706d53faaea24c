/* What submission adds to a message, and how it tells a journey. */
#include "id.h"
#include "loop.h"
#include "random.h"
#include "submission.h"
#include <jansson.h>
#include <posthouse/mime.h>
#include <posthouse/smtp.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a message may lack ---------------------------------------------------------------- */

static bool has(ph_str head, const char *name)
{
    struct ph_field field;
    return ph_field_find(head, ph_str_c(name), 0, &field);
}

/* A field that hides recipients goes with its folded lines. */
static void cut(struct letter *l, const char *name)
{
    struct ph_field field;
    while (ph_field_find(ph_message_head(letter_head(l)), ph_str_c(name), 0, &field))
        letter_cut(l, field.all);
}

int submission_complete(struct letter *l, ph_str hostname, struct ph_buf *fields)
{
    ph_str message = letter_head(l), head = ph_message_head(message);
    /* All of a short message may be header; of a long one this is only the beginning. */
    if (head.n == message.n && message.n > LETTER_HEADER)
        return -PH_ELIMIT;
    cut(l, "Bcc");
    cut(l, "Resent-Bcc");
    head = ph_message_head(letter_head(l));
    if (!has(head, "Date")) {
        struct ph_date date = {.time = ph_wall_us() / 1000000,
                               .flags = PH_DATE_TIME | PH_DATE_SECOND | PH_DATE_ZONE};
        ph_buf_add(fields, PH_STR("Date: "));
        ph_date_write(fields, &date);
        ph_buf_add(fields, PH_STR("\r\n"));
    }
    if (!has(head, "Message-ID")) {
        char unique[27], time[PH_ID_TEXT + 1];
        ph_buf_addf(fields, "Message-ID: <%s.%s@%.*s>\r\n",
                    ph_id_text((uint64_t)ph_wall_us(), time), ph_random_text(unique, 26),
                    PH_FMT(hostname));
    }
    return 0;
}

/* ---- a journey as JSON ---------------------------------------------------------------------- */

/* Bytes that are not UTF-8 would make no JSON: they become '?'. */
static void put_text(json_t *o, const char *key, ph_str value)
{
    if (!value.n)
        return;
    json_t *text = json_stringn(value.p, value.n);
    if (!text) {
        char plain[2048];
        size_t n = value.n < sizeof plain ? value.n : sizeof plain;
        for (size_t i = 0; i < n; i++)
            plain[i] = value.p[i] & 0x80 ? '?' : value.p[i];
        text = json_stringn(plain, n);
    }
    json_object_set_new(o, key, text);
}

static char *event_text(const struct ipc_event *e)
{
    char qid[PH_ID_TEXT + 1];
    json_t *o = json_object();
    json_object_set_new(o, "time", json_integer(e->time));
    json_object_set_new(o, "step", json_string(ipc_step_name(e->kind)));
    put_text(o, "host", e->host);
    put_text(o, "process", e->process);
    if (e->qid)
        put_text(o, "qid", ph_str_c(ph_id_text(e->qid, qid)));
    put_text(o, "recipient", e->rcpt);
    put_text(o, "peer", e->peer);
    put_text(o, "tls", e->tls);
    put_text(o, "auth", e->auth);
    if (e->code)
        json_object_set_new(o, "code", json_integer(e->code));
    put_text(o, "reply", e->reply);
    json_object_set_new(o, "took", json_integer((json_int_t)e->took));
    put_text(o, "note", e->note);
    char *text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER);
    json_decref(o);
    return text;
}

int submission_trace_write(ph_str events, struct ph_buf *out)
{
    static const ph_str more = PH_STR_INIT("{\"more\":true}");
    struct ipc_event e;
    size_t lines = 0, wire = 0;
    while (ipc_each(event, &events, &e)) {
        char *text = event_text(&e);
        if (!text)
            return -PH_ENOMEM;
        size_t n = strlen(text);
        bool fits = wire + n + 64 < PH_SMTP_REPLY - more.n;
        ph_str line = fits && n < PH_SMTP_REPLY_LINE - 32 ? (ph_str){text, n} : more;
        if (lines++)
            ph_buf_addc(out, '\n');
        ph_buf_add(out, line);
        wire += line.n + 16;
        free(text);
        if (!fits)
            break;
    }
    return lines ? ph_buf_err(out) : -PH_ENOENT;
}
