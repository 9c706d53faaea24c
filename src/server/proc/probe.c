/* The attempts, and how one is made: fork, sandbox, try, tell by the exit code. */
#include "probe.h"

#include "ipc_int.h"
#include "sandbox_int.h"
#include "sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REFUSED = 10, ALLOWED = 11, BROKEN = 12 };

/* What an attempt finds: made before the sandbox was entered. */
struct scene {
    const struct proc_def *def;
    const char *data;
    const char *others; /* a folder of another process */
    int tcp;            /* a socket it was handed, neither bound nor connected */
    pid_t victim;       /* another process of the house */
    struct ph_loop *loop;
    struct ipc_chan *chan; /* to a peer */
    int raw;               /* the other end of it */
};

typedef bool attempt_fn(const struct scene *s); /* true: it worked */

static bool works(int fd)
{
    return fd >= 0;
}

static bool open_passwd(const struct scene *s)
{
    (void)s;
    return works(open("/etc/passwd", O_RDONLY | O_CLOEXEC)) ||
           works(open("../../../../../../etc/passwd", O_RDONLY | O_CLOEXEC));
}

static bool list_root(const struct scene *s)
{
    (void)s;
    return works(open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) ||
           works(open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static bool read_proc(const struct scene *s)
{
    (void)s;
    return works(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
}

static bool make_file(const struct scene *s)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/outside", s->data);
    return works(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) ||
           works(open("/tmp/posthouse-outside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static bool read_others(const struct scene *s)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/secret", s->others);
    return works(open(path, O_RDONLY | O_CLOEXEC));
}

static bool write_others(const struct scene *s)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/secret", s->others);
    return works(open(path, O_WRONLY | O_CLOEXEC)) || unlink(path) == 0;
}

static bool make_socket(const struct scene *s)
{
    (void)s;
    return works(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) ||
           works(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static bool make_datagram(const struct scene *s)
{
    (void)s;
    return works(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static bool make_raw(const struct scene *s)
{
    (void)s;
    return works(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP)) ||
           works(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static bool connect_out(const struct scene *s)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return connect(s->tcp, (const struct sockaddr *)&to, sizeof to) == 0 ||
           (errno != EPERM && errno != EACCES);
}

static bool connect_by_sending(const struct scene *s)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return sendto(s->tcp, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (const struct sockaddr *)&to,
                  sizeof to) >= 0 ||
           (errno != EPERM && errno != EACCES);
}

static bool listen_in(const struct scene *s)
{
    return listen(s->tcp, 1) == 0;
}

static bool ask_control(const struct scene *s)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(to.sun_path, sizeof to.sun_path, "%.80s/control.sock", s->data);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0;
}

static bool run_program(const struct scene *s)
{
    char *argv[] = {(char *)"true", NULL};
    (void)s;
    execv("/bin/true", argv);
    return false; /* it never returns when it works: then /bin/true's status 0 tells */
}

static bool start_process(const struct scene *s)
{
    (void)s;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0;
}

static bool trace(const struct scene *s)
{
    return ptrace(PTRACE_ATTACH, s->victim, NULL, NULL) == 0;
}

static bool read_memory(const struct scene *s)
{
    char here[8];
    struct iovec to = {here, sizeof here}, from = {(void *)(uintptr_t)&errno, sizeof here};
    return process_vm_readv(s->victim, &to, 1, &from, 1, 0) > 0;
}

static bool send_signal(const struct scene *s)
{
    return kill(s->victim, SIGURG) == 0;
}

static bool signal_thread(const struct scene *s)
{
    return syscall(SYS_tgkill, s->victim, s->victim, SIGURG) == 0;
}

/* The kernel would send it as soon as something can be read. */
static bool signal_by_readiness(const struct scene *s)
{
    return fcntl(s->raw, F_SETOWN, s->victim) == 0 || fcntl(s->raw, F_SETSIG, SIGURG) == 0;
}

static bool run_written_memory(const struct scene *s)
{
    (void)s;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0;
}

/* A datagram from one end of a pair goes to whatever socket is named. */
static bool send_by_path(const struct scene *s)
{
    int fds[2];
    (void)s;
    return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) == 0;
}

static bool become_root(const struct scene *s)
{
    (void)s;
    return geteuid() != 0 && setuid(0) == 0;
}

static bool mount_something(const struct scene *s)
{
    (void)s;
    return mount("none", "/", "tmpfs", 0, NULL) == 0;
}

static bool use_uring(const struct scene *s)
{
    char params[128] = {0};
    (void)s;
    return works((int)syscall(SYS_io_uring_setup, 1, params));
}

/* ---- messages ------------------------------------------------------------------------------- */

/* Something that the role may never send to that peer. */
static enum ipc_type forbidden(int role, int peer)
{
    static const enum ipc_type wanted[] = {IPC_GRANT, IPC_DELIVER, IPC_KEY, IPC_START};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!ipc_may_send(wanted[i], role, peer))
            return wanted[i];
    return IPC_START;
}

static int some_peer(int role)
{
    for (int peer = ROLE_INDEXER; peer > ROLE_PARENT; peer--)
        if (peer != role && ipc_may_talk(role, peer))
            return peer;
    return ROLE_PARENT;
}

static bool send_forbidden(const struct scene *s)
{
    struct ipc_msg m = {0};
    ipc_chan_send(s->chan, forbidden(s->def->role, ipc_chan_ends(s->chan)->peer_role), &m.HELLO,
                  -1); /* aborts */
    return true;
}

struct heard {
    struct ph_loop *loop;
    unsigned messages, gone;
};

static void on_message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    (void)from;
    (void)msg;
    ((struct heard *)ctx)->messages++;
}

static void on_gone(void *ctx, struct ipc_chan *chan, const char *why)
{
    struct heard *h = ctx;
    h->gone += why != NULL;
    ipc_chan_free(chan);
    ph_loop_stop(h->loop);
}

/* The frame is written past the sender's own check, as a process that was taken over would. */
static bool forge(const struct scene *s)
{
    struct ipc_ends theirs = *ipc_chan_ends(s->chan),
                    ours = {theirs.peer_role, theirs.self_role, 0, 0};
    struct heard h = {.loop = s->loop};
    struct ipc_callbacks cb = {on_message, NULL, on_gone, &h};
    struct ipc_msg hello = {.HELLO = {ipc_table_hash(), (uint8_t)theirs.self_role, 0}}, m = {0};
    struct ph_buf frames;
    int fds[2];
    ph_buf_init(&frames, NULL, 65536);
    if (ipc__frame_put(&frames, IPC_HELLO, &hello.HELLO, false) ||
        ipc__frame_put(&frames, forbidden(theirs.self_role, theirs.peer_role), &m.HELLO, false) ||
        ph_socketpair(fds))
        return true;
    bool sent = send(fds[0], frames.p, frames.n, MSG_NOSIGNAL) == (ssize_t)frames.n;
    ph_buf_done(&frames);
    if (!sent || !ipc_chan_new(s->loop, fds[1], &ours, &cb) || ph_loop_run(s->loop))
        return true;
    return h.messages || !h.gone;
}

/* ---- all of it ------------------------------------------------------------------------------ */

enum { NEVER = 0, CONNECTS = PH_MAY_CONNECT | PH_MAY_DNS };

static const struct {
    const char *what;
    attempt_fn *fn;
    unsigned work;  /* a role that may one of these does it as its work: not tried */
    bool sanitizer; /* sanitizers need it themselves: not tried in such a build */
} attempts[] = {
    {"open /etc/passwd", open_passwd, NEVER, false},
    {"look around in the file system", list_root, NEVER, false},
    {"read /proc", read_proc, NEVER, true},
    {"make a file outside its folder", make_file, NEVER, false},
    {"read another process's folder", read_others, NEVER, false},
    {"write to another process's folder", write_others, NEVER, false},
    {"make an internet socket", make_socket, CONNECTS, false},
    {"make a datagram socket", make_datagram, PH_MAY_DNS, false},
    {"make a raw or netlink socket", make_raw, NEVER, false},
    {"connect a socket it was handed", connect_out, CONNECTS, false},
    {"connect it by sending at once", connect_by_sending, CONNECTS, false},
    {"send to a socket by its path", send_by_path, NEVER, false},
    {"listen on a socket it was handed", listen_in, NEVER, false},
    {"ask the control socket", ask_control, NEVER, false},
    {"run a program", run_program, NEVER, false},
    {"start a process", start_process, NEVER, true},
    {"trace another process", trace, NEVER, true},
    {"read another process's memory", read_memory, NEVER, true},
    {"send a signal to another process", send_signal, NEVER, true},
    {"send a signal to its thread", signal_thread, NEVER, true},
    {"have a signal sent by the kernel", signal_by_readiness, NEVER, false},
    {"run memory that it wrote", run_written_memory, NEVER, true},
    {"become root", become_root, NEVER, false},
    {"mount a file system", mount_something, NEVER, false},
    {"set up an io_uring", use_uring, NEVER, false},
    {"send a message not in its row", send_forbidden, NEVER, false},
    {"have a forged message taken", forge, NEVER, false},
};

static void ignore_message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    (void)ctx;
    (void)from;
    (void)msg;
}

