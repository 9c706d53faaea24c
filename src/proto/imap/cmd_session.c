/* Arguments of CAPABILITY ... LOGOUT, ID, LOGIN, AUTHENTICATE, ENABLE. */
#include "b64.h"
#include "imap_int.h"

bool ph__imap_cmd_none(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    (void)cmd;
    return ph__imap_end(c);
}

/* RFC 2971 3.1: NIL, or up to 30 pairs. What a client says of itself is checked and not kept. */
bool ph__imap_cmd_id(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    ph_str name, value;
    (void)cmd;
    if (!ph__imap_sp(c))
        return false;
    if (!ph__imap_take(c, '('))
        return ph__imap_nstring(c, &value) &&
               (!value.p || ph__imap_bad(c, "expected NIL or a list")) && ph__imap_end(c);
    for (int pairs = 0; !ph__imap_take(c, ')'); pairs++) {
        if (pairs == 30)
            return ph__imap_bad(c, "at most 30 pairs are allowed");
        if ((pairs && !ph__imap_sp(c)) || !ph__imap_string(c, &name) || !ph__imap_sp(c) ||
            !ph__imap_nstring(c, &value))
            return false;
    }
    return ph__imap_end(c);
}

bool ph__imap_cmd_login(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    return ph__imap_sp(c) && ph__imap_astring(c, &cmd->login.user) && ph__imap_sp(c) &&
           ph__imap_astring(c, &cmd->login.password) && ph__imap_end(c);
}

/* The initial response of RFC 4959: base64, or "=" for an empty one. */
static bool initial_response(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    ph_str text = {c->at, (size_t)(c->end - c->at)};
    struct ph_buf b;
    cmd->auth.has_initial = true;
    cmd->auth.initial = PH_STR("");
    c->at = c->end;
    if (ph_str_eq(text, PH_STR("=")))
        return true;
    ph_buf_init(&b, NULL, text.n);
    bool ok = ph_b64_decode(&b, text) == 0 && text.n > 0;
    if (ok) {
        cmd->auth.initial = ph_arena_copy(c->arena, ph_buf_str(&b));
        c->nomem = !cmd->auth.initial.p;
    }
    if (b.p)
        ph_wipe(b.p, b.n);
    ph_buf_done(&b);
    return (ok && !c->nomem) || ph__imap_bad(c, "the initial response is not base64");
}

bool ph__imap_cmd_authenticate(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    if (!ph__imap_sp(c) || !ph__imap_word(c, &cmd->auth.mechanism))
        return false;
    return ph__imap_take(c, ' ') ? initial_response(c, cmd) : ph__imap_end(c);
}

/* RFC 5161 3.1: words; unknown ones, and those that need not be enabled, are ignored. */
bool ph__imap_cmd_enable(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    static const bool matters[] = {
#define P(sym, wire, states, by, enable, rfc) enable,
#include <posthouse/imap_caps.def>
#undef P
    };
    ph_str word;
    do {
        if (!ph__imap_sp(c) || !ph__imap_word(c, &word))
            return false;
        for (int i = 0; i < PH_IMAP_CAP_COUNT; i++)
            if (matters[i] && ph_str_ieq(word, ph__imap_cap_names[i]))
                cmd->enable |= UINT64_C(1) << i;
    } while (!ph__imap_at_end(c));
    return true;
}

/* RFC 4978 3: one mechanism. */
bool ph__imap_cmd_compress(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    (void)cmd;
    if (!ph__imap_sp(c))
        return false;
    return ph__imap_keyword(c, PH_STR("DEFLATE")) ? ph__imap_end(c)
                                                  : ph__imap_bad(c, "the one mechanism is DEFLATE");
}

bool ph__imap_cmd_getquota(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    return ph__imap_sp(c) && ph__imap_astring(c, &cmd->mailbox.name) && ph__imap_end(c);
}
