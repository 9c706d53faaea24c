/*
 * APPEND, also of several messages (RFC 3502), and REPLACE (RFC 8508). A message is collected in
 * memory up to IPC_INLINE, then in a memory file; one with NUL (literal8, RFC 3516 4.4) becomes
 * text; summed up here, kept by the store. All but the last of several are sent with `more`: the
 * store keeps them aside until the last one comes, and then takes all or none.
 *
 *   COMMAND -> accept -> DATA... -> DATA_END: send, and wait -> done
 *                ^        |
 *                +------ MORE: send with `more`
 */
#include "file.h"
#include "imap_session.h"
#include "summary.h"
#include "unbinary.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct append {
    struct ph_buf body;
    int fd; /* -1: the body is in `body` */
    uint64_t size, total;
    struct ph_buf uids;
    /* The values of the message that is being read: those of the command are of the one announced
     * last. */
    struct ph_imap_flags flags;
    int64_t date;
    uint32_t replaces; /* a uid, 0: none */
    bool failed;       /* answered when the message has passed by */
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

/* The message that is announced now. */
static void next_message(struct imap *im)
{
    struct append *a = im->job;
    const struct ph_imap_command *c = im->cmd;
    a->flags = c->append.flags;
    a->date = c->append.has_date ? c->append.date * 1000000 : 0;
    a->total += c->append.size;
    a->size = 0;
    ph_buf_clear(&a->body);
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    if (c->append.size == 0)
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_CANNOT, "An empty message cannot be kept.");
    else if (a->total > (uint64_t)im->s->proc->conf->max_message_size)
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_TOOBIG,
                         "Too much at once; send the messages one by one.");
    else
        ph_imap_server_accept(im->e);
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
    next_message(im);
}

void imap_run_replace(struct imap *im)
{
    struct ph_imap_range one = {im->cmd->append.replaces, im->cmd->append.replaces};
    struct ph_imap_set set = {&one, 1, false};
    struct imap_ranges places;
    if (im->view.read_only) {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_READ_ONLY,
                         "The mailbox was examined and cannot be changed.");
        return;
    }
    if (!imap_resolve(im, &set, &places))
        return;
    if (places.n != 1) {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_NONEXISTENT, "There is no such message.");
        return;
    }
    uint32_t uid = imap_view_uid(&im->view, places.r[0].lo);
    imap_run_append(im);
    if (im->job)
        ((struct append *)im->job)->replaces = uid;
}

/* Into the memory file, which begins with what was collected until now. */
static int spill(struct append *a, ph_str data)
{
    if (a->fd < 0) {
        a->fd = ph_memfile("append");
        if (a->fd < 0 || ph_memfile_add(a->fd, ph_buf_str(&a->body)) < 0)
            return -PH_EFULL;
        ph_buf_clear(&a->body);
        ph_buf_shrink(&a->body);
    }
    return ph_memfile_add(a->fd, data);
}

static int collect(void *append, ph_str data)
{
    struct append *a = append;
    a->size += data.n;
    if (a->fd >= 0 || a->size > IPC_INLINE)
        return spill(a, data);
    ph_buf_add(&a->body, data);
    return ph_buf_err(&a->body);
}

void imap_append_data(struct imap *im, ph_str data)
{
    struct append *a = im->job;
    a->failed = a->failed || collect(a, data) < 0;
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
    if (im->view.open && (im->view.uidvalidity == m->uidvalidity || a->replaces))
        im->view.dirty = true; /* it may be the selected one: look */
    imap_put_range(&a->uids, m->first ? m->first : m->uid, m->uid);
    struct ph_imap_code code = {
        .kind = PH_IMAP_CODE_APPENDUID, .n = m->uidvalidity, .to = ph_buf_str(&a->uids)};
    if (a->replaces) { /* RFC 8508 3.3: untagged, and the answer is free for HIGHESTMODSEQ */
        ph_imap_server_condition(im->e, PH_IMAP_OK, &code, "Replaced.");
        im->expunged = true;
    }
    imap_finish(im, PH_IMAP_OK, a->replaces ? NULL : &code, "Kept.");
}

