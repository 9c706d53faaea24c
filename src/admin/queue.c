/* posthouse queue: the letters under way. list, show and stats read the spool; the other verbs ask
 * the running server, which does it. */
#include "admin.h"
#include "control.h"
#include "dsn.h"
#include "id.h"
#include "pick.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum {
    PAGE = 256,
    ARENA = 64 * 1024 * 1024,
    PATH = 4096,
    HEADER = 64 * 1024,
    ACT_MS = 3600 * 1000,
    SITES = 50
};

struct listing {
    struct ph_spool *spool;
    struct ph_pick pick;
    bool json, full;
    json_t *out;
    uint64_t letters, rcpts;
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static const char *span(int64_t us, char *buf, size_t n)
{
    int64_t s = us / 1000000;
    if (s < 0)
        s = 0;
    if (s < 120)
        snprintf(buf, n, "%" PRId64 " s", s);
    else if (s < 7200)
        snprintf(buf, n, "%" PRId64 " min", s / 60);
    else if (s < 172800)
        snprintf(buf, n, "%" PRId64 " h", s / 3600);
    else
        snprintf(buf, n, "%" PRId64 " days", s / 86400);
    return buf;
}

/* Addresses and replies come from strangers: no controls on the terminal. */
static json_t *text_json(ph_str s)
{
    json_t *v = json_stringn(s.n ? s.p : "", s.n);
    return v ? v : json_string("(not UTF-8)");
}

/* ---- one letter -------------------------------------------------------------------------- */

static void print_rcpt(const struct ph_spool_rcpt *r, int64_t now)
{
    char wait[32];
    fputs("    ", stdout);
    admin_print("", r->address);
    if (r->next_try == PH_SPOOL_FRESH)
        fputs("  under way", stdout);
    else if (r->next_try == PH_SPOOL_HELD)
        fputs("  held", stdout);
    else if (r->next_try <= now)
        fputs("  due", stdout);
    else
        printf("  again in %s", span(r->next_try - now, wait, sizeof wait));
    if (r->attempts)
        printf(", tried %u times", r->attempts);
    if (r->reply.n) {
        fputs(": ", stdout);
        admin_print("", r->reply);
    }
    putchar('\n');
}

static void print_letter(const struct ph_spool_letter *l, const struct ph_spool_rcpt *rcpts,
                         size_t n, bool full)
{
    char id[PH_ID_TEXT + 1], age[32];
    int64_t now = now_us();
    printf("%s  %8" PRIu64 "  %-8s  <", ph_id_text(l->qid, id), l->size,
           span(now - l->received, age, sizeof age));
    admin_print("", l->sender);
    fputs(">  ", stdout);
    admin_print("", l->message_id);
    putchar('\n');
    for (size_t i = 0; i < n && (full || i < 5); i++)
        print_rcpt(&rcpts[i], now);
    if (!full && n > 5)
        printf("    and %zu more\n", n - 5);
}

static json_t *letter_json(const struct ph_spool_letter *l, const struct ph_spool_rcpt *rcpts,
                           size_t n)
{
    char id[PH_ID_TEXT + 1];
    json_t *o = json_object(), *list = json_array();
    json_object_set_new(o, "id", json_string(ph_id_text(l->qid, id)));
    json_object_set_new(o, "received", json_integer(l->received));
    json_object_set_new(o, "size", json_integer((json_int_t)l->size));
    json_object_set_new(o, "sender", text_json(l->sender));
    json_object_set_new(o, "message_id", text_json(l->message_id));
    json_object_set_new(o, "owner", text_json(l->owner));
    for (size_t i = 0; i < n; i++) {
        json_t *r = json_object();
        int64_t next = rcpts[i].next_try;
        bool fresh = next == PH_SPOOL_FRESH, held = next == PH_SPOOL_HELD;
        json_object_set_new(r, "address", text_json(rcpts[i].address));
        json_object_set_new(r, "destination", text_json(rcpts[i].dest));
        json_object_set_new(r, "state", json_string(fresh ? "fresh" : held ? "held" : "waiting"));
        json_object_set_new(r, "attempts", json_integer(rcpts[i].attempts));
        json_object_set_new(r, "next_try", fresh || held ? json_null() : json_integer(next));
        json_object_set_new(r, "reply", text_json(rcpts[i].reply));
        if (rcpts[i].reply.n)
            json_object_set_new(r, "reason",
                                json_string(ph_dsn_class(rcpts[i].reply, PH_DSN_DELAYED, NULL)));
        json_array_append_new(list, r);
    }
    json_object_set_new(o, "recipients", list);
    return o;
}

/* Those that are meant, moved to the front; how many. */
static size_t meant(const struct listing *g, const struct ph_spool_letter *l,
                    struct ph_spool_rcpt *rcpts, size_t n)
{
    size_t kept = 0;
    if (!ph_pick_letter(&g->pick, l, now_us()))
        return 0;
    for (size_t i = 0; i < n; i++)
        if (ph_pick_rcpt(&g->pick, &rcpts[i]))
            rcpts[kept++] = rcpts[i];
    return kept;
}

/* 1 there, 0 not, or an error. */
static int show(struct listing *g, uint64_t qid)
{
    struct ph_arena *a = ph_arena_new(NULL, ARENA);
    struct ph_spool_letter l;
    struct ph_spool_rcpt *rcpts = NULL;
    size_t n = 0;
    int got = a ? ph_spool_load(g->spool, qid, a, &l, &rcpts, &n) : -PH_ENOMEM;
    if (got > 0)
        n = meant(g, &l, rcpts, n);
    if (got > 0 && n) {
        g->letters++;
        g->rcpts += n;
        if (g->json)
            json_array_append_new(g->out, letter_json(&l, rcpts, n));
        else
            print_letter(&l, rcpts, n, g->full);
    }
    ph_arena_free(a);
    return got;
}

static void show_header(struct listing *g, uint64_t qid)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, HEADER);
    if (ph_spool_text(g->spool, qid, HEADER, &b) == 0) {
        size_t end = ph_str_find(ph_buf_str(&b), PH_STR("\r\n\r\n"));
        ph_str head = ph_str_sub(ph_buf_str(&b), 0, end), line;
        putchar('\n');
        while (ph_str_token(&head, '\n', &line)) {
            fputs("  ", stdout);
            admin_print("", ph_str_trim(line));
            putchar('\n');
        }
    }
    ph_buf_done(&b);
}

