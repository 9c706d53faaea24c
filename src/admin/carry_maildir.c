/*
 * carry_maildir.c - Maildir as a source: Maildir++ (".Sent.2025") or folders in folders, names in
 * modified UTF-7 or UTF-8, with the files that Dovecot keeps beside them: dovecot-keywords (names
 * of the flags a to z) and dovecot-uidlist (UIDL).
 */
#include "carry.h"
#include "file.h"
#include <posthouse/imap_values.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_MOST = 4096, DEPTH_MAX = 20, LETTER_MAX = 1 << 30, LIST_MAX = 256 << 20, WORDS = 26 };

struct listed { /* a line of dovecot-uidlist */
    ph_str base, fields;
};

struct maildir {
    const char *path;
    char mailbox[STORE_NAME_MAX + 1];
    char words[WORDS][128]; /* keywords of a to z */
    struct ph_buf uidlist, letter, fixed;
    struct listed *listed; /* sorted by base; in uidlist */
    size_t listed_n;
    uint32_t uidvalidity;
    carry_take *take;
    void *ctx;
    struct ph_error *reterr;
};

/* "Name\n" lines of "0 word". */
static void read_keywords(struct maildir *m)
{
    char path[PATH_MOST], line[256];
    memset(m->words, 0, sizeof m->words);
    snprintf(path, sizeof path, "%s/dovecot-keywords", m->path);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        char *word;
        unsigned long n = strtoul(line, &word, 10);
        word += *word == ' ';
        word[strcspn(word, "\r\n")] = 0;
        if (word != line && n < WORDS)
            snprintf(m->words[n], sizeof m->words[n], "%.127s", word);
    }
    if (f)
        fclose(f);
}

static int by_base(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    size_t n = x->base.n < y->base.n ? x->base.n : y->base.n;
    int d = memcmp(x->base.p, y->base.p, n);
    return d ? d : (x->base.n > y->base.n) - (x->base.n < y->base.n);
}

/* "3 V<uidvalidity> N...", then lines "uid [Puidl ...] :base[:2,flags]". */
static int read_uidlist(struct maildir *m)
{
    char path[PATH_MOST];
    ph_str rest, line;
    ph_buf_clear(&m->uidlist);
    m->uidvalidity = 0;
    m->listed_n = 0;
    snprintf(path, sizeof path, "%s/dovecot-uidlist", m->path);
    if (!ph_file_exists(path) || ph_file_read(path, &m->uidlist, NULL) < 0)
        return 0;
    rest = ph_buf_str(&m->uidlist);
    size_t cap = 1;
    for (size_t i = 0; i < rest.n; i++)
        cap += rest.p[i] == '\n';
    struct listed *v = realloc(m->listed, cap * sizeof *v);
    if (!v)
        return ph_fail(m->reterr, PH_ENOMEM, 0, "out of memory");
    m->listed = v;
    if (ph_str_token(&rest, '\n', &line) && ph_str_chr(line, 'V') != PH_NPOS)
        m->uidvalidity = (uint32_t)strtoul(line.p + ph_str_chr(line, 'V') + 1, NULL, 10);
    while (ph_str_token(&rest, '\n', &line)) {
        size_t colon = ph_str_chr(line, ':');
        if (colon == PH_NPOS)
            continue;
        ph_str name = ph_str_skip(line, colon + 1);
        size_t end = ph_str_chr(name, ':');
        v[m->listed_n++] = (struct listed){ph_str_sub(name, 0, end == PH_NPOS ? name.n : end),
                                           ph_str_sub(line, 0, colon)};
    }
    qsort(v, m->listed_n, sizeof *v, by_base);
    return 0;
}

static void find_in_uidlist(const struct maildir *m, ph_str base, struct carry_letter *l)
{
    struct listed key = {.base = base};
    const struct listed *at =
        m->listed_n ? bsearch(&key, m->listed, m->listed_n, sizeof key, by_base) : NULL;
    ph_str fields = at ? at->fields : (ph_str){0}, word;
    for (bool first = true; ph_str_token(&fields, ' ', &word); first = false)
        if (first)
            l->uid = (uint32_t)strtoul(word.p, NULL, 10);
        else if (word.n > 1 && word.p[0] == 'P' && word.n - 1 <= STORE_UIDL_MAX)
            l->uidl = ph_str_skip(word, 1);
}

static unsigned flags_of(struct maildir *m, const char *letters, struct ph_buf *keywords)
{
    static const struct {
        char letter;
        unsigned flag;
    } known[] = {{'D', STORE_DRAFT},
                 {'F', STORE_FLAGGED},
                 {'R', STORE_ANSWERED},
                 {'S', STORE_SEEN},
                 {'T', STORE_DELETED}};
    unsigned flags = 0;
    for (; *letters; letters++) {
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (known[i].letter == *letters)
                flags |= known[i].flag;
        if (*letters >= 'a' && *letters <= 'z' && m->words[*letters - 'a'][0]) {
            if (keywords->n > 0)
                ph_buf_addc(keywords, ' ');
            ph_buf_add(keywords, ph_str_c(m->words[*letters - 'a']));
        }
    }
    return flags;
}

