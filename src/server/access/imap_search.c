/*
 * SEARCH, SORT, THREAD: which messages match. Keys that need no row (sets, ALL, RECENT) are
 * answered from the view alone; the others from rows of the mailbox that stream by in pages. For
 * texts the store's index is asked first; what it cannot decide is looked at in a second round,
 * with bodies.
 *
 *   [MSG_SEARCH] -> [rows: sure ones found, unsure ones remembered]
 *                -> [rows with bodies of the unsure ones] -> answer
 */
#include "imap_search.h"
#include <posthouse/text.h>
#include <stdlib.h>

enum {
    UIDS_MAX = 524288,
    PAGE_MAX = 1024 * 1024,
    MESSAGE_ARENA = 64 * 1024 * 1024,
    RESULTS_ARENA = 256 * 1024 * 1024,
    NEEDLES_MAX = 16,
    PROGRESS_US = 5 * 1000 * 1000 /* between two INPROGRESS (RFC 9585) */
};

struct searching {
    struct imap_key *root;
    unsigned mask;
    struct imap_ranges places; /* where to look in this round */
    struct imap_key *needles[NEEDLES_MAX];
    struct ph_buf hits[NEEDLES_MAX][2]; /* yes, maybe: struct imap_range each, while they come */
    unsigned needle_n;
    bool bodies;                  /* the second round */
    bool ahead;                   /* the next page is asked for while this one is looked at */
    uint32_t next, looked, total; /* messages looked at, and to look at, in all */
    int64_t told_at;
    struct ph_buf page, uids, unsure; /* unsure: places, uint32_t each */
    struct ph_buf unpacked;           /* the body of row, where it came packed */
    ph_str rows;
    struct ipc_message row;
    struct imap_candidate m;
    struct ph_mark empty;
    struct imap_results found;
};

static void search_free(void *job)
{
    struct searching *s = job;
    for (unsigned i = 0; i < NEEDLES_MAX; i++) {
        ph_buf_done(&s->hits[i][0]);
        ph_buf_done(&s->hits[i][1]);
    }
    ph_buf_done(&s->page);
    ph_buf_done(&s->uids);
    ph_buf_done(&s->unsure);
    ph_buf_done(&s->unpacked);
    ph_buf_done(&s->m.head);
    ph_buf_done(&s->m.text);
    ph_buf_done(&s->m.scratch);
    ph_arena_free(s->m.arena);
    ph_arena_free(s->found.arena);
    free(s->found.v);
    free(s);
}

static void ask_page(struct imap *im);

/* ---- one message ----------------------------------------------------------------------------- */

static void look(struct imap *im, uint32_t place)
{
    struct searching *s = im->job;
    struct imap_candidate *m = &s->m;
    struct ph_summary *sum = NULL;
    m->row = &s->row;
    m->seq = place + 1;
    m->recent = im->view.recent_from && s->row.uid >= im->view.recent_from;
    m->has_text = false;
    ph_arena_back(m->arena, s->empty);
    if (s->mask & IPC_F_SUMMARY && ph_summary_read(m->arena, s->row.summary, &sum) < 0)
        sum = NULL;
    m->summary = sum;
    enum imap_match r = imap_search_match(s->root, m);
    if (r == IMAP_UNSURE)
        ph_buf_add(&s->unsure, (ph_str){(const char *)&place, sizeof place});
    else if (r == IMAP_MATCH && imap_results_add(im, &s->found, place, &s->row, sum) < 0)
        m->err = -PH_ENOMEM;
    s->looked++;
}

