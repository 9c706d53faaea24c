/*
 * seccomp: which system calls this process can make at all. The lists are by need, one per `may`
 * bit; names that an architecture does not have are skipped.
 */
#include "sandbox_int.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define ALWAYS 0u
#define SANITIZER (1u << 31)

/* Memory, time, signals, the loop, descriptors that are open already. */
static const char *const always[] = {"read",
                                     "write",
                                     "readv",
                                     "writev",
                                     "pread64",
                                     "pwrite64",
                                     "preadv",
                                     "pwritev",
                                     "close",
                                     "close_range",
                                     "fstat",
                                     "lseek",
                                     "munmap",
                                     "mremap",
                                     "madvise",
                                     "brk",
                                     "msync",
                                     "rt_sigaction",
                                     "rt_sigprocmask",
                                     "rt_sigreturn",
                                     "rt_sigtimedwait",
                                     "sigaltstack",
                                     "dup",
                                     "dup2",
                                     "dup3",
                                     "pipe",
                                     "pipe2",
                                     "nanosleep",
                                     "clock_nanosleep",
                                     "clock_gettime",
                                     "clock_getres",
                                     "gettimeofday",
                                     "time",
                                     "getpid",
                                     "getppid",
                                     "gettid",
                                     "getuid",
                                     "geteuid",
                                     "getgid",
                                     "getegid",
                                     "getrandom",
                                     "futex",
                                     "sched_yield",
                                     "sched_getaffinity",
                                     "exit",
                                     "exit_group",
                                     "epoll_create1",
                                     "epoll_create",
                                     "epoll_ctl",
                                     "epoll_wait",
                                     "epoll_pwait",
                                     "epoll_pwait2",
                                     "eventfd2",
                                     "timerfd_create",
                                     "timerfd_settime",
                                     "timerfd_gettime",
                                     "poll",
                                     "ppoll",
                                     "select",
                                     "pselect6",
                                     "signalfd4",
                                     "recvmsg",
                                     "recvfrom",
                                     "recvmmsg",
                                     "getsockopt",
                                     "setsockopt",
                                     "getsockname",
                                     "getpeername",
                                     "shutdown",
                                     "restart_syscall",
                                     "set_robust_list",
                                     "rseq",
                                     "set_tid_address",
                                     "getrusage",
                                     "getrlimit",
                                     "uname",
                                     "sysinfo",
                                     "times",
                                     "membarrier",
                                     "arch_prctl",
                                     "fadvise64",
                                     "getcpu",
                                     NULL};
static const char *const accepting[] = {"accept", "accept4", NULL};
static const char *const connecting[] = {"connect", "bind", "sendmsg", "sendto", "sendmmsg", NULL};
static const char *const files[] = {
    "open",       "openat",   "openat2",    "creat",      "rename",          "renameat",
    "renameat2",  "unlink",   "unlinkat",   "mkdir",      "mkdirat",         "rmdir",
    "stat",       "lstat",    "newfstatat", "statx",      "access",          "faccessat",
    "faccessat2", "readlink", "readlinkat", "getdents64", "fsync",           "fdatasync",
    "ftruncate",  "truncate", "fallocate",  "flock",      "chmod",           "fchmod",
    "fchmodat",   "fchown",   "fchownat",   "utimensat",  "getcwd",          "chdir",
    "statfs",     "fstatfs",  "link",       "linkat",     "sync_file_range", "copy_file_range",
    "umask",      NULL};
static const char *const threading[] = {"sched_getparam", "sched_getscheduler", NULL};
static const char *const memory_files[] = {"memfd_create", "ftruncate", NULL};
static const char *const sanitizing[] = {
    "mmap",       "mprotect", "tgkill",         "ptrace",  "clone",       "wait4",
    "openat",     "open",     "newfstatat",     "stat",    "readlink",    "readlinkat",
    "getdents64", "prctl",    "kill",           "mincore", "personality", "process_vm_readv",
    "prlimit64",  "access",   "sched_getparam", "unlink",  "getcwd",      NULL};

static const struct {
    unsigned need; /* any of these bits */
    const char *const *names;
} lists[] = {
    {ALWAYS, always},       {PH_MAY_ACCEPT, accepting},  {PH_MAY_CONNECT | PH_MAY_DNS, connecting},
    {PH_MAY_FILES, files},  {PH_MAY_THREADS, threading}, {PH_MAY_MEMFD, memory_files},
    {SANITIZER, sanitizing}};