/* ---- the verbs --------------------------------------------------------------------------- */

static int list_all(struct listing *g)
{
    struct ph_spool_age ages[PAGE];
    uint64_t after = 0;
    int n;
    while ((n = ph_spool_ages(g->spool, after, ages, PAGE)) > 0) {
        for (int i = 0; i < n; i++) {
            int err = show(g, ages[i].qid);
            if (err < 0)
                return err;
        }
        after = ages[n - 1].qid;
    }
    if (n == 0 && !g->json)
        printf(g->letters ? "%" PRIu64 " letters for %" PRIu64 " recipients\n"
                          : "the queue is empty\n",
               g->letters, g->rcpts);
    return n;
}

static int show_one(struct listing *g, const char *id)
{
    uint64_t qid;
    if (!ph_id_parse(ph_str_c(id), &qid))
        return admin_fail(
            EX_USAGE,
            "%s is not a queue id: %d letters and digits, as posthouse queue list shows them", id,
            PH_ID_TEXT);
    g->full = true;
    int got = show(g, qid);
    if (!got)
        return admin_fail(EX_NOINPUT,
                          "%s is not in the queue; posthouse trace %s may know what became of it",
                          id, id);
    if (got > 0 && !g->json)
        show_header(g, qid);
    return got;
}

static int open_spool(const struct admin_args *a, struct ph_spool **ret_spool)
{
    char path[PATH];
    struct ph_error err = {0};
    const struct ph_spool_options opt = {.read_only = true};
    snprintf(path, sizeof path, "%s/queue/queue.sqlite", a->data);
    int rc = ph_spool_open(path, &opt, ret_spool, &err);
    return rc < 0 ? admin_fail(admin_exit_code(rc), "%s", err.text) : EX_OK;
}

static int look(const struct admin_args *a, const struct ph_pick *pick, const char *id)
{
    struct listing g = {.json = a->json, .pick = *pick};
    int rc = open_spool(a, &g.spool);
    if (rc)
        return rc;
    g.out = json_array();
    rc = id ? show_one(&g, id) : list_all(&g);
    if (rc < 0)
        rc = admin_fail(admin_exit_code(rc), "the queue: %s", ph_spool_why(g.spool));
    else if (g.letters || !id)
        rc = EX_OK;
    if (!rc && a->json) {
        json_dumpf(g.out, stdout, JSON_INDENT(1));
        putchar('\n');
    }
    json_decref(g.out);
    ph_spool_close(g.spool);
    return rc;
}

/* ---- stats ------------------------------------------------------------------------------- */

static void print_site(const struct ph_spool_site *s, int64_t now)
{
    char age[32], wait[32];
    printf("%8" PRIu64 "  %8" PRIu64 "  %-8s  %-9s  ", s->rcpts, s->held,
           span(now - s->oldest, age, sizeof age),
           s->next_try <= now             ? "now"
           : s->next_try >= PH_SPOOL_HELD ? "-"
                                          : span(s->next_try - now, wait, sizeof wait));
    admin_print("", s->dest.n ? s->dest : PH_STR("(mailboxes here)"));
    if (s->reply.n)
        admin_print(": ", s->reply);
    putchar('\n');
}

static int one_site(void *ctx, const struct ph_spool_site *s)
{
    struct listing *g = ctx;
    g->rcpts += s->rcpts;
    if (!g->json) {
        print_site(s, now_us());
        return 0;
    }
    json_t *o = json_object();
    json_object_set_new(o, "destination", text_json(s->dest));
    json_object_set_new(o, "recipients", json_integer((json_int_t)s->rcpts));
    json_object_set_new(o, "held", json_integer((json_int_t)s->held));
    json_object_set_new(o, "oldest", json_integer(s->oldest));
    json_object_set_new(o, "next_try",
                        s->next_try >= PH_SPOOL_HELD ? json_null() : json_integer(s->next_try));
    json_object_set_new(o, "reply", text_json(s->reply));
    json_array_append_new(g->out, o);
    return 0;
}

