/*
 * index.c - letters on their way to the indexer and back, a few at a time.
 *
 *   worker: an account was searched, or has new letters -> index_want
 *           idle, or an answer came -> index_feed: INDEX for the next ones --main thread--> indexer
 *   main:   INDEXED, in the order asked -> a job for the account's worker, which keeps the text
 *           and feeds again
 *           the indexer died -> the oldest one is to blame: it is kept as unreadable; the others
 *           are asked again
 */
#include "file.h"
#include "store_int.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW = 8 }; /* letters under way, of one worker */

static const struct store_ops *const be = &store_sqlite;

/* ---- worker ------------------------------------------------------------------------------- */

void index_want(struct worker *w, uint64_t account, ph_str folder)
{
    struct indexing *x = &w->index;
    for (unsigned i = 0; i < x->n; i++)
        if (x->accounts[(x->first + i) % INDEX_ACCOUNTS].id == account)
            return;
    if (x->n == INDEX_ACCOUNTS || folder.n > STORE_FOLDER_MAX)
        return; /* its next letter, or its next search, asks again */
    struct index_account *a = &x->accounts[(x->first + x->n++) % INDEX_ACCOUNTS];
    a->id = account;
    memcpy(a->folder, folder.p, folder.n);
    a->folder[folder.n] = 0;
}

static void drop_first(struct indexing *x)
{
    x->first = (x->first + 1) % INDEX_ACCOUNTS;
    x->n--;
    x->sent = 0;
}

/* A question to the indexer travels as an answered job. */
static struct job *question(const struct index_account *of, struct store_todo *t)
{
    struct ipc_msg msg = {
        .type = IPC_INDEX, .fd = -1, .INDEX = {.req = t->emailid, .size = t->size}};
    static const struct ipc_ends from = {.self_role = ROLE_STORE, .peer_role = ROLE_INDEXER};
    struct job *j = job_new(&msg, &from, ph_str_c(of->folder));
    if (!j)
        return NULL;
    j->account = of->id;
    j->answer.type = IPC_INDEX;
    j->answer.INDEX = msg.INDEX;
    j->answer.fd = t->fd;
    t->fd = -1;
    if (j->answer.fd < 0 && t->bytes.n > IPC_INLINE) {
        int fd = j->answer.fd = ph_memfile("letter");
        if (fd < 0 || ph_memfile_add(fd, t->bytes) < 0 || ph_memfile_seal(fd) < 0)
            return job_free(j);
    } else if (j->answer.fd < 0) {
        ph_buf_add(&j->text, t->bytes);
        j->answer.INDEX.body = ph_buf_str(&j->text);
    }
    return j;
}

void index_feed(struct worker *w)
{
    struct indexing *x = &w->index;
    while (x->n > 0 && x->under_way < WINDOW) {
        struct index_account *of = &x->accounts[x->first];
        struct store_account *a;
        struct store_todo t = {.fd = -1};
        struct ph_error e = {0};
        int r = be->account(w->store, of->id, ph_str_c(of->folder), STORE_OPEN, &a, &e);
        if (r >= 0)
            r = be->index(a, NULL, x->sent, &t, &e);
        if (r < 0 && r != -PH_ENOENT)
            ph_log(PH_LOG_ERROR, PH_STR(""), "index", "account=%s error=%s", of->folder, e.text);
        if (r <= 0) {
            if (x->under_way == 0)
                drop_first(x);
            return;
        }
        struct job *j = question(of, &t);
        if (!j)
            return;
        x->sent = t.emailid;
        x->under_way++;
        main_post(w->h, j);
    }
}

/* A text came back, or did not. */
int index_run(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    const struct ipc_INDEXED *m = &j->ask.INDEXED;
    if (m->verdict == IPC_TEMP)
        return 0;
    struct store_text text = {
        .emailid = m->req, .unread = m->verdict != IPC_OK, .head = m->head, .body = m->body};
    return be->index(a, &text, 0, NULL, reterr);
}

void index_returned(struct worker *w, const struct job *jobs)
{
    for (const struct job *j = jobs; j; j = j->next) {
        if (j->ask.type != IPC_INDEXED)
            continue;
        w->index.under_way -= w->index.under_way > 0;
        if (j->failed || j->ask.INDEXED.verdict == IPC_TEMP)
            w->index.sent = 0; /* from what is kept on */
    }
}

/* ---- main thread -------------------------------------------------------------------------- */

struct waiting {
    struct waiting *next;
    uint64_t account, emailid;
    char folder[STORE_FOLDER_MAX + 1];
};

static void come_back(struct house_store *h, struct ipc_msg *msg)
{
    static const struct ipc_ends from = {.self_role = ROLE_STORE, .peer_role = ROLE_INDEXER};
    struct waiting *x = h->reading;
    h->reading = x->next;
    if (!h->reading)
        h->reading_tail = NULL;
    struct job *j = job_new(msg, &from, ph_str_c(x->folder));
    if (j) {
        j->account = x->account;
        worker_give(h, j);
    }
    free(x);
}

void index_ask(struct house_store *h, struct job *j)
{
    struct ipc_chan *c = proc_peer(h->p, ROLE_INDEXER);
    struct waiting *x = h->p->draining ? NULL : calloc(1, sizeof *x);
    if (!x)
        return;
    x->account = j->account;
    x->emailid = j->answer.INDEX.req;
    memcpy(x->folder, j->folder.p, j->folder.n);
    *(h->reading ? &h->reading_tail->next : &h->reading) = x;
    h->reading_tail = x;
    if (c && ipc_chan_send(c, IPC_INDEX, &j->answer.INDEX, j->answer.fd) >= 0)
        return;
    if (h->reading == x) { /* nobody answers; with others before it, peer_down does */
        struct ipc_msg msg = {
            .type = IPC_INDEXED, .fd = -1, .INDEXED = {.req = x->emailid, .verdict = IPC_TEMP}};
        come_back(h, &msg);
    }
}

void index_answered(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct house_store *h = p->state;
    if (!h->reading || h->reading->emailid != msg->INDEXED.req)
        proc_broken(p, from, "a text that nobody asked for");
    else
        come_back(h, msg);
}

void index_lost(struct house_store *h)
{
    int verdict = IPC_INVALID;
    while (h->reading) {
        struct ipc_msg msg = {.type = IPC_INDEXED,
                              .fd = -1,
                              .INDEXED = {.req = h->reading->emailid, .verdict = (ipc_u8)verdict}};
        come_back(h, &msg);
        verdict = IPC_TEMP;
    }
}