/* Nothing of ours ever makes these: whoever does has taken the process over. */
static const char *const deadly[] = {"execve",
                                     "execveat",
                                     "ptrace",
                                     "process_vm_readv",
                                     "process_vm_writev",
                                     "init_module",
                                     "finit_module",
                                     "kexec_load",
                                     "kexec_file_load",
                                     "bpf",
                                     "perf_event_open",
                                     "userfaultfd",
                                     "io_uring_setup",
                                     "mount",
                                     "umount2",
                                     "pivot_root",
                                     "setns",
                                     "unshare",
                                     "add_key",
                                     "keyctl",
                                     "request_key",
                                     "reboot",
                                     "swapon",
                                     NULL};

/* Allowed for certain arguments only: calls of glibc, malloc, libevent and OpenSSL that have a
 * harmless use. */
static const struct {
    unsigned need;
    const char *name;
    struct scmp_arg_cmp arg[2];
    unsigned args;
} narrow[] = {
#define IS(at, value)                                                                              \
    {                                                                                              \
        (at), SCMP_CMP_EQ, (value), 0                                                              \
    }
#define BITS(at, mask, value)                                                                      \
    {                                                                                              \
        (at), SCMP_CMP_MASKED_EQ, (mask), (value)                                                  \
    }
#define KIND 0xf /* socket(2): the type without SOCK_NONBLOCK and SOCK_CLOEXEC */
    {ALWAYS, "ioctl", {IS(1, TCGETS)}, 1},
    {ALWAYS, "ioctl", {IS(1, FIONREAD)}, 1},
    {ALWAYS, "ioctl", {IS(1, FIONBIO)}, 1},
    {ALWAYS, "ioctl", {IS(1, TIOCGWINSZ)}, 1},
    {ALWAYS, "newfstatat", {BITS(3, AT_EMPTY_PATH, AT_EMPTY_PATH)}, 1}, /* how glibc spells fstat */
    /* No datagrams: those of a pair can be sent to any other socket that has a path. */
    {ALWAYS, "socketpair", {IS(0, AF_UNIX), BITS(1, KIND, SOCK_STREAM)}, 2},
    /* Without MSG_FASTOPEN, which is connect(2) by another name. */
    {ALWAYS, "sendmsg", {BITS(2, MSG_FASTOPEN, 0)}, 1},
    {ALWAYS, "sendto", {BITS(3, MSG_FASTOPEN, 0)}, 1},
    {ALWAYS, "sendmmsg", {BITS(3, MSG_FASTOPEN, 0)}, 1},
    /* Memory is written or run, never both, and what was written is never run. */
    {ALWAYS, "mmap", {BITS(2, PROT_EXEC, 0)}, 1},
    {ALWAYS, "mprotect", {BITS(2, PROT_EXEC, 0)}, 1},
    /* Not F_SETOWN and F_SETSIG: by them the kernel sends any signal to any process. */
    {ALWAYS, "fcntl", {IS(1, F_DUPFD)}, 1},
    {ALWAYS, "fcntl", {IS(1, F_DUPFD_CLOEXEC)}, 1},
    {ALWAYS, "fcntl", {IS(1, F_GETFD)}, 1},
    {ALWAYS, "fcntl", {IS(1, F_SETFD)}, 1},
    {ALWAYS, "fcntl", {IS(1, F_GETFL)}, 1},
    {ALWAYS, "fcntl", {IS(1, F_SETFL)}, 1},
    {ALWAYS, "fcntl", {IS(1, F_ADD_SEALS)}, 1},
    {ALWAYS, "fcntl", {IS(1, F_GET_SEALS)}, 1},
    {PH_MAY_FILES, "fcntl", {IS(1, F_GETLK)}, 1},
    {PH_MAY_FILES, "fcntl", {IS(1, F_SETLK)}, 1},
    {PH_MAY_FILES, "fcntl", {IS(1, F_SETLKW)}, 1},
    {ALWAYS, "prlimit64", {IS(2, 0)}, 1}, /* read, not set */
    {ALWAYS, "prctl", {IS(0, PR_SET_NAME)}, 1},
    {ALWAYS, "prctl", {IS(0, 0x53564d41)}, 1}, /* PR_SET_VMA: malloc names its memory */
    {PH_MAY_CONNECT | PH_MAY_DNS, "socket", {IS(0, AF_INET), BITS(1, KIND, SOCK_STREAM)}, 2},
    {PH_MAY_CONNECT | PH_MAY_DNS, "socket", {IS(0, AF_INET6), BITS(1, KIND, SOCK_STREAM)}, 2},
    {PH_MAY_DNS, "socket", {IS(0, AF_INET), BITS(1, KIND, SOCK_DGRAM)}, 2},
    {PH_MAY_DNS, "socket", {IS(0, AF_INET6), BITS(1, KIND, SOCK_DGRAM)}, 2},
    {PH_MAY_THREADS, "clone", {BITS(0, CLONE_THREAD, CLONE_THREAD)}, 1},
};

