/*
 * resolver: names and addresses from the DNS, by libunbound: a caching resolver of our own, which
 * asks the servers of dns_server, else those of the system, else the root. Records of dns_records
 * are answered from here.
 *
 *   RESOLVE -> ub_resolve_async -> (libunbound's thread) -> ub_fd readable
 *           -> answered() -> RESOLVED
 */
#include "proc.h"
#include "rdata.h"

#include <stdio.h>
#include <string.h>
#include <unbound.h>

enum { WAITING_MAX = 20000, NAME_TEXT = 256, ROWS_MAX = 65536 };

/* RFC 1035 3.2.2, RFC 3596, RFC 6698. Indexed by enum ipc_dns. */
static const int rr_types[] = {[IPC_DNS_MX] = 15,  [IPC_DNS_A] = 1,    [IPC_DNS_AAAA] = 28,
                               [IPC_DNS_TXT] = 16, [IPC_DNS_PTR] = 12, [IPC_DNS_TLSA] = 52};
enum { KINDS = sizeof rr_types / sizeof *rr_types, CLASS_IN = 1 };

struct asked {
    struct asked *next, **at;
    struct resolver *r;
    int role; /* -1: the asker is gone */
    unsigned instance;
    uint64_t req;
    int kind;
};

struct resolver {
    struct proc *p;
    struct ub_ctx *ub;
    struct ph_io *io;
    struct asked *waiting;
    size_t waiting_n;
    uint64_t asked, answered, failed;
};

/* Its privileges: datagrams and streams to name servers, the thread of libunbound; no file. */
static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    (void)p;
    *ret = (struct ph_sandbox){.may = PH_MAY_DNS | PH_MAY_CONNECT | PH_MAY_THREADS, .chroot = true};
}

/* ---- answering --------------------------------------------------------------------------- */

static void answer(struct proc *p, const struct asked *a, int verdict,
                   const struct ub_result *result, const char *text)
{
    struct ipc_chan *chan = a->role < 0 ? NULL : proc_peer_at(p, a->role, a->instance);
    if (!chan)
        return;
    struct ph_buf rows;
    ph_buf_init(&rows, NULL, ROWS_MAX);
    if (verdict == IPC_OK)
        rdata_rows(a->kind, result->data, result->len, &rows);
    if (verdict == IPC_OK && !rows.n) {
        verdict = IPC_TEMP;
        text = "the answer makes no sense";
    }
    ipc_send(chan, RESOLVED, -1, .req = a->req, .verdict = (uint8_t)verdict,
             .secure = result && result->secure,
             .ttl = result && result->ttl > 0 ? (uint32_t)result->ttl : 0,
             .answers = ph_buf_str(&rows), .text = ph_str_c(text));
    ph_buf_done(&rows);
}

static void answered(void *ctx, int err, struct ub_result *result)
{
    enum { RCODE_OK = 0, RCODE_NXDOMAIN = 3 };
    struct asked *a = ctx;
    struct resolver *r = a->r;
    char text[200] = "";
    int verdict = IPC_TEMP;
    if (err)
        snprintf(text, sizeof text, "%s", ub_strerror(err));
    else if (result->bogus)
        snprintf(text, sizeof text, "DNSSEC: %s",
                 result->why_bogus ? result->why_bogus : "not valid");
    else if (result->nxdomain || result->rcode == RCODE_NXDOMAIN)
        verdict = IPC_NOENT;
    else if (result->rcode != RCODE_OK)
        snprintf(text, sizeof text, "the name servers answer with error %d", result->rcode);
    else
        verdict = result->havedata ? IPC_OK : IPC_NODATA;
    r->answered++;
    r->failed += verdict == IPC_TEMP;
    answer(r->p, a, verdict, result, text);
    ub_resolve_free(result);
    *a->at = a->next;
    if (a->next)
        a->next->at = a->at;
    r->waiting_n--;
    ph_free(NULL, a, sizeof *a);
}

static void readable(void *ctx, unsigned ready)
{
    struct resolver *r = ctx;
    (void)ready;
    int err = ub_process(r->ub);
    if (err)
        ph_log(PH_LOG_ERROR, (ph_str){0}, "dns", "error=%s", ub_strerror(err));
}

/* ---- asking ------------------------------------------------------------------------------ */

/* The name as libunbound takes it; false: not a name. */
static bool question(const struct ipc_RESOLVE *m, char out[NAME_TEXT])
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, NAME_TEXT - 1);
    if (m->kind != IPC_DNS_PTR || !rdata_reverse(m->name, &b))
        ph_buf_add(&b, m->name);
    bool good = b.n && !ph_buf_err(&b) && ph_str_chr(ph_buf_str(&b), '\0') == PH_NPOS;
    if (good)
        snprintf(out, NAME_TEXT, "%s", ph_buf_cstr(&b));
    ph_buf_done(&b);
    return good;
}

