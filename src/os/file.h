/* file.h - files: whole reads, atomic writes, sealed memory files. Everything O_CLOEXEC. */
#ifndef PH_FILE_H
#define PH_FILE_H
#include <posthouse/base.h>

/* The row of PH_ERRORS that an errno belongs to: PH_EFULL for ENOSPC, PH_EDENIED for EACCES...;
 * PH_EIO for the rest. */
int ph_sys_code(int sys);

/* Appends a whole file, up to the buffer's maximum. Errors name the path. */
PH_MUST_CHECK int ph_file_read(const char *path, struct ph_buf *out, struct ph_error *reterr);
/* Writes beside, fsyncs, renames over, fsyncs the folder. */
PH_MUST_CHECK int ph_file_write(const char *path, ph_str content, unsigned mode,
                                struct ph_error *reterr);
/* A rename or a new name in the folder of `path` is on disk. 0, or negative with errno. */
int ph_folder_sync(const char *path);
/* Removes what writes of this path left beside it when their process was killed. Only while nobody
 * else writes it. */
void ph_file_sweep(const char *path);
PH_MUST_CHECK int ph_mkdirs(const char *path, unsigned mode, struct ph_error *reterr);
bool ph_file_exists(const char *path);

/* A memory file that grows by writing; then sealed against any change. Negative on failure. */
int ph_memfile(const char *name);
PH_MUST_CHECK int ph_memfile_add(int fd, ph_str more);
PH_MUST_CHECK int ph_memfile_seal(int fd);
/* Maps a sealed memory file of exactly `size` bytes; refuses one that is not sealed or of another
 * size (a peer could change it under us). Unmap with ph_unmap. size 0 gives the empty slice. */
PH_MUST_CHECK int ph_memfile_map(int fd, uint64_t size, ph_str *ret_bytes);
void ph_unmap(ph_str bytes);

#endif
