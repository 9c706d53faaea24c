/* Tables of names, and the small public helpers over them. */
#include "imap_int.h"
#include <string.h>

const ph_str ph__imap_cap_names[PH_IMAP_CAP_COUNT] = {
#define P(sym, wire, states, by, enable, rfc) PH_STR_INIT(wire),
#include <posthouse/imap_caps.def>
#undef P
};

const ph_str ph__imap_code_names[PH_IMAP_CODE_COUNT] = {
    {NULL, 0},
#define X(sym, wire) PH_STR_INIT(wire),
    PH_IMAP_CODES(X)
#undef X
        {NULL, 0},
};

const ph_str ph__imap_flag_names[7] = {
    PH_STR_INIT("\\Seen"),    PH_STR_INIT("\\Answered"), PH_STR_INIT("\\Flagged"),
    PH_STR_INIT("\\Deleted"), PH_STR_INIT("\\Draft"),    PH_STR_INIT("\\Recent"),
    PH_STR_INIT("\\*"),
};

#define ITEM(sym, wire, field, cap)                                                                \
    {                                                                                              \
        PH_IMAP_ST_##sym, PH_STR_INIT(wire), offsetof(struct ph_imap_status, field),               \
            PH_IMAP_CAP(cap)                                                                       \
    }
const struct ph__imap_status_item ph__imap_status_items[IMAP_STATUS_ITEMS] = {
    ITEM(MESSAGES, "MESSAGES", messages, IMAP4REV1),
    ITEM(RECENT, "RECENT", recent, IMAP4REV1),
    ITEM(UIDNEXT, "UIDNEXT", uidnext, IMAP4REV1),
    ITEM(UIDVALIDITY, "UIDVALIDITY", uidvalidity, IMAP4REV1),
    ITEM(UNSEEN, "UNSEEN", unseen, IMAP4REV1),
    ITEM(DELETED, "DELETED", deleted, IMAP4REV1),
    ITEM(SIZE, "SIZE", size, STATUS_SIZE),
    ITEM(HIGHESTMODSEQ, "HIGHESTMODSEQ", highestmodseq, CONDSTORE),
    ITEM(APPENDLIMIT, "APPENDLIMIT", appendlimit, APPENDLIMIT),
    ITEM(DELETED_STORAGE, "DELETED-STORAGE", deleted_storage, QUOTA_STORAGE),
    ITEM(MAILBOXID, "MAILBOXID", mailboxid, OBJECTID),
};

static const struct {
    unsigned bit;
    ph_str name;
} attributes[] = {
    {PH_IMAP_MB_NOINFERIORS, PH_STR_INIT("\\Noinferiors")},
    {PH_IMAP_MB_NOSELECT, PH_STR_INIT("\\Noselect")},
    {PH_IMAP_MB_MARKED, PH_STR_INIT("\\Marked")},
    {PH_IMAP_MB_UNMARKED, PH_STR_INIT("\\Unmarked")},
    {PH_IMAP_MB_HASCHILDREN, PH_STR_INIT("\\HasChildren")},
    {PH_IMAP_MB_HASNOCHILDREN, PH_STR_INIT("\\HasNoChildren")},
    {PH_IMAP_MB_SUBSCRIBED, PH_STR_INIT("\\Subscribed")},
    {PH_IMAP_MB_NONEXISTENT, PH_STR_INIT("\\NonExistent")},
    {PH_IMAP_MB_ALL, PH_STR_INIT("\\All")},
    {PH_IMAP_MB_ARCHIVE, PH_STR_INIT("\\Archive")},
    {PH_IMAP_MB_DRAFTS, PH_STR_INIT("\\Drafts")},
    {PH_IMAP_MB_FLAGGED, PH_STR_INIT("\\Flagged")},
    {PH_IMAP_MB_JUNK, PH_STR_INIT("\\Junk")},
    {PH_IMAP_MB_SENT, PH_STR_INIT("\\Sent")},
    {PH_IMAP_MB_TRASH, PH_STR_INIT("\\Trash")},
};
enum { ATTRIBUTES = sizeof attributes / sizeof attributes[0] };

unsigned ph_imap_mailbox_bit(ph_str attribute)
{
    for (size_t i = 0; i < ATTRIBUTES; i++)
        if (ph_str_ieq(attribute, attributes[i].name))
            return attributes[i].bit;
    return 0;
}

