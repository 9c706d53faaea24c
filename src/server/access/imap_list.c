/*
 * LIST with the options of RFC 5258, 5819 and 6154, and LSUB. All names come from the store in one
 * answer, sorted; each is told once, whatever number of patterns it matches.
 */
#include "imap_session.h"

enum { SEPARATOR = '/' };

struct listing {
    struct imap *im;
    ph_str *patterns; /* behind their reference, as one */
    size_t n;
    struct ph_buf last; /* the ancestor told last: names come sorted */
};

unsigned imap_list_bits(const struct ipc_mailbox *m)
{
    unsigned bits = ph_imap_mailbox_bit(m->special) & PH_IMAP_MB_SPECIAL;
    if (m->bits & IPC_MB_NOSELECT)
        bits |= PH_IMAP_MB_NOSELECT;
    return bits | (m->bits & IPC_MB_CHILDREN ? PH_IMAP_MB_HASCHILDREN : PH_IMAP_MB_HASNOCHILDREN);
}

static bool matches(const struct listing *l, ph_str name)
{
    for (size_t i = 0; i < l->n; i++)
        if (ph_imap_list_match(l->patterns[i], name, SEPARATOR))
            return true;
    return false;
}

static bool is_below(ph_str name, ph_str above)
{
    return name.n > above.n && name.p[above.n] == SEPARATOR && ph_str_has_prefix(name, above);
}

/* Does anything that is subscribed lie below it? `rest` begins behind the mailbox. */
static bool subscribed_below(ph_str rest, ph_str name)
{
    struct ipc_mailbox m;
    /* Between a name and its children others may sort ("a", "a-b", "a/c"), but all of them begin
     * with it. */
    while (ipc_each(mailbox, &rest, &m) && ph_str_has_prefix(m.name, name))
        if (m.bits & IPC_MB_SUBSCRIBED && is_below(m.name, name))
            return true;
    return false;
}

/* ---- ancestors that are no mailboxes -------------------------------------------------------- */

/* A subscribed name that does not match shows its nearest ancestor that does: LSUB "%" as \Noselect
 * (RFC 3501 6.3.9), RECURSIVEMATCH as \NonExistent where no mailbox has that name (RFC 5258 3.5).
 * Told once. */
static void tell_ancestor(struct listing *l, ph_str name)
{
    bool lsub = l->im->cmd->verb == PH_IMAP_LSUB;
    for (size_t at = 0; at < name.n; at++) {
        ph_str up = ph_str_sub(name, 0, at);
        if (name.p[at] != SEPARATOR || !matches(l, up))
            continue;
        if (ph_str_eq(ph_buf_str(&l->last), up))
            return;
        ph_buf_clear(&l->last);
        ph_buf_add(&l->last, up);
        ph_imap_server_list(l->im->e,
                            &(struct ph_imap_list){.name = up,
                                                   .bits = lsub ? PH_IMAP_MB_NOSELECT
                                                                : (unsigned)PH_IMAP_MB_NONEXISTENT,
                                                   .separator = SEPARATOR,
                                                   .lsub = lsub,
                                                   .child_info = !lsub});
        return;
    }
}

static bool ends_in_percent(const struct listing *l)
{
    ph_str p = l->patterns[0];
    return p.n && p.p[p.n - 1] == '%';
}

/* ---- one mailbox ---------------------------------------------------------------------------- */

static void tell_lsub(struct listing *l, const struct ipc_mailbox *m)
{
    if (!(m->bits & IPC_MB_SUBSCRIBED))
        return;
    if (matches(l, m->name))
        ph_imap_server_list(l->im->e, &(struct ph_imap_list){.name = m->name,
                                                             .bits = imap_list_bits(m),
                                                             .separator = SEPARATOR,
                                                             .lsub = true});
    else if (ends_in_percent(l))
        tell_ancestor(l, m->name);
}

