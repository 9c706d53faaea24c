/* posthouse trace: the journey of a letter as a time line, out of the journals of one house or
 * several. */
#include "trace.h"
#include "admin.h"
#include "id.h"
#include "ipc.h"
#include "queue.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { HOUSES = 64, TRIPS = 64, ARENA = 64 * 1024 * 1024, PATH = 4096, PICTURE = 64 * 1024 * 1024 };

struct journey {
    const char *folders[HOUSES];
    size_t houses;
    struct ph_spool *spools[HOUSES];
    struct ph_arena *arena;
    struct ph_spool_event *events;
    size_t n;
    ph_str hosts[HOUSES]; /* of what is told first hand */
    size_t hosts_n;
    ph_str message_id, owner;
};

/* ---- collecting -------------------------------------------------------------------------- */

static int collect(void *ctx, const struct ph_spool_event *e)
{
    struct journey *j = ctx;
    if (j->n >= TRACE_EVENTS)
        return 1;
    struct ph_spool_event *to = &j->events[j->n++];
    *to = *e;
    ph_str *const text[] = {&to->process, &to->rcpt,  &to->peer, &to->tls,
                            &to->auth,    &to->reply, &to->note, &to->host};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        *text[i] = ph_arena_copy(j->arena, *text[i]);
    return 0;
}

static int one_trip(struct journey *j, struct ph_spool *s, uint64_t qid)
{
    struct ph_buf id, owner;
    ph_buf_init(&id, NULL, PH_SPOOL_REPLY);
    ph_buf_init(&owner, NULL, PH_SPOOL_REPLY);
    int err = ph_spool_trip(s, qid, &id, &owner, NULL);
    if (!j->message_id.n)
        j->message_id = ph_arena_copy(j->arena, ph_buf_str(&id));
    if (!j->owner.n)
        j->owner = ph_arena_copy(j->arena, ph_buf_str(&owner));
    ph_buf_done(&id);
    ph_buf_done(&owner);
    return err < 0 ? err : ph_spool_journey_of(s, qid, collect, j);
}

/* A queue id names a letter of one house; its Message-ID then finds it in the others. */
static int name_of(struct journey *j, uint64_t qid)
{
    struct ph_buf id, owner;
    int err = 0;
    ph_buf_init(&id, NULL, PH_SPOOL_REPLY);
    ph_buf_init(&owner, NULL, PH_SPOOL_REPLY);
    for (size_t i = 0; i < j->houses && !id.n && err >= 0; i++)
        err = ph_spool_trip(j->spools[i], qid, &id, &owner, NULL);
    if (id.n)
        j->message_id = ph_arena_copy(j->arena, ph_buf_str(&id));
    ph_buf_done(&id);
    ph_buf_done(&owner);
    return err;
}

/* Whether one of the houses tells itself what it did. */
static bool is_told_first_hand(const struct journey *j, ph_str host)
{
    for (size_t i = 0; i < j->hosts_n; i++)
        if (ph_str_ieq(j->hosts[i], host))
            return true;
    return false;
}

static bool is_heard(const struct ph_spool_event *e)
{
    return ph_str_eq(e->process, PH_STR(IPC_HEARD));
}

/* What is heard of a hop is left out where the house is among those that are asked. */
static void drop_hearsay(struct journey *j)
{
    size_t kept = 0;
    for (size_t i = 0; i < j->n && j->hosts_n < HOUSES; i++)
        if (!is_heard(&j->events[i]) && !is_told_first_hand(j, j->events[i].host))
            j->hosts[j->hosts_n++] = j->events[i].host;
    for (size_t i = 0; i < j->n; i++)
        if (!is_heard(&j->events[i]) || !is_told_first_hand(j, j->events[i].host))
            j->events[kept++] = j->events[i];
    j->n = kept;
}

static int by_time(const void *a, const void *b)
{
    const struct ph_spool_event *x = a, *y = b;
    return x->time < y->time ? -1 : x->time > y->time;
}

