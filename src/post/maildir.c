/* Delivery into a Maildir: written below tmp, synced, then moved to new or cur, so that a reader
 * never sees half a letter. */
#include "file.h"
#include "letter.h"
#include "random.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

static int make_folders(const char *dir)
{
    static const char *const names[] = {"tmp", "new", "cur"};
    char path[4096];
    struct ph_error e;
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (ph_mkdirs(path, 0700, &e) < 0)
            return post_fail(EX_CANTCREAT, "%s", e.text);
    }
    return 0;
}

/* Flags of a file name behind ":2,", in ASCII order. */
static void suffix(unsigned flags, char out[16])
{
    snprintf(out, 16, ":2,%s%s%s%s", flags & POST_DRAFT ? "D" : "", flags & POST_FLAGGED ? "F" : "",
             flags & POST_ANSWERED ? "R" : "", flags & POST_SEEN ? "S" : "");
}

int post_maildir_put(const char *dir, const struct post_item *item, ph_str bytes, char *ret_path,
                     size_t n)
{
    char tmp[4096], name[80], random[17], flags[16] = "";
    struct ph_error e;
    int rc = make_folders(dir);
    if (rc)
        return rc;
    snprintf(name, sizeof name, "%lld.%s.post", (long long)time(NULL), ph_random_text(random, 16));
    snprintf(tmp, sizeof tmp, "%s/tmp/%s", dir, name);
    unsigned known = item->flags & (POST_SEEN | POST_FLAGGED | POST_ANSWERED | POST_DRAFT);
    if (known)
        suffix(known, flags);
    snprintf(ret_path, n, "%s/%s/%s%s", dir, known ? "cur" : "new", name, flags);
    if (ph_file_write(tmp, bytes, 0600, &e) < 0)
        return post_fail(EX_IOERR, "%s", e.text);
    if (rename(tmp, ret_path) == 0)
        return 0;
    rc = post_fail(EX_IOERR, "cannot move %s to %s: %s", tmp, ret_path, strerror(errno));
    unlink(tmp);
    return rc;
}
