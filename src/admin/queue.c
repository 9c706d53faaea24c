/* posthouse queue: the letters under way. list and show read the spool; retry and remove ask the
 * running server. */
#include "queue.h"
#include "admin.h"
#include "control.h"
#include "id.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { PAGE = 256, ARENA = 64 * 1024 * 1024, PATH = 4096, HEADER = 64 * 1024 };

struct listing {
    struct ph_spool *spool;
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
        bool fresh = rcpts[i].next_try == PH_SPOOL_FRESH;
        json_object_set_new(r, "address", text_json(rcpts[i].address));
        json_object_set_new(r, "destination", text_json(rcpts[i].dest));
        json_object_set_new(r, "state", json_string(fresh ? "fresh" : "waiting"));
        json_object_set_new(r, "attempts", json_integer(rcpts[i].attempts));
        json_object_set_new(r, "next_try", fresh ? json_null() : json_integer(rcpts[i].next_try));
        json_object_set_new(r, "reply", text_json(rcpts[i].reply));
        json_array_append_new(list, r);
    }
    json_object_set_new(o, "recipients", list);
    return o;
}

/* 1 shown, 0 not there, or an error. */
static int show(struct listing *g, uint64_t qid)
{
    struct ph_arena *a = ph_arena_new(NULL, ARENA);
    struct ph_spool_letter l;
    struct ph_spool_rcpt *rcpts = NULL;
    size_t n = 0;
    int got = a ? ph_spool_load(g->spool, qid, a, &l, &rcpts, &n) : -PH_ENOMEM;
    if (got > 0) {
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
    if (ph_spool_body(g->spool, qid, 0, HEADER, NULL, &b) == 0) {
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

static int look(const struct admin_args *a, const char *id)
{
    char path[PATH];
    struct ph_error err = {0};
    const struct ph_spool_options opt = {.read_only = true};
    struct listing g = {.json = a->json, .out = json_array()};
    snprintf(path, sizeof path, "%s/queue/queue.sqlite", a->data);
    int rc = ph_spool_open(path, &opt, &g.spool, &err);
    if (rc < 0) {
        json_decref(g.out);
        return admin_fail(admin_exit_code(rc), "%s", err.text);
    }
    rc = id ? show_one(&g, id) : list_all(&g);
    if (rc < 0)
        rc = admin_fail(admin_exit_code(rc), "%s: %s", path, ph_spool_why(g.spool));
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

/* As messages.def wants it: an address between brackets. */
static int ask(const struct admin_args *a, const char *verb, const char *what)
{
    char filter[1100];
    uint64_t qid;
    struct admin_control c = {0};
    bool from = !strncmp(what, "from:", 5);
    const char *name = from ? what + 5 : what;
    bool bare = name[0] != '@' && name[0] != '<' && strchr(name, '@');
    if (!bare && !from && name[0] != '@' && name[0] != '<' && strcmp(name, "all") != 0 &&
        !ph_id_parse(ph_str_c(name), &qid))
        return admin_fail(EX_USAGE,
                          "%s is not a queue id, an address, @domain, from:address or all", what);
    int n = snprintf(filter, sizeof filter,
                     from && bare ? "from:<%s>"
                     : bare       ? "<%s>"
                     : from       ? "from:%s"
                                  : "%s",
                     name);
    if (n < 0 || (size_t)n >= sizeof filter)
        return admin_fail(EX_USAGE, "this is too long for an address");
    int rc = admin_control_ask(&c, a->data, verb, filter);
    if (!rc && c.text.n)
        printf("%.*s\n", PH_FMT(c.text));
    admin_control_close(&c);
    return rc;
}

int admin_queue(int argc, char **argv)
{
    static const char details[] =
        "list             every letter that is under way\n"
        "show ID          one of them, with all recipients and its header\n"
        "retry WHICH      try now\n"
        "remove WHICH     forget it; nobody is told\n"
        "WHICH is a queue id, a recipient's address, @domain, from:address, or all.\n";
    struct admin_args a;
    int rc = admin_options(argc, argv, NULL, details, 1, 2, &a);
    if (rc >= 0)
        return rc;
    const char *verb = a.args[0], *what = a.count > 1 ? a.args[1] : NULL;
    if (!strcmp(verb, "list") && !what)
        return look(&a, NULL);
    if (!strcmp(verb, "show") && what)
        return look(&a, what);
    if ((!strcmp(verb, "retry") || !strcmp(verb, "remove")) && what)
        return ask(&a, verb, what);
    return admin_fail(
        EX_USAGE, "queue: list, show ID, retry WHICH or remove WHICH; try posthouse queue --help");
}
