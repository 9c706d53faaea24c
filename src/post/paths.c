/* Arguments -> files with a letter each. */
#include "paths.h"
#include "file.h"
#include "grow.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

enum { LIST_MAX = 1024 * 1024 * 1024 };

static int keep(struct post_paths *p, const char *path)
{
    char **more = p->n < POST_PATHS ? ph_grow(p->v, p->n, &p->cap, sizeof *more) : NULL;
    if (!more)
        return post_fail(EX_OSERR, "too many letters for one call");
    p->v = more;
    char *copy = strdup(path);
    if (!copy)
        return post_fail(EX_OSERR, "out of memory");
    p->v[p->n++] = copy;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_folder(struct post_paths *p, const char *path)
{
    char below[4096];
    struct stat st;
    size_t first = p->n;
    int rc = 0;
    DIR *d = opendir(path);
    if (!d)
        return post_fail(EX_NOINPUT, "%s: %s", path, strerror(errno));
    for (struct dirent *e; rc == 0 && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        if ((size_t)snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= sizeof below)
            rc = post_fail(EX_NOINPUT, "the path %s/%s is too long", path, e->d_name);
        else if (stat(below, &st) == 0 && S_ISREG(st.st_mode))
            rc = keep(p, below);
    }
    closedir(d);
    if (p->n > first)
        qsort(p->v + first, p->n - first, sizeof *p->v, by_name);
    return rc;
}

int post_paths_add(struct post_paths *p, const char *path)
{
    static const char *const names[] = {"cur", "new"};
    char below[4096];
    struct stat st;
    if (strcmp(path, "-") == 0 || stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return keep(p, path); /* whoever reads it tells what is wrong with it */
    int rc = 0, found = 0;
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        snprintf(below, sizeof below, "%s/%s", path, names[i]);
        if (stat(below, &st) < 0 || !S_ISDIR(st.st_mode))
            continue;
        found++;
        rc = add_folder(p, below);
    }
    return rc || found ? rc : add_folder(p, path);
}

int post_paths_add_list(struct post_paths *p, const char *file)
{
    struct ph_buf b;
    ph_str rest, line;
    char path[4096];
    ph_buf_init(&b, NULL, LIST_MAX);
    int rc = post_read_file(file, &b);
    rest = ph_buf_str(&b);
    while (rc == 0 && ph_str_token(&rest, '\n', &line)) {
        if (line.n == 0)
            continue;
        if (line.n >= sizeof path || memchr(line.p, '\0', line.n)) {
            rc = post_fail(EX_DATAERR, "%s: a line is no path", file);
            break;
        }
        snprintf(path, sizeof path, "%.*s", PH_FMT(line));
        rc = post_paths_add(p, path);
    }
    ph_buf_done(&b);
    return rc;
}

void post_paths_done(struct post_paths *p)
{
    while (p->n)
        free(p->v[--p->n]);
    free(p->v);
    *p = (struct post_paths){0};
}
