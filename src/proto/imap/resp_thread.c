/* Responses of THREAD (RFC 5256 4) and NAMESPACE (RFC 2342 5). */
#include "ascii.h"
#include "client_int.h"

enum { NESTED_MAX = 256 };

/* How many rows there can be at most: one a number, and one a parent that is missing. */
static size_t rows_in(const struct ph__imap_cur *c)
{
    size_t n = 0;
    bool digit = false;
    for (const char *p = c->at; p < c->end; p++) {
        bool now = ph_is_digit(*p);
        n += (now && !digit) || *p == '(';
        digit = now;
    }
    return n;
}

/* (2)(3 6 (4 23)(44 7 96)): each number answers the one before it, each list the last number before
 * it. */
bool ph__imap_resp_threads(struct ph__imap_cur *c, struct ph_imap_client_event *ev)
{
    size_t most = rows_in(c), open = 0;
    uint32_t base[NESTED_MAX], depth = 0;
    bool fresh = false; /* nothing was read in this list yet */
    uint64_t n;
    struct ph_imap_thread *rows = ph_arena_array(c->arena, most + 1, sizeof *rows);
    if (!rows) {
        c->nomem = true;
        return false;
    }
    while (!ph__imap_at_end(c)) {
        if (ph__imap_take(c, '(')) {
            if (open == NESTED_MAX)
                return false;
            if (fresh)
                rows[ev->count++] = (struct ph_imap_thread){0, depth++};
            base[open++] = depth;
            fresh = true;
        } else if (ph__imap_take(c, ')')) {
            if (open == 0)
                return false;
            depth = base[--open];
            fresh = false;
        } else if (!ph__imap_take(c, ' ')) {
            if (open == 0 || !ph__imap_number(c, UINT32_MAX, &n))
                return false;
            rows[ev->count++] = (struct ph_imap_thread){(uint32_t)n, depth++};
            fresh = false;
        }
    }
    ev->threads = rows;
    ev->kind = PH_IMAP_THREADED;
    return open == 0;
}

/* ("INBOX." "."), with extensions behind the separator. */
static bool one_namespace(struct ph__imap_cur *c, struct ph_imap_namespace *ns)
{
    ph_str separator;
    if (!ph__imap_char(c, '(') || !ph__imap_mailbox(c, &ns->prefix) || !ph__imap_sp(c) ||
        !ph__imap_nstring(c, &separator))
        return false;
    ns->separator = separator.n ? separator.p[0] : '\0';
    while (ph__imap_take(c, ' '))
        if (!ph__imap_skip_value(c))
            return false;
    return ph__imap_char(c, ')');
}

bool ph__imap_resp_namespaces(struct ph__imap_cur *c, struct ph_imap_client_event *ev)
{
    struct ph_imap_namespace *rows = ph_arena_array(c->arena, rows_in(c) + 1, sizeof *rows);
    ph_str nil;
    if (!rows) {
        c->nomem = true;
        return false;
    }
    for (int kind = PH_IMAP_NS_PERSONAL; kind <= PH_IMAP_NS_SHARED; kind++) {
        if (!ph__imap_sp(c))
            return false;
        if (!ph__imap_take(c, '(')) {
            if (!ph__imap_nstring(c, &nil) || nil.p)
                return false;
            continue;
        }
        while (!ph__imap_take(c, ')')) {
            rows[ev->count].kind = kind;
            if (!one_namespace(c, &rows[ev->count]))
                return false;
            ev->count++;
            ph__imap_take(c, ' ');
        }
    }
    ev->namespaces = rows;
    ev->kind = PH_IMAP_NAMESPACES;
    return true;
}
