/*
 * way.c - which way a letter goes: the rows of `transports`, and behind them one that fits every
 * letter (the smarthost, else the MX records). A reload makes a new table; tries and sessions of
 * the old one keep it until they end.
 */
#include "file.h"
#include "relay.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { TABLE_BYTES = 4 * 1024 * 1024 };

static enum relay_policy policy_of(ph_str text)
{
    return ph_str_eq(text, PH_STR("verify"))    ? RELAY_VERIFY
           : ph_str_eq(text, PH_STR("encrypt")) ? RELAY_ENCRYPT
                                                : RELAY_MAY;
}

static int set_source(struct way *w, ph_str ip, bool v6, struct ph_error *reterr)
{
    w->has_source[v6] = ip.n > 0;
    if (ip.n && ph_addr_make(ip, 0, &w->source[v6]) < 0)
        return ph_fail(reterr, PH_EINVAL, 0, "\"%.*s\" is not an address", PH_FMT(ip));
    return 0;
}

/* Where the row says nothing, the settings for all do. A password is shown to nobody who is not
 * proven to be meant, unless the row says so. */
static int complete(struct way *w, const struct ph_conf *c, struct ph_error *reterr)
{
    struct ph_transport *t = &w->t;
    struct ph_addr a;
    bool v6 = c->relay_source.n && ph_addr_make(c->relay_source, 0, &a) >= 0 &&
              a.sa.ss_family == AF_INET6;
    w->tls = t->tls.n ? policy_of(t->tls) : t->user.n ? RELAY_VERIFY : policy_of(c->relay_tls);
    if (!t->port)
        t->port = (unsigned)c->relay_port;
    if (!t->connections)
        t->connections = (unsigned)c->relay_connections;
    int err = set_source(w, t->source4.n || v6 ? t->source4 : c->relay_source, false, reterr);
    if (!err)
        err = set_source(w, t->source6.n || !v6 ? t->source6 : c->relay_source, true, reterr);
    return err;
}

/* ---- passwords --------------------------------------------------------------------------- */

static int read_password(struct way *w, struct ph_error *reterr)
{
    char path[RELAY_PATH];
    struct stat st;
    struct ph_buf b;
    snprintf(path, sizeof path, "%.*s", PH_FMT(w->t.password_file));
    if (!stat(path, &st) && st.st_mode & 077)
        return ph_fail(reterr, PH_EINVAL, 0,
                       "transports: %s can be read by others than its owner: chmod 600 %s", path,
                       path);
    ph_buf_init(&b, NULL, sizeof w->password);
    int err = ph_file_read(path, &b, reterr);
    ph_str line = ph_buf_str(&b), first;
    if (err >= 0 && ph_str_token(&line, '\n', &first) && (first = ph_str_trim(first)).n)
        memcpy(w->password, first.p, w->password_n = first.n);
    else if (err >= 0)
        err = ph_fail(reterr, PH_EINVAL, 0, "transports: %s is empty", path);
    if (b.p)
        ph_wipe(b.p, b.n);
    ph_buf_done(&b);
    return err < 0 ? err : 0;
}

/* In the sandbox there are no files: what was read at the start is all. */
static int find_password(struct way *w, const struct ways *old, struct ph_error *reterr)
{
    if (!w->t.password_file.n)
        return 0;
    if (!old)
        return read_password(w, reterr);
    for (size_t i = 0; i < old->n; i++)
        if (ph_str_eq(old->v[i].t.password_file, w->t.password_file)) {
            memcpy(w->password, old->v[i].password, w->password_n = old->v[i].password_n);
            return 0;
        }
    ph_log(PH_LOG_ERROR, (ph_str){0}, "settings",
           "error=the password of a new row of transports is read at the next start");
    return 0;
}

/* ---- the table --------------------------------------------------------------------------- */

static int add(struct ways *ws, ph_str row, const struct ph_conf *c, const struct ways *old,
               struct ph_error *reterr)
{
    struct way *w = &ws->v[ws->n];
    row = ph_arena_copy(ws->arena, row);
    if (!row.p)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    int err = ph_transport_parse(row, &w->t, reterr);
    if (!err)
        err = complete(w, c, reterr);
    if (!err)
        err = find_password(w, old, reterr);
    ws->n += !err;
    return err;
}

static int fill(struct ways *ws, const struct ph_conf *c, const struct ways *old,
                struct ph_error *reterr)
{
    char last[400];
    snprintf(last, sizeof last, "* smtp%s%.*s", c->smarthost.n ? ":" : "", PH_FMT(c->smarthost));
    for (size_t i = 0; i < c->transports.n; i++) {
        int err = add(ws, c->transports.v[i], c, old, reterr);
        if (err)
            return err;
    }
    return add(ws, ph_str_c(last), c, old, reterr);
}

int ways_new(const struct ph_conf *c, const struct ways *old, struct ways **ret_ways,
             struct ph_error *reterr)
{
    struct ways *ws = ph_new0(NULL, sizeof *ws);
    if (!ws)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    ws->refs = 1;
    ws->arena = ph_arena_new(NULL, TABLE_BYTES);
    ws->v = ws->arena ? ph_arena_array(ws->arena, c->transports.n + 1, sizeof *ws->v) : NULL;
    int err = ws->v ? fill(ws, c, old, reterr) : ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    if (err < 0)
        ways_drop(ws);
    else
        *ret_ways = ws;
    return err;
}

struct ways *ways_hold(struct ways *ws)
{
    ws->refs++;
    return ws;
}

struct ways *ways_drop(struct ways *ws)
{
    if (!ws || --ws->refs)
        return NULL;
    for (size_t i = 0; i < ws->n; i++)
        ph_wipe(ws->v[i].password, sizeof ws->v[i].password);
    ph_arena_free(ws->arena);
    ph_free(NULL, ws, sizeof *ws);
    return NULL;
}

const struct way *way_for(const struct ways *ws, ph_str sender, ph_str domain)
{
    size_t i = 0;
    while (i + 1 < ws->n && !ph_transport_fits(&ws->v[i].t, sender, domain))
        i++;
    return &ws->v[i];
}
