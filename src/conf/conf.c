/* The settings in memory: defaults, setting one, rows for the processes. */
#include "conf_int.h"

#include "ipc.h"
#include "log.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { CONF_MEMORY = 4 * 1024 * 1024 };

/* The masks that settings.def is written with. */
enum {
    MX = IPC_BIT(ROLE_MX),
    ACCESS = IPC_BIT(ROLE_ACCESS),
    RELAY = IPC_BIT(ROLE_RELAY),
    RESOLVER = IPC_BIT(ROLE_RESOLVER),
    QUEUE = IPC_BIT(ROLE_QUEUE),
    STORE = IPC_BIT(ROLE_STORE),
    KEEPER = IPC_BIT(ROLE_KEEPER),
    INDEXER = IPC_BIT(ROLE_INDEXER),
};

const struct ph__conf_row ph__conf_rows[] = {
#define S(name, kind, def, min, max, roles, text)                                                  \
    {#name, KIND_##kind, offsetof(struct ph_conf, name), def, min, max, roles, text},
#include "settings.def"
#undef S
};

const size_t ph__conf_count = sizeof ph__conf_rows / sizeof *ph__conf_rows;

const struct ph__conf_row *ph__conf_find(ph_str name)
{
    for (size_t i = 0; i < ph__conf_count; i++)
        if (ph_str_eq(name, ph_str_c(ph__conf_rows[i].name)))
            return &ph__conf_rows[i];
    return NULL;
}

/* Levenshtein distance of two short names; anything long is far away. */
static size_t distance(ph_str a, ph_str b)
{
    size_t row[65];
    if (a.n >= 64 || b.n >= 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t best = corner + (a.p[i - 1] != b.p[j - 1]);
            corner = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.n];
}

const struct ph__conf_row *ph__conf_nearest(ph_str name)
{
    const struct ph__conf_row *best = NULL;
    size_t least = name.n / 3 + 2; /* a third of the letters may be wrong */
    for (size_t i = 0; i < ph__conf_count; i++) {
        size_t d = distance(name, ph_str_c(ph__conf_rows[i].name));
        if (d < least) {
            least = d;
            best = &ph__conf_rows[i];
        }
    }
    return best;
}

struct ph_conf *ph_conf_new(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, CONF_MEMORY);
    struct ph_conf *c = arena ? ph_new0(NULL, sizeof *c) : NULL;
    if (!c) {
        ph_arena_free(arena);
        return NULL;
    }
    c->arena = arena;
    for (size_t i = 0; i < ph__conf_count; i++)
        if (ph__conf_put(c, &ph__conf_rows[i], ph_str_c(ph__conf_rows[i].def), ',', NULL))
            return ph_conf_free(c);
    return c;
}

struct ph_conf *ph_conf_free(struct ph_conf *c)
{
    if (c) {
        ph_arena_free(c->arena);
        ph_free(NULL, c, sizeof *c);
    }
    return NULL;
}

int ph_conf_set(struct ph_conf *c, ph_str name, ph_str value, struct ph_error *reterr)
{
    const struct ph__conf_row *row = ph__conf_find(name);
    if (row)
        return ph__conf_put(c, row, value, ',', reterr);
    row = ph__conf_nearest(name);
    return ph_fail(reterr, PH_EINVAL, 0, "unknown setting \"%.*s\"%s%s%s", PH_FMT(name),
                   row ? ", did you mean \"" : "", row ? row->name : "", row ? "\"?" : "");
}

void ph_conf_log(const struct ph_conf *c, const char *process, unsigned instance)
{
    static const char *const styles[] = {
        [PH_LOG_AUTO] = "auto", [PH_LOG_HUMAN] = "human", [PH_LOG_JSON] = "json"};
    static const char *const levels[] = {[PH_LOG_DEBUG] = "debug",
                                         [PH_LOG_INFO] = "info",
                                         [PH_LOG_WARN] = "warn",
                                         [PH_LOG_ERROR] = "error"};
    enum ph_log_style style = PH_LOG_AUTO;
    enum ph_log_level least = PH_LOG_INFO;
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++)
        if (ph_str_eq(c->log, ph_str_c(styles[i])))
            style = (enum ph_log_style)i;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (ph_str_eq(c->log_level, ph_str_c(levels[i])))
            least = (enum ph_log_level)i;
    ph_log_init(process, instance, STDERR_FILENO, style, least);
}

/* ---- to the processes ------------------------------------------------------------------------ */

void ph_conf_pack(const struct ph_conf *c, int role, struct ph_buf *rows)
{
    struct ph_buf value;
    ph_buf_init(&value, NULL, 65536);
    for (size_t i = 0; i < ph__conf_count; i++) {
        const struct ph__conf_row *row = &ph__conf_rows[i];
        if (!(row->roles & IPC_BIT(role)))
            continue;
        ph_buf_clear(&value);
        ph__conf_text(c, row, '\n', &value);
        if (ph_buf_err(&value))
            rows->err = ph_buf_err(&value);
        struct ipc_setting s = {ph_str_c(row->name), ph_buf_str(&value)};
        ipc_add(setting, rows, &s);
    }
    ph_buf_done(&value);
}

int ph_conf_unpack(struct ph_conf *c, ph_str rows, struct ph_error *reterr)
{
    struct ipc_setting s;
    int more;
    while ((more = ipc_row_next(&rows, IPC_ROW_setting, &s)) > 0) {
        const struct ph__conf_row *row = ph__conf_find(s.name);
        if (!row)
            return ph_fail(reterr, PH_EINVAL, 0, "unknown setting \"%.*s\"", PH_FMT(s.name));
        int r = ph__conf_put(c, row, s.value, '\n', reterr);
        if (r)
            return r;
    }
    return more < 0 ? ph_fail(reterr, PH_ESYNTAX, 0, "settings are cut short") : 0;
}
