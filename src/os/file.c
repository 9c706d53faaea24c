#include "file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int ph_sys_code(int sys)
{
    static const struct {
        int sys, code;
    } row[] = {{ENOMEM, PH_ENOMEM},      {ENOSPC, PH_EFULL},       {EDQUOT, PH_EFULL},
               {EFBIG, PH_EFULL},        {ENOENT, PH_ENOENT},      {ENOTDIR, PH_ENOENT},
               {EEXIST, PH_EEXIST},      {EACCES, PH_EDENIED},     {EPERM, PH_EDENIED},
               {EROFS, PH_EDENIED},      {EMFILE, PH_ELIMIT},      {ENFILE, PH_ELIMIT},
               {EAGAIN, PH_EAGAIN},      {EPIPE, PH_ECLOSED},      {ECONNRESET, PH_ECLOSED},
               {ETIMEDOUT, PH_ETIMEOUT}, {ENAMETOOLONG, PH_EINVAL}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (row[i].sys == sys)
            return row[i].code;
    return PH_EIO;
}

static int fail_path(struct ph_error *reterr, const char *did, const char *path)
{
    int sys = errno;
    return ph_fail(reterr, ph_sys_code(sys), sys, "cannot %s %s: %s", did, path, strerror(sys));
}

/* All of it, or -1 with errno. */
static int write_all(int fd, ph_str s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        s = ph_str_skip(s, (size_t)n);
    }
    return 0;
}

/* ---- files ------------------------------------------------------------------------------- */

static int read_all(int fd, const char *path, struct ph_buf *out, struct ph_error *reterr)
{
    for (;;) {
        size_t room = out->max > out->n ? out->max - out->n : 0;
        char extra; /* a full buffer still asks once: is this the end, or is the file too long? */
        char *p = room ? ph_buf_reserve(out, room < 65536 ? room : 65536) : &extra;
        if (!p)
            return ph_fail(reterr, -ph_buf_err(out), 0, "cannot read %s: out of memory", path);
        ssize_t n = read(fd, p, room ? (room < 65536 ? room : 65536) : 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_path(reterr, "read", path);
        if (n == 0)
            return 0;
        if (room == 0)
            return ph_fail(reterr, PH_ELIMIT, 0, "%s is longer than %zu bytes", path, out->max);
        ph_buf_commit(out, (size_t)n);
    }
}

int ph_file_read(const char *path, struct ph_buf *out, struct ph_error *reterr)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fail_path(reterr, "open", path);
    int rc = read_all(fd, path, out, reterr);
    close(fd);
    return rc;
}

int ph_folder_sync(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof dir)
        return -1;
    if (slash)
        snprintf(dir, sizeof dir, "%.*s", n ? (int)n : 1, path);
    else
        snprintf(dir, sizeof dir, ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fsync(fd);
    int sys = errno;
    close(fd);
    errno = sys;
    return rc;
}

static int fill(int fd, ph_str content, unsigned mode)
{
    if (fchmod(fd, mode) < 0 || write_all(fd, content) < 0 || fsync(fd) < 0)
        return -1;
    return 0;
}

int ph_file_write(const char *path, ph_str content, unsigned mode, struct ph_error *reterr)
{
    char beside[PATH_MAX];
    int n = snprintf(beside, sizeof beside, "%s.%ld.new", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof beside) {
        errno = ENAMETOOLONG;
        return fail_path(reterr, "write", path);
    }
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail_path(reterr, "create", beside);
    int rc = fill(fd, content, mode);
    int sys = errno;
    if (close(fd) < 0 && rc == 0) {
        rc = -1;
        sys = errno;
    }
    if (rc == 0 && rename(beside, path) == 0 && ph_folder_sync(path) == 0)
        return 0;
    if (rc == 0)
        sys = errno;
    unlink(beside);
    errno = sys;
    return fail_path(reterr, "write", path);
}

void ph_file_sweep(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 2, slash ? path : "./");
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        const char *rest = strncmp(e->d_name, name, n) == 0 ? e->d_name + n : "";
        size_t digits = rest[0] == '.' ? strspn(rest + 1, "0123456789") : 0;
        if (digits && strcmp(rest + 1 + digits, ".new") == 0)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
}

int ph_mkdirs(const char *path, unsigned mode, struct ph_error *reterr)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof part) {
        errno = ENAMETOOLONG;
        return fail_path(reterr, "create the folder", path);
    }
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, mode) < 0 && errno != EEXIST)
            return fail_path(reterr, "create the folder", part);
        part[i] = path[i];
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return fail_path(reterr, "reach the folder", path);
    if (!S_ISDIR(st.st_mode))
        return ph_fail(reterr, PH_EEXIST, ENOTDIR, "%s is not a folder", path);
    return 0;
}

bool ph_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* ---- memory files ------------------------------------------------------------------------ */

int ph_memfile(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? -ph_sys_code(errno) : fd;
}

int ph_memfile_add(int fd, ph_str more)
{
    return write_all(fd, more) < 0 ? -ph_sys_code(errno) : 0;
}

int ph_memfile_seal(int fd)
{
    return fcntl(fd, F_ADD_SEALS, SEALS) < 0 ? -ph_sys_code(errno) : 0;
}

int ph_memfile_map(int fd, uint64_t size, ph_str *ret_bytes)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return -PH_EINVAL;
    if (fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size != size || size > SIZE_MAX)
        return -PH_EINVAL;
    if (size == 0) {
        *ret_bytes = (ph_str){NULL, 0};
        return 0;
    }
    void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return -ph_sys_code(errno);
    *ret_bytes = (ph_str){p, (size_t)size};
    return 0;
}

void ph_unmap(ph_str bytes)
{
    if (bytes.n)
        munmap((void *)(uintptr_t)bytes.p, bytes.n);
}
