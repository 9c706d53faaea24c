/* The order of the layers: each takes away what the next one does not need any more. */
#include "file.h"
#include "sandbox_int.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool shut; /* the process sits in a chroot */

#if PH__SANITIZED
/* Asked by LeakSanitizer at exit. Without /proc it could only fail. */
PH_EXPORT int __lsan_is_turned_off(void);
PH_EXPORT int __lsan_is_turned_off(void)
{
    return shut;
}
#endif

static int fail(struct ph_error *reterr, const char *layer)
{
    int sys = errno;
    return ph_fail(reterr, ph_sys_code(sys), sys, "sandbox: %s: %s", layer, strerror(sys));
}

/* Landlock binds the thread that asks and those it starts later: an earlier thread would stay
 * free. */
static bool has_threads(void)
{
    struct stat st;
    return stat("/proc/self/task", &st) == 0 && st.st_nlink > 3;
}

/* A folder that is removed again as soon as we stand in it: nothing is in it and nothing can be
 * made in it. */
static int open_nowhere(void)
{
    char path[] = "/tmp/ph-empty-XXXXXX";
    if (!mkdtemp(path))
        return -1;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int sys = errno;
    rmdir(path);
    errno = sys;
    return fd;
}

static int enter_root(const char *dir, struct ph_error *reterr)
{
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : open_nowhere();
    if (fd < 0)
        return fail(reterr, "chroot");
    int rc =
        fchdir(fd) < 0 || chroot(".") < 0 || (dir && chdir("/") < 0) ? fail(reterr, "chroot") : 0;
    close(fd);
    shut = shut || rc == 0;
    return rc;
}

/* A number needs no entry in the user database: user and group of that number. */
static int find_user(const char *name, struct passwd *ret_pw, struct ph_error *reterr)
{
    const struct passwd *pw;
    uint64_t id;
    if (ph_str_u64(ph_str_c(name), UINT32_MAX - 1, &id) && id > 0) {
        *ret_pw = (struct passwd){.pw_uid = (uid_t)id, .pw_gid = (gid_t)id};
        return 0;
    }
    errno = 0;
    pw = getpwnam(name);
    if (!pw)
        return ph_fail(reterr, PH_ENOENT, errno,
                       "sandbox: there is no user \"%s\"; make one (adduser --system --group %s)",
                       name, name);
    if (pw->pw_uid == 0)
        return ph_fail(reterr, PH_EINVAL, 0, "sandbox: the user \"%s\" is root", name);
    *ret_pw = *pw; /* only the numbers are used */
    return 0;
}

/* A change of user makes the kernel forget the signal for the parent's death, and resets who may
 * trace us. */
static int become(const struct passwd *pw, struct ph_error *reterr)
{
    int death = 0, dumpable = prctl(PR_GET_DUMPABLE);
    prctl(PR_GET_PDEATHSIG, &death);
    if (setgroups(1, &pw->pw_gid) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
        return fail(reterr, "setuid");
    prctl(PR_SET_PDEATHSIG, death);
    prctl(PR_SET_DUMPABLE, dumpable == 1);
    return 0;
}

static int enter(const struct ph_sandbox *s, int ruleset, const struct passwd *pw,
                 struct ph_error *reterr)
{
    int rc = 0;
    if (s->chroot && geteuid() == 0)
        rc = enter_root(s->dir, reterr);
    if (rc == 0 && pw)
        rc = become(pw, reterr);
    if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        rc = fail(reterr, "no_new_privs");
    if (rc == 0 && ruleset >= 0)
        rc = ph__landlock_enter(ruleset, reterr);
    if (rc == 0)
        rc = ph__seccomp_enter(s, reterr);
    return rc;
}

int ph_sandbox_enter(const struct ph_sandbox *s, bool *ret_missing, struct ph_error *reterr)
{
    struct passwd pw;
    bool change = s->user && geteuid() == 0;
    int rc = change ? find_user(s->user, &pw, reterr) : 0;
    if (rc < 0)
        return rc;
    if (has_threads())
        return ph_fail(reterr, PH_EORDER, 0,
                       "sandbox: threads run already, and it would not hold them");
    int ruleset = ph__landlock_prepare(s, reterr);
    if (ruleset < 0 && ruleset != -PH_ENOTIMPL)
        return ruleset;
    rc = enter(s, ruleset, change ? &pw : NULL, reterr);
    if (ruleset >= 0)
        close(ruleset);
    if (rc == 0 && ret_missing)
        *ret_missing = ruleset < 0;
    return rc;
}
