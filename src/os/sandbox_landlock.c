/*
 * Landlock: which paths and ports this process can reach. What a kernel does not know yet is left
 * out; everything it knows is handled, so that what has no rule is refused.
 *
 * The numbers are the kernel's interface (linux/landlock.h); the header of the build machine may be
 * older than the kernel that runs, so they are written down here.
 */
#include "file.h"
#include "sandbox_int.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CREATE_RULESET = 444,
    ADD_RULE = 445,
    RESTRICT_SELF = 446
}; /* the same on all architectures */
enum { RULE_PATH = 1, RULE_PORT = 2, ASK_VERSION = 1 };

#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_TRUNCATE (1ull << 14)
#define FS_OF_A_FILE (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | (1ull << 15))
#define NET_BIND (1ull << 0)
#define NET_CONNECT (1ull << 1)
#define SCOPE_ALL 3ull /* abstract unix sockets, signals: only within the sandbox */

struct ruleset {
    uint64_t fs, net, scope;
};

struct path_rule {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

struct port_rule {
    uint64_t allowed, port;
};

/* Rights on files that came with each version of the interface, highest bit first. */
static uint64_t all_fs(long abi)
{
    static const int bits[] = {0, 13, 14, 15, 15, 16}; /* versions 1..5 */
    return (1ull << bits[abi < 5 ? abi : 5]) - 1;
}

static int fail(struct ph_error *reterr, const char *what)
{
    int sys = errno;
    return ph_fail(reterr, ph_sys_code(sys), sys, "sandbox: landlock: %s: %s", what, strerror(sys));
}

static int allow_path(int ruleset, const char *path, uint64_t rights, struct ph_error *reterr)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return fail(reterr, path);
    struct path_rule rule = {.allowed = rights, .fd = fd};
    long rc = syscall(ADD_RULE, ruleset, RULE_PATH, &rule, 0);
    if (rc < 0 && errno == EINVAL) { /* not a folder: only the rights that a file can have */
        rule.allowed &= FS_OF_A_FILE;
        rc = syscall(ADD_RULE, ruleset, RULE_PATH, &rule, 0);
    }
    int sys = errno;
    close(fd);
    errno = sys;
    return rc < 0 ? fail(reterr, path) : 0;
}

static int add_rules(int ruleset, const struct ph_sandbox *s, const struct ruleset *all,
                     struct ph_error *reterr)
{
    uint64_t look = FS_READ_FILE | FS_READ_DIR | (s->may & PH_MAY_SPAWN ? FS_EXECUTE : 0);
    int rc = 0;
    if (s->dir)
        rc = allow_path(ruleset, s->dir, all->fs & ~FS_EXECUTE, reterr);
    for (const char *const *p = s->read; rc == 0 && p && *p; p++) {
        rc = allow_path(ruleset, *p, look, reterr);
        if (rc == -PH_ENOENT) /* what is not there need not be allowed */
            rc = 0;
    }
    if (rc == 0 && PH__SANITIZED)
        rc = allow_path(ruleset, "/proc", look, reterr);
    if (rc == 0 &&
        (all->net &
         NET_BIND)) { /* port 0: a source address for a connection; never a port to listen on */
        struct port_rule any = {.allowed = NET_BIND, .port = 0};
        if (syscall(ADD_RULE, ruleset, RULE_PORT, &any, 0) < 0)
            rc = fail(reterr, "ports");
    }
    return rc;
}

int ph__landlock_prepare(const struct ph_sandbox *s, struct ph_error *reterr)
{
    long abi = syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);
    if (abi < 1)
        return -PH_ENOTIMPL;
    /* The parent hands these limits down to every child, which has its own: only paths, and only if
     * it names some. */
    bool spawns = s->may & PH_MAY_SPAWN;
    if (spawns && !s->dir && !s->read)
        return -PH_ENOTIMPL;
    struct ruleset all = {.fs = all_fs(abi)};
    if (abi >= 4 && !spawns)
        all.net = NET_BIND | (s->may & (PH_MAY_CONNECT | PH_MAY_DNS) ? 0 : NET_CONNECT);
    if (abi >= 6 && !spawns)
        all.scope = SCOPE_ALL;
    size_t size = abi >= 6   ? sizeof all
                  : abi >= 4 ? offsetof(struct ruleset, scope)
                             : offsetof(struct ruleset, net);
    int ruleset = (int)syscall(CREATE_RULESET, &all, size, 0);
    if (ruleset < 0)
        return fail(reterr, "ruleset");
    int rc = add_rules(ruleset, s, &all, reterr);
    if (rc == 0)
        return ruleset;
    close(ruleset);
    return rc;
}

int ph__landlock_enter(int ruleset, struct ph_error *reterr)
{
    return syscall(RESTRICT_SELF, ruleset, 0) < 0 ? fail(reterr, "enter") : 0;
}
