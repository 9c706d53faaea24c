/* `posthouse serve`: everything that can go wrong is tried before the first child is started. */
#include "parent_int.h"

#include "file.h"
#include "sandbox.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static void on_child(void *ctx)
{
    struct parent *p = ctx;
    int status;
    for (size_t i = 0; i < p->child_count; i++) {
        struct child *c = &p->children[i];
        if (c->pid && waitpid(c->pid, &status, WNOHANG) == c->pid)
            child_waited(c, status);
    }
}

static void on_term(void *ctx)
{
    house_stop(ctx, EX_OK);
}

static void on_hup(void *ctx)
{
    (void)house_reload(ctx);
}

static int watch_signals(struct parent *p)
{
    static const struct {
        int signo;
        void (*fn)(void *ctx);
    } watched[] = {{SIGCHLD, on_child}, {SIGTERM, on_term}, {SIGINT, on_term}, {SIGHUP, on_hup}};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++)
        if (ph_loop_signal(p->loop, watched[i].signo, watched[i].fn, p))
            return EX_OSERR;
    return 0;
}

/* Every connection is a descriptor; the processes inherit the limit. */
static void raise_limits(void)
{
    struct rlimit l;
    if (!getrlimit(RLIMIT_NOFILE, &l) && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

/* It starts programs, binds ports and, as root, gives folders and users away; what nobody here
 * needs (ptrace, mount, new privileges by exec, kernel modules) it gives up, and with it all its
 * children do. */
static int enter_sandbox(void)
{
    const struct ph_sandbox policy = {.may = PH_MAY_SPAWN};
    struct ph_error e = {0};
    if (ph_sandbox_enter(&policy, NULL, &e) >= 0)
        return 0;
    fprintf(stderr, "posthouse: %s\n", e.text);
    return EX_OSERR;
}

static int prepare(struct parent *p)
{
    struct ph_error e = {0};
    char path[4200];
    int code = parent_conf(p->opt, &p->conf);
    if (!code) {
        ph_conf_log(p->conf, "parent", 0);
        code = data_open(p);
    }
    if (code)
        return code;
    if (data_certificate(p, p->conf, &e) || data_trust(p, p->conf, &e)) {
        fprintf(stderr, "posthouse: %s\n", e.text);
        return EX_CONFIG;
    }
    snprintf(path, sizeof path, "%s/ready", p->data); /* left behind: the last server was killed */
    code = listen_all(p, ph_file_exists(path));
    if (code)
        return code;
    p->loop = ph_loop_new();
    if (!p->loop)
        return EX_OSERR;
    code = watch_signals(p);
    if (!code)
        code = control_open(p);
    return code ? code : enter_sandbox();
}

static void clean_up(struct parent *p)
{
    for (size_t i = 0; i < p->child_count; i++) {
        ph_timer_free(p->children[i].again);
        ph_timer_free(p->children[i].rejoin);
        ipc_chan_free(p->children[i].chan);
        ph_buf_done(&p->children[i].counters);
    }
    for (size_t i = 0; i < p->listener_count; i++)
        close(p->listeners[i].fd);
    control_close(p);
    ph_timer_free(p->limit);
    ph_timer_free(p->ticket_timer);
    ph_wipe(p->tickets, sizeof p->tickets);
    data_close(p);
    ph_loop_free(p->loop);
    ph_conf_free(p->conf);
}

int parent_serve(const struct parent_options *opt)
{
    static struct parent p; /* large */
    p = (struct parent){
        .opt = opt, .data_fd = -1, .lock_fd = -1, .control_fd = -1, .started = ph_mono_us() / 1000};
    umask(077);
    raise_limits();
    ph_log_init("parent", 0, STDERR_FILENO, PH_LOG_AUTO, PH_LOG_INFO);
    p.exit_code = prepare(&p);
    if (!p.exit_code) {
        house_start(&p);
        if (ph_loop_run(p.loop))
            p.exit_code = EX_OSERR;
    }
    clean_up(&p);
    return p.exit_code;
}
