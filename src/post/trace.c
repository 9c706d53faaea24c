/* post trace: asks the server that took a letter (XTRACE, a command of ours) and draws its
 * journey. */
#include "post.h"
#include <jansson.h>
#include <posthouse/send.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { REPLY_MAX = 1024 * 1024 };

static ph_str text_of(const json_t *event, const char *key)
{
    const json_t *v = json_object_get(event, key);
    return json_is_string(v) ? (ph_str){json_string_value(v), json_string_length(v)} : (ph_str){0};
}

/* The reader's day and time of day; "time" is microseconds since 1970. */
static void when(const json_t *event, char date[32], char clock[32])
{
    struct tm tm;
    int64_t us = json_integer_value(json_object_get(event, "time"));
    time_t t = (time_t)(us / 1000000);
    char seconds[16] = "";
    date[0] = clock[0] = '\0';
    if (us <= 0 || !localtime_r(&t, &tm))
        return;
    strftime(date, 32, "%Y-%m-%d", &tm);
    strftime(seconds, sizeof seconds, "%H:%M:%S", &tm);
    snprintf(clock, 32, "%s.%03d", seconds, (int)(us / 1000 % 1000));
}

static void part(const char *before, ph_str s)
{
    if (!s.n)
        return;
    fputs(before, stdout);
    post_print(stdout, s);
}

static void show_event(const json_t *event, char *day, size_t day_n)
{
    char date[32], clock[32];
    if (json_is_true(json_object_get(event, "more"))) {
        puts("  (there is more than the server tells)");
        return;
    }
    int64_t took = json_integer_value(json_object_get(event, "took"));
    int64_t code = json_integer_value(json_object_get(event, "code"));
    when(event, date, clock);
    if (date[0] && strcmp(date, day) != 0) {
        printf("%s\n", date);
        snprintf(day, day_n, "%s", date);
    }
    ph_str step = text_of(event, "step").n ? text_of(event, "step") : text_of(event, "kind");
    printf("  %-12s  %-13.*s", clock, PH_FMT(step));
    part(" ", text_of(event, "host"));
    part(" ", text_of(event, "process"));
    part("  to ", text_of(event, "recipient"));
    part("  with ", text_of(event, "peer"));
    part("  ", text_of(event, "tls"));
    part("  as ", text_of(event, "auth"));
    if (code)
        printf("  %d", (int)code);
    part(" ", text_of(event, "reply"));
    part("  ", text_of(event, "note"));
    if (took >= 1000)
        printf("  (%lld ms)", (long long)(took / 1000));
    putchar('\n');
}

static int show(ph_str reply, bool json)
{
    char day[64] = "";
    ph_str line;
    size_t shown = 0;
    if (json)
        putchar('[');
    while (ph_str_token(&reply, '\n', &line)) {
        json_t *event = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(event)) { /* a line for people around the events */
            json_decref(event);
            continue;
        }
        if (json) {
            char *text = json_dumps(event, JSON_COMPACT);
            printf("%s%s", shown ? ",\n" : "", text ? text : "null");
            free(text);
        } else {
            show_event(event, day, sizeof day);
        }
        json_decref(event);
        shown++;
    }
    if (json)
        puts("]");
    return shown ? EX_OK : post_fail(EX_DATAERR, "the server knows of no such letter of yours");
}

static int trace(struct post_login *login, const char *id, bool json)
{
    struct ph_smtp_session *s;
    struct ph_trouble t = {0};
    struct ph_buf reply;
    char line[1100];
    ph_str bare = ph_str_trim(ph_str_c(id));
    int rc = post_login_complete(login, POST_SMTP);
    if (rc)
        return rc;
    if (bare.n > 1000)
        return post_fail(EX_USAGE, "this is too long for a Message-ID");
    snprintf(line, sizeof line, bare.n && bare.p[0] == '<' ? "XTRACE %.*s" : "XTRACE <%.*s>",
             PH_FMT(bare));
    login->account.transcript = post_transcript(login);
    if (ph_smtp_open(&login->account, &s, &t) < 0)
        return post_fail_trouble(&t);
    ph_buf_init(&reply, NULL, REPLY_MAX);
    rc = ph_smtp_docmd(s, ph_str_c(line), &reply, &t);
    if (rc < 0)
        rc = post_fail_trouble(&t);
    else if (rc / 100 != 2)
        rc = post_fail(rc / 100 == 4 ? EX_TEMPFAIL : EX_UNAVAILABLE, "%s: %d %s",
                       ph_smtp_session_info(s)->peer, rc, ph_buf_cstr(&reply));
    else
        rc = show(ph_buf_str(&reply), json);
    ph_buf_done(&reply);
    ph_smtp_close(s);
    return rc;
}

int post_trace(int argc, char **argv)
{
    static const char details[] =
        "The server is the one the letter was sent through (submission), and you log in as its "
        "sender.\n\n"
        "  post trace --server mail.here.test --user me@here.test '<20261122.1@here.test>'\n";
    struct post_login login = {0};
    bool json = false;
    struct post_option account[POST_LOGIN_ROWS];
    const struct post_option own[] = {{"--json", NULL, .flag = &json, .help = "as JSON"}, {0}};
    const struct post_option *const tables[] = {own, account, NULL};
    post_login_options(&login, account);
    int rc = post_options(argc, argv, tables, details, 1, 1);
    rc = rc < 0 ? -1 - rc : trace(&login, argv[1], json);
    post_login_done(&login);
    return rc;
}
