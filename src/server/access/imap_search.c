/*
 * SEARCH: the rows of the mailbox stream by in pages and are matched one by one; bodies that do not
 * fit a row are asked for one at a time. Keys that need no row (sets, ALL, RECENT) are answered
 * from the view alone.
 */
#include "imap_search.h"
#include <stdlib.h>

enum {
    UIDS_MAX = 524288,
    PAGE_MAX = 1024 * 1024,
    MESSAGE_ARENA = 64 * 1024 * 1024,
    FOUND_MAX = 64 * 1024 * 1024
};

struct searching {
    struct ph_imap_search *root;
    unsigned mask;
    struct imap_ranges places; /* where to look */
    uint32_t next;
    uint64_t modseq; /* highest of those found */
    struct ph_buf page, uids, found; /* found: uint32_t each */
    ph_str rows;
    struct ipc_message row;
    struct imap_candidate m;
};

static void search_free(void *job)
{
    struct searching *s = job;
    ph_buf_done(&s->page);
    ph_buf_done(&s->uids);
    ph_buf_done(&s->found);
    ph_buf_done(&s->m.head);
    ph_buf_done(&s->m.text);
    ph_buf_done(&s->m.scratch);
    ph_arena_free(s->m.arena);
    free(s);
}

static void add_found(struct searching *s, uint32_t n)
{
    ph_buf_add(&s->found, (ph_str){(const char *)&n, sizeof n});
}

static void tell_found(struct imap *im)
{
    struct searching *s = im->job;
    if (ph_buf_err(&s->found)) {
        imap_no_memory(im);
        return;
    }
    const uint32_t *n = (const uint32_t *)(const void *)s->found.p;
    ph_imap_server_search_begin(im->e);
    for (size_t i = 0; i < s->found.n / sizeof *n; i++)
        ph_imap_server_found(im->e, n[i]);
    ph_imap_server_search_end(im->e, im->cmd->needs & PH_IMAP_CAP(CONDSTORE) ? s->modseq : 0);
    imap_finish(im, PH_IMAP_OK, NULL, "Searched.");
}

/* ---- one message
 * --------------------------------------------------------------------------------------------- */

static void look(struct imap *im, uint32_t place)
{
    struct searching *s = im->job;
    struct imap_candidate *m = &s->m;
    struct ph_summary *sum = NULL;
    m->row = &s->row;
    m->seq = place + 1;
    m->recent = im->view.recent_from && s->row.uid >= im->view.recent_from;
    m->has_text = false;
    ph_buf_clear(&m->text);
    if (s->mask & (IPC_F_SUMMARY | IPC_F_BODY)) {
        m->arena = ph_arena_free(m->arena);
        m->arena = ph_arena_new(NULL, MESSAGE_ARENA);
        if (!m->arena) {
            m->err = -PH_ENOMEM;
            return;
        }
    }
    if (s->mask & IPC_F_SUMMARY && ph_summary_read(m->arena, s->row.summary, &sum) < 0)
        sum = NULL;
    m->summary = sum;
    if (!imap_search_matches(s->root, m))
        return;
    s->modseq = s->row.modseq > s->modseq ? s->row.modseq : s->modseq;
    add_found(s, im->cmd->uid ? s->row.uid : place + 1);
}

static void rows_on(struct imap *im);

static void bodied(struct imap *im, struct ipc_msg *msg)
{
    struct searching *s = im->job;
    struct imap_body body;
    uint32_t place = imap_view_find(&im->view, s->row.uid);
    if (!msg || (msg->MSG_BODIED.verdict != IPC_OK && msg->MSG_BODIED.verdict != IPC_NOENT)) {
        imap_unavailable(im);
        return;
    }
    if (msg->MSG_BODIED.verdict == IPC_OK && imap_body_take(msg, &body) == 0) {
        s->m.bytes = body.bytes;
        look(im, place);
        imap_body_done(&body);
    }
    rows_on(im);
}

/* ---- pages
 * ------------------------------------------------------------------------------------------------------
 */

static void ask_page(struct imap *im);

static void rows_on(struct imap *im)
{
    struct searching *s = im->job;
    while (ipc_each(message, &s->rows, &s->row)) {
        uint32_t place = imap_view_find(&im->view, s->row.uid);
        if (place >= im->view.told)
            continue;
        s->m.bytes = s->row.body;
        if (s->mask & IPC_F_BODY && s->row.body.n != s->row.size) {
            uint64_t req = imap_ask(im, IPC_MSG_BODIED, bodied);
            if (req)
                imap_sent(im, ipc_send(imap_store(im), MSG_BODY, -1, .req = req,
                                       .session = im->s->grant, .mailbox = im->view.mailbox,
                                       .uid = s->row.uid, .peek = true));
            return;
        }
        look(im, place);
    }
    if (s->m.err)
        imap_no_memory(im);
    else if (s->next)
        ask_page(im);
    else
        tell_found(im);
}

