/*
 * carry_mbox.c - mbox as a source: letters behind lines "From sender date", ">From " with one ">"
 * more (mboxrd), flags and names in the fields Status, X-Status, X-Keywords and X-UIDL, which are
 * taken out.
 */
#include "carry.h"
#include "file.h"

#include <posthouse/mime.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { PATH_MOST = 4096, LETTER_MAX = 1 << 30, SUFFIX = 5 };

struct mbox {
    FILE *f;
    const char *path;
    char *line;
    size_t line_room;
    ph_str mailbox;
    struct ph_buf raw, plain, fixed, keywords;
    char from[128]; /* what stood behind "From " */
    char uidl[STORE_UIDL_MAX + 1];
    unsigned flags;
    carry_take *take;
    void *ctx;
    struct ph_error *reterr;
};

ph_str carry_crlf(ph_str in, struct ph_buf *out)
{
    if (in.n == 0 || memmem(in.p, in.n, "\r\n", 2))
        return in;
    ph_buf_clear(out);
    for (const char *lf; in.n > 0 && (lf = memchr(in.p, '\n', in.n));) {
        size_t n = (size_t)(lf - in.p);
        ph_buf_add(out, ph_str_sub(in, 0, n));
        ph_buf_add(out, PH_STR("\r\n"));
        in = ph_str_skip(in, n + 1);
    }
    ph_buf_add(out, in);
    return ph_buf_str(out);
}