static int send_append(struct imap *im, ph_str bytes, ph_str summary, bool more, uint64_t req)
{
    struct append *a = im->job;
    ph_str id;
    unsigned received;
    ph_summary_trace(bytes, &id, &received);
    return ipc_send(imap_store(im), MSG_APPEND, a->fd, .req = req, .session = im->s->grant,
                    .more = more, .mailbox = a->replaces ? im->view.mailbox : 0,
                    .replaces = a->replaces, .name = imap_name(im, im->cmd->append.name),
                    .flags = (ipc_u8)(a->flags.bits & 31u), .keywords = a->flags.keywords,
                    .date = a->date, .message_id = id.n <= 998 ? id : (ph_str){0}, .size = a->size,
                    .summary = summary, .body = a->fd < 0 ? bytes : (ph_str){0});
}

static int open_message(const struct append *a, ph_str *ret_bytes)
{
    *ret_bytes = ph_buf_str(&a->body);
    if (a->failed)
        return -PH_EFULL;
    if (a->fd < 0)
        return 0;
    int r = ph_memfile_seal(a->fd);
    return r < 0 ? r : ph_memfile_map(a->fd, a->size, ret_bytes);
}

static void close_message(const struct append *a, ph_str bytes)
{
    if (a->fd >= 0)
        ph_unmap(bytes);
}

static void exchange(struct append *a, struct append *text)
{
    struct append was = *a;
    a->body = text->body;
    a->fd = text->fd;
    a->size = text->size;
    text->body = was.body;
    text->fd = was.fd;
}

/* The message that is open, with NUL, becomes text, and is open then. */
static int make_text(struct append *a, ph_str *bytes)
{
    struct append text = {.fd = -1};
    ph_buf_init(&text.body, NULL, IPC_INLINE);
    int r = ph_mime_unbinary(*bytes, collect, &text);
    close_message(a, *bytes);
    if (r == 0)
        exchange(a, &text);
    ph_buf_done(&text.body);
    if (text.fd >= 0)
        close(text.fd);
    return r < 0 ? r : open_message(a, bytes);
}

/* The message is whole: to the store. 0, or what went wrong. */
static int give(struct imap *im, bool more)
{
    struct append *a = im->job;
    struct ph_buf summary;
    ph_str bytes;
    int r = open_message(a, &bytes);
    if (r == 0 && memchr(bytes.p, 0, bytes.n))
        r = make_text(a, &bytes);
    if (r < 0)
        return r;
    ph_buf_init(&summary, NULL, PH_SUMMARY_MAX);
    r = ph_summary_make(bytes, &summary);
    uint64_t req = r < 0 || more ? 0 : imap_ask(im, IPC_MSG_APPENDED, appended);
    bool ended = r == 0 && !more && !req; /* there is no store, and that was answered */
    if (r == 0 && more) {
        im->staged = true;
        r = imap_store(im) ? send_append(im, bytes, ph_buf_str(&summary), true, 0) : -PH_EAGAIN;
    } else if (req) {
        im->staged = false; /* the store takes them with this one, or forgets them */
        imap_sent(im, send_append(im, bytes, ph_buf_str(&summary), false, req));
    }
    ph_buf_done(&summary);
    close_message(a, bytes);
    return ended || r >= 0 ? 0 : r;
}

static void refuse(struct imap *im, int error)
{
    if (error == -PH_ENOTIMPL)
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_UNKNOWN_CTE,
                         "The message has NUL where it cannot be written as text.");
    else
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_UNAVAILABLE,
                         "There is no room for the message at the moment.");
}

void imap_append_more(struct imap *im)
{
    int r = give(im, true);
    if (r < 0)
        refuse(im, r);
    else
        next_message(im);
}

void imap_append_end(struct imap *im)
{
    int r = give(im, false);
    if (r < 0)
        refuse(im, r);
}
