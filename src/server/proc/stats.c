/* Counters: what every process has, then its own. */
#include "proc_int.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { STATS_MAX = 65536 };

/* Opened while it still can be: the sandbox has no /proc. */
void proc__stats_open(struct proc *p)
{
    p->priv->memory_fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    p->priv->started_us = ph_mono_us();
}

/* The process's share of memory (PSS) in KiB; its largest resident size where that cannot be
 * read. */
static uint64_t memory_kib(const struct proc *p)
{
    char text[2048];
    struct rusage u = {0};
    ssize_t n = p->priv->memory_fd >= 0 ? pread(p->priv->memory_fd, text, sizeof text, 0) : -1;
    ph_str rest = {text, n > 0 ? (size_t)n : 0}, line;
    while (ph_str_token(&rest, '\n', &line)) {
        uint64_t kib;
        if (!ph_str_has_prefix(line, PH_STR("Pss:")) || !ph_str_has_suffix(line, PH_STR("kB")))
            continue;
        line = ph_str_trim(ph_str_sub(line, 4, line.n - 6));
        if (ph_str_u64(line, UINT64_MAX, &kib))
            return kib;
    }
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)u.ru_maxrss;
}

static void add(struct ph_buf *rows, const char *name, uint64_t value)
{
    struct ipc_counter c = {ph_str_c(name), value};
    ipc_add(counter, rows, &c);
}

static void add_messages(const struct proc *p, struct ph_buf *rows)
{
    uint64_t in = 0, out = 0;
    for (int r = 0; r < ROLE_COUNT; r++) {
        for (unsigned i = 0; i < PROC_INSTANCES; i++) {
            const struct proc_peer_slot *s = &p->priv->peers[r][i];
            uint64_t a = 0, b = 0;
            if (s->chan)
                ipc_chan_counts(s->chan, &a, &b);
            in += s->in + a;
            out += s->out + b;
        }
    }
    add(rows, "messages_in", in);
    add(rows, "messages_out", out);
}

void proc__stats_answer(struct proc *p, uint64_t req)
{
    struct ph_buf rows;
    struct rusage u = {0};
    ph_buf_init(&rows, NULL, STATS_MAX);
    getrusage(RUSAGE_SELF, &u);
    add(&rows, "uptime_ms", (uint64_t)(ph_mono_us() - p->priv->started_us) / 1000);
    add(&rows, "memory_kib", memory_kib(p));
    add(&rows, "cpu_ms",
        (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
            (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000);
    add_messages(p, &rows);
    add(&rows, "backlog_bytes", proc__backlog(p));
    if (p->def->stats && p->priv->started)
        p->def->stats(p, &rows);
    if (ph_buf_err(&rows) || ipc_send(p->priv->parent, STATS, -1, req, ph_buf_str(&rows)))
        ph_log(PH_LOG_WARN, (ph_str){0}, "stats-lost", "");
    ph_buf_done(&rows);
}
