/*
 * Reading a file with libconfuse. All settings are strings or lists of strings to it; values are
 * checked here, when an option is complete and libconfuse still knows the line, and never end the
 * parse: so every mistake of a file is told at once. An unknown name does end it; then the file is
 * read again with that name known as unknown.
 */
#include "conf_int.h"

#include "file.h"

#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Default of every list: libconfuse does not call for an empty list, which is known by this being
 * gone. */
static char untouched[] = "{untouched}";

enum { UNKNOWN_MAX = 50, WHERE_MAX = 4200, WHAT_MAX = 300, FILE_MAX = 4 * 1024 * 1024 };

/* One pass over the file. libconfuse hands no context to its callbacks but the cfg_t: it is reached
 * by this pointer, set for the time of ph_conf_read alone. */
struct reader {
    struct ph_conf *conf;
    char *unknown[UNKNOWN_MAX];
    size_t unknown_count;
    int *lines;                      /* per setting: where it was set, 0 = not yet */
    const struct ph__conf_row *last; /* the setting of the last callback */
    char *last_value;                /* of its list (a copy), and how many elements were taken */
    unsigned done;
    const cfg_opt_t *last_unknown;
    bool starting; /* libconfuse sets its defaults */
    bool again;    /* a name was found to be unknown */
    bool quiet;    /* this pass is only for unknown names */
    int mistakes;
    void (*complain)(void *ctx, const char *where, const char *what);
    void *ctx;
};

static _Thread_local struct reader *reading;

static void mistake(const cfg_t *cfg, const char *fmt, ...) PH_PRINTF(2, 3);

/* What comes from the file is shown on a terminal: bytes that are not ASCII text are spelled. */
static void make_plain(const char *what, char *ret_text, size_t n)
{
    size_t at = 0;
    for (; *what && at + 5 < n; what++) {
        unsigned char ch = (unsigned char)*what;
        if (ch >= 0x20 && ch < 0x7f)
            ret_text[at++] = *what;
        else
            at += (size_t)snprintf(ret_text + at, n - at, "\\x%02x", ch);
    }
    ret_text[at] = 0;
}

static void say(const cfg_t *cfg, const char *what)
{
    char where[WHERE_MAX], text[4 * WHAT_MAX];
    if (reading->quiet)
        return;
    reading->mistakes++;
    snprintf(where, sizeof where, "%s:%d", cfg && cfg->filename ? cfg->filename : "?",
             cfg ? cfg->line : 0);
    make_plain(what, text, sizeof text);
    reading->complain(reading->ctx, where, text);
}

static void mistake(const cfg_t *cfg, const char *fmt, ...)
{
    char what[WHAT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    say(cfg, what);
}

PH_PRINTF(2, 0) static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
    static const char no_such[] = "no such option";
    char what[WHAT_MAX];
    if (!strncmp(fmt, no_such, sizeof no_such - 1)) {
        va_list copy;
        va_copy(copy, ap);
        const char *name = va_arg(copy, const char *);
        if (reading->unknown_count < UNKNOWN_MAX &&
            (reading->unknown[reading->unknown_count] = strdup(name))) {
            reading->unknown_count++;
            reading->again = true;
        }
        va_end(copy);
        if (reading->again)
            return;
    }
    vsnprintf(what, sizeof what, fmt, ap);
    say(cfg, what);
}

/* An option whose name is not in the table. */
static int on_unknown(cfg_t *cfg, cfg_opt_t *opt)
{
    const struct ph__conf_row *near = ph__conf_nearest(ph_str_c(opt->name));
    if (reading->starting || reading->last_unknown == opt)
        return 0; /* a list calls for every element */
    reading->last_unknown = opt;
    mistake(cfg, "unknown setting \"%s\"%s%s%s", opt->name, near ? ", did you mean \"" : "",
            near ? near->name : "", near ? "\"?" : "");
    return 0;
}

static void put(cfg_t *cfg, const struct ph__conf_row *row, const char *value)
{
    struct ph_error e;
    if (ph__conf_put(reading->conf, row, ph_str_c(value), 0, &e))
        mistake(cfg, "%s", e.text);
}

/* libconfuse calls for a list after each element and after the closing brace: the size tells what
 * is new. A size that does not grow, with another last element, is a second list of that name. */
static bool list_again(const cfg_opt_t *opt, unsigned size, unsigned done)
{
    if (size != done || !size)
        return size < done;
    const char *last = cfg_opt_getnstr((cfg_opt_t *)(uintptr_t)opt, size - 1);
    return reading->last_value && strcmp(last, reading->last_value) != 0;
}

static void on_list(cfg_t *cfg, cfg_opt_t *opt, const struct ph__conf_row *row, bool *again)
{
    unsigned size = cfg_opt_size(opt), *done = &reading->done;
    if (reading->last != row) {
        ph__conf_clear(reading->conf, row);
        *done = 0;
    } else {
        *again = list_again(opt, size, *done);
        if (*again)
            *done = 0;
    }
    for (; *done < size; ++*done) {
        free(reading->last_value);
        reading->last_value = strdup(cfg_opt_getnstr(opt, *done));
        put(cfg, row, cfg_opt_getnstr(opt, *done));
    }
}