static void tell_status(struct imap *im, const struct ipc_mailbox *m)
{
    char id[24];
    struct ph_imap_status st =
        imap_status(im, m, im->cmd->list.status & ~(unsigned)PH_IMAP_ST_DELETED_STORAGE, id);
    if (im->cmd->list.ret & PH_IMAP_LIST_STATUS &&
        !(m->bits & (IPC_MB_NOSELECT | IPC_MB_NONEXISTENT)))
        ph_imap_server_status(im->e, &st);
}

/* `rest`: the rows behind this one. */
static void tell_list(struct listing *l, const struct ipc_mailbox *m, ph_str rest)
{
    const struct ph_imap_command *c = l->im->cmd;
    unsigned select = c->list.select;
    bool absent = m->bits & IPC_MB_NONEXISTENT, subscribed = m->bits & IPC_MB_SUBSCRIBED;
    bool recursive = select & PH_IMAP_LIST_RECURSIVE && select & PH_IMAP_LIST_SUBSCRIBED;
    struct ph_imap_list out = {.name = m->name, .separator = SEPARATOR};
    if (!matches(l, m->name)) {
        if (recursive && subscribed)
            tell_ancestor(l, m->name);
        return;
    }
    out.child_info = recursive && subscribed_below(rest, m->name);
    if (select & PH_IMAP_LIST_SUBSCRIBED ? !subscribed && !out.child_info : absent)
        return;
    if (select & PH_IMAP_LIST_SPECIAL && !(imap_list_bits(m) & PH_IMAP_MB_SPECIAL))
        return;
    out.bits = absent ? (unsigned)PH_IMAP_MB_NONEXISTENT : imap_list_bits(m);
    if (subscribed && (select | c->list.ret) & PH_IMAP_LIST_SUBSCRIBED)
        out.bits |= PH_IMAP_MB_SUBSCRIBED;
    ph_buf_clear(&l->last);
    ph_buf_add(&l->last, m->name); /* if it is an ancestor, it was told */
    ph_imap_server_list(l->im->e, &out);
    tell_status(l->im, m);
}

/* ---- the command ---------------------------------------------------------------------------- */

static bool whole_patterns(struct listing *l)
{
    const struct ph_imap_command *c = l->im->cmd;
    struct ph_arena *a = ph_imap_server_arena(l->im->e);
    l->n = c->list.pattern_count;
    l->patterns = a ? ph_arena_array(a, l->n, sizeof *l->patterns) : NULL;
    for (size_t i = 0; l->patterns && i < l->n; i++) {
        l->patterns[i] =
            ph_arena_printf(a, "%.*s%.*s", PH_FMT(c->list.reference), PH_FMT(c->list.patterns[i]));
        if (!l->patterns[i].p)
            return false;
    }
    return l->patterns != NULL;
}

static void listed(struct imap *im, struct ipc_msg *msg)
{
    struct listing l = {.im = im};
    struct ipc_mailbox m;
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    if (msg->MB_LISTED.verdict != IPC_OK) {
        imap_fail(im, msg->MB_LISTED.verdict, (ph_str){0});
        return;
    }
    if (!whole_patterns(&l)) {
        imap_no_memory(im);
        return;
    }
    ph_buf_init(&l.last, NULL, 4096);
    for (ph_str rest = msg->MB_LISTED.mailboxes; ipc_each(mailbox, &rest, &m);) {
        if (im->cmd->verb == PH_IMAP_LSUB)
            tell_lsub(&l, &m);
        else
            tell_list(&l, &m, rest);
    }
    ph_buf_done(&l.last);
    imap_finish(im, PH_IMAP_OK, NULL, "Done.");
}

void imap_run_list(struct imap *im)
{
    const struct ph_imap_command *c = im->cmd;
    if (c->verb == PH_IMAP_LIST && !c->list.extended && c->list.patterns[0].n == 0) {
        ph_imap_server_list(im->e, &(struct ph_imap_list){.name = PH_STR(""),
                                                          .bits = PH_IMAP_MB_NOSELECT,
                                                          .separator = SEPARATOR});
        imap_finish(im, PH_IMAP_OK, NULL, "Done.");
        return;
    }
    uint64_t req = imap_ask(im, IPC_MB_LISTED, listed);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MB_LIST, -1, .req = req, .session = im->s->grant));
}
