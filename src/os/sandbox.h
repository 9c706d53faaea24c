/*
 * sandbox.h - what a process gives up before it meets the network. One policy, shown in one place
 * of each process.
 *
 * Order: open what must stay open; chroot and setuid when root; no_new_privs; Landlock; seccomp. A
 * denied system call answers EPERM (so that probes can be tested), execve and ptrace kill. Threads
 * are started after it: Landlock does not hold those that run already.
 */
#ifndef PH_SANDBOX_H
#define PH_SANDBOX_H
#include <posthouse/base.h>

enum ph_sandbox_may {
    PH_MAY_ACCEPT = 1,   /* accept4 and talk on sockets it is handed */
    PH_MAY_CONNECT = 2,  /* socket() for INET/INET6 streams, connect */
    PH_MAY_DNS = 4,      /* UDP sockets as well */
    PH_MAY_FILES = 8,    /* open, rename, unlink below `dir` */
    PH_MAY_THREADS = 16, /* clone for threads */
    PH_MAY_MEMFD = 32,   /* memfd_create and seals */
    PH_MAY_SPAWN = 64    /* parent only: fork and exec of ourselves, bind */
};

struct ph_sandbox {
    unsigned may;
    const char *dir; /* the only folder it can reach, read and write; NULL: none */
    /* NULL-terminated paths to read only; NULL: none. Left out where chroot hides them */
    const char *const *read;
    const char *user; /* when root: setuid to this user, a name or a number; NULL: stay */
    bool chroot;      /* when root: chroot to dir, or to an empty folder when dir is NULL */
};

/* 0 or a negative error; text says which layer failed. A kernel without Landlock: *ret_missing (may
 * be NULL) gets true and the rest is applied. -PH_EORDER: threads run already. After chroot, paths
 * below dir are reached as "/...". */
PH_MUST_CHECK int ph_sandbox_enter(const struct ph_sandbox *s, bool *ret_missing,
                                   struct ph_error *reterr);

#endif
