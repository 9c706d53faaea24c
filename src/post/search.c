/* post search: the server looks (SEARCH, RFC 9051 6.4.4), and what it found is listed as post list
 * does. */
#include "letter.h"
#include "source_imap.h"
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { CRITERIA_MAX = 64 * 1024, SET_BYTES = 4000 };

struct search {
    struct ph_buf criteria, found; /* found: "1,2,3" */
    bool json, seen, unseen, flagged, utf8;
    size_t shown;
    const char *wrong;
};

static void word(struct search *q, const char *key)
{
    ph_buf_addf(&q->criteria, "%s%s", q->criteria.n ? " " : "", key);
}

static void quoted(struct search *q, const char *key, const char *value)
{
    word(q, key);
    ph_buf_add(&q->criteria, PH_STR(" \""));
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            ph_buf_addc(&q->criteria, '\\');
        q->utf8 = q->utf8 || (*value & 0x80);
        ph_buf_addc(&q->criteria, *value == '\r' || *value == '\n' ? ' ' : *value);
    }
    ph_buf_addc(&q->criteria, '"');
}

static void on_from(void *ctx, const char *v)
{
    quoted(ctx, "FROM", v);
}

static void on_to(void *ctx, const char *v)
{
    quoted(ctx, "TO", v);
}

static void on_subject(void *ctx, const char *v)
{
    quoted(ctx, "SUBJECT", v);
}

static void on_text(void *ctx, const char *v)
{
    quoted(ctx, "TEXT", v);
}

/* "2026-11-22" -> 22-Nov-2026 */
static void day(struct search *q, const char *key, const char *v)
{
    struct tm tm = {0};
    char text[32];
    const char *end = strptime(v, "%Y-%m-%d", &tm);
    if (!end || *end) {
        q->wrong = v;
        return;
    }
    strftime(text, sizeof text, "%d-%b-%Y", &tm);
    word(q, key);
    word(q, text);
}

static void on_since(void *ctx, const char *v)
{
    day(ctx, "SINCE", v);
}

static void on_before(void *ctx, const char *v)
{
    day(ctx, "BEFORE", v);
}

static void on_larger(void *ctx, const char *v)
{
    struct search *q = ctx;
    uint64_t n;
    if (!ph_str_u64(ph_str_c(v), UINT32_MAX, &n)) {
        q->wrong = v;
        return;
    }
    word(q, "LARGER");
    word(q, v);
}

static void on_found(void *ctx, const struct ph_imap_client_event *ev)
{
    struct search *q = ctx;
    if (ev->kind == PH_IMAP_FOUND)
        for (size_t i = 0; i < ev->count; i++)
            ph_buf_addf(&q->found, "%s%u", q->found.n ? "," : "", ev->numbers[i]);
}

static int show(void *ctx, struct post_item *item, ph_str bytes)
{
    struct search *q = ctx;
    if (q->json && q->shown)
        printf(",\n");
    post_show_line(item, bytes, q->json);
    q->shown++;
    return 0;
}

/* The letters found, a piece of the list at a time: a command has an end. */
static int scan_found(struct post_source *s, ph_str rest)
{
    while (rest.n) {
        size_t n = rest.n;
        if (n > SET_BYTES) {
            n = SET_BYTES;
            while (rest.p[n] != ',')
                n--;
        }
        if (s->ops->scan(s, ph_str_sub(rest, 0, n)) < 0)
            return post_source_fail(s);
        rest = ph_str_skip(rest, n + 1);
    }
    for (size_t i = 0; i < s->item_n; i++)
        s->items[i].picked = true;
    return 0;
}

static int search(const struct post_source_args *a, struct post_login *login, struct search *q)
{
    struct post_source s;
    int rc = post_source_open(&s, a, login);
    if (rc)
        return rc;
    if (post_imap_await(&s,
                        ph_imap_client_search(s.engine, true,
                                              q->utf8 ? PH_STR("UTF-8") : (ph_str){0},
                                              ph_buf_str(&q->criteria)),
                        on_found, q) < 0)
        rc = post_source_fail(&s);
    if (rc == 0 && ph_buf_err(&q->found))
        rc = post_fail(EX_OSERR, "out of memory");
    if (rc == 0)
        rc = scan_found(&s, ph_buf_str(&q->found));
    if (q->json)
        putchar('[');
    if (rc == 0)
        rc = post_source_get(&s, true, show, q);
    if (q->json)
        puts("]");
    int end = post_source_close(&s, rc == 0);
    return rc ? rc : end;
}

int post_search(int argc, char **argv)
{
    static const char details[] = "All that is given must be true; a word without an option may "
                                  "stand anywhere in the letter.\n\n"
                                  "  post search --from alice --since 2026-11-01 report\n";
    struct post_login login = {0};
    struct post_source_args a = {0};
    struct search q = {0};
    struct post_option account[POST_LOGIN_ROWS], source[POST_SOURCE_ROWS];
    const struct post_option own[] = {
        {"--from", "TEXT", .each = on_from, .ctx = &q, .help = "the sender holds it"},
        {"--to", "TEXT", .each = on_to, .ctx = &q, .help = "a recipient holds it"},
        {"--subject", "TEXT", .each = on_subject, .ctx = &q, .help = "the subject holds it"},
        {"--since", "DATE", .each = on_since, .ctx = &q, .help = "came on 2026-11-22 or later"},
        {"--before", "DATE", .each = on_before, .ctx = &q, .help = "came before that day"},
        {"--larger", "BYTES", .each = on_larger, .ctx = &q, .help = "has more bytes"},
        {"--seen", NULL, .flag = &q.seen, .help = "was read"},
        {"--unseen", NULL, .flag = &q.unseen, .help = "was not read"},
        {"--flagged", NULL, .flag = &q.flagged, .help = "is flagged"},
        {"--json", NULL, .flag = &q.json, .help = "as JSON"},
        {0}};
    const struct post_option *const tables[] = {source, own, account, NULL};
    ph_buf_init(&q.criteria, NULL, CRITERIA_MAX);
    ph_buf_init(&q.found, NULL, 128 * 1024 * 1024);
    post_source_options(&a, source);
    post_login_options(&login, account);
    int rc = post_options(argc, argv, tables, details, 0, -1);
    for (int i = 1; i <= rc; i++)
        on_text(&q, argv[i]);
    const bool flags[] = {q.seen, q.unseen, q.flagged};
    static const char *const names[] = {"SEEN", "UNSEEN", "FLAGGED"};
    for (size_t i = 0; i < 3; i++)
        if (flags[i])
            word(&q, names[i]);
    if (rc >= 0 && (q.wrong || a.pop3))
        rc = -1 - (a.pop3
                       ? post_fail(EX_USAGE, "POP3 cannot search; this goes by IMAP")
                       : post_fail(EX_USAGE, "\"%s\" is no date (2026-11-22) or number", q.wrong));
    if (rc >= 0 && q.criteria.n == 0)
        rc = -1 - post_fail(EX_USAGE, "search for what? post search --help shows what there is");
    a.imap = true;
    rc = rc < 0 ? -1 - rc : search(&a, &login, &q);
    ph_buf_done(&q.criteria);
    ph_buf_done(&q.found);
    post_login_done(&login);
    return rc;
}
