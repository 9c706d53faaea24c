/*
 * One session, many letters. After a letter that failed the session is asked whether it still lives
 * (RSET); if not, the next letter opens another.
 *
 *   none -> open -> letter -> open        all or some recipients have it
 *                          -> RSET -> open | none
 *        -> hopeless                      nobody answers, or the login fails
 */
#include "handover.h"
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

enum { LARGE = 1024 * 1024 }; /* bytes; below, progress is over at once */

static void tell_json(const struct post_handover *h, const struct post_letter *l,
                      const struct ph_smtp_outcome *each, const struct ph_smtp_outcome *all)
{
    const struct ph_conn_info *info = ph_smtp_session_info(h->session);
    putchar('{');
    if (h->name) {
        printf("\"file\":");
        post_json_string(stdout, ph_str_c(h->name));
        putchar(',');
    }
    printf("\"message_id\":");
    post_json_string(stdout, l->id);
    printf(",\"from\":");
    post_json_string(stdout, l->sender);
    printf(",\"size\":%llu,\"server\":", (unsigned long long)l->body.size);
    post_json_string(stdout, ph_str_c(info->peer));
    printf(",\"tls\":");
    post_json_string(stdout, ph_str_c(info->tls));
    printf(",\"verified\":%s,\"code\":%d,\"reply\":", info->verified ? "true" : "false", all->code);
    post_json_string(stdout, ph_str_c(all->text));
    printf(",\"recipients\":[");
    for (size_t i = 0; i < l->to_n; i++) {
        printf("%s{\"address\":", i ? "," : "");
        post_json_string(stdout, l->to[i]);
        printf(",\"code\":%d,\"reply\":", each[i].code);
        post_json_string(stdout, ph_str_c(each[i].text));
        printf("}");
    }
    printf("]}\n");
}

static void tell(const struct post_handover *h, const struct post_letter *l, int refused,
                 const struct ph_smtp_outcome *each, const struct ph_smtp_outcome *all)
{
    const struct ph_conn_info *info = ph_smtp_session_info(h->session);
    if (h->name) {
        post_print(stdout, ph_str_c(h->name));
        printf(": ");
    }
    printf("sent ");
    post_print(stdout, l->id);
    printf(" to %zu recipient%s by %s%s%s: %d ", l->to_n - (size_t)refused,
           l->to_n - (size_t)refused == 1 ? "" : "s", info->peer, info->tls[0] ? ", " : "",
           info->tls, all->code);
    post_print(stdout, ph_str_c(all->text));
    putchar('\n');
    for (size_t i = 0; i < l->to_n; i++)
        if (each[i].code / 100 != 2)
            post_fail(EX_NOUSER, "%.*s was refused: %d %s", PH_FMT(l->to[i]), each[i].code,
                      each[i].text);
}

static int connected(struct post_handover *h, struct ph_trouble *rett)
{
    if (h->session)
        return 0;
    h->login->account.transcript = post_transcript(h->login);
    int rc = ph_smtp_open(&h->login->account, &h->session, rett);
    h->hopeless = rc < 0;
    return rc;
}

static void close_if_dead(struct post_handover *h)
{
    if (h->session && ph_smtp_rset(h->session, NULL) / 100 != 2)
        h->session = ph_smtp_close(h->session);
}

static int failed(const struct post_handover *h, const struct ph_trouble *t)
{
    struct ph_trouble named = *t;
    if (h->name)
        ph_fail(&named.error, t->error.code, t->error.sys, "%.100s: %s", h->name, t->error.text);
    return post_fail_trouble(&named);
}

struct reading {
    struct post_body *body;
    int shown; /* per cent */
};

static int64_t on_read(void *ctx, char *to, size_t max)
{
    return post_body_read(((struct reading *)ctx)->body, to, max);
}

/* For large letters, on a terminal. */
static void show_progress(void *ctx, uint64_t done, uint64_t size)
{
    struct reading *r = ctx;
    int percent = size ? (int)(done * 100 / size) : 0;
    if (percent == r->shown)
        return;
    r->shown = percent;
    fprintf(stderr, "\r%3d%% of %llu KB%s", percent, (unsigned long long)(size / 1024),
            done >= size ? "\n" : "");
}

int post_handover_letter(struct post_handover *h, struct post_letter *l)
{
    struct ph_smtp_outcome all = {0}, *each = calloc(l->to_n, sizeof *each);
    bool watched = isatty(STDERR_FILENO) && l->body.size > LARGE;
    struct reading reading = {.body = &l->body, .shown = -1};
    const struct ph_smtp_letter letter = {.struct_size = sizeof letter,
                                          .sender = l->sender,
                                          .recipients = l->to,
                                          .count = l->to_n,
                                          .read = on_read,
                                          .size = l->body.size,
                                          .progress = watched ? show_progress : NULL,
                                          .ctx = &reading,
                                          .ret_each = each,
                                          .ret_all = &all};
    struct ph_trouble t = {0};
    if (!each)
        return post_fail(EX_OSERR, "out of memory");
    int rc = connected(h, &t);
    post_body_rewind(&l->body);
    if (rc == 0)
        rc = ph_smtp_sendmail(h->session, &letter, &t);
    if (l->body.why.code) {
        rc = post_fail(EX_NOINPUT, "the letter was not sent: %s", l->body.why.text);
        h->session = ph_smtp_close(h->session);
    } else if (rc < 0) {
        rc = failed(h, &t);
        if (h->name) /* there may be more letters */
            close_if_dead(h);
    } else {
        if (h->json)
            tell_json(h, l, each, &all);
        else
            tell(h, l, rc, each, &all);
        rc = rc > 0 ? EX_NOUSER : 0;
    }
    free(each);
    return rc;
}

void post_handover_done(struct post_handover *h)
{
    h->session = ph_smtp_close(h->session);
}
