/* mail.c - opening an account's mail for a verb. */
#include "mail.h"
#include "file.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int mail_open(struct mail *m, const char *data, struct ph_house *h, const char *address,
              struct ph_error *reterr)
{
    struct ph_house_account account;
    struct ph_arena *arena = ph_arena_new(NULL, 65536);
    memset(m, 0, sizeof *m);
    if (!arena)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    int r = ph_house_account_get(h, ph_str_c(address), arena, &account, reterr);
    uint64_t id = r < 0 ? 0 : account.id;
    if (r >= 0)
        snprintf(m->folder, sizeof m->folder, "%.*s", PH_FMT(account.folder));
    ph_arena_free(arena);
    if (r >= 0 && snprintf(m->root, sizeof m->root, "%s/mail", data) >= (int)sizeof m->root)
        r = ph_fail(reterr, PH_EINVAL, 0, "the name of the data folder is too long");
    if (r >= 0)
        r = ph_mkdirs(m->root, 0700, reterr);
    if (r >= 0)
        r = store_sqlite.new(&(struct store_options){.root = m->root}, &m->store, reterr);
    if (r >= 0)
        r = store_sqlite.account(m->store, id, ph_str_c(m->folder), STORE_OPEN_CREATE, &m->account,
                                 reterr);
    if (r < 0)
        mail_close(m);
    return r;
}

static struct stat owner;

static int own(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)kind, (void)ftw;
    bool ours = st->st_uid == geteuid() && (S_ISDIR(st->st_mode) || st->st_nlink == 1);
    return ours ? lchown(path, owner.st_uid, owner.st_gid) : 0;
}

void mail_close(struct mail *m)
{
    enum { OPEN_FOLDERS = 8 };
    char path[sizeof m->root + sizeof m->folder + 2];
    m->store = store_sqlite.free(m->store);
    snprintf(path, sizeof path, "%s/%s", m->root, m->folder);
    if (geteuid() == 0 && *m->folder && stat(m->root, &owner) == 0 && owner.st_uid != 0)
        nftw(path, own, OPEN_FOLDERS, FTW_PHYS | FTW_MOUNT);
}