static void paged(struct imap *im, struct ipc_msg *msg)
{
    struct searching *s = im->job;
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    if (msg->MSG_LISTED.verdict != IPC_OK) {
        imap_fail(im, msg->MSG_LISTED.verdict, (ph_str){0});
        return;
    }
    s->next = msg->MSG_LISTED.next;
    ph_buf_clear(&s->page);
    ph_buf_add(&s->page, msg->MSG_LISTED.messages);
    s->rows = ph_buf_str(&s->page);
    if (ph_buf_err(&s->page))
        imap_no_memory(im);
    else
        rows_on(im);
}

static void ask_page(struct imap *im)
{
    struct searching *s = im->job;
    ph_buf_clear(&s->uids);
    imap_view_uids(&im->view, &s->places, s->next, &s->uids);
    if (ph_buf_err(&s->uids)) {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_LIMIT, "Too many ranges; use smaller sets.");
        return;
    }
    uint64_t req = imap_ask(im, IPC_MSG_LISTED, paged);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_LIST, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox, .uids = ph_buf_str(&s->uids),
                               .mask = s->mask));
}

/* ---- begin
 * -------------------------------------------------------------------------------------------------------
 */

/* A copy of the tree with its texts folded. NULL: out of memory. Depth is bounded by the engine. */
static struct ph_imap_search *folded(struct ph_arena *a, const struct ph_imap_search *k)
{
    struct ph_imap_search *first = NULL, **tail = &first;
    for (; k; k = k->next) {
        struct ph_imap_search *copy = PH_ARENA_NEW(a, struct ph_imap_search);
        struct ph_buf b;
        if (!copy)
            return NULL;
        *copy = *k;
        copy->next = NULL;
        bool text = k->value.n && k->key != PH_IMAP_KEY_KEYWORD && k->key != PH_IMAP_KEY_UNKEYWORD;
        ph_buf_init(&b, NULL, 1024 * 1024);
        if (text) {
            ph_search_fold(k->value, &b);
            copy->value = ph_arena_copy(a, ph_buf_str(&b));
        }
        bool failed = ph_buf_err(&b) < 0 || (text && !copy->value.p);
        ph_buf_done(&b);
        if (failed || (k->child && !(copy->child = folded(a, k->child))))
            return NULL;
        *tail = copy;
        tail = &copy->next;
    }
    return first;
}

/* Where to look: the first set among the keys that must all hold, else everywhere. */
static int plan_places(struct imap *im, struct searching *s)
{
    static const struct ph_imap_range all = {1, UINT32_MAX};
    struct ph_imap_set set = {&all, 1};
    bool uid = false;
    for (const struct ph_imap_search *k = s->root->child; k; k = k->next) {
        if (k->key != PH_IMAP_KEY_SEQ && k->key != PH_IMAP_KEY_UID)
            continue;
        set = k->set;
        uid = k->key == PH_IMAP_KEY_UID;
        break;
    }
    int r = imap_view_resolve(&im->view, &set, uid, ph_imap_server_arena(im->e), &s->places);
    if (r != -PH_EINVAL)
        return r;
    set = (struct ph_imap_set){
        &all, 1}; /* numbers beyond the mailbox match nothing; the rest of the set may */
    return imap_view_resolve(&im->view, &set, false, ph_imap_server_arena(im->e), &s->places);
}

static bool charset_known(ph_str c)
{
    return c.n == 0 || ph_str_ieq(c, PH_STR("UTF-8")) || ph_str_ieq(c, PH_STR("US-ASCII"));
}

static void search_view(struct imap *im)
{
    struct searching *s = im->job;
    for (size_t i = 0; i < s->places.n; i++)
        for (uint32_t at = s->places.r[i].lo; at <= s->places.r[i].hi; at++) {
            s->row = (struct ipc_message){.uid = im->view.uids[at]};
            look(im, at);
        }
    tell_found(im);
}

void imap_run_search(struct imap *im)
{
    const struct ph_imap_command *c = im->cmd;
    struct ph_arena *a = ph_imap_server_arena(im->e);
    struct searching *s;
    if (!charset_known(c->search.charset)) {
        struct ph_imap_code code = {.kind = PH_IMAP_CODE_BADCHARSET,
                                    .text = PH_STR("(US-ASCII UTF-8)")};
        imap_finish(im, PH_IMAP_NO, &code, "This charset is not known here.");
        return;
    }
    s = a ? calloc(1, sizeof *s) : NULL;
    if (!s) {
        imap_no_memory(im);
        return;
    }
    im->job = s;
    im->job_free = search_free;
    ph_buf_init(&s->page, NULL, PAGE_MAX);
    ph_buf_init(&s->uids, NULL, UIDS_MAX);
    ph_buf_init(&s->found, NULL, FOUND_MAX);
    ph_buf_init(&s->m.head, NULL, MESSAGE_ARENA);
    ph_buf_init(&s->m.text, NULL, MESSAGE_ARENA);
    ph_buf_init(&s->m.scratch, NULL, MESSAGE_ARENA);
    s->root = folded(a, c->search.root);
    if (!s->root || plan_places(im, s) < 0) {
        imap_no_memory(im);
        return;
    }
    s->mask = imap_search_needs(s->root);
    s->m.last_seq = im->view.told;
    s->m.last_uid = im->view.told ? im->view.uids[im->view.told - 1] : 0;
    if (s->places.n == 0)
        tell_found(im);
    else if (s->mask == 0)
        search_view(im);
    else
        ask_page(im);
}
