/* Arguments of the commands on messages: FETCH, STORE, COPY, MOVE, EXPUNGE. */
#include "ascii.h"
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

/* "(UNCHANGEDSINCE n) " of RFC 7162 3.1.3 */
static bool unchanged_since(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    ph__imap_char(c, '(');
    if (!ph__imap_keyword(c, PH_STR("UNCHANGEDSINCE")))
        return ph__imap_bad(c, "expected UNCHANGEDSINCE");
    c->needs |= PH_IMAP_CAP(CONDSTORE);
    cmd->store.has_unchangedsince = true;
    return ph__imap_sp(c) && ph__imap_number(c, INT64_MAX, &cmd->store.unchangedsince) &&
           ph__imap_char(c, ')') && ph__imap_sp(c);
}

bool ph__imap_cmd_store(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    ph_str word;
    if (!sp_set(c, &cmd->store.set) || !ph__imap_sp(c))
        return false;
    if (ph__imap_peek(c, '(') && !unchanged_since(c, cmd))
        return false;
    cmd->store.op = ph__imap_peek(c, '+') || ph__imap_peek(c, '-') ? *c->at++ : '=';
    if (!ph__imap_word(c, &word))
        return ph__imap_bad(c, "expected FLAGS, +FLAGS or -FLAGS");
    cmd->store.silent = ph_str_ieq(word, PH_STR("FLAGS.SILENT"));
    if (!cmd->store.silent && !ph_str_ieq(word, PH_STR("FLAGS")))
        return ph__imap_bad(c, "expected FLAGS, +FLAGS or -FLAGS");
    return ph__imap_sp(c) && ph__imap_flags_bare(c, &cmd->store.flags) && ph__imap_end(c);
}

/* ---- FETCH (RFC 9051 6.4.5, RFC 3501 6.4.5) ------------------------------------------------- */

enum {
    BODY = PH_IMAP_F_BODY,
    FAST = PH_IMAP_F_FLAGS | PH_IMAP_F_INTERNALDATE | PH_IMAP_F_SIZE,
    ALL = FAST | PH_IMAP_F_ENVELOPE
};
#define ATTRIBUTE(name, mask, cap)                                                                 \
    {                                                                                              \
        PH_STR_INIT(name), mask, PH_IMAP_CAP(cap), -1, 0, false, false                             \
    }
static const struct {
    ph_str name;
    unsigned mask;
    uint64_t cap;
    int as; /* a section by its old name, or -1 */
    enum ph_imap_section_kind kind;
    bool peek, macro;
} items[] = {
    {PH_STR_INIT("ALL"), ALL, 0, -1, 0, false, true},
    {PH_STR_INIT("FAST"), FAST, 0, -1, 0, false, true},
    {PH_STR_INIT("FULL"), ALL | BODY, 0, -1, 0, false, true},
    ATTRIBUTE("UID", PH_IMAP_F_UID, IMAP4REV1),
    ATTRIBUTE("FLAGS", PH_IMAP_F_FLAGS, IMAP4REV1),
    ATTRIBUTE("INTERNALDATE", PH_IMAP_F_INTERNALDATE, IMAP4REV1),
    ATTRIBUTE("RFC822.SIZE", PH_IMAP_F_SIZE, IMAP4REV1),
    ATTRIBUTE("ENVELOPE", PH_IMAP_F_ENVELOPE, IMAP4REV1),
    ATTRIBUTE("BODYSTRUCTURE", PH_IMAP_F_BODYSTRUCTURE, IMAP4REV1),
    ATTRIBUTE("BODY", BODY, IMAP4REV1),
    ATTRIBUTE("MODSEQ", PH_IMAP_F_MODSEQ, CONDSTORE),
    ATTRIBUTE("PREVIEW", PH_IMAP_F_PREVIEW, PREVIEW),
    ATTRIBUTE("EMAILID", PH_IMAP_F_EMAILID, OBJECTID),
    ATTRIBUTE("THREADID", PH_IMAP_F_THREADID, OBJECTID),
    ATTRIBUTE("SAVEDATE", PH_IMAP_F_SAVEDATE, SAVEDATE),
    {PH_STR_INIT("RFC822"), 0, 0, PH_IMAP_AS_RFC822, PH_IMAP_SEC_BODY, false, false},
    {PH_STR_INIT("RFC822.HEADER"), 0, 0, PH_IMAP_AS_RFC822_HEADER, PH_IMAP_SEC_HEADER, true, false},
    {PH_STR_INIT("RFC822.TEXT"), 0, 0, PH_IMAP_AS_RFC822_TEXT, PH_IMAP_SEC_TEXT, false, false},
};
#undef ATTRIBUTE
enum { ITEMS = sizeof items / sizeof items[0] };

static bool add_section(struct ph__imap_cur *c, struct ph_imap_items *f,
                        struct ph_imap_section **room, const struct ph_imap_section *s)
{
    if (f->section_count == IMAP_SECTIONS_MAX)
        return ph__imap_bad(c, "too many sections");
    if (f->section_count % 8 == 0) { /* grown by copying: at most 32 times */
        struct ph_imap_section *more = ph_arena_array(c->arena, f->section_count + 8, sizeof *more);
        if (!more) {
            return ph__imap_too_large(c);
        }
        for (size_t i = 0; i < f->section_count; i++)
            more[i] = (*room)[i];
        *room = more;
        f->sections = more;
    }
    (*room)[f->section_count++] = *s;
    return true;
}