static int gather(struct journey *j, const char *key)
{
    ph_str text = ph_str_trim(ph_str_c(key));
    uint64_t qid = 0, qids[TRIPS];
    int err = 0;
    if (ph_id_parse(text, &qid))
        err = name_of(j, qid);
    else
        j->message_id =
            text.n && text.p[0] == '<' ? text : ph_arena_printf(j->arena, "<%.*s>", PH_FMT(text));
    for (size_t i = 0; i < j->houses && err >= 0; i++) {
        int n = j->message_id.n ? ph_spool_trips(j->spools[i], j->message_id, qids, TRIPS) : 0;
        bool named = false;
        for (int k = 0; k < n; k++)
            named = named || qids[k] == qid;
        if (n >= 0 && n < TRIPS && qid && !named)
            qids[n++] = qid;
        err = n;
        for (int k = 0; k < n && err >= 0; k++)
            err = one_trip(j, j->spools[i], qids[k]);
    }
    drop_hearsay(j);
    qsort(j->events, j->n, sizeof *j->events, by_time);
    return err;
}

/* ---- printing ---------------------------------------------------------------------------- */

void trace_clock(int64_t us, char *buf, size_t n)
{
    struct tm tm;
    time_t t = (time_t)(us / 1000000);
    char seconds[32] = "";
    if (localtime_r(&t, &tm))
        strftime(seconds, sizeof seconds, "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(buf, n, "%s.%03d", seconds, (int)(us / 1000 % 1000));
}

void trace_span(int64_t us, char *buf, size_t n)
{
    int64_t s = us / 1000000;
    if (s < 60)
        snprintf(buf, n, "%" PRId64 ".%03d s", s, (int)(us / 1000 % 1000));
    else if (s < 3600)
        snprintf(buf, n, "%" PRId64 ":%02" PRId64 " min", s / 60, s % 60);
    else
        snprintf(buf, n, "%" PRId64 ":%02" PRId64 " h", s / 3600, s / 60 % 60);
}

bool trace_adds_code(const struct ph_spool_event *e)
{
    uint64_t said;
    return e->code && (!ph_str_u64(ph_str_sub(e->reply, 0, 3), 999, &said) || said != e->code);
}

static void print_event(const struct ph_spool_event *e, int64_t start)
{
    char after[32];
    *after = '+';
    trace_span(e->time > start ? e->time - start : 0, after + 1, sizeof after - 1);
    printf("  %11s  %-16.*s  %-13s", after, PH_FMT(e->host), ipc_step_name(e->kind));
    admin_print(" ", e->rcpt);
    admin_print(e->kind == EV_RELAYED || e->kind == EV_TRIED ? " at " : " from ", e->peer);
    admin_print(", ", e->tls);
    admin_print(", as ", e->auth);
    bool coded = trace_adds_code(e);
    if (coded)
        printf(": %u", e->code);
    admin_print(coded ? " " : ": ", e->reply);
    admin_print(", ", e->note);
    if (e->took >= 1000)
        printf(" (%" PRIu64 " ms)", e->took / 1000);
    putchar('\n');
}

static void print_line(const struct journey *j)
{
    char at[64], id[PH_ID_TEXT + 1];
    trace_clock(j->events[0].time, at, sizeof at);
    admin_print("", j->message_id.n ? j->message_id : PH_STR("(no Message-ID)"));
    admin_print("  of ", j->owner);
    printf("\n  %s\n", at);
    uint64_t shown = 0;
    for (size_t i = 0; i < j->n; i++) {
        if (j->events[i].qid != shown)
            printf("  %s at %.*s\n", ph_id_text(j->events[i].qid, id), PH_FMT(j->events[i].host));
        shown = j->events[i].qid;
        print_event(&j->events[i], j->events[0].time);
    }
}

/* The journal holds what strangers said: what is not UTF-8 is shown octet by octet as U+0080 to
 * U+00FF. */
static json_t *text_json(ph_str s)
{
    json_t *v = json_stringn(s.n ? s.p : "", s.n);
    if (v)
        return v;
    struct ph_buf b;
    ph_buf_init(&b, NULL, 2 * PH_SPOOL_REPLY);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c > 127)
            ph_buf_addc(&b, (char)(0xc0 | c >> 6));
        ph_buf_addc(&b, (char)(c > 127 ? 0x80 | (c & 0x3f) : c));
    }
    v = json_stringn(b.n ? b.p : "", b.n);
    ph_buf_done(&b);
    return v;
}