static void ignore_gone(void *ctx, struct ipc_chan *chan, const char *why)
{
    (void)ctx;
    (void)chan;
    (void)why;
}

static bool set_scene(struct scene *s)
{
    struct ipc_ends ends = {s->def->role, some_peer(s->def->role), 0, 0};
    struct ipc_callbacks cb = {ignore_message, NULL, ignore_gone, NULL};
    int fds[2];
    s->victim = getppid();
    s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    s->loop = ph_loop_new();
    if (s->tcp < 0 || !s->loop || ph_socketpair(fds))
        return false;
    s->raw = fds[1];
    s->chan = ipc_chan_new(s->loop, fds[0], &ends, &cb);
    return s->chan != NULL;
}

static const char *folder_of(int role)
{
    return role == ROLE_QUEUE    ? "queue"
           : role == ROLE_STORE  ? "mail"
           : role == ROLE_KEEPER ? "house"
                                 : NULL;
}

/* In the new process. */
static int try_one(const struct proc_def *def, const char *data, const char *user, attempt_fn *fn)
{
    char own[4200], others[4200];
    const char *folder = folder_of(def->role);
    struct proc p = {.def = def, .conf = ph_conf_new()};
    struct scene s = {.def = def, .data = data, .others = others};
    struct ph_sandbox policy = {0};
    struct rlimit no_core = {0};
    snprintf(own, sizeof own, "%s/%s", data, folder ? folder : "");
    snprintf(others, sizeof others, "%s/%s", data, def->role == ROLE_QUEUE ? "mail" : "queue");
    p.data = folder ? own : NULL;
    if (!p.conf || !set_scene(&s) || setrlimit(RLIMIT_CORE, &no_core))
        return BROKEN;
    def->sandbox(&p, &policy);
    policy.user = *user ? user : NULL;
    if (ph_sandbox_enter(&policy, NULL, NULL) < 0)
        return BROKEN;
    return fn(&s) ? ALLOWED : REFUSED;
}