/* RFC 9585: a sign of life in a long search. */
static void tell_progress(struct imap *im)
{
    struct searching *s = im->job;
    char text[200];
    struct ph_buf b;
    int64_t now = ph_mono_us();
    if (s->told_at && now - s->told_at < PROGRESS_US)
        return;
    bool first = !s->told_at;
    s->told_at = now;
    if (first)
        return;
    ph_buf_init(&b, NULL, sizeof text);
    ph_buf_addf(&b, "\"%.*s\" %u %u", PH_FMT(ph_imap_server_tag(im->e)), (unsigned)s->looked,
                (unsigned)(s->total > s->looked ? s->total : s->looked));
    ph_imap_server_condition(
        im->e, PH_IMAP_OK,
        &(struct ph_imap_code){.kind = PH_IMAP_CODE_INPROGRESS, .text = ph_buf_str(&b)},
        "Still searching.");
    ph_buf_done(&b);
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/* The unsure ones become the places of a round with bodies. false: there are none. */
static bool second_round(struct imap *im)
{
    struct searching *s = im->job;
    const uint32_t *p = (const uint32_t *)(const void *)s->unsure.p;
    size_t n = s->unsure.n / sizeof *p;
    struct imap_range *r = s->bodies || !n ? NULL : ph_arena_array(s->found.arena, n, sizeof *r);
    if (!r) {
        s->m.err = n && !s->bodies ? -PH_ENOMEM : s->m.err;
        return false;
    }
    for (size_t i = 0; i < n; i++)
        r[i] = (struct imap_range){p[i], p[i]};
    s->places = (struct imap_ranges){r, imap_ranges_merge(r, n)};
    s->bodies = true;
    s->total += (uint32_t)n;
    s->next = 0;
    return true;
}

static void round_done(struct imap *im)
{
    struct searching *s = im->job;
    if (second_round(im))
        ask_page(im);
    else if (s->m.err || ph_buf_err(&s->unsure))
        imap_no_memory(im);
    else
        imap_results_tell(im, &s->found);
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
    if (msg->MSG_BODIED.verdict == IPC_OK && place < im->view.told &&
        imap_body_take(msg, &body) == 0) {
        s->m.bytes = body.bytes;
        look(im, place);
        imap_body_done(&body);
    }
    rows_on(im);
}

static void rows_on(struct imap *im)
{
    struct searching *s = im->job;
    while (ipc_each(message, &s->rows, &s->row)) {
        uint32_t place = imap_view_find(&im->view, s->row.uid);
        if (place >= im->view.told)
            continue;
        s->m.bytes = session_body(im->s, &s->row, &s->unpacked);
        if (s->row.packed && !s->m.bytes.p) { /* damaged; the next page may be under way */
            imap_unavailable(im);
            return;
        }
        if (s->bodies && s->m.bytes.n != s->row.size) {
            uint64_t req = imap_ask(im, IPC_MSG_BODIED, bodied);
            if (req)
                imap_sent(im, ipc_send(imap_store(im), MSG_BODY, -1, .req = req,
                                       .session = im->s->grant, .mailbox = im->view.mailbox,
                                       .uid = s->row.uid, .peek = true));
            return;
        }
        look(im, place);
    }
    tell_progress(im);
    if (s->ahead)
        return;
    if (!s->m.err && s->next)
        ask_page(im);
    else
        round_done(im);
}

/* Nothing but the next page will have to be asked for. */
static bool is_complete(const struct searching *s)
{
    struct ipc_message row;
    bool whole = true;
    for (ph_str rows = s->rows; s->bodies && whole && ipc_each(message, &rows, &row);)
        whole = row.packed || row.body.n == row.size;
    return whole;
}

/* The store reads the next page while this one is looked at. */
static void ask_ahead(struct imap *im)
{
    struct searching *s = im->job;
    s->ahead = s->next && is_complete(s);
    if (!s->ahead)
        return;
    ask_page(im);
    if (im->job) /* not ended by that */
        ipc_chan_flush(imap_store(im));
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
    if (s->m.err) {
        imap_no_memory(im);
        return;
    }
    s->next = msg->MSG_LISTED.next;
    ph_buf_clear(&s->page);
    ph_buf_add(&s->page, msg->MSG_LISTED.messages);
    s->rows = ph_buf_str(&s->page);
    if (ph_buf_err(&s->page)) {
        imap_no_memory(im);
        return;
    }
    ask_ahead(im);
    if (im->job)
        rows_on(im);
}

/* The uids of this round from s->next on. false: answered. */
static bool uids_from(struct imap *im)
{
    struct searching *s = im->job;
    ph_buf_clear(&s->uids);
    imap_view_uids(&im->view, &s->places, s->next, &s->uids);
    if (ph_buf_err(&s->uids) == 0)
        return true;
    /* Too many ranges for one request: all between the first and the last; what is too much is
     * passed over. */
    struct imap_range whole = {s->places.r[0].lo, s->places.r[s->places.n - 1].hi};
    ph_buf_clear(&s->uids);
    imap_view_uids(&im->view, &(struct imap_ranges){&whole, 1}, s->next, &s->uids);
    return true;
}

static void ask_page(struct imap *im)
{
    struct searching *s = im->job;
    if (!uids_from(im))
        return;
    uint64_t req = imap_ask(im, IPC_MSG_LISTED, paged);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_LIST, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox, .uids = ph_buf_str(&s->uids),
                               .mask = s->mask | (s->bodies ? (unsigned)IPC_F_BODY : 0)));
}