static int give(struct maildir *m, const char *folder, const char *name, bool seen_folder)
{
    char path[PATH_MOST];
    struct stat sb;
    struct ph_buf keywords;
    const char *info = strstr(name, ":2,");
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path ||
        stat(path, &sb) < 0 || !S_ISREG(sb.st_mode))
        return 0;
    ph_buf_clear(&m->letter);
    int r = ph_file_read(path, &m->letter, m->reterr);
    if (r == -PH_ENOENT) /* renamed by its owner meanwhile: it comes again under its other name, or
                            with the next import */
        return 0;
    if (r < 0)
        return r;
    ph_buf_init(&keywords, NULL, STORE_KEYWORDS_MAX);
    struct carry_letter l = {.mailbox = ph_str_c(m->mailbox),
                             .flags = info && seen_folder ? flags_of(m, info + 3, &keywords) : 0,
                             .date =
                                 (int64_t)sb.st_mtim.tv_sec * 1000000 + sb.st_mtim.tv_nsec / 1000,
                             .uidvalidity = m->uidvalidity,
                             .bytes = carry_crlf(ph_buf_str(&m->letter), &m->fixed)};
    l.keywords = ph_buf_str(&keywords);
    find_in_uidlist(m, (ph_str){name, info ? (size_t)(info - name) : strlen(name)}, &l);
    r = ph_buf_err(&m->fixed) ? ph_fail(m->reterr, PH_ENOMEM, 0, "out of memory")
                              : m->take(m->ctx, &l);
    ph_buf_done(&keywords);
    return r;
}

static int give_folder(struct maildir *m, const char *which)
{
    char folder[PATH_MOST];
    struct dirent **list;
    if (snprintf(folder, sizeof folder, "%s/%s", m->path, which) >= (int)sizeof folder)
        return 0;
    int n = scandir(folder, &list, NULL, alphasort), r = 0;
    for (int i = 0; i < n; i++) {
        if (r >= 0 && list[i]->d_name[0] != '.')
            r = give(m, folder, list[i]->d_name, !strcmp(which, "cur"));
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    return r;
}

/* One level of a name: modified UTF-7 when it is that, else as it is. A dot is written "&AC4-"
 * there, which is against its rules and so can mean nothing else. */
static void add_level(struct ph_buf *out, ph_str level)
{
    static const ph_str dot = PH_STR_INIT("&AC4-");
    struct ph_buf plain;
    ph_buf_init(&plain, NULL, STORE_NAME_MAX);
    for (bool more = true; more;) {
        size_t at = ph_str_find(level, dot);
        ph_str piece = ph_str_sub(level, 0, at == PH_NPOS ? level.n : at);
        ph_buf_clear(&plain);
        bool wire = ph_str_chr(piece, '&') != PH_NPOS && ph_imap_utf7_decode(piece, &plain) >= 0;
        ph_buf_add(out, wire ? ph_buf_str(&plain) : piece);
        more = at != PH_NPOS;
        if (more)
            ph_buf_addc(out, '.');
        level = more ? ph_str_skip(level, at + dot.n) : level;
    }
    ph_buf_done(&plain);
}

static void add_name(struct ph_buf *out, const char *name, bool dots)
{
    for (ph_str rest = ph_str_c(name), level; ph_str_token(&rest, dots ? '.' : '\1', &level);) {
        if (level.n == 0)
            continue;
        if (out->n > 0)
            ph_buf_addc(out, '/');
        add_level(out, level);
    }
}

static int walk(struct maildir *m, const char *path, const char *name, int depth)
{
    char below[PATH_MOST];
    struct dirent **list;
    struct stat sb;
    int r = 0;
    if (snprintf(below, sizeof below, "%s/cur", path) < (int)sizeof below &&
        stat(below, &sb) == 0) {
        m->path = path;
        snprintf(m->mailbox, sizeof m->mailbox, "%s", *name ? name : "INBOX");
        read_keywords(m);
        r = read_uidlist(m);
        if (r >= 0)
            r = give_folder(m, "cur");
        if (r >= 0)
            r = give_folder(m, "new");
    }
    int n = r < 0 || depth == DEPTH_MAX ? -1 : scandir(path, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *e = list[i]->d_name;
        bool own = !strcmp(e, "cur") || !strcmp(e, "new") || !strcmp(e, "tmp") || !strcmp(e, ".") ||
                   !strcmp(e, "..");
        if (r >= 0 && !own && snprintf(below, sizeof below, "%s/%s", path, e) < (int)sizeof below &&
            stat(below, &sb) == 0 && S_ISDIR(sb.st_mode)) {
            struct ph_buf inner;
            ph_buf_init(&inner, NULL, STORE_NAME_MAX);
            ph_buf_add(&inner, ph_str_c(name));
            add_name(&inner, e, e[0] == '.');
            if (!ph_buf_err(&inner))
                r = walk(m, below, ph_buf_cstr(&inner), depth + 1);
            ph_buf_done(&inner);
        }
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    return r;
}

int carry_from_maildir(const char *path, carry_take *take, void *ctx, struct ph_error *reterr)
{
    struct maildir *m = calloc(1, sizeof *m);
    if (!m)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    m->take = take;
    m->ctx = ctx;
    m->reterr = reterr;
    ph_buf_init(&m->uidlist, NULL, LIST_MAX);
    ph_buf_init(&m->letter, NULL, LETTER_MAX);
    ph_buf_init(&m->fixed, NULL, LETTER_MAX);
    int r = walk(m, path, "", 0);
    ph_buf_done(&m->uidlist);
    ph_buf_done(&m->letter);
    ph_buf_done(&m->fixed);
    free(m->listed);
    free(m);
    return r < 0 ? r : 0;
}