/* REFUSED also when it was killed, by seccomp or by its own assertion. */
static int attempt(const struct proc_def *def, const char *data, const char *user, attempt_fn *fn)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup3(null, STDERR_FILENO, 0);
        _exit(try_one(def, data, user, fn));
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return BROKEN;
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGABRT ? REFUSED : BROKEN;
    return WEXITSTATUS(status) == 0 ? ALLOWED : WEXITSTATUS(status);
}

int proc_probe(const struct proc_def *def, const char *data, const char *user, FILE *out)
{
    struct proc p = {.def = def, .data = data};
    struct ph_sandbox policy = {0};
    int allowed = 0;
    def->sandbox(&p, &policy);
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        if ((attempts[i].work & policy.may) || (attempts[i].sanitizer && PH__SANITIZED))
            continue;
        int r = attempt(def, data, user, attempts[i].fn);
        if (r != REFUSED && r != ALLOWED) {
            fprintf(out, "%-9s %-36s the probe failed\n", ipc_role_name(def->role),
                    attempts[i].what);
            return -1;
        }
        fprintf(out, "%-9s %-36s %s\n", ipc_role_name(def->role), attempts[i].what,
                r == ALLOWED ? "ALLOWED" : "refused");
        allowed += r == ALLOWED;
    }
    return allowed;
}