/* BODY[...], BODY.PEEK[...], BINARY[...], BINARY.PEEK[...], BINARY.SIZE[...] */
static bool section_item(struct ph__imap_cur *c, ph_str word, struct ph_imap_items *f,
                         struct ph_imap_section **room)
{
    static const struct {
        ph_str name;
        unsigned as;
        bool peek;
    } kinds[] = {
        {PH_STR_INIT("BODY"), PH_IMAP_AS_BODY, false},
        {PH_STR_INIT("BODY.PEEK"), PH_IMAP_AS_BODY, true},
        {PH_STR_INIT("BINARY"), PH_IMAP_AS_BINARY, false},
        {PH_STR_INIT("BINARY.PEEK"), PH_IMAP_AS_BINARY, true},
        {PH_STR_INIT("BINARY.SIZE"), PH_IMAP_AS_BINARY_SIZE, true},
    };
    struct ph_imap_section sec = {0};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!ph_str_ieq(word, kinds[i].name))
            continue;
        if (!ph__imap_section(c, &sec))
            return false;
        bool binary = kinds[i].as != PH_IMAP_AS_BODY;
        if (binary && sec.kind != PH_IMAP_SEC_BODY)
            return ph__imap_bad(c, "BINARY takes a part number alone");
        if (sec.partial && kinds[i].as == PH_IMAP_AS_BINARY_SIZE)
            return ph__imap_bad(c, "BINARY.SIZE is of a whole part");
        c->needs |= binary ? PH_IMAP_CAP(BINARY) : 0;
        sec.peek = kinds[i].peek;
        sec.as = (int)kinds[i].as;
        return add_section(c, f, room, &sec);
    }
    return ph__imap_bad(c, "unknown FETCH item");
}

static bool named_item(struct ph__imap_cur *c, ph_str word, struct ph_imap_items *f,
                       struct ph_imap_section **room, bool single)
{
    for (size_t i = 0; i < ITEMS; i++) {
        if (!ph_str_ieq(word, items[i].name) || (items[i].macro && !single))
            continue;
        f->mask |= items[i].mask;
        c->needs |= items[i].cap;
        if (items[i].as >= 0)
            return add_section(c, f, room,
                               &(struct ph_imap_section){.kind = items[i].kind,
                                                         .peek = items[i].peek,
                                                         .as = (int)items[i].as});
        struct ph__imap_cur lazy = *c; /* "PREVIEW (LAZY)": ours are always there (RFC 8970 3.2) */
        if (items[i].mask == PH_IMAP_F_PREVIEW && ph__imap_take(&lazy, ' ') &&
            ph__imap_take(&lazy, '(') && ph__imap_keyword(&lazy, PH_STR("LAZY")) &&
            ph__imap_take(&lazy, ')'))
            c->at = lazy.at;
        return true;
    }
    return ph__imap_bad(c, "unknown FETCH item");
}

static bool item(struct ph__imap_cur *c, struct ph_imap_items *f, struct ph_imap_section **room,
                 bool single)
{
    const char *from = c->at;
    while (c->at < c->end && (ph_is_alnum(*c->at) || *c->at == '.'))
        c->at++;
    ph_str word = {from, (size_t)(c->at - from)};
    bool section = ph__imap_peek(c, '[') || ph_str_ieq(word, PH_STR("BODY.PEEK"));
    return section ? section_item(c, word, f, room) : named_item(c, word, f, room, single);
}

/* "(CHANGEDSINCE n VANISHED PARTIAL 1:100)" of RFC 7162 3.1.4, 3.2.6 and RFC 9394 3.3 */
static bool modifiers(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    if (!ph__imap_sp(c) || !ph__imap_char(c, '('))
        return false;
    do {
        if (ph__imap_keyword(c, PH_STR("CHANGEDSINCE"))) {
            c->needs |= PH_IMAP_CAP(CONDSTORE);
            cmd->fetch.has_changedsince = true;
            if (!ph__imap_sp(c) || !ph__imap_number(c, INT64_MAX, &cmd->fetch.changedsince))
                return false;
        } else if (ph__imap_keyword(c, PH_STR("VANISHED"))) {
            c->needs |= PH_IMAP_CAP(QRESYNC);
            cmd->fetch.vanished = true;
        } else if (cmd->uid && ph__imap_keyword(c, PH_STR("PARTIAL"))) {
            c->needs |= PH_IMAP_CAP(PARTIAL);
            cmd->fetch.has_partial = true;
            if (!ph__imap_sp(c) || !ph__imap_partial(c, &cmd->fetch.partial))
                return false;
        } else {
            return ph__imap_bad(c, "unknown FETCH modifier");
        }
    } while (ph__imap_take(c, ' '));
    if (cmd->fetch.vanished && (!cmd->uid || !cmd->fetch.has_changedsince))
        return ph__imap_bad(c, "VANISHED goes with UID FETCH and CHANGEDSINCE");
    return ph__imap_char(c, ')');
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
    if (!ph__imap_at_end(c) && !modifiers(c, cmd))
        return false;
    if (cmd->uid)
        f->mask |= PH_IMAP_F_UID;
    if (cmd->fetch.has_changedsince)
        f->mask |= PH_IMAP_F_MODSEQ;
    return ph__imap_end(c);
}
