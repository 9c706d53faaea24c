/* fault_vfs.c - see fault_vfs.h. Version 2 of the I/O methods: no memory mapping, so every read and
 * write is seen. */
#include "fault_vfs.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

struct file {
    sqlite3_file base;
    sqlite3_file *real;
};

static sqlite3_vfs vfs, *real;
static sqlite3_io_methods methods;
static int kind, left, forever_on, hits;

void fault_vfs_arm(enum fault_kind k, int n, int forever)
{
    kind = (int)k;
    left = n;
    forever_on = forever;
    hits = 0;
}

int fault_vfs_hit(void)
{
    return hits;
}

static int fails(int a, int b)
{
    if (left <= 0 || (kind != a && kind != b))
        return 0;
    if (left > 1) {
        left--;
        return 0;
    }
    if (!forever_on)
        left = 0;
    hits++;
    return 1;
}

#define R(f) (((struct file *)(f))->real)

static int x_close(sqlite3_file *f)
{
    int rc = R(f)
    ->pMethods ? R(f)
    ->pMethods->xClose(R(f)) : SQLITE_OK;
    free(R(f));
    return rc;
}
static int x_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    if (fails(FAULT_READ_IO, -1))
        return SQLITE_IOERR_READ;
    return R(f)
    ->pMethods->xRead(R(f), p, n, at);
}
static int x_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (fails(FAULT_WRITE_FULL, FAULT_WRITE_IO)) {
        if (n > 16) /* torn */
            R(f)
        ->pMethods->xWrite(R(f), p, n / 2, at);
        return kind == FAULT_WRITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    return R(f)
    ->pMethods->xWrite(R(f), p, n, at);
}
static int x_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    return fails(FAULT_WRITE_IO, -1) ? SQLITE_IOERR_TRUNCATE : R(f)
    ->pMethods->xTruncate(R(f), n);
}
static int x_sync(sqlite3_file *f, int flags)
{
    return fails(FAULT_SYNC_IO, -1) ? SQLITE_IOERR_FSYNC : R(f)
    ->pMethods->xSync(R(f), flags);
}
static int x_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return R(f)
    ->pMethods->xFileSize(R(f), n);
}
static int x_lock(sqlite3_file *f, int level)
{
    return R(f)
    ->pMethods->xLock(R(f), level);
}
static int x_unlock(sqlite3_file *f, int level)
{
    return R(f)
    ->pMethods->xUnlock(R(f), level);
}
static int x_reserved(sqlite3_file *f, int *out)
{
    return R(f)
    ->pMethods->xCheckReservedLock(R(f), out);
}
static int x_control(sqlite3_file *f, int op, void *arg)
{
    return R(f)
    ->pMethods->xFileControl(R(f), op, arg);
}
static int x_sector(sqlite3_file *f)
{
    return R(f)
    ->pMethods->xSectorSize(R(f));
}
static int x_device(sqlite3_file *f)
{
    return R(f)
    ->pMethods->xDeviceCharacteristics(R(f));
}
static int x_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return R(f)
    ->pMethods->xShmMap(R(f), page, size, extend, out);
}
static int x_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return R(f)
    ->pMethods->xShmLock(R(f), offset, n, flags);
}
static void x_shm_barrier(sqlite3_file *f)
{
    R(f)
    ->pMethods->xShmBarrier(R(f));
}
static int x_shm_unmap(sqlite3_file *f, int drop)
{
    return R(f)
    ->pMethods->xShmUnmap(R(f), drop);
}

static int x_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
    struct file *file = (struct file *)f;
    (void)v;
    file->base.pMethods = NULL;
    file->real = calloc(1, (size_t)real->szOsFile);
    if (!file->real)
        return SQLITE_NOMEM;
    int rc = real->xOpen(real, name, file->real, flags, out);
    if (rc == SQLITE_OK)
        file->base.pMethods = &methods;
    else
        free(file->real);
    return rc;
}

void fault_vfs_register(void)
{
    real = sqlite3_vfs_find(NULL);
    vfs = *real;
    vfs.zName = "faulty";
    vfs.szOsFile = sizeof(struct file);
    vfs.xOpen = x_open;
    methods = (sqlite3_io_methods){
        2,          x_close,       x_read,      x_write,   x_truncate, x_sync,   x_size,
        x_lock,     x_unlock,      x_reserved,  x_control, x_sector,   x_device, x_shm_map,
        x_shm_lock, x_shm_barrier, x_shm_unmap, NULL,      NULL};
    sqlite3_vfs_register(&vfs, 0);
}