static void status(struct mbox *m, ph_str value)
{
    static const struct {
        char letter;
        unsigned flag;
    } known[] = {{'R', STORE_SEEN},
                 {'A', STORE_ANSWERED},
                 {'F', STORE_FLAGGED},
                 {'D', STORE_DELETED},
                 {'T', STORE_DRAFT}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (value.n && memchr(value.p, known[i].letter, value.n))
            m->flags |= known[i].flag;
}

/* Is it one of the fields that mbox keeps its own knowledge in? Then what it says is kept, and it
 * goes. */
static bool own_field(struct mbox *m, const struct ph_field *f)
{
    ph_str v = ph_str_trim(f->value);
    if (ph_str_ieq(f->name, PH_STR("Status")) || ph_str_ieq(f->name, PH_STR("X-Status"))) {
        status(m, v);
    } else if (ph_str_ieq(f->name, PH_STR("X-Keywords"))) {
        for (ph_str word; ph_str_token(&v, ' ', &word);)
            if (word.n > 0) {
                ph_buf_add(&m->keywords, m->keywords.n ? PH_STR(" ") : PH_STR(""));
                ph_buf_add(&m->keywords, word);
            }
    } else if (ph_str_ieq(f->name, PH_STR("X-UIDL"))) {
        if (v.n <= STORE_UIDL_MAX)
            snprintf(m->uidl, sizeof m->uidl, "%.*s", PH_FMT(v));
    } else {
        return ph_str_ieq(f->name, PH_STR("X-IMAP")) || ph_str_ieq(f->name, PH_STR("X-IMAPbase"));
    }
    return true;
}

static void take_fields(struct mbox *m)
{
    ph_str raw = ph_buf_str(&m->raw), head = ph_message_head(raw), rest = head;
    struct ph_field f;
    size_t kept = 0;
    m->flags = 0;
    m->uidl[0] = 0;
    ph_buf_clear(&m->keywords);
    ph_buf_clear(&m->plain);
    while (ph_field_next(&rest, &f)) {
        size_t at = (size_t)(f.all.p - raw.p);
        if (!own_field(m, &f))
            continue;
        ph_buf_add(&m->plain, ph_str_sub(raw, kept, at - kept));
        kept = at + f.all.n;
    }
    ph_buf_add(&m->plain, ph_str_skip(raw, kept));
}

/* "sender Sun Nov 22 19:53:48 2026", in UTC. */
static int64_t date_of(const char *from)
{
    struct tm tm = {0};
    for (const char *p = from; *p; p++) {
        const char *end =
            p == from || p[-1] == ' ' ? strptime(p, "%a %b %d %H:%M:%S %Y", &tm) : NULL;
        if (end)
            return (int64_t)timegm(&tm) * 1000000;
    }
    return 0;
}

static int give(struct mbox *m)
{
    if (m->raw.n == 0)
        return 0;
    if (m->raw.n >= 2 && m->raw.p[m->raw.n - 1] == '\n' && m->raw.p[m->raw.n - 2] == '\n')
        m->raw.n--; /* the empty line between two letters */
    take_fields(m);
    struct carry_letter l = {.mailbox = m->mailbox,
                             .flags = m->flags,
                             .keywords = ph_buf_str(&m->keywords),
                             .date = date_of(m->from),
                             .uidl = ph_str_c(m->uidl),
                             .bytes = carry_crlf(ph_buf_str(&m->plain), &m->fixed)};
    if (ph_buf_err(&m->raw) || ph_buf_err(&m->plain) || ph_buf_err(&m->fixed))
        return ph_fail(m->reterr, PH_ELIMIT, 0, "%s: a letter is too large", m->path);
    int r = m->take(m->ctx, &l);
    ph_buf_clear(&m->raw);
    return r;
}

static int read_letters(struct mbox *m)
{
    bool blank = true, some = false;
    int r = 0;
    for (ssize_t n; r >= 0 && (n = getline(&m->line, &m->line_room, m->f)) > 0;) {
        ph_str line = {m->line, (size_t)n};
        if (blank && ph_str_has_prefix(line, PH_STR("From "))) {
            r = give(m);
            some = true;
            m->line[strcspn(m->line, "\r\n")] = 0;
            snprintf(m->from, sizeof m->from, "%s", m->line + 5);
            blank = false;
            continue;
        }
        if (!some && line.n > 2)
            return ph_fail(m->reterr, PH_EINVAL, 0,
                           "%s: not an mbox file: it does not begin with \"From \"", m->path);
        blank = line.p[0] == '\n' || (line.n == 2 && line.p[0] == '\r');
        size_t marks = 0;
        while (marks < line.n && line.p[marks] == '>')
            marks++;
        bool quoted = marks > 0 && ph_str_has_prefix(ph_str_skip(line, marks), PH_STR("From "));
        ph_buf_add(&m->raw, ph_str_skip(line, quoted));
    }
    if (r >= 0 && ferror(m->f))
        r = ph_fail(m->reterr, PH_EIO, 0, "%s cannot be read", m->path);
    return r < 0 ? r : give(m);
}

static int one_file(const char *path, ph_str mailbox, carry_take *take, void *ctx,
                    struct ph_error *reterr)
{
    struct mbox m = {.f = fopen(path, "re"),
                     .path = path,
                     .mailbox = mailbox,
                     .take = take,
                     .ctx = ctx,
                     .reterr = reterr};
    if (!m.f)
        return ph_fail(reterr, PH_ENOENT, 0, "%s cannot be opened", path);
    ph_buf_init(&m.raw, NULL, LETTER_MAX);
    ph_buf_init(&m.plain, NULL, LETTER_MAX);
    ph_buf_init(&m.fixed, NULL, LETTER_MAX);
    ph_buf_init(&m.keywords, NULL, STORE_KEYWORDS_MAX);
    int r = read_letters(&m);
    ph_buf_done(&m.raw);
    ph_buf_done(&m.plain);
    ph_buf_done(&m.fixed);
    ph_buf_done(&m.keywords);
    free(m.line);
    fclose(m.f);
    return r;
}

/* NAME.mbox, folders are the levels above. */
static int walk(const char *path, const char *above, int depth, carry_take *take, void *ctx,
                struct ph_error *reterr)
{
    enum { DEPTH_MAX = 20 };
    struct dirent **list;
    struct stat sb;
    int n = depth < DEPTH_MAX ? scandir(path, &list, NULL, alphasort) : -1, r = 0;
    for (int i = 0; i < n; i++) {
        const char *e = list[i]->d_name;
        char below[PATH_MOST], name[STORE_NAME_MAX + 1];
        size_t len = strlen(e);
        bool fits = snprintf(below, sizeof below, "%s/%s", path, e) < (int)sizeof below;
        if (r >= 0 && fits && e[0] != '.' && stat(below, &sb) == 0) {
            bool file = S_ISREG(sb.st_mode) && len > SUFFIX && !strcmp(e + len - SUFFIX, ".mbox");
            int shown = (int)(file ? len - SUFFIX : len);
            bool named = snprintf(name, sizeof name, "%s%s%.*s", above, *above ? "/" : "", shown,
                                  e) < (int)sizeof name;
            if (named && file)
                r = one_file(below, ph_str_c(name), take, ctx, reterr);
            else if (named && S_ISDIR(sb.st_mode))
                r = walk(below, name, depth + 1, take, ctx, reterr);
        }
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    return r;
}

int carry_from_mbox(const char *path, carry_take *take, void *ctx, struct ph_error *reterr)
{
    struct stat sb;
    if (stat(path, &sb) < 0)
        return ph_fail(reterr, PH_ENOENT, 0, "%s: there is no such file", path);
    int r = S_ISDIR(sb.st_mode) ? walk(path, "", 0, take, ctx, reterr)
                                : one_file(path, PH_STR("INBOX"), take, ctx, reterr);
    return r < 0 ? r : 0;
}