static int on_option(cfg_t *cfg, cfg_opt_t *opt)
{
    const struct ph__conf_row *row = ph__conf_find(ph_str_c(opt->name));
    if (!row || reading->quiet || reading->starting)
        return 0;
    int *line = &reading->lines[row - ph__conf_rows];
    bool again = *line && (row->kind != KIND_list || reading->last != row);
    if (again)
        mistake(cfg, "%s is set a second time, first in line %d", opt->name, *line);
    again = false;
    if (row->kind == KIND_list)
        on_list(cfg, opt, row, &again);
    else
        put(cfg, row, cfg_opt_getnstr(opt, 0));
    if (again)
        mistake(cfg, "%s is set a second time, first in line %d", opt->name, *line);
    reading->last = row;
    if (!*line)
        *line = cfg->line;
    return 0;
}

/* The option table of a pass: settings, unknown names, include(). NULL: out of memory. */
static cfg_opt_t *options(const struct reader *r)
{
    size_t count = ph__conf_count + r->unknown_count;
    cfg_opt_t *opts = calloc(count + 2, sizeof *opts);
    if (!opts)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        bool known = i < ph__conf_count;
        bool list = !known || ph__conf_rows[i].kind == KIND_list;
        const char *name = known ? ph__conf_rows[i].name : r->unknown[i - ph__conf_count];
        opts[i] = list ? (cfg_opt_t)CFG_STR_LIST(name, known ? untouched : NULL, CFGF_NONE)
                       : (cfg_opt_t)CFG_STR(name, NULL, CFGF_NODEFAULT);
        opts[i].validcb = known ? on_option : on_unknown;
    }
    opts[count] = (cfg_opt_t)CFG_FUNC("include", &cfg_include);
    opts[count + 1] = (cfg_opt_t)CFG_END();
    return opts;
}

static void empty_lists(cfg_t *cfg)
{
    for (size_t i = 0; i < ph__conf_count; i++)
        if (ph__conf_rows[i].kind == KIND_list && !cfg_size(cfg, ph__conf_rows[i].name))
            ph__conf_clear(reading->conf, &ph__conf_rows[i]);
}

/* One pass; -PH_ENOMEM, -PH_EIO (errno is set), or 0 (mistakes are counted in r). */
static int pass(struct reader *r, const char *path)
{
    cfg_opt_t *opts = options(r);
    r->starting = true;
    cfg_t *cfg = opts ? cfg_init(opts, CFGF_NONE) : NULL;
    r->starting = false;
    if (!cfg) {
        free(opts);
        return -PH_ENOMEM;
    }
    r->again = false;
    r->last = NULL;
    r->last_unknown = NULL;
    memset(r->lines, 0, ph__conf_count * sizeof *r->lines);
    cfg_set_error_function(cfg, on_error);
    int end = cfg_parse(cfg, path);
    int keep = errno;
    if (end == CFG_PARSE_ERROR && !r->mistakes)
        mistake(cfg, "this is not a setting: name = value is expected");
    if (end == CFG_SUCCESS && !r->quiet)
        empty_lists(cfg);
    cfg_free(cfg);
    free(opts);
    errno = keep;
    return end == CFG_FILE_ERROR ? -PH_EIO : 0;
}

/* libconfuse takes a file to be text. One that is not is refused with the first line that shows
 * it. */
static int check_text(struct reader *r, const char *path)
{
    struct ph_buf text;
    struct ph_error e = {0};
    char where[WHERE_MAX];
    int line = 1;
    ph_buf_init(&text, NULL, FILE_MAX);
    int err = ph_file_read(path, &text, &e);
    for (size_t i = 0; i < text.n && !err; i++) {
        unsigned char ch = (unsigned char)text.p[i];
        line += ch == '\n';
        if ((ch < 0x20 && ch != '\n' && ch != '\t' && ch != '\r') || ch == 0x7f) {
            snprintf(where, sizeof where, "%s:%d", path, line);
            r->complain(r->ctx, where, "a control character: this is not a text file");
            err = -PH_ESYNTAX;
        }
    }
    ph_buf_done(&text);
    if (!err || err == -PH_ESYNTAX)
        return err;
    r->complain(r->ctx, path, e.sys ? strerror(e.sys) : e.text);
    return err == -PH_ENOMEM ? err : -PH_EIO;
}

int ph_conf_read(struct ph_conf *c, const char *path,
                 void (*complain)(void *ctx, const char *where, const char *what), void *ctx)
{
    struct reader r = {.conf = c, .quiet = true, .complain = complain, .ctx = ctx};
    struct reader *outer = reading;
    int e;
    r.lines = calloc(ph__conf_count, sizeof *r.lines);
    if (!r.lines)
        return -PH_ENOMEM;
    e = check_text(&r, path);
    if (e) {
        free(r.lines);
        return e;
    }
    reading = &r;
    do
        e = pass(&r, path);
    while (!e && r.again);
    r.quiet = false;
    if (!e)
        e = pass(&r, path);
    if (e == -PH_EIO)
        complain(ctx, path, strerror(errno));
    for (size_t i = 0; i < r.unknown_count; i++)
        free(r.unknown[i]);
    free(r.last_value);
    free(r.lines);
    reading = outer;
    return e ? e : r.mistakes ? -PH_ESYNTAX : 0;
}
