/* job.c - requests as they travel between threads. */
#include "file.h"
#include "store_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Calls fn for every string of a message, whatever its type. */
static void each_string(struct ipc_msg *msg, void (*fn)(void *ctx, ph_str *s), void *ctx)
{
#define VISIT_u8(field)
#define VISIT_u32(field)
#define VISIT_u64(field)
#define VISIT_i64(field)
#define VISIT_str(field) fn(ctx, &field);
#define VISIT_rows(field) fn(ctx, &field);
#define F(kind, name, max) VISIT_##kind(x->name)
#define R(name, fields)
#define M(NAME, from, to, fields)                                                                  \
    case IPC_##NAME: {                                                                             \
        struct ipc_##NAME *x = &msg->NAME;                                                         \
        (void)x;                                                                                   \
        fields break;                                                                              \
    }
    switch (msg->type) {
#include "messages.def"
    case IPC_TYPE_COUNT:
        break;
    }
#undef M
#undef R
#undef F
}

static void measure(void *ctx, ph_str *s)
{
    *(size_t *)ctx += s->n;
}

static void move(void *ctx, ph_str *s)
{
    char **p = ctx;
    if (s->n > 0)
        memcpy(*p, s->p, s->n);
    s->p = *p;
    *p += s->n;
}

/* The body of DELIVER and MSG_APPEND: inline, packed or not, or a memory file. */
static int take_body(struct job *j, ph_str inside, uint64_t size, bool packed, int fd)
{
    if (fd < 0) {
        j->body = inside;
        return packed || inside.n == size ? 0 : -PH_ESYNTAX;
    }
    int r = inside.n || packed ? -PH_ESYNTAX : ph_memfile_map(fd, size, &j->body);
    j->mapped = r == 0;
    return r;
}

struct job *job_new(struct ipc_msg *msg, const struct ipc_ends *from, ph_str folder)
{
    size_t n = folder.n;
    each_string(msg, measure, &n);
    struct job *j = malloc(sizeof *j + n);
    if (!j)
        return NULL;
    memset(j, 0, sizeof *j);
    char *p = (char *)(j + 1);
    j->ask = *msg;
    j->ask.fd = j->answer.fd = -1;
    j->folder = folder;
    each_string(&j->ask, move, &p);
    move(&p, &j->folder);
    j->role = from->peer_role;
    j->instance = from->peer_instance;
    ph_buf_init(&j->rows, NULL, 917504);
    ph_buf_init(&j->text, NULL, 917504);
    ph_buf_init(&j->text2, NULL, 524288);
    int r = 0;
    if (msg->type == IPC_DELIVER)
        r = take_body(j, j->ask.DELIVER.body, msg->DELIVER.size, msg->DELIVER.packed, msg->fd);
    else if (msg->type == IPC_MSG_APPEND)
        r = take_body(j, j->ask.MSG_APPEND.body, msg->MSG_APPEND.size, false, msg->fd);
    if (r < 0) {
        job_reset(j);
        job_refuse(j, IPC_INVALID, "the body is not a sealed memory file of the size given");
    }
    return j;
}

struct job *job_free(struct job *j)
{
    if (!j)
        return NULL;
    while (j->group) {
        struct job *one = j->group;
        j->group = one->group;
        one->group = NULL;
        job_free(one);
    }
    if (j->mapped)
        ph_unmap(j->body);
    if (j->answer.fd >= 0)
        close(j->answer.fd);
    ph_buf_done(&j->rows);
    ph_buf_done(&j->text);
    ph_buf_done(&j->text2);
    free(j);
    return NULL;
}

/* Every request and every answer has `req` first. */
void job_reset(struct job *j)
{
    if (j->answer.fd >= 0)
        close(j->answer.fd);
    memset(&j->answer, 0, sizeof j->answer);
    j->answer.fd = -1;
    j->answer.type = (enum ipc_type)store_ops_table[j->ask.type].answer;
    memcpy(&j->answer.STORE_DONE, &j->ask.SYNC, sizeof(uint64_t));
    ph_buf_clear(&j->rows);
    ph_buf_clear(&j->text);
    ph_buf_clear(&j->text2);
    j->touched_n = 0;
    j->failed = j->undo = false;
}

void job_refuse(struct job *j, int verdict, const char *text)
{
    const struct op *op = &store_ops_table[j->ask.type];
    bool undo = j->undo;
    job_reset(j);
    j->failed = true;
    j->undo = undo;
    char *base = (char *)&j->answer.STORE_DONE;
    *(ipc_u8 *)(base + op->verdict_at) = (ipc_u8)verdict;
    if (!op->text_at)
        return;
    snprintf(j->why, sizeof j->why, "%s", text);
    ph_str why = ph_str_c(j->why);
    memcpy(base + op->text_at, &why, sizeof why);
}

int job_verdict(int code)
{
    static const unsigned char verdicts[PH_ERR_COUNT] = {
        [PH_EFULL] = IPC_FULL,      [PH_ELIMIT] = IPC_LIMIT, [PH_EINVAL] = IPC_INVALID,
        [PH_ESYNTAX] = IPC_INVALID, [PH_ENOENT] = IPC_NOENT, [PH_EEXIST] = IPC_EXISTS,
        [PH_EDENIED] = IPC_DENIED,  [PH_EQUOTA] = IPC_QUOTA, [PH_EINUSE] = IPC_INUSE};
    code = code < 0 ? -code : code;
    int v = code < PH_ERR_COUNT ? verdicts[code] : IPC_TEMP;
    return v ? v : IPC_TEMP;
}

void job_fail(struct job *j, int code, const struct ph_error *e)
{
    job_refuse(j, job_verdict(code), e->code ? e->text : ph_error_info(code)->text);
}