/* Opening for reading alone, where some paths may be read. */
static const struct scmp_arg_cmp read_only =
    BITS(2, O_ACCMODE | O_CREAT | O_TRUNC | __O_TMPFILE, O_RDONLY);

static bool wanted(unsigned need, unsigned have)
{
    return need == ALWAYS || (need & have);
}

static int add(scmp_filter_ctx f, uint32_t action, const char *name, unsigned n,
               const struct scmp_arg_cmp *args)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (nr == __NR_SCMP_ERROR || nr < 0)
        return 0;
    return seccomp_rule_add_array(f, action, nr, n, args);
}

static int add_all(scmp_filter_ctx f, uint32_t action, const char *const *names,
                   bool spare_sanitizer)
{
    int rc = 0;
    for (; rc == 0 && *names; names++) {
        bool spared = spare_sanitizer &&
                      (strcmp(*names, "ptrace") == 0 || strcmp(*names, "process_vm_readv") == 0);
        if (!spared)
            rc = add(f, action, *names, 0, NULL);
    }
    return rc;
}

static int allow(scmp_filter_ctx f, const struct ph_sandbox *s)
{
    unsigned have = s->may | (PH__SANITIZED ? SANITIZER : 0u);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof lists / sizeof lists[0]; i++)
        if (wanted(lists[i].need, have))
            rc = add_all(f, SCMP_ACT_ALLOW, lists[i].names, false);
    for (size_t i = 0; rc == 0 && i < sizeof narrow / sizeof narrow[0]; i++)
        if (wanted(narrow[i].need, have))
            rc = add(f, SCMP_ACT_ALLOW, narrow[i].name, narrow[i].args, narrow[i].arg);
    if (rc == 0 && s->read && !(have & PH_MAY_FILES))
        rc = add(f, SCMP_ACT_ALLOW, "openat", 1, &read_only);
    const struct scmp_arg_cmp self = IS(0, (scmp_datum_t)getpid());
    /* raise(3) and abort(3): to a thread of ours, not to another process of this user */
    if (rc == 0)
        rc = add(f, SCMP_ACT_ALLOW, "tgkill", 1, &self);
    if (rc == 0) /* its flags are behind a pointer; glibc then takes clone, whose flags are not */
        rc = add(f, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
    return rc;
}

int ph__seccomp_enter(const struct ph_sandbox *s, struct ph_error *reterr)
{
    bool spawns = s->may & PH_MAY_SPAWN;
    scmp_filter_ctx f = seccomp_init(spawns ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
    if (!f)
        return ph_fail(reterr, PH_ENOMEM, 0, "sandbox: seccomp: out of memory");
    /* A filter is inherited: the parent's may not keep its children from building theirs, so it
     * only names what nobody needs. */
    const char *const *never = spawns ? deadly + 2 : deadly;
    int rc = add_all(f, SCMP_ACT_KILL_PROCESS, never, PH__SANITIZED);
    if (rc == 0 && !spawns)
        rc = allow(f, s);
    if (rc == 0)
        rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE,
                              2); /* a tree instead of a list: a call costs log n */
    if (rc == 0)
        rc = seccomp_load(f);
    seccomp_release(f);
    return rc < 0 ? ph_fail(reterr, PH_EIO, -rc, "sandbox: seccomp: %s", strerror(-rc)) : 0;
}
