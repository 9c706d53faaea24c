/*
 * What the processes run as when the server was started as root.
 *
 * `user` names one user for all of them. When it is the default and there is no such user, nobody
 * need make one: each process gets a user number of its own, without a name, without a password,
 * that owns its folder and nothing else (61101 and up: a range that systemd's UIDS-GIDS document
 * calls unused and Debian does not give out). A user of the system who has that number is an error,
 * not an accident.
 */
#include "parent_int.h"

#include <ftw.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { FIRST_USER = 61100, OPEN_FOLDERS = 16 };

static bool is_default(const struct ph_conf *c)
{
    return ph_str_eq(c->user, PH_STR("posthouse"));
}

static const struct passwd *entry(const struct ph_conf *c)
{
    char name[65];
    snprintf(name, sizeof name, "%.*s", PH_FMT(c->user));
    return *name ? getpwnam(name) : NULL;
}

void user_of_role(const struct parent *p, int role, char *ret_user, size_t n)
{
    *ret_user = 0;
    if (geteuid() != 0)
        return;
    if (entry(p->conf))
        snprintf(ret_user, n, "%.*s", PH_FMT(p->conf->user));
    else
        snprintf(ret_user, n, "%d", FIRST_USER + role);
}

int user_check(const struct parent *p)
{
    if (geteuid() != 0)
        return 0;
    const struct passwd *pw = entry(p->conf);
    if (pw && pw->pw_uid == 0) {
        fprintf(stderr, "posthouse: user: the processes may not run as root; name another user\n");
        return EX_CONFIG;
    }
    if (pw)
        return 0;
    if (!is_default(p->conf)) {
        fprintf(stderr,
                "posthouse: user: there is no user \"%.*s\"; make one (adduser --system --group "
                "NAME), or leave the "
                "setting out: each process then gets a user number of its own\n",
                PH_FMT(p->conf->user));
        return EX_CONFIG;
    }
    for (int role = ROLE_MX; role <= ROLE_INDEXER; role++) {
        pw = getpwuid((uid_t)(FIRST_USER + role));
        if (!pw)
            continue;
        fprintf(stderr,
                "posthouse: user: the number %d, meant for %s, belongs to %s; make a user "
                "posthouse (adduser --system "
                "--group posthouse), or name one by the setting \"user\"\n",
                FIRST_USER + role, ipc_role_name(role), pw->pw_name);
        return EX_CONFIG;
    }
    return 0;
}

static uid_t own_uid;
static gid_t own_gid;

/* Gives away what is ours to give: folders, and files without a second name elsewhere. */
static int own(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)ftw;
    if (st->st_uid == own_uid && st->st_gid == own_gid)
        return 0;
    if (kind != FTW_D && !(kind == FTW_F && S_ISREG(st->st_mode) && st->st_nlink == 1))
        return 0;
    return lchown(path, own_uid, own_gid);
}

int user_own(const struct parent *p, int role, const char *folder)
{
    if (geteuid() != 0)
        return 0;
    const struct passwd *pw = entry(p->conf);
    own_uid = pw ? pw->pw_uid : (uid_t)(FIRST_USER + role);
    own_gid = pw ? pw->pw_gid : (gid_t)(FIRST_USER + role);
    return nftw(folder, own, OPEN_FOLDERS, FTW_PHYS | FTW_MOUNT);
}