static void resolve(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct resolver *r = p->state;
    const struct ipc_RESOLVE *m = &msg->RESOLVE;
    const struct ipc_ends *ends = ipc_chan_ends(from);
    struct asked now = {
        .role = ends->peer_role, .instance = ends->peer_instance, .req = m->req, .kind = m->kind};
    char name[NAME_TEXT];
    r->asked++;
    if (m->kind >= KINDS || !question(m, name)) {
        answer(p, &now, IPC_INVALID, NULL, "not a question for the DNS");
        return;
    }
    struct asked *a = r->waiting_n < WAITING_MAX ? ph_new0(NULL, sizeof *a) : NULL;
    if (!a) {
        answer(p, &now, IPC_TEMP, NULL, "too many questions at the same time");
        return;
    }
    *a = now;
    a->r = r;
    a->next = r->waiting;
    a->at = &r->waiting;
    if (a->next)
        a->next->at = &a->next;
    r->waiting = a;
    r->waiting_n++;
    int err = ub_resolve_async(r->ub, name, rr_types[m->kind], CLASS_IN, a, answered, NULL);
    if (err)
        answered(a, err, NULL);
}

static void peer_down(struct proc *p, int role, unsigned instance)
{
    struct resolver *r = p->state;
    for (struct asked *a = r->waiting; a; a = a->next)
        if (a->role == role && a->instance == instance)
            a->role = -1;
}

/* ---- settings ---------------------------------------------------------------------------- */

/* libunbound wants NUL-terminated text. */
static int add_records(struct resolver *r, const struct ph_conf_list *list)
{
    struct ph_buf one;
    int bad = 0;
    ph_buf_init(&one, NULL, 4096);
    for (size_t i = 0; i < list->n; i++) {
        ph_buf_clear(&one);
        ph_buf_add(&one, list->v[i]);
        int err = ub_ctx_data_add(r->ub, ph_buf_cstr(&one));
        if (err) {
            bad++;
            ph_log(PH_LOG_ERROR, (ph_str){0}, "dns-record", "record=%.*s error=%s",
                   PH_FMT(list->v[i]), ub_strerror(err));
        }
    }
    ph_buf_done(&one);
    return bad;
}

static int servers(struct resolver *r, struct ph_error *reterr)
{
    const struct ph_conf_list *list = &r->p->conf->dns_server;
    char one[128];
    if (!list->n) {
        (void)ub_ctx_resolvconf(r->ub, NULL); /* none there: from the root on */
        return 0;
    }
    for (size_t i = 0; i < list->n; i++) {
        snprintf(one, sizeof one, "%.*s", PH_FMT(list->v[i]));
        if (ub_ctx_set_fwd(r->ub, one))
            return ph_fail(reterr, PH_EINVAL, 0,
                           "dns_server: \"%s\" is not an address or address@port", one);
    }
    return 0;
}

/* Before the sandbox: everything that libunbound reads from files is read by the first, synchronous
 * question. */
static int setup(struct proc *p, struct ph_error *reterr)
{
    static struct resolver r;
    static const char *const options[][2] = {{"module-config:", "iterator"},
                                             {"use-syslog:", "no"},
                                             {"logfile:", ""},
                                             {"cache-max-negative-ttl:", "900"},
                                             {"do-not-query-localhost:", "no"},
                                             {"outgoing-range:", "256"},
                                             {"msg-cache-size:", "8m"},
                                             {"rrset-cache-size:", "16m"}};
    struct ub_result *result = NULL;
    r = (struct resolver){.p = p};
    p->state = &r;
    r.ub = ub_ctx_create();
    if (!r.ub)
        return ph_fail(reterr, PH_ENOMEM, 0,
                       "libunbound cannot start: out of memory or descriptors");
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        (void)ub_ctx_set_option(r.ub, options[i][0], options[i][1]);
    ub_ctx_debuglevel(r.ub, 0);
    ub_ctx_async(r.ub, 1);
    int err = servers(&r, reterr);
    if (err)
        return err;
    if (add_records(&r, &p->conf->dns_records))
        return ph_fail(reterr, PH_EINVAL, 0,
                       "dns_records: a record is not in zone-file syntax; the log names it");
    int ub = ub_resolve(r.ub, "localhost.", rr_types[IPC_DNS_A], CLASS_IN, &result);
    ub_resolve_free(result);
    if (ub)
        return ph_fail(reterr, PH_EIO, 0, "libunbound cannot start: %s", ub_strerror(ub));
    return 0;
}

static int opened(struct proc *p, struct ph_error *reterr, int *ret_exit_code)
{
    struct resolver *r = p->state;
    (void)ret_exit_code;
    r->io = ph_io_new(p->loop, ub_fd(r->ub), PH_READ, readable, r);
    return r->io ? 0 : ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
}

/* New records; other servers need a restart of this process, which loses nothing but the cache. */
static void reload(struct proc *p)
{
    add_records(p->state, &p->conf->dns_records);
}

static void stats(struct proc *p, struct ph_buf *rows)
{
    const struct resolver *r = p->state;
    ipc_add(counter, rows, &((struct ipc_counter){.name = PH_STR("asked"), .value = r->asked}));
    ipc_add(counter, rows,
            &((struct ipc_counter){.name = PH_STR("answered"), .value = r->answered}));
    ipc_add(counter, rows, &((struct ipc_counter){.name = PH_STR("failed"), .value = r->failed}));
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {[IPC_RESOLVE] = resolve};

const struct proc_def proc_resolver = {
    .role = ROLE_RESOLVER,
    .handlers = handlers,
    .setup = setup,
    .sandbox = sandbox,
    .opened = opened,
    .peer_down = peer_down,
    .reload = reload,
    .stats = stats,
};