static void search_view(struct imap *im)
{
    struct searching *s = im->job;
    for (size_t i = 0; i < s->places.n; i++)
        for (uint32_t at = s->places.r[i].lo; at <= s->places.r[i].hi; at++) {
            s->row = (struct ipc_message){.uid = imap_view_uid(&im->view, at)};
            look(im, at);
        }
    round_done(im);
}

/* What both have. `out` has room for the ranges of both together. */
static struct imap_ranges intersect(const struct imap_ranges *a, const struct imap_ranges *b,
                                    struct imap_range *out)
{
    size_t i = 0, j = 0, n = 0;
    while (i < a->n && j < b->n) {
        uint32_t lo = a->r[i].lo > b->r[j].lo ? a->r[i].lo : b->r[j].lo;
        uint32_t hi = a->r[i].hi < b->r[j].hi ? a->r[i].hi : b->r[j].hi;
        if (lo <= hi)
            out[n++] = (struct imap_range){lo, hi};
        if (a->r[i].hi < b->r[j].hi)
            i++;
        else
            j++;
    }
    return (struct imap_ranges){out, n};
}

/* A text that must be there in any case leaves only the messages that the index did not rule
 * out. */
static int narrow(struct imap *im, const struct imap_key *k)
{
    struct searching *s = im->job;
    size_t n = 0, most = k->yes.n + k->maybe.n;
    struct imap_range *can = ph_arena_array(s->found.arena, most + 1, sizeof *can);
    struct imap_range *both = ph_arena_array(s->found.arena, most + s->places.n + 1, sizeof *both);
    if (!can || !both)
        return -PH_ENOMEM;
    for (size_t i = 0; i < most; i++) {
        const struct imap_range *u = i < k->yes.n ? &k->yes.r[i] : &k->maybe.r[i - k->yes.n];
        n += imap_view_places(&im->view, u->lo, u->hi, &can[n]);
    }
    struct imap_ranges sorted = {can, imap_ranges_merge(can, n)};
    s->places = intersect(&s->places, &sorted, both);
    return 0;
}

static void first_round(struct imap *im)
{
    struct searching *s = im->job;
    s->next = 0;
    for (const struct imap_key *k = s->root->child; k; k = k->next)
        if (k->asked && narrow(im, k) < 0) {
            imap_no_memory(im);
            return;
        }
    if (!s->places.n)
        round_done(im);
    else if (s->mask)
        ask_page(im);
    else
        search_view(im);
}

/* ---- the index ------------------------------------------------------------------------------- */

static void collect(struct ph_buf *out, ph_str uids)
{
    struct imap_range r;
    while (imap_next_range(&uids, &r.lo, &r.hi))
        ph_buf_add(out, (ph_str){(const char *)&r, sizeof r});
}

static struct imap_ranges collected(struct ph_buf *b)
{
    struct imap_range *r = (struct imap_range *)(void *)b->p;
    return (struct imap_ranges){r, imap_ranges_merge(r, b->n / sizeof *r)};
}

static void ask_index(struct imap *im);

static void indexed(struct imap *im, struct ipc_msg *msg)
{
    struct searching *s = im->job;
    struct ipc_hit hit;
    unsigned i = 0;
    int err = 0;
    if (!msg || msg->MSG_SEARCHED.verdict != IPC_OK) {
        first_round(im); /* without the index the answer is the same, and later */
        return;
    }
    for (ph_str hits = msg->MSG_SEARCHED.hits; i < s->needle_n && ipc_each(hit, &hits, &hit); i++) {
        collect(&s->hits[i][0], hit.yes);
        collect(&s->hits[i][1], hit.maybe);
        err |= ph_buf_err(&s->hits[i][0]) | ph_buf_err(&s->hits[i][1]);
    }
    s->next = msg->MSG_SEARCHED.next;
    if (s->next && !err && i == s->needle_n) {
        ask_index(im);
        return;
    }
    for (i = 0; i < s->needle_n && !err; i++) {
        s->needles[i]->yes = collected(&s->hits[i][0]);
        s->needles[i]->maybe = collected(&s->hits[i][1]);
        s->needles[i]->asked = true;
    }
    first_round(im);
}

