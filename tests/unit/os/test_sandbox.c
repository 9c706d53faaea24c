/* os/sandbox: each probe runs in a child of its own, which enters a sandbox and tries something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "loop.h"
#include "random.h"
#include "sandbox_int.h"
#include "sock.h"
#include "tls.h"

static char dir[64], inside[80], outside[80];

static int make(void **state)
{
    struct ph_error e;
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/ph-sandbox-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(inside, sizeof inside, "%s/in", dir);
    snprintf(outside, sizeof outside, "%s/out", dir);
    if (chmod(dir, 0755) < 0 || ph_mkdirs(inside, 0777, &e) < 0 || chmod(inside, 0777) < 0)
        return -1;
    return ph_file_write(outside, PH_STR("secret"), 0644, &e);
}

static int drop(void **state)
{
    char cmd[80];
    (void)state;
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

/* ---- probes: 0 when it went through, else the errno ------------------------------------------ */

static int taken(int rc)
{
    return rc < 0 ? errno : 0;
}

static int open_outside(void)
{
    return taken(open(outside, O_RDONLY));
}

static int open_etc(void)
{
    return taken(open("/etc/passwd", O_RDONLY));
}

static int work_inside(void)
{
    struct ph_error e;
    struct ph_buf b;
    char path[100];
    ph_buf_init(&b, NULL, 100);
    snprintf(path, sizeof path, "%s/f", inside);
    if (ph_file_write(path, PH_STR("mail"), 0600, &e) < 0 || ph_file_read(path, &b, &e) < 0)
        return e.sys ? e.sys : EIO;
    ph_buf_done(&b);
    return taken(unlink(path));
}

static int work_in_root(void)
{
    struct ph_error e;
    if (ph_file_write("/f", PH_STR("mail"), 0600, &e) < 0)
        return e.sys;
    return getuid() == 0 ? EINVAL : taken(unlink("/f"));
}

static int see_nothing(void)
{
    return access("/etc", F_OK) < 0 && access("/tmp", F_OK) < 0 ? 0 : EEXIST;
}

