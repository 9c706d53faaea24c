/* Arguments of the commands on messages: FETCH, STORE, COPY, MOVE, EXPUNGE. */
#include "imap_int.h"

static bool sp_set(struct ph__imap_cur *c, struct ph_imap_set *set)
{
    return ph__imap_sp(c) && ph__imap_set(c, set);
}

bool ph__imap_cmd_copy(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    return sp_set(c, &cmd->copy.set) && ph__imap_sp(c) && ph__imap_mailbox(c, &cmd->copy.name) &&
           ph__imap_end(c);
}

/* EXPUNGE, or UID EXPUNGE set (RFC 4315 2.1). */
bool ph__imap_cmd_expunge(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    cmd->expunge.has_set = cmd->uid;
    return (!cmd->uid || sp_set(c, &cmd->expunge.set)) && ph__imap_end(c);
}

bool ph__imap_cmd_store(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    ph_str word;
    if (!sp_set(c, &cmd->store.set) || !ph__imap_sp(c))
        return false;
    cmd->store.op = ph__imap_peek(c, '+') || ph__imap_peek(c, '-') ? *c->at++ : '=';
    if (!ph__imap_word(c, &word))
        return ph__imap_bad(c, "expected FLAGS, +FLAGS or -FLAGS");
    cmd->store.silent = ph_str_ieq(word, PH_STR("FLAGS.SILENT"));
    if (!cmd->store.silent && !ph_str_ieq(word, PH_STR("FLAGS")))
        return ph__imap_bad(c, "expected FLAGS, +FLAGS or -FLAGS");
    return ph__imap_sp(c) && ph__imap_flags_bare(c, &cmd->store.flags) && ph__imap_end(c);
}

/* ---- FETCH (RFC 9051 6.4.5, RFC 3501 6.4.5) ----------------------------------------------------
 */

enum { BODY = PH_IMAP_F_BODY };
static const struct {
    ph_str name;
    unsigned mask;
    int as; /* a section by its old name, or -1 */
    enum ph_imap_section_kind kind;
    bool peek, macro;
} items[] = {
    {PH_STR_INIT("ALL"),
     PH_IMAP_F_FLAGS | PH_IMAP_F_INTERNALDATE | PH_IMAP_F_SIZE | PH_IMAP_F_ENVELOPE, -1, 0, false,
     true},
    {PH_STR_INIT("FAST"), PH_IMAP_F_FLAGS | PH_IMAP_F_INTERNALDATE | PH_IMAP_F_SIZE, -1, 0, false,
     true},
    {PH_STR_INIT("FULL"),
     PH_IMAP_F_FLAGS | PH_IMAP_F_INTERNALDATE | PH_IMAP_F_SIZE | PH_IMAP_F_ENVELOPE | BODY, -1, 0,
     false, true},
    {PH_STR_INIT("UID"), PH_IMAP_F_UID, -1, 0, false, false},
    {PH_STR_INIT("FLAGS"), PH_IMAP_F_FLAGS, -1, 0, false, false},
    {PH_STR_INIT("INTERNALDATE"), PH_IMAP_F_INTERNALDATE, -1, 0, false, false},
    {PH_STR_INIT("RFC822.SIZE"), PH_IMAP_F_SIZE, -1, 0, false, false},
    {PH_STR_INIT("ENVELOPE"), PH_IMAP_F_ENVELOPE, -1, 0, false, false},
    {PH_STR_INIT("BODYSTRUCTURE"), PH_IMAP_F_BODYSTRUCTURE, -1, 0, false, false},
    {PH_STR_INIT("BODY"), BODY, -1, 0, false, false},
    {PH_STR_INIT("RFC822"), 0, PH_IMAP_AS_RFC822, PH_IMAP_SEC_BODY, false, false},
    {PH_STR_INIT("RFC822.HEADER"), 0, PH_IMAP_AS_RFC822_HEADER, PH_IMAP_SEC_HEADER, true, false},
    {PH_STR_INIT("RFC822.TEXT"), 0, PH_IMAP_AS_RFC822_TEXT, PH_IMAP_SEC_TEXT, false, false},
};
enum { ITEMS = sizeof items / sizeof items[0] };

static bool add_section(struct ph__imap_cur *c, struct ph_imap_items *f,
                        struct ph_imap_section **room, const struct ph_imap_section *s)
{
    if (f->section_count == IMAP_SECTIONS_MAX)
        return ph__imap_bad(c, "too many sections");
    if (f->section_count % 8 == 0) { /* grown by copying: at most 32 times */
        struct ph_imap_section *more = ph_arena_array(c->arena, f->section_count + 8, sizeof *more);
        if (!more) {
            c->nomem = true;
            return ph__imap_bad(c, "the command is too large");
        }
        for (size_t i = 0; i < f->section_count; i++)
            more[i] = (*room)[i];
        *room = more;
        f->sections = more;
    }
    (*room)[f->section_count++] = *s;
    return true;
}

static bool item(struct ph__imap_cur *c, struct ph_imap_items *f, struct ph_imap_section **room,
                 bool single)
{
    ph_str word, name;
    const char *from = c->at;
    struct ph_imap_section sec = {0};
    while (c->at < c->end &&
           ((*c->at >= 'A' && *c->at <= 'Z') || (*c->at >= 'a' && *c->at <= 'z') || *c->at == '.' ||
            (*c->at >= '0' && *c->at <= '9')))
        c->at++;
    word = name = (ph_str){from, (size_t)(c->at - from)};
    bool peek = ph_str_ieq(word, PH_STR("BODY.PEEK"));
    if (peek)
        name = PH_STR("BODY");
    if (ph__imap_peek(c, '[') || peek) {
        if (!ph_str_ieq(name, PH_STR("BODY")))
            return ph__imap_bad(c, "unknown FETCH item");
        if (!ph__imap_section(c, &sec))
            return false;
        sec.peek = peek;
        return add_section(c, f, room, &sec);
    }
    for (size_t i = 0; i < ITEMS; i++) {
        if (!ph_str_ieq(word, items[i].name) || (items[i].macro && !single))
            continue;
        f->mask |= items[i].mask;
        if (items[i].as < 0)
            return true;
        sec.kind = items[i].kind;
        sec.peek = items[i].peek;
        sec.as = items[i].as == PH_IMAP_AS_RFC822          ? PH_IMAP_AS_RFC822
                 : items[i].as == PH_IMAP_AS_RFC822_HEADER ? PH_IMAP_AS_RFC822_HEADER
                                                           : PH_IMAP_AS_RFC822_TEXT;
        return add_section(c, f, room, &sec);
    }
    return ph__imap_bad(c, "unknown FETCH item");
}

bool ph__imap_cmd_fetch(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    struct ph_imap_section *room = NULL;
    struct ph_imap_items *f = &cmd->fetch.items;
    if (!sp_set(c, &cmd->fetch.set) || !ph__imap_sp(c))
        return false;
    if (!ph__imap_take(c, '(')) {
        if (!item(c, f, &room, true))
            return false;
    } else {
        do {
            if (!item(c, f, &room, false))
                return false;
        } while (ph__imap_take(c, ' '));
        if (!ph__imap_char(c, ')'))
            return false;
    }
    if (cmd->uid)
        f->mask |= PH_IMAP_F_UID;
    return ph__imap_end(c);
}