static int stats(const struct admin_args *a)
{
    struct listing g = {.json = a->json};
    uint64_t letters = 0, rcpts = 0;
    int rc = open_spool(a, &g.spool);
    if (rc)
        return rc;
    g.out = json_array();
    if (!a->json)
        puts("   rcpts      held  oldest    next try   destination: last reply");
    rc = ph_spool_sites(g.spool, SITES, one_site, &g);
    if (!rc)
        rc = ph_spool_count(g.spool, &letters, &rcpts);
    if (rc < 0) {
        rc = admin_fail(admin_exit_code(rc), "the queue: %s", ph_spool_why(g.spool));
    } else if (a->json) {
        json_dumpf(g.out, stdout, JSON_INDENT(1));
        putchar('\n');
    } else {
        if (rcpts > g.rcpts)
            printf("%8" PRIu64 "  more at other destinations\n", rcpts - g.rcpts);
        printf("%" PRIu64 " letters for %" PRIu64 " recipients\n", letters, rcpts);
    }
    json_decref(g.out);
    ph_spool_close(g.spool);
    return rc;
}

/* ---- asking the server ----------------------------------------------------------------------- */

static int ask(const struct admin_args *a, const char *verb, const char *done, const char *filter)
{
    struct admin_control c = {0};
    int rc = admin_control_ask(&c, a->data, verb, filter, ACT_MS);
    if (!rc && a->json)
        printf("{\"recipients\": %.*s}\n", PH_FMT(c.text));
    else if (!rc)
        printf("%.*s recipient%s %s\n", PH_FMT(c.text), ph_str_eq(c.text, PH_STR("1")) ? "" : "s",
               done);
    admin_control_close(&c);
    return rc;
}

static const struct {
    const char *verb, *done;
} acts[] = {{"retry", "tried again"},
            {"hold", "held"},
            {"release", "released"},
            {"remove", "forgotten"},
            {"bounce", "returned"}};

/* The words behind the verb as the lines that pick.h reads. */
static int read_filter(const struct admin_args *a, struct ph_pick *ret_pick, char *text,
                       size_t size)
{
    struct ph_error err = {0};
    struct ph_buf b;
    ph_buf_init(&b, NULL, size - 1);
    for (int i = 1; i < a->count; i++)
        ph_buf_addf(&b, "%s%s", i > 1 ? "\n" : "", a->args[i]);
    bool fits = !ph_buf_err(&b);
    snprintf(text, size, "%.*s", PH_FMT(ph_buf_str(&b)));
    ph_buf_done(&b);
    if (!fits)
        return admin_fail(EX_USAGE, "these conditions are too long");
    return ph_pick_read(ph_str_c(text), ret_pick, &err) < 0 ? admin_fail(EX_USAGE, "%s", err.text)
                                                            : 0;
}

int admin_queue(int argc, char **argv)
{
    static const char details[] =
        "list [WHICH...]   letters that are under way\n"
        "show ID           one of them, with all recipients and its header\n"
        "stats             destinations, the fullest first\n"
        "retry WHICH...    try now\n"
        "hold WHICH...     keep it, and do not try until it is released\n"
        "release WHICH...  the end of hold\n"
        "remove WHICH...   forget it; nobody is told\n"
        "bounce WHICH...   return it to its sender\n"
        "\n"
        "WHICH: conditions that all have to be true of a recipient:\n"
        "  ID              a queue id           @b.test         its next hop\n"
        "  bob@b.test      its address          from:a@a.test   the sender (from:@a.test, or from: "
        "alone)\n"
        "  older:2h        in the queue for longer (s, min, h, d); newer:2h\n"
        "  state:held      or waiting, under-way\n"
        "  reason:WORDS    in the last reply, or its kind (mailbox-full, greylisted, "
        "unreachable...)\n"
        "  all             no condition\n";
    struct admin_args a;
    struct ph_pick pick = {0};
    char text[PH_PICK_TEXT];
    int rc = admin_options(argc, argv, NULL, details, 1, 100, &a);
    if (rc >= 0)
        return rc;
    const char *verb = a.args[0];
    rc = read_filter(&a, &pick, text, sizeof text);
    if (rc)
        return rc;
    if (!strcmp(verb, "list"))
        return look(&a, &pick, NULL);
    if (!strcmp(verb, "show") && a.count == 2)
        return look(&a, &pick, a.args[1]);
    if (!strcmp(verb, "stats") && a.count == 1)
        return stats(&a);
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (strcmp(verb, acts[i].verb) != 0)
            continue;
        return ph_pick_is_empty(&pick)
                   ? admin_fail(EX_USAGE,
                                "queue %s: which letters? all, or see posthouse queue --help", verb)
                   : ask(&a, verb, acts[i].done, text);
    }
    return admin_fail(EX_USAGE, "queue: list, show ID, stats, retry, hold, release, remove or "
                                "bounce; try posthouse queue --help");
}
