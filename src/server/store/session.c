/*
 * session.c - who is logged in to which account, and which mailboxes each has open. Main thread
 * only.
 */
#include "grow.h"
#include "store_int.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };

/* told: an event was sent that MB_CHANGES has not answered yet. */
struct open_box {
    uint64_t mailbox;
    bool told;
};

struct session {
    struct session *by_id, *by_account; /* chains */
    uint64_t id, account;
    unsigned instance;
    bool pop3;
    struct open_box *open;
    struct job *staged, *staged_last; /* MSG_APPENDs of a group that is not complete */
    unsigned staged_n;
    uint64_t staged_bytes;
    bool staged_over; /* one of the group could not be kept: the group fails */
    size_t open_n, open_cap;
    size_t folder_n;
    char folder[];
};

struct sessions {
    struct session *id[BUCKETS], *account[BUCKETS];
    size_t count;
};

struct sessions *sessions_new(void)
{
    return calloc(1, sizeof(struct sessions));
}

static size_t bucket(uint64_t v)
{
    return (size_t)((v * 0x9e3779b97f4a7c15u) >> 52) % BUCKETS;
}

static struct session *find(struct sessions *t, uint64_t id)
{
    struct session *s = t->id[bucket(id)];
    while (s && s->id != id)
        s = s->by_id;
    return s;
}

int session_add(struct sessions *t, uint64_t id, unsigned instance, uint64_t account, ph_str folder)
{
    if (find(t, id))
        return -PH_EEXIST;
    struct session *s = calloc(1, sizeof *s + folder.n);
    if (!s)
        return -PH_ENOMEM;
    s->id = id;
    s->instance = instance;
    s->account = account;
    s->folder_n = folder.n;
    memcpy(s->folder, folder.p, folder.n);
    struct session **a = &t->id[bucket(id)], **b = &t->account[bucket(account)];
    s->by_id = *a;
    s->by_account = *b;
    *a = *b = s;
    t->count++;
    return 0;
}

struct session *session_of(struct sessions *t, uint64_t id, unsigned instance)
{
    struct session *s = find(t, id);
    return s && s->instance == instance ? s : NULL;
}

struct job *session_staged(struct session *s, bool *ret_over)
{
    struct job *j = s->staged;
    if (ret_over)
        *ret_over = s->staged_over;
    s->staged_over = false;
    s->staged = s->staged_last = NULL;
    s->staged_n = 0;
    s->staged_bytes = 0;
    return j;
}

void session_stage(struct session *s, struct job *j)
{
    s->staged_bytes += j->body.n;
    if (++s->staged_n > STAGED_MAX || s->staged_bytes > STAGED_BYTES) {
        s->staged_over = true;
        job_free(j);
        return;
    }
    if (s->staged_last)
        s->staged_last->group = j;
    else
        s->staged = j;
    s->staged_last = j;
}

void session_end(struct sessions *t, struct session *s)
{
    struct session **a = &t->id[bucket(s->id)], **b = &t->account[bucket(s->account)];
    while (*a != s)
        a = &(*a)->by_id;
    while (*b != s)
        b = &(*b)->by_account;
    *a = s->by_id;
    *b = s->by_account;
    t->count--;
    job_free(session_staged(s, NULL));
    free(s->open);
    free(s);
}

struct sessions *sessions_free(struct sessions *t)
{
    for (size_t i = 0; t && i < BUCKETS; i++)
        while (t->id[i])
            session_end(t, t->id[i]);
    free(t);
    return NULL;
}

void session_account(const struct session *s, uint64_t *ret_account, ph_str *ret_folder)
{
    *ret_account = s->account;
    *ret_folder = (ph_str){s->folder, s->folder_n};
}

bool session_pop3(struct sessions *t, struct session *s)
{
    for (struct session *o = t->account[bucket(s->account)]; o; o = o->by_account)
        if (o != s && o->account == s->account && o->pop3)
            return false;
    s->pop3 = true;
    return true;
}

void session_pop3_off(struct session *s)
{
    s->pop3 = false;
}

static struct open_box *opened(struct session *s, uint64_t mailbox)
{
    for (size_t i = 0; i < s->open_n; i++)
        if (s->open[i].mailbox == mailbox)
            return &s->open[i];
    return NULL;
}

int session_opened(struct session *s, uint64_t mailbox, bool pop3)
{
    struct open_box *o = opened(s, mailbox);
    s->pop3 |= pop3;
    if (!o) {
        struct open_box *v = ph_grow(s->open, s->open_n, &s->open_cap, sizeof *v);
        if (!v)
            return -PH_ENOMEM;
        s->open = v;
        o = &s->open[s->open_n++];
    }
    *o = (struct open_box){.mailbox = mailbox};
    return 0;
}

void session_closed(struct session *s, uint64_t mailbox)
{
    struct open_box *o = opened(s, mailbox);
    if (o)
        *o = s->open[--s->open_n];
    if (s->open_n == 0)
        s->pop3 = false;
}

void session_asked(struct session *s, uint64_t mailbox)
{
    struct open_box *o = opened(s, mailbox);
    if (o)
        o->told = false;
}

void sessions_event(struct sessions *t, struct proc *p, uint64_t account, const struct touched *m,
                    uint64_t origin)
{
    for (struct session *s = t->account[bucket(account)]; s; s = s->by_account) {
        if (s->account != account || (s->id == origin && !m->own))
            continue;
        struct open_box *o = opened(s, m->mailbox);
        struct ipc_chan *c = o && !o->told ? proc_peer_at(p, ROLE_ACCESS, s->instance) : NULL;
        if (c)
            o->told = ipc_send(c, MB_EVENT, -1, .session = s->id, .mailbox = m->mailbox,
                               .modseq = m->modseq) >= 0;
    }
}

void sessions_end_account(struct sessions *t, struct proc *p, uint64_t account, const char *why)
{
    for (struct session *s = t->account[bucket(account)], *next; s; s = next) {
        next = s->by_account;
        if (s->account != account)
            continue;
        struct ipc_chan *c = proc_peer_at(p, ROLE_ACCESS, s->instance);
        if (c)
            ipc_send(c, SESSION_GONE, -1, .session = s->id, .text = ph_str_c(why));
        session_end(t, s);
    }
}

void sessions_end_instance(struct sessions *t, unsigned instance)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct session *s = t->id[i], *next; s; s = next) {
            next = s->by_id;
            if (s->instance == instance)
                session_end(t, s);
        }
}

size_t sessions_count(const struct sessions *t)
{
    return t->count;
}
