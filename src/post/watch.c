/*
 * post watch: waits for new mail by IDLE (RFC 2177) and lists it; a command is run for each letter.
 *
 *   scan what is there -> IDLE -> EXISTS grew, or time to renew -> DONE
 *                          ^                                        |
 *                          +---- tell <- scan above the last UID <--+
 *
 * A server that ends an idle connection does so after 30 minutes (RFC 9051 5.4); routers forget one
 * earlier.
 */
#include "letter.h"
#include "loop.h"
#include "source_imap.h"
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { RENEW_MS = 9 * 60 * 1000, BACKOFF_S = 5, TRIES = 60 };

struct watch {
    const char *command, *count_text;
    bool json, every; /* every: also tell what is there already */
    uint64_t count;   /* end after so many letters; 0: never */
    uint64_t told;
    uint32_t last; /* UID */
    int failed;
};

/* ---- the command ------------------------------------------------------------------------- */

/* "NAME=text" with one line of text from outside; the caller frees. */
static char *variable(const char *name, ph_str text)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, 64 * 1024);
    ph_buf_addf(&b, "%s=", name);
    for (size_t i = 0; i < text.n && b.n < 8000; i++)
        ph_buf_addc(&b, (unsigned char)text.p[i] < ' ' ? ' ' : text.p[i]);
    char *copy = ph_buf_err(&b) ? NULL : strdup(ph_buf_cstr(&b));
    ph_buf_done(&b);
    return copy;
}

/* Runs it by the shell. What is known of the letter stands in variables and never in the
 * command. */
static int run(struct watch *w, const struct post_item *item, ph_str head)
{
    static const char *const names[] = {"POST_SUBJECT", "POST_SENDER", "POST_TO"};
    static const char *const fields[] = {"Subject", "From", "To"};
    struct ph_arena *a = ph_arena_new(NULL, 1024 * 1024);
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    char **env = calloc(n + 6, sizeof *env), *own[4] = {0};
    pid_t pid;
    int e = env && a ? 0 : ENOMEM, status = 0;
    for (; e == 0 && k < n; k++)
        env[k] = environ[k];
    for (size_t i = 0; e == 0 && i < 4; i++) {
        own[i] = i < 3 ? variable(names[i], post_field_text(a, head, fields[i]))
                       : variable("POST_NUMBER", ph_str_c(item->uid));
        e = own[i] ? 0 : ENOMEM;
        env[k++] = own[i];
    }
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)w->command, NULL};
    if (e == 0)
        e = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, env);
    while (e == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    for (size_t i = 0; i < 4; i++)
        free(own[i]);
    free(env);
    ph_arena_free(a);
    return e ? post_fail(EX_OSERR, "cannot run %s: %s", w->command, strerror(e)) : 0;
}

static int tell(void *ctx, struct post_item *item, ph_str head)
{
    struct watch *w = ctx;
    post_show_line(item, head, w->json);
    if (w->json)
        putchar('\n');
    fflush(stdout);
    w->told++;
    return w->command ? run(w, item, head) : 0;
}

/* ---- waiting ----------------------------------------------------------------------------- */

/* Lists what is above the last UID. */
static int look(struct post_source *s, struct watch *w, bool silent)
{
    char set[32];
    s->item_n = 0;
    snprintf(set, sizeof set, "%u:*", w->last + 1);
    int rc = s->ops->scan(s, ph_str_c(set));
    size_t n = 0;
    for (size_t i = 0; rc == 0 && i < s->item_n; i++) /* "9:*" has the last letter, were it 3 */
        if (s->items[i].number > w->last)
            s->items[n++] = s->items[i];
    if (rc)
        return rc;
    s->item_n = n;
    for (size_t i = 0; i < n; i++)
        s->items[i].picked = !w->count || i < w->count - w->told;
    if (n)
        w->last = s->items[n - 1].number;
    return n && !silent ? post_source_get(s, true, tell, w) : 0;
}

static int watch_once(const struct post_source_args *a, struct post_login *login, struct watch *w,
                      bool first)
{
    struct post_source s;
    int rc = post_source_open(&s, a, login);
    if (rc)
        return rc;
    rc = look(&s, w, first && !w->every);
    while (rc == 0 && (!w->count || w->told < w->count)) {
        rc = post_imap_idle(&s, RENEW_MS);
        if (rc == 0)
            rc = look(&s, w, false);
    }
    if (rc < 0)
        rc = post_source_fail(&s);
    post_source_close(&s, rc == 0);
    return rc;
}

static bool may_pass(int rc)
{
    return rc == EX_TEMPFAIL || rc == EX_UNAVAILABLE || rc == EX_IOERR;
}

/* A lost connection is opened again, and what came meanwhile is told. */
static int watch(const struct post_source_args *a, struct post_login *login, struct watch *w)
{
    int rc = 0;
    bool first = true;
    for (int failed = 0; failed < TRIES; first = false) {
        uint64_t before = w->told;
        rc = watch_once(a, login, w, first);
        if (rc == 0 || first || !may_pass(rc))
            return rc;
        failed = w->told > before ? 0 : failed + 1;
        post_fail(rc, "trying again in %d s", BACKOFF_S);
        sleep(BACKOFF_S);
    }
    return rc;
}

int post_watch(int argc, char **argv)
{
    static const char details[] =
        "The command is run by the shell; POST_NUMBER, POST_SENDER, POST_TO and POST_SUBJECT tell "
        "of the letter. They come from "
        "outside: quote them.\n\n"
        "  post watch --run 'notify-send \"$POST_SENDER\" \"$POST_SUBJECT\"'\n"
        "  post watch --run 'post fetch --maildir ~/Mail'\n";
    struct post_login login = {0};
    struct post_source_args a = {.imap = true};
    struct watch w = {0};
    struct post_option account[POST_LOGIN_ROWS];
    const struct post_option own[] = {
        {"--mailbox", "NAME", .value = &a.mailbox, .help = "the mailbox (INBOX)"},
        {"--run", "COMMAND", .value = &w.command, .help = "run this for each new letter"},
        {"--count", "N", .value = &w.count_text, .help = "end after so many letters"},
        {"--all", NULL, .flag = &w.every, .help = "begin with what is there already"},
        {"--json", NULL, .flag = &w.json, .help = "a line of JSON a letter"},
        {0}};
    const struct post_option *const tables[] = {own, account, NULL};
    post_login_options(&login, account);
    int rc = post_options(argc, argv, tables, details, 0, 0);
    if (rc >= 0 && w.count_text && !ph_str_u64(ph_str_c(w.count_text), INT64_MAX, &w.count))
        rc = -1 - post_fail(EX_USAGE, "--count is a number, not \"%s\"", w.count_text);
    rc = rc < 0 ? -1 - rc : watch(&a, &login, &w);
    post_login_done(&login);
    return rc;
}
