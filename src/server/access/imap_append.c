/* APPEND: the message is collected in memory up to IPC_INLINE, then in a memory file; summed up
 * here, kept by the store. */
#include "file.h"
#include "imap_session.h"
#include "summary.h"
#include <stdlib.h>
#include <unistd.h>

struct append {
    struct ph_buf body;
    int fd; /* -1: the body is in `body` */
    uint64_t size;
    struct ph_buf uids;
    bool failed; /* answered when the message has passed by */
};

static void append_free(void *job)
{
    struct append *a = job;
    ph_buf_done(&a->body);
    ph_buf_done(&a->uids);
    if (a->fd >= 0)
        close(a->fd);
    free(a);
}

void imap_run_append(struct imap *im)
{
    struct append *a = calloc(1, sizeof *a);
    if (!a) {
        imap_no_memory(im);
        return;
    }
    a->fd = -1;
    ph_buf_init(&a->body, NULL, IPC_INLINE);
    ph_buf_init(&a->uids, NULL, 64);
    im->job = a;
    im->job_free = append_free;
    if (im->cmd->append.size == 0)
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_CANNOT, "An empty message cannot be kept.");
    else
        ph_imap_server_accept(im->e);
}

/* Another message of a MULTIAPPEND: not announced, so not asked for. */
void imap_append_more(struct imap *im)
{
    imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_CANNOT, "One message at a time.");
}

/* Into the memory file, which begins with what was collected until now. */
static int spill(struct append *a, ph_str data)
{
    if (a->fd < 0) {
        a->fd = ph_memfile("append");
        if (a->fd < 0 || ph_memfile_add(a->fd, ph_buf_str(&a->body)) < 0)
            return -PH_EFULL;
        ph_buf_done(&a->body);
        ph_buf_init(&a->body, NULL, 0);
    }
    return ph_memfile_add(a->fd, data);
}

void imap_append_data(struct imap *im, ph_str data)
{
    struct append *a = im->job;
    a->size += data.n;
    if (a->failed)
        return;
    if (a->fd < 0 && a->size <= IPC_INLINE) {
        ph_buf_add(&a->body, data);
        a->failed = ph_buf_err(&a->body) < 0;
    } else {
        a->failed = spill(a, data) < 0;
    }
}

static void appended(struct imap *im, struct ipc_msg *msg)
{
    struct append *a = im->job;
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    const struct ipc_MSG_APPENDED *m = &msg->MSG_APPENDED;
    if (m->verdict == IPC_NOENT) {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_TRYCREATE, "There is no such mailbox.");
        return;
    }
    if (m->verdict != IPC_OK) {
        imap_fail(im, m->verdict, m->text);
        return;
    }
    if (im->view.open && im->view.uidvalidity == m->uidvalidity)
        im->view.dirty = true; /* it may be the selected one: look */
    ph_buf_addu(&a->uids, m->uid);
    struct ph_imap_code code = {
        .kind = PH_IMAP_CODE_APPENDUID, .n = m->uidvalidity, .to = ph_buf_str(&a->uids)};
    imap_finish(im, PH_IMAP_OK, &code, "Kept.");
}

static void send_append(struct imap *im, ph_str bytes, ph_str summary)
{
    struct append *a = im->job;
    const struct ph_imap_command *c = im->cmd;
    ph_str id;
    unsigned received;
    ph_summary_trace(bytes, &id, &received);
    uint64_t req = imap_ask(im, IPC_MSG_APPENDED, appended);
    if (!req)
        return;
    imap_sent(im, ipc_send(imap_store(im), MSG_APPEND, a->fd, .req = req, .session = im->s->grant,
                           .name = imap_name(im, c->append.name),
                           .flags = (ipc_u8)(c->append.flags.bits & 31u),
                           .keywords = c->append.flags.keywords,
                           .date = c->append.has_date ? c->append.date * 1000000 : 0,
                           .message_id = id.n <= 998 ? id : (ph_str){0}, .size = a->size,
                           .summary = summary, .body = a->fd < 0 ? bytes : (ph_str){0}));
}

void imap_append_end(struct imap *im)
{
    struct append *a = im->job;
    struct ph_buf summary;
    ph_str bytes;
    if (a->failed) {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_UNAVAILABLE,
                         "There is no room for the message at the moment.");
        return;
    }
    bool mapped = a->fd >= 0;
    if (!mapped) {
        bytes = ph_buf_str(&a->body);
    } else if (ph_memfile_seal(a->fd) < 0 || ph_memfile_map(a->fd, a->size, &bytes) < 0) {
        imap_no_memory(im);
        return;
    }
    ph_buf_init(&summary, NULL, PH_SUMMARY_MAX);
    if (ph_summary_make(bytes, &summary) < 0)
        imap_no_memory(im);
    else
        send_append(im, bytes, ph_buf_str(&summary));
    ph_buf_done(&summary);
    if (mapped)
        ph_unmap(bytes);
}