ph_str ph_imap_mailbox_bit_name(unsigned bit)
{
    for (size_t i = 0; i < ATTRIBUTES; i++)
        if (attributes[i].bit == bit)
            return attributes[i].name;
    return (ph_str){NULL, 0};
}

uint64_t ph__imap_caps_read(ph_str names)
{
    uint64_t caps = 0;
    ph_str name;
    while (ph_str_token(&names, ' ', &name))
        for (int i = 0; i < PH_IMAP_CAP_COUNT; i++)
            if (ph_str_ieq(name, ph__imap_cap_names[i]))
                caps |= UINT64_C(1) << i;
    return caps;
}

void ph__imap_caps_write(struct ph_buf *out, uint64_t caps)
{
    bool first = true;
    for (int i = 0; i < PH_IMAP_CAP_COUNT; i++) {
        if (!(caps >> i & 1))
            continue;
        if (!first)
            ph_buf_addc(out, ' ');
        ph_buf_add(out, ph__imap_cap_names[i]);
        first = false;
    }
}

bool ph__imap_status_list(struct ph__imap_cur *c, unsigned *ret_items)
{
    unsigned items = 0;
    if (!ph__imap_char(c, '('))
        return false;
    do {
        ph_str word;
        unsigned bit = 0;
        if (!ph__imap_word(c, &word))
            return ph__imap_bad(c, "expected a status item");
        for (size_t i = 0; i < IMAP_STATUS_ITEMS; i++) {
            if (!ph_str_ieq(word, ph__imap_status_items[i].name))
                continue;
            bit = ph__imap_status_items[i].bit;
            c->needs |= ph__imap_status_items[i].cap;
        }
        if (!bit)
            return ph__imap_bad(c, "unknown status item");
        items |= bit;
    } while (ph__imap_take(c, ' '));
    *ret_items = items;
    return ph__imap_char(c, ')');
}

bool ph_imap_set_has(const struct ph_imap_set *s, uint32_t value, uint32_t star)
{
    for (size_t i = 0; i < s->n; i++) {
        uint32_t lo = s->r[i].lo == UINT32_MAX ? star : s->r[i].lo;
        uint32_t hi = s->r[i].hi == UINT32_MAX ? star : s->r[i].hi;
        if (lo <= hi ? value >= lo && value <= hi : value >= hi && value <= lo)
            return true;
    }
    return false;
}

int ph_imap_set_parse(struct ph_arena *a, ph_str text, struct ph_imap_set *ret_set)
{
    struct ph__imap_cur c = {.at = text.p, .begin = text.p, .end = text.p + text.n, .arena = a};
    if (text.n == 0 || !ph__imap_set(&c, ret_set) || !ph__imap_end(&c))
        return c.nomem ? -PH_ENOMEM : -PH_ESYNTAX;
    return 0;
}

/* INBOX is itself in any case; all else byte by byte. */
static bool same_char(ph_str name, size_t at, char a, char b)
{
    if (a == b)
        return true;
    bool inbox = at < 5 && ph_str_has_prefix(name, PH_STR("INBOX")) && (name.n == 5);
    return inbox && a >= 'a' && a <= 'z' && a - 'a' + 'A' == b;
}

/* The greedy matcher with one way back per kind of wildcard: "%" may not cross a separator, so when
 * its way back is used up the last "*" before it takes one more. */
bool ph_imap_list_match(ph_str pattern, ph_str name, char separator)
{
    size_t p = 0, n = 0;
    size_t star_p = PH_NPOS, star_n = 0, some_p = PH_NPOS, some_n = 0;
    for (;;) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star_p = ++p;
            star_n = n;
            some_p = PH_NPOS;
            continue;
        }
        if (p < pattern.n && pattern.p[p] == '%') {
            some_p = ++p;
            some_n = n;
            continue;
        }
        if (n == name.n && p == pattern.n)
            return true;
        if (n < name.n && p < pattern.n && same_char(name, n, pattern.p[p], name.p[n])) {
            p++;
            n++;
            continue;
        }
        if (some_p != PH_NPOS && some_n < name.n && name.p[some_n] != separator) {
            p = some_p;
            n = ++some_n;
            continue;
        }
        some_p = PH_NPOS;
        if (star_p == PH_NPOS || star_n >= name.n)
            return false;
        p = star_p;
        n = ++star_n;
    }
}