static json_t *event_json(const struct ph_spool_event *e, int64_t start)
{
    char id[PH_ID_TEXT + 1];
    json_t *o = json_object();
    json_object_set_new(o, "time", json_integer(e->time));
    json_object_set_new(o, "after", json_integer(e->time - start));
    json_object_set_new(o, "event", json_string(ipc_step_name(e->kind)));
    json_object_set_new(o, "id", json_string(ph_id_text(e->qid, id)));
    const struct {
        const char *key;
        ph_str value;
    } text[] = {{"host", e->host},   {"process", e->process}, {"recipient", e->rcpt},
                {"peer", e->peer},   {"tls", e->tls},         {"auth", e->auth},
                {"reply", e->reply}, {"note", e->note}};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        json_object_set_new(o, text[i].key, text_json(text[i].value));
    json_object_set_new(o, "code", json_integer(e->code));
    json_object_set_new(o, "took", json_integer((json_int_t)e->took));
    return o;
}

static void print_json(const struct journey *j)
{
    json_t *o = json_object(), *list = json_array();
    for (size_t i = 0; i < j->n; i++)
        json_array_append_new(list, event_json(&j->events[i], j->events[0].time));
    json_object_set_new(o, "message_id", text_json(j->message_id));
    json_object_set_new(o, "owner", text_json(j->owner));
    json_object_set_new(o, "events", list);
    json_dumpf(o, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(o);
}

static int print_picture(const struct journey *j)
{
    const struct trace_journey whole = {j->message_id, j->owner, j->events, j->n};
    struct ph_buf b;
    ph_buf_init(&b, NULL, PICTURE);
    trace_svg(&whole, &b);
    int err = ph_buf_err(&b);
    if (!err)
        fwrite(b.p, 1, b.n, stdout);
    ph_buf_done(&b);
    return err ? admin_fail(admin_exit_code(err), "the picture: %s", ph_error_info(err)->text)
               : EX_OK;
}

/* ---- the verb ---------------------------------------------------------------------------- */

static void add_folder(void *ctx, const char *value)
{
    struct journey *j = ctx;
    if (j->houses < HOUSES)
        j->folders[j->houses++] = value;
}

static int open_all(struct journey *j)
{
    const struct ph_spool_options opt = {.read_only = true};
    for (size_t i = 0; i < j->houses; i++) {
        char path[PATH];
        struct ph_error err = {0};
        snprintf(path, sizeof path, "%s/queue/queue.sqlite", j->folders[i]);
        int rc = ph_spool_open(path, &opt, &j->spools[i], &err);
        if (rc < 0)
            return admin_fail(admin_exit_code(rc), "%s", err.text);
    }
    return EX_OK;
}

static int run(struct journey *j, const char *key, bool json, bool svg)
{
    int rc = open_all(j);
    if (rc)
        return rc;
    int err = gather(j, key);
    if (err < 0)
        return admin_fail(admin_exit_code(err), "the journal cannot be read: %s",
                          ph_error_info(err)->text);
    if (!j->n)
        return admin_fail(EX_NOINPUT, "no journey of %s is known here", key);
    if (svg)
        return print_picture(j);
    if (json)
        print_json(j);
    else
        print_line(j);
    return EX_OK;
}

int admin_trace(int argc, char **argv)
{
    struct journey j = {0};
    bool svg = false;
    const struct admin_option opts[] = {
        {.name = "--svg",
         .flag = &svg,
         .help = "--svg         a picture instead: posthouse trace --svg ID >journey.svg"},
        {.name = "--data",
         .each = add_folder,
         .ctx = &j,
         .help = "--data DIR    a data folder; several are merged into one journey"},
        {0}};
    struct admin_args a;
    int rc = admin_options(
        argc, argv, opts,
        "ID is a Message-ID, or a queue id as in \"queued as ...\" and Received.\n", 1, 1, &a);
    if (rc >= 0)
        return rc;
    if (!j.houses)
        add_folder(&j, a.data);
    j.arena = ph_arena_new(NULL, ARENA);
    j.events = ph_arena_array(j.arena, TRACE_EVENTS, sizeof *j.events);
    rc = j.events ? run(&j, a.args[0], a.json, svg) : admin_fail(EX_OSERR, "out of memory");
    for (size_t i = 0; i < j.houses; i++)
        ph_spool_close(j.spools[i]);
    ph_arena_free(j.arena);
    return rc;
}