static void ask_index(struct imap *im)
{
    struct searching *s = im->job;
    struct ph_buf needles;
    if (!uids_from(im))
        return;
    ph_buf_init(&needles, NULL, 262144);
    for (unsigned i = 0; i < s->needle_n; i++) {
        enum ph_imap_key key = s->needles[i]->key;
        struct ipc_needle n = {.kind = key == PH_IMAP_KEY_BODY   ? IPC_IN_BODY
                                       : key == PH_IMAP_KEY_TEXT ? IPC_IN_TEXT
                                                                 : IPC_IN_HEAD,
                               .text = s->needles[i]->value};
        ipc_add(needle, &needles, &n);
    }
    uint64_t req = ph_buf_err(&needles) ? 0 : imap_ask(im, IPC_MSG_SEARCHED, indexed);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_SEARCH, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox, .uids = ph_buf_str(&s->uids),
                               .needles = ph_buf_str(&needles)));
    else if (ph_buf_err(&needles))
        first_round(im);
    ph_buf_done(&needles);
}

/* ---- the keys -------------------------------------------------------------------------------- */

/* A set as sequence numbers of the view; numbers beyond it match nothing. */
static int resolve(struct imap *im, struct ph_arena *a, const struct ph_imap_search *k,
                   struct imap_ranges *ret)
{
    uint32_t told = im->view.told;
    bool uid = k->key == PH_IMAP_KEY_UID;
    struct imap_ranges places = {0};
    int r = 0;
    *ret = (struct imap_ranges){0};
    if (!told) /* "*" is no number then */
        return 0;
    if (k->set.saved)
        r = imap_resolve_saved(im, a, &places);
    else if (uid)
        r = imap_view_resolve(&im->view, &k->set, true, a, &places);
    else
        r = imap_ranges_of_set(a, &k->set, told, ret);
    if (r < 0)
        return r;
    if (uid || k->set.saved) {
        *ret = places;
        for (size_t i = 0; i < ret->n; i++) {
            ret->r[i].lo++;
            ret->r[i].hi++;
        }
    }
    while (ret->n && ret->r[ret->n - 1].lo > told)
        ret->n--;
    if (ret->n && ret->r[ret->n - 1].hi > told)
        ret->r[ret->n - 1].hi = told;
    return 0;
}

/* The value in UTF-8, and folded where its key compares without regard to case. */
static bool fold_value(struct ph_arena *a, ph_str charset, struct imap_key *k)
{
    static const bool exact[PH_IMAP_KEY_AND + 1] = {
        [PH_IMAP_KEY_KEYWORD] = true,
        [PH_IMAP_KEY_UNKEYWORD] = true,
        [PH_IMAP_KEY_EMAILID] = true,
        [PH_IMAP_KEY_THREADID] = true,
    };
    struct ph_buf b;
    if (k->value.n == 0 || exact[k->key])
        return true;
    struct ph_buf text;
    ph_buf_init(&text, NULL, 1024 * 1024);
    ph_buf_init(&b, NULL, 1024 * 1024);
    int r = charset.n ? ph_charset_decode(charset, k->value, &text) : 0;
    ph_search_fold(charset.n ? ph_buf_str(&text) : k->value, &b);
    k->value = ph_arena_copy(a, ph_buf_str(&b));
    bool ok = r >= 0 && ph_buf_err(&b) == 0 && k->value.p;
    ph_buf_done(&text);
    ph_buf_done(&b);
    return ok;
}

/* The tree made ready. NULL: out of memory. Depth is bounded by the engine. */
static struct imap_key *ready(struct imap *im, struct ph_arena *a, const struct ph_imap_search *k)
{
    struct searching *s = im->job;
    struct imap_key *first = NULL, **tail = &first;
    for (; k; k = k->next) {
        struct imap_key *copy = PH_ARENA_NEW(a, struct imap_key);
        if (!copy)
            return NULL;
        *copy = (struct imap_key){.key = k->key,
                                  .field = k->field,
                                  .value = k->value,
                                  .number = k->number,
                                  .day = k->day};
        if (k->key == PH_IMAP_KEY_UID || k->key == PH_IMAP_KEY_SEQ) {
            copy->key = PH_IMAP_KEY_SEQ;
            if (resolve(im, a, k, &copy->set) < 0)
                return NULL;
        }
        if (!fold_value(a, im->cmd->search.charset, copy) ||
            (k->child && !(copy->child = ready(im, a, k->child))))
            return NULL;
        if (imap_key_is_indexed(copy->key) && copy->value.n && copy->value.n <= 16384 &&
            s->needle_n < NEEDLES_MAX)
            s->needles[s->needle_n++] = copy;
        *tail = copy;
        tail = &copy->next;
    }
    return first;
}