static int unix_socket(void)
{
    return taken(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int stream_socket(void)
{
    return taken(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int datagram_socket(void)
{
    return taken(socket(AF_INET6, SOCK_DGRAM, 0));
}

static int listen_somewhere(void)
{
    struct ph_addr a;
    struct ph_error e;
    if (ph_addr_make(PH_STR("127.0.0.1"), 24680, &a) < 0)
        return EINVAL;
    return ph_listen(&a, 1, &e) < 0 ? e.sys : 0;
}

static int connect_from(void)
{
    struct ph_addr to, from;
    struct ph_error e;
    if (ph_addr_make(PH_STR("127.0.0.1"), 24681, &to) < 0 ||
        ph_addr_make(PH_STR("127.0.0.3"), 0, &from) < 0)
        return EINVAL;
    return ph_connect(&to, &from, &e) < 0 && e.sys != ECONNREFUSED ? e.sys : 0;
}

static int exec_shell(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno;
}

static int trace(void)
{
    return taken((int)ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int fork_one(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return taken(pid);
}

static void *nothing(void *ctx)
{
    return ctx;
}

static int thread(void)
{
    pthread_t id;
    int rc = pthread_create(&id, NULL, nothing, NULL);
    return rc ? rc : pthread_join(id, NULL);
}

static int signal_parent(void)
{
    return taken(kill(getppid(), 0));
}

static int memory_file(void)
{
    ph_str s;
    int fd = ph_memfile("x");
    if (fd < 0)
        return EPERM;
    return ph_memfile_add(fd, PH_STR("hi")) < 0 || ph_memfile_seal(fd) < 0 ||
                   ph_memfile_map(fd, 2, &s) < 0
               ? EIO
               : 0;
}

static void stop(void *ctx)
{
    ph_loop_stop(ctx);
}

/* What every process does: a loop with a timer and a signal, random bytes, TLS. */
static int work(void)
{
    struct ph_loop *l = ph_loop_new();
    struct ph_timer *t = l ? ph_timer_new(l, stop, l) : NULL;
    struct ph_error e;
    if (!t || ph_loop_signal(l, SIGTERM, stop, l) < 0 || ph_loop_on_wake(l, stop, l) < 0)
        return ENOMEM;
    ph_timer_set(t, 1);
    if (ph_loop_run(l) < 0 || ph_random_u64() == 0)
        return EIO;
    struct ph_tls_ctx *c = ph_tls_server_ctx(&e);
    ph_tls_ctx_free(c);
    ph_timer_free(t);
    ph_loop_free(l);
    void *big = malloc(50 << 20);
    free(big);
    return c ? 0 : EIO;
}

/* ---- the table --------------------------------------------------------------------------- */

enum { REFUSED = -1, KILLED = -2, FINE = 0 };
#define FILES_IN PH_MAY_FILES, inside, NULL

static const char *const etc[] = {"/etc", "/nowhere", NULL};

static const struct {
    const char *name;
    int (*probe)(void);
    int expect;
    unsigned may;
    const char *dir;
    const char *const *read;
    bool root; /* chroot and another user */
} rows[] = {
    {"work with no permission", work, FINE, 0, NULL, NULL, false},
    {"work as a network process", work, FINE, PH_MAY_ACCEPT | PH_MAY_CONNECT | PH_MAY_MEMFD, NULL,
     NULL, false},
    {"files inside", work_inside, FINE, FILES_IN, false},
    {"a file outside", open_outside, REFUSED, FILES_IN, false},
    {"a file, without files", open_outside, REFUSED, PH_MAY_ACCEPT, NULL, NULL, false},
    {"a file that may be read", open_etc, FINE, 0, NULL, etc, false},
    {"a file that may be read, with files", open_etc, FINE, PH_MAY_FILES, inside, etc, false},
    {"another file than that", open_outside, REFUSED, 0, NULL, etc, false},
    {"a unix socket", unix_socket, REFUSED, PH_MAY_CONNECT | PH_MAY_DNS, NULL, NULL, false},
    {"a stream socket", stream_socket, REFUSED, PH_MAY_ACCEPT, NULL, NULL, false},
    {"a stream socket, connecting", stream_socket, FINE, PH_MAY_CONNECT, NULL, NULL, false},
    {"a datagram socket, connecting", datagram_socket, REFUSED, PH_MAY_CONNECT, NULL, NULL, false},
    {"a datagram socket, resolving", datagram_socket, FINE, PH_MAY_DNS, NULL, NULL, false},
    {"listening", listen_somewhere, REFUSED, PH_MAY_CONNECT | PH_MAY_ACCEPT, NULL, NULL, false},
    {"connecting from an address", connect_from, FINE, PH_MAY_CONNECT, NULL, NULL, false},
    {"execve", exec_shell, KILLED, PH_MAY_FILES, "/", NULL, false},
    {"execve, where it may spawn", exec_shell, FINE, PH_MAY_SPAWN, NULL, NULL, false},
    {"ptrace", trace, PH__SANITIZED ? FINE : KILLED, 0, NULL, NULL, false},
    {"ptrace, where it may spawn", trace, PH__SANITIZED ? FINE : KILLED, PH_MAY_SPAWN, NULL, NULL,
     false},
    {"fork", fork_one, PH__SANITIZED ? FINE : REFUSED, PH_MAY_THREADS, NULL, NULL, false},
    {"a thread", thread, PH__SANITIZED ? FINE : REFUSED, 0, NULL, NULL, false},
    {"a thread, with threads", thread, FINE, PH_MAY_THREADS, NULL, NULL, false},
    {"a signal to the parent", signal_parent, REFUSED, 0, NULL, NULL, false},
    {"a memory file", memory_file, REFUSED, PH_MAY_FILES, inside, NULL, false},
    {"a memory file, with memfd", memory_file, FINE, PH_MAY_MEMFD, NULL, NULL, false},
    {"chroot with files", work_in_root, FINE, FILES_IN, true},
    {"chroot with files: nothing else", see_nothing, FINE, FILES_IN, true},
    {"chroot to nowhere", see_nothing, FINE, 0, NULL, NULL, true},
    {"chroot to nowhere: work", work, FINE, PH_MAY_ACCEPT, NULL, NULL, true},
};

static int run(size_t i)
{
    struct ph_sandbox s = {.may = rows[i].may, .dir = rows[i].dir, .read = rows[i].read};
    struct ph_error e = {0};
    if (rows[i].root) {
        s.user = "nobody";
        s.chroot = true;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        bool missing = false;
        if (ph_sandbox_enter(&s, &missing, &e) < 0) {
            fprintf(stderr, "%s\n", e.text);
            _exit(255);
        }
        _exit(rows[i].probe() & 0x7f);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? KILLED : 1000;
    int sys = WEXITSTATUS(status);
    return sys == EPERM || sys == EACCES ? REFUSED : sys;
}

static void probes(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].root && geteuid() != 0)
            continue;
        int got = run(i);
        if (got != rows[i].expect) {
            print_message("%s: %d instead of %d\n", rows[i].name, got, rows[i].expect);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void mistakes(void **state)
{
    (void)state;
    struct ph_error e = {0};
    struct ph_sandbox s = {.dir = "/none/at/all", .may = PH_MAY_FILES};
    assert_true(ph_sandbox_enter(&s, NULL, &e) < 0);
    assert_non_null(strstr(e.text, "/none/at/all"));
    if (geteuid() == 0) {
        s = (struct ph_sandbox){.user = "no-such-user-here"};
        assert_int_equal(ph_sandbox_enter(&s, NULL, &e), -PH_ENOENT);
        assert_non_null(strstr(e.text, "no-such-user-here"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(probes), cmocka_unit_test(mistakes)};
    return cmocka_run_group_tests(tests, make, drop);
}
