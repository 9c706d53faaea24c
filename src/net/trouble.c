/* Errors a person can act on: the table of trouble.def, and who looks things up in it. */
#include "net_int.h"
#include <posthouse/discover.h>
#include <stdio.h>
#include <string.h>

#define ANY 0u
#define S(stage) (1u << PH_STAGE_##stage)

static const struct row {
    enum ph_trouble_kind kind;
    unsigned stages;
    int code, reply;
    const char *esc, *words;
} rows[] = {
#define T(kind, stages, code, reply, esc, words, means, remedy)                                    \
    {PH_TROUBLE_##kind, stages, code, reply, esc, words},
#define T_MORE(kind, stages, code, reply, esc, words)                                              \
    {PH_TROUBLE_##kind, stages, code, reply, esc, words},
#include <posthouse/trouble.def>
#undef T
#undef T_MORE
};

static const struct {
    const char *name, *means, *remedy;
} sentences[PH_TROUBLE_COUNT] = {
    [PH_TROUBLE_UNKNOWN] = {"UNKNOWN", "", ""},
#define T(kind, stages, code, reply, esc, words, means, remedy)                                    \
    [PH_TROUBLE_##kind] = {#kind, means, remedy},
#define T_MORE(kind, stages, code, reply, esc, words)
#include <posthouse/trouble.def>
#undef T
#undef T_MORE
};

const char *ph_stage_text(enum ph_stage stage)
{
    static const char *const texts[] = {
#define PH_STAGE_TEXT(sym, text) text,
        PH_STAGES(PH_STAGE_TEXT)
#undef PH_STAGE_TEXT
    };
    return (size_t)stage < sizeof texts / sizeof texts[0] ? texts[stage] : "";
}

const char *ph_trouble_name(enum ph_trouble_kind kind)
{
    return sentences[(unsigned)kind < PH_TROUBLE_COUNT ? kind : PH_TROUBLE_UNKNOWN].name;
}

static bool has_one(ph_str words, ph_str text)
{
    ph_str word;
    while (ph_str_token(&words, '|', &word))
        if (ph_str_ifind(text, word) != PH_NPOS)
            return true;
    return false;
}

/* "5.7" begins "5.7.1" and not "5.71". */
static bool begins_code(ph_str esc, ph_str with)
{
    return ph_str_has_iprefix(esc, with) && (esc.n == with.n || esc.p[with.n] == '.');
}

static bool fits(const struct row *r, const struct ph_trouble *t)
{
    ph_str words = ph_str_c(r->words), esc = ph_str_c(r->esc);
    return (r->stages == ANY || (r->stages & (1u << t->stage))) &&
           (r->code == 0 || r->code == t->error.code) &&
           (r->reply == 0 || r->reply == t->reply || r->reply == t->reply / 100) &&
           (!esc.n || begins_code(ph_str_c(t->esc), esc)) &&
           (!words.n || has_one(words, ph_str_c(t->said[0] ? t->said : t->error.text)));
}

/* Where a provider's own wishes are the likely cause. */
static bool is_hinted(enum ph_trouble_kind kind)
{
    return kind == PH_TROUBLE_WRONG_PASSWORD || kind == PH_TROUBLE_APP_PASSWORD ||
           kind == PH_TROUBLE_BASIC_OFF || kind == PH_TROUBLE_SERVICE_OFF ||
           kind == PH_TROUBLE_UNSAFE_LOGIN || kind == PH_TROUBLE_SMTP_AUTH_OFF;
}

void ph_trouble_explain(struct ph_trouble *t, ph_str host)
{
    size_t i = 0, n = sizeof rows / sizeof rows[0];
    while (i < n && !fits(&rows[i], t))
        i++;
    t->kind = i < n ? rows[i].kind : PH_TROUBLE_UNKNOWN;
    t->means = sentences[t->kind].means;
    t->remedy = sentences[t->kind].remedy;
    const struct ph_provider *p = is_hinted(t->kind) ? ph_provider_of_host(host) : NULL;
    t->hint = p && p->hint[0] ? p->hint : NULL;
}

void ph_trouble_write(const struct ph_trouble *t, struct ph_buf *out)
{
    ph_buf_addf(out, "%s\n", t->error.text);
    if (t->means && t->means[0])
        ph_buf_addf(out, "  %s %s\n", t->means, t->remedy);
    if (t->hint)
        ph_buf_addf(out, "  %s\n", t->hint);
}

int ph__trouble(struct ph_trouble *rett, ph_str host, enum ph_stage stage, const struct ph_error *e)
{
    if (rett) {
        *rett = (struct ph_trouble){.error = *e, .stage = stage};
        ph_trouble_explain(rett, host);
    }
    return -e->code;
}

int ph__trouble_refused(struct ph_trouble *rett, const struct ph__refusal *r)
{
    struct ph_trouble t = {.stage = r->stage, .reply = r->reply};
    char code[8] = "";
    if (r->reply)
        snprintf(code, sizeof code, "%d ", r->reply);
    ph_fail(&t.error, r->code, 0, "%s refused %s: %s%.*s%s%.*s", ph_conn_info(r->conn)->peer,
            r->what, code, PH_FMT(r->esc), r->esc.n ? " " : "", PH_FMT(r->said));
    snprintf(t.esc, sizeof t.esc, "%.*s", PH_FMT(r->esc));
    snprintf(t.said, sizeof t.said, "%.*s", PH_FMT(r->said));
    ph_trouble_explain(&t, ph__conn_host(r->conn));
    if (rett)
        *rett = t;
    return -r->code;
}

int ph__trouble_lost(struct ph_trouble *rett, const struct ph_conn *conn, enum ph_stage stage,
                     const struct ph_error *why)
{
    struct ph_error e = {0};
    ph_fail(&e, why->code ? why->code : PH_ECLOSED, why->sys, "%s, %s: %s",
            ph_conn_info(conn)->peer, ph_stage_text(stage),
            why->code ? why->text : "the connection was closed");
    return ph__trouble(rett, ph__conn_host(conn), stage, &e);
}

ph_str ph__said(const struct ph_sasl_client *sasl, ph_str words, char *buf, size_t n)
{
    ph_str challenge = ph_sasl_client_said(sasl);
    if (!challenge.n)
        return words;
    snprintf(buf, n, "%.*s (bearer token: %.*s)", PH_FMT(words),
             PH_FMT(ph_str_sub(challenge, 0, 100)));
    return ph_str_c(buf);
}
