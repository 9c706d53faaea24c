/* body.c - bodies as they are stored: plain or zstd, inside the database or a file of their own. */
#include "sqlite_int.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PATH_ROOM = 4096,
    PACK_LEAST = 512,                  /* smaller ones are not worth a call */
    TRY_INLINE = 4 * STORE_INLINE_MAX, /* larger ones go to a file without trying */
    PIECE = 128 * 1024
};

void body_path(const char *dir, uint64_t emailid, const char *suffix, char *out, size_t n)
{
    snprintf(out, n, "%s/blobs/%016" PRIx64 "%s", dir, emailid, suffix);
}

static int io_error(struct store_account *a, const char *path)
{
    int sys = errno;
    return sq_fail(a, sys == ENOSPC || sys == EDQUOT ? PH_EFULL : PH_EIO, sys, "%s: %s", path,
                   strerror(sys));
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -1;
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

/* body as one zstd frame into fd. 0, or -1 with errno. */
static int pack_to(struct store *s, ph_str body, int fd)
{
    char *piece = malloc(PIECE);
    ZSTD_inBuffer in = {body.p, body.n, 0};
    size_t left = 1;
    int r = piece ? 0 : -1;
    ZSTD_CCtx_reset(s->zc, ZSTD_reset_session_only);
    ZSTD_CCtx_setPledgedSrcSize(s->zc, body.n);
    while (r == 0 && left != 0) {
        ZSTD_outBuffer out = {piece, PIECE, 0};
        left = ZSTD_compressStream2(s->zc, &out, &in, ZSTD_e_end);
        if (ZSTD_isError(left)) {
            errno = ENOMEM;
            r = -1;
        } else {
            r = write_all(fd, piece, out.pos);
        }
    }
    free(piece);
    return r;
}

static int sync_blobs(struct store_account *a)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/blobs", a->dir);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? io_error(a, path) : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

static int write_file(struct store_account *a, uint64_t emailid, ph_str body)
{
    char tmp[PATH_ROOM], path[PATH_ROOM];
    body_path(a->dir, emailid, ".new", tmp, sizeof tmp);
    body_path(a->dir, emailid, "", path, sizeof path);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return io_error(a, tmp);
    int r = 0;
    if (pack_to(a->s, body, fd) < 0 || fdatasync(fd) < 0)
        r = io_error(a, tmp);
    if (close(fd) < 0 && r == 0)
        r = io_error(a, tmp);
    if (r == 0 && rename(tmp, path) < 0)
        r = io_error(a, path);
    if (r < 0) {
        unlink(tmp);
        return r;
    }
    return sync_blobs(a);
}

uint64_t body_size(const struct store_letter *l)
{
    return l->packed ? l->packed : l->body.n;
}

int body_check(struct store_account *a, const struct store_letter *l)
{
    uint64_t size = 0;
    for (ph_str rest = l->body; l->packed && rest.n;) {
        unsigned long long holds = ZSTD_getFrameContentSize(rest.p, rest.n);
        size_t n = ZSTD_findFrameCompressedSize(rest.p, rest.n);
        if (holds > STORE_PACKED_MAX || ZSTD_isError(n))
            return sq_fail(a, PH_EINVAL, 0, "the body is said to be packed, and is not");
        size += holds;
        rest = ph_str_skip(rest, n);
    }
    if (l->packed && (size != l->packed || size > STORE_PACKED_MAX))
        return sq_fail(a, PH_EINVAL, 0, "the body is packed, but not of the size given");
    return 0;
}

int body_pack(struct store_account *a, uint64_t emailid, const struct store_letter *l,
              struct packed *ret)
{
    struct store *s = a->s;
    ph_str body = l->body;
    *ret = (struct packed){l->packed ? FORM_ZSTD : FORM_PLAIN, body};
    if (l->packed || body.n < PACK_LEAST)
        return 0;
    if (body.n <= TRY_INLINE) {
        size_t room = ZSTD_compressBound(body.n);
        ph_buf_clear(&s->packed);
        char *out = ph_buf_reserve(&s->packed, room);
        if (!out)
            return sq_fail(a, PH_ENOMEM, 0, "out of memory");
        ZSTD_CCtx_reset(s->zc, ZSTD_reset_session_only);
        size_t n = ZSTD_compress2(s->zc, out, room, body.p, body.n);
        if (ZSTD_isError(n))
            return sq_fail(a, PH_ENOMEM, 0, "zstd: %s", ZSTD_getErrorName(n));
        if (n <= STORE_INLINE_MAX) {
            if (n < body.n - body.n / 16)
                *ret = (struct packed){FORM_ZSTD, {out, n}};
            return 0;
        }
    }
    *ret = (struct packed){FORM_FILE_ZSTD, {NULL, 0}};
    return write_file(a, emailid, body);
}

static int damaged(struct store_account *a, uint64_t emailid, const char *what)
{
    return sq_fail(a, PH_ECORRUPT, 0, "%s/mail.sqlite: body %" PRIu64 ": %s", a->dir, emailid,
                   what);
}

/* A whole stored body to exactly `size` bytes at out. */
static int unpack(struct store_account *a, enum form form, uint64_t emailid, ph_str data,
                  uint64_t size, char *out)
{
    if (form == FORM_PLAIN || form == FORM_FILE) {
        if (data.n != size)
            return damaged(a, emailid, "wrong length");
        if (size > 0)
            memcpy(out, data.p, size);
        return 0;
    }
    size_t n = ZSTD_decompressDCtx(a->s->zd, out, size, data.p, data.n);
    if (ZSTD_isError(n))
        return damaged(a, emailid, ZSTD_getErrorName(n));
    return n == size ? 0 : damaged(a, emailid, "wrong length");
}

int body_unpack(struct store_account *a, enum form form, uint64_t emailid, ph_str data,
                uint64_t size, ph_str *ret_bytes)
{
    struct ph_buf *b = &a->s->plain;
    ph_buf_clear(b);
    char *out = ph_buf_reserve(b, size ? size : 1);
    if (!out)
        return sq_fail(a, PH_ENOMEM, 0, "out of memory");
    int r = unpack(a, form, emailid, data, size, out);
    if (r == 0)
        *ret_bytes = (ph_str){out, size};
    return r;
}

static int map_file(struct store_account *a, uint64_t emailid, ph_str *ret)
{
    char path[PATH_ROOM];
    body_path(a->dir, emailid, "", path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return sq_fail(a, PH_ECORRUPT, errno, "%s: missing", path);
    if (fd < 0)
        return io_error(a, path);
    off_t n = lseek(fd, 0, SEEK_END);
    void *p = n > 0 ? mmap(NULL, (size_t)n, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    close(fd);
    if (p == MAP_FAILED)
        return sq_fail(a, PH_ECORRUPT, 0, "%s: empty", path);
    *ret = (ph_str){p, (size_t)n};
    return 0;
}

static int memory_file(struct store_account *a, uint64_t size, int *ret_fd, char **ret_map)
{
    int fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *p = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        int r = sq_fail(a, PH_ENOMEM, errno, "memory file: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return r;
    }
    *ret_fd = fd;
    *ret_map = p;
    return 0;
}

int body_unpack_fd(struct store_account *a, enum form form, uint64_t emailid, ph_str data,
                   uint64_t size, int *ret_fd)
{
    bool file = form == FORM_FILE || form == FORM_FILE_ZSTD;
    int fd = -1, r = file ? map_file(a, emailid, &data) : 0;
    char *map = NULL;
    if (r < 0)
        return r;
    r = memory_file(a, size, &fd, &map);
    if (r == 0) {
        r = unpack(a, form, emailid, data, size, map);
        munmap(map, size);
        if (r == 0 &&
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
            r = io_error(a, "seal");
        if (r < 0)
            close(fd);
        else
            *ret_fd = fd;
    }
    if (file)
        munmap((void *)(uintptr_t)data.p, data.n);
    return r;
}