/* Where to look: the first set among the keys that must all hold, else everywhere. */
static int plan_places(struct imap *im, struct searching *s)
{
    struct imap_range all = {1, im->view.told};
    struct imap_ranges set = {&all, im->view.told ? 1 : 0};
    for (const struct imap_key *k = s->root->child; k; k = k->next)
        if (k->key == PH_IMAP_KEY_SEQ) {
            set = k->set;
            break;
        }
    struct imap_range *r = ph_arena_array(s->found.arena, set.n + 1, sizeof *r);
    if (!r)
        return -PH_ENOMEM;
    for (size_t i = 0; i < set.n; i++) {
        r[i] = (struct imap_range){set.r[i].lo - 1, set.r[i].hi - 1};
        s->total += set.r[i].hi - set.r[i].lo + 1;
    }
    s->places = (struct imap_ranges){r, set.n};
    return 0;
}

/* What the rows must have beside what the keys look at: for the order, and for MODSEQ. */
static unsigned order_needs(const struct ph_imap_command *c)
{
    unsigned mask = c->needs & PH_IMAP_CAP(CONDSTORE) ? IPC_F_FLAGS : 0;
    if (c->verb == PH_IMAP_THREAD)
        return mask | IPC_F_SUMMARY | IPC_F_DATES;
    for (size_t i = 0; i < c->search.sort_count; i++)
        mask |= c->search.sorts[i].kind == PH_IMAP_SORT_BY_ARRIVAL ? IPC_F_DATES
                : c->search.sorts[i].kind == PH_IMAP_SORT_BY_SIZE  ? IPC_F_SIZE
                                                                   : IPC_F_SUMMARY | IPC_F_DATES;
    return mask;
}

static struct searching *begin(struct imap *im)
{
    struct searching *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    im->job = s;
    im->job_free = search_free;
    ph_buf_init(&s->page, NULL, PAGE_MAX);
    ph_buf_init(&s->uids, NULL, UIDS_MAX);
    ph_buf_init(&s->unsure, NULL, PAGE_MAX * 16);
    ph_buf_init(&s->unpacked, NULL, PAGE_MAX);
    ph_buf_init(&s->m.head, NULL, MESSAGE_ARENA);
    ph_buf_init(&s->m.text, NULL, MESSAGE_ARENA);
    ph_buf_init(&s->m.scratch, NULL, MESSAGE_ARENA);
    for (unsigned i = 0; i < NEEDLES_MAX; i++) {
        ph_buf_init(&s->hits[i][0], NULL, PAGE_MAX * 8);
        ph_buf_init(&s->hits[i][1], NULL, PAGE_MAX * 8);
    }
    s->m.now = ph_wall_us() / 1000000;
    s->m.arena = ph_arena_new(NULL, MESSAGE_ARENA);
    s->found.arena = ph_arena_new(NULL, RESULTS_ARENA);
    if (!s->m.arena || !s->found.arena)
        return NULL;
    s->empty = ph_arena_mark(s->m.arena);
    return s;
}

void imap_run_search(struct imap *im)
{
    const struct ph_imap_command *c = im->cmd;
    struct ph_arena *a = ph_imap_server_arena(im->e);
    if (c->search.charset.n && !ph_charset_known(c->search.charset)) {
        struct ph_imap_code code = {.kind = PH_IMAP_CODE_BADCHARSET,
                                    .text = PH_STR("(US-ASCII UTF-8)")};
        if (c->search.ret & PH_IMAP_RETURN_SAVE) /* RFC 5182 2.1: a NO empties it */
            imap_forget_saved(im);
        imap_finish(im, PH_IMAP_NO, &code, "This charset is not known here.");
        return;
    }
    struct searching *s = a ? begin(im) : NULL;
    if (!s || !(s->root = ready(im, a, c->search.root)) || plan_places(im, s) < 0) {
        imap_no_memory(im);
        return;
    }
    s->mask = imap_search_needs(s->root) | order_needs(c);
    if (s->places.n == 0)
        imap_results_tell(im, &s->found);
    else if (s->needle_n)
        ask_index(im);
    else
        first_round(im);
}
