/* Steps of a journey that others saw (RFC 5321 4.4). */
#include "heard.h"
#include "ascii.h"

#include "ipc.h"
#include <posthouse/mime.h>

enum {
    AHEAD_S = 90, /* clocks differ; a hop takes a moment */
    HOST = 255,
    PEER = 320,
    TLS = 80,
    WORD = 120
};

/* Appends at most n octets of a raw value: white space and controls become single spaces. */
static void add_line(struct ph_buf *b, ph_str raw, size_t n)
{
    bool gap = false;
    size_t from = b->n;
    for (size_t i = 0; i < raw.n && b->n - from < n && !ph_buf_err(b); i++) {
        unsigned char c = (unsigned char)raw.p[i];
        if (c <= ' ' || c == 0x7f) {
            gap = b->n > from;
            continue;
        }
        if (gap)
            ph_buf_addc(b, ' ');
        gap = false;
        ph_buf_addc(b, (char)c);
    }
}

static void add_clause(struct ph_buf *b, const char *before, ph_str raw)
{
    if (!raw.n)
        return;
    ph_buf_add(b, ph_str_c(before));
    add_line(b, raw, WORD);
}

static bool is_of_name(char c)
{
    return ph_is_alnum(c) || c == '.' || c == '-' || c == '_';
}

static ph_str name_at(ph_str s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && n < WORD / 2 && is_of_name(s.p[at + n]))
        n++;
    return ph_str_sub(s, at, n);
}

static size_t find(ph_str s, ph_str words)
{
    for (size_t i = 0; i + words.n <= s.n; i++)
        if (ph_str_ieq(ph_str_sub(s, i, words.n), words))
            return i + words.n;
    return PH_NPOS;
}

/* "TLSv1.3 TLS_AES_256_GCM_SHA384", wherever its comments tell of it: "(using TLSv1.3 with cipher
 * X", "(version=TLS1_3 cipher=X", "(TLSv1.3 X)". */
static void tls_of(ph_str raw, struct ph_buf *b)
{
    size_t at = find(raw, PH_STR("TLSv1")), cipher = PH_NPOS;
    if (at == PH_NPOS)
        at = find(raw, PH_STR("TLS1"));
    if (at == PH_NPOS)
        return;
    ph_str rest = name_at(raw, at);
    ph_buf_addf(b, "TLSv1%s%.*s", rest.n && rest.p[0] == '_' ? "." : "",
                PH_FMT(ph_str_skip(rest, rest.n && rest.p[0] == '_')));
    ph_str behind = ph_str_skip(raw, at + rest.n);
    for (int i = 0; i < 2 && cipher == PH_NPOS; i++)
        cipher = find(behind, i ? PH_STR("cipher=") : PH_STR("cipher "));
    if (cipher == PH_NPOS && behind.n && behind.p[0] == ' ')
        cipher = 1;
    ph_str name = cipher == PH_NPOS ? (ph_str){0} : name_at(behind, cipher);
    if (name.n)
        ph_buf_addf(b, " %.*s", PH_FMT(name));
}

/* What it says of itself, in the words of its field. */
static void note_of(const struct ph_received *r, int64_t now_s, struct ph_buf *b)
{
    add_clause(b, "with ", r->with);
    add_clause(b, b->n ? ", id " : "id ", r->id);
    ph_buf_add(b, ph_str_c(b->n ? "; " : ""));
    ph_buf_add(b, PH_STR("not seen by us: its Received field says so"));
    if (!r->has_date)
        ph_buf_add(b, PH_STR(", and no time"));
    else if (r->date.time > now_s + AHEAD_S)
        ph_buf_addf(b, ", and its clock is %lld s ahead of ours",
                    (long long)(r->date.time - now_s));
}

static void write_one(ph_str raw, int64_t now, int64_t *last, struct ph_buf *rows)
{
    struct ph_received r;
    struct ph_buf host, peer, note, tls;
    ph_received_parse(raw, &r);
    ph_buf_init(&host, NULL, HOST);
    ph_buf_init(&peer, NULL, PEER);
    ph_buf_init(&note, NULL, 4 * WORD);
    ph_buf_init(&tls, NULL, WORD);
    int64_t now_s = now / 1000000;
    bool told = r.has_date && r.date.time <= now_s + AHEAD_S;
    if (told)
        *last = r.date.time < now_s ? r.date.time * 1000000 : now;
    add_line(&host, r.by, HOST);
    add_line(&peer, r.from, PEER / 2);
    add_clause(&peer, peer.n ? " (" : "(", r.from_info);
    ph_buf_add(&peer, ph_str_c(r.from_info.n ? ")" : ""));
    note_of(&r, now_s, &note);
    tls_of(raw, &tls);
    if (host.n && !ph_buf_err(&host) && !ph_buf_err(&peer) && !ph_buf_err(&note)) {
        struct ipc_event e = {.time = *last ? *last : now,
                              .kind = EV_RECEIVED,
                              .process = PH_STR(IPC_HEARD),
                              .peer = ph_buf_str(&peer),
                              .tls = ph_str_sub(ph_buf_str(&tls), 0, TLS),
                              .note = ph_buf_str(&note),
                              .host = ph_buf_str(&host)};
        ipc_add(event, rows, &e);
    }
    ph_buf_done(&host);
    ph_buf_done(&peer);
    ph_buf_done(&note);
    ph_buf_done(&tls);
}

void heard_write(ph_str head, int64_t now, struct ph_buf *rows)
{
    struct ph_field f;
    ph_str raw[HEARD_MOST];
    size_t n = 0;
    int64_t last = 0;
    while (n < HEARD_MOST && ph_field_next(&head, &f))
        if (ph_str_ieq(f.name, PH_STR("Received")))
            raw[n++] = f.value;
    while (n)
        write_one(raw[--n], now, &last, rows);
}
