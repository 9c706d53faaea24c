/*
 * conf.h - the server's settings: read from a file by libconfuse, sent to each process as rows.
 * One table, settings.def, is the source of parser, defaults, checks and the manual page.
 */
#ifndef PH_CONF_H
#define PH_CONF_H
#include <posthouse/base.h>

struct ph_conf_list {
    ph_str *v;
    size_t n;
};

typedef ph_str ph_conf_str;
typedef bool ph_conf_bool;
typedef int64_t ph_conf_int;
typedef int64_t ph_conf_size;     /* bytes */
typedef int64_t ph_conf_duration; /* milliseconds */
typedef struct ph_conf_list ph_conf_list;

struct ph_conf {
    struct ph_arena *arena; /* holds every string */
#define S(name, kind, def, min, max, roles, text) ph_conf_##kind name;
#include "settings.def"
#undef S
};

/* All defaults. NULL: out of memory. */
struct ph_conf *ph_conf_new(void);
struct ph_conf *ph_conf_free(struct ph_conf *c);

/* Reads a file over the defaults. Every mistake is one call of complain("posthouse.conf:12",
 * "unknown setting \"hostnam\", did you mean \"hostname\"?"); the result is then -PH_ESYNTAX, and
 * -PH_EIO when it cannot be read. */
PH_MUST_CHECK int ph_conf_read(struct ph_conf *c, const char *path,
                               void (*complain)(void *ctx, const char *where, const char *what),
                               void *ctx);

/* Sets one by name, as the command line does (--set name=value). */
PH_MUST_CHECK int ph_conf_set(struct ph_conf *c, ph_str name, ph_str value,
                              struct ph_error *reterr);

/* The rows (ipc.h: setting) that a role may see, and back. */
void ph_conf_pack(const struct ph_conf *c, int role, struct ph_buf *rows);
PH_MUST_CHECK int ph_conf_unpack(struct ph_conf *c, ph_str rows, struct ph_error *reterr);

/* Starts the log of this process on descriptor 2 as the settings `log` and `log_level` say. */
void ph_conf_log(const struct ph_conf *c, const char *process, unsigned instance);

/* The mdoc text of posthouse.conf(5)'s settings section, or the settings with their values in the
 * file's syntax. */
void ph_conf_manual(struct ph_buf *out);
void ph_conf_print(const struct ph_conf *c, struct ph_buf *out);
#endif
