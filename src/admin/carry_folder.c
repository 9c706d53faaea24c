/*
 * carry_folder.c - into files: a Maildir++ tree as Dovecot reads it (uids, UIDL and keywords beside
 * the letters), or NAME.mbox files. Nothing that is there is written over.
 */
#include "carry.h"
#include "file.h"
#include <posthouse/imap_values.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_MOST = 4096, WORDS = 26, LETTER_MAX = 1 << 30 };

#define UIDLIST_HEAD "3 V%u N%010u\n"

struct carry_folder {
    char path[PATH_MOST]; /* of the whole */
    char box[PATH_MOST];  /* of the mailbox under way: its folder, or its file */
    char mailbox[STORE_NAME_MAX + 1];
    bool mbox;
    FILE *f; /* mbox, or dovecot-uidlist */
    char words[WORDS][128];
    uint32_t uidvalidity, last_uid;
    struct ph_buf lf;
    uint64_t count;
    struct ph_error error;
};

struct carry_folder *carry_folder_new(const char *path, bool mbox, struct ph_error *reterr)
{
    struct carry_folder *c = calloc(1, sizeof *c);
    if (!c) {
        ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
        return NULL;
    }
    if (mkdir(path, 0700) < 0) {
        ph_fail(reterr, errno == EEXIST ? PH_EEXIST : ph_sys_code(errno), errno, "%s: %s", path,
                errno == EEXIST ? "exists already; name a folder that does not" : strerror(errno));
        free(c);
        return NULL;
    }
    snprintf(c->path, sizeof c->path, "%s", path);
    c->mbox = mbox;
    ph_buf_init(&c->lf, NULL, LETTER_MAX);
    return c;
}

const struct ph_error *carry_folder_error(const struct carry_folder *c)
{
    return &c->error;
}

static int io(struct carry_folder *c, const char *path)
{
    return ph_fail(&c->error, ph_sys_code(errno), errno, "%s: %s", path, strerror(errno));
}

static int leave_box(struct carry_folder *c)
{
    char path[PATH_MOST + 32];
    FILE *f = c->f;
    c->f = NULL;
    if (f && !c->mbox) { /* the next uid is known now */
        rewind(f);
        fprintf(f, UIDLIST_HEAD, c->uidvalidity, c->last_uid + 1);
    }
    if (f && (fflush(f) || fsync(fileno(f)) || fclose(f)))
        return io(c, c->box);
    if (!f || c->mbox || !c->words[0][0])
        return 0;
    snprintf(path, sizeof path, "%s/dovecot-keywords", c->box);
    f = fopen(path, "wxe");
    for (int i = 0; f && i < WORDS && c->words[i][0]; i++)
        fprintf(f, "%d %s\n", i, c->words[i]);
    return !f || fclose(f) ? io(c, path) : 0;
}

/* Where a mailbox goes: ".A.B" with modified UTF-7 for what a name may not hold, or A/B.mbox. */
static void place(struct carry_folder *c, ph_str mailbox)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, PATH_MOST - 8);
    ph_buf_add(&b, ph_str_c(c->path));
    if (!c->mbox && ph_str_eq(mailbox, PH_STR("INBOX")))
        mailbox = (ph_str){0};
    else
        ph_buf_add(&b, c->mbox ? PH_STR("/") : PH_STR("/."));
    bool first = true;
    for (ph_str level; ph_str_token(&mailbox, '/', &level); first = false) {
        if (!first)
            ph_buf_addc(&b, c->mbox ? '/' : '.');
        if (level.n && level.p[0] == '.' && c->mbox)
            ph_buf_addc(&b, '_');
        for (ph_str dot; !c->mbox && ph_str_chr(level, '.') != PH_NPOS;) {
            if (ph_str_token(&level, '.', &dot))
                ph_imap_utf7_encode(dot, &b);
            ph_buf_add(&b, PH_STR("&AC4-"));
        }
        if (c->mbox)
            ph_buf_add(&b, level);
        else
            ph_imap_utf7_encode(level, &b);
    }
    if (c->mbox)
        ph_buf_add(&b, PH_STR(".mbox"));
    snprintf(c->box, sizeof c->box, "%s", ph_buf_cstr(&b));
    ph_buf_done(&b);
}

static int make_maildir(struct carry_folder *c, const struct carry_letter *l)
{
    static const char *const below[] = {"cur", "new", "tmp"};
    char path[PATH_MOST + 32];
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        snprintf(path, sizeof path, "%s/%s", c->box, below[i]);
        if (ph_mkdirs(path, 0700, &c->error) < 0)
            return -c->error.code;
    }
    snprintf(path, sizeof path, "%s/maildirfolder", c->box);
    int fd = strcmp(c->box, c->path) ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        close(fd);
    snprintf(path, sizeof path, "%s/dovecot-uidlist", c->box);
    c->f = fopen(path, "wxe");
    if (!c->f)
        return io(c, path);
    c->uidvalidity = l->uidvalidity ? l->uidvalidity : 1;
    c->last_uid = 0;
    fprintf(c->f, UIDLIST_HEAD, c->uidvalidity, 1u);
    return 0;
}

static int enter_box(struct carry_folder *c, const struct carry_letter *l)
{
    if (c->f && l->mailbox.n == strlen(c->mailbox) &&
        !memcmp(l->mailbox.p, c->mailbox, l->mailbox.n))
        return 0;
    int r = leave_box(c);
    if (r < 0)
        return r;
    snprintf(c->mailbox, sizeof c->mailbox, "%.*s", PH_FMT(l->mailbox));
    memset(c->words, 0, sizeof c->words);
    place(c, l->mailbox);
    if (!c->mbox)
        return make_maildir(c, l);
    char *slash = strrchr(c->box, '/');
    *slash = 0;
    r = ph_mkdirs(c->box, 0700, &c->error);
    *slash = '/';
    c->f = r < 0 ? NULL : fopen(c->box, "wxe");
    return r < 0 ? r : c->f ? 0 : io(c, c->box);
}

/* LF line ends, when all of them were CRLF: then CRLF can be given back exactly. */
static ph_str with_lf(struct carry_folder *c, ph_str in)
{
    for (size_t i = 0; i < in.n; i++)
        if ((in.p[i] == '\n' && (i == 0 || in.p[i - 1] != '\r')) ||
            (in.p[i] == '\r' && (i + 1 == in.n || in.p[i + 1] != '\n')))
            return in;
    ph_buf_clear(&c->lf);
    for (size_t i = 0, from = 0; i <= in.n; i++)
        if (i == in.n || in.p[i] == '\r') {
            ph_buf_add(&c->lf, ph_str_sub(in, from, i - from));
            from = i + 1;
        }
    return ph_buf_err(&c->lf) ? in : ph_buf_str(&c->lf);
}

/* ---- mbox --------------------------------------------------------------------------------- */

static void put_lines(FILE *f, ph_str text)
{
    for (ph_str line; ph_str_token(&text, '\n', &line);) {
        size_t marks = 0;
        while (marks < line.n && line.p[marks] == '>')
            marks++;
        if (ph_str_has_prefix(ph_str_skip(line, marks), PH_STR("From ")))
            putc('>', f);
        fwrite(line.p, 1, line.n, f);
        putc('\n', f);
    }
}

static int put_mbox(struct carry_folder *c, const struct carry_letter *l)
{
    char when[64];
    struct tm tm;
    time_t t = (time_t)(l->date / 1000000);
    gmtime_r(&t, &tm);
    strftime(when, sizeof when, "%a %b %d %H:%M:%S %Y", &tm);
    fprintf(c->f, "From MAILER-DAEMON %s\n", when);
    fprintf(c->f, "Status: %sO\n", l->flags & STORE_SEEN ? "R" : "");
    if (l->flags & ~(unsigned)STORE_SEEN)
        fprintf(c->f, "X-Status: %s%s%s%s\n", l->flags & STORE_ANSWERED ? "A" : "",
                l->flags & STORE_FLAGGED ? "F" : "", l->flags & STORE_DRAFT ? "T" : "",
                l->flags & STORE_DELETED ? "D" : "");
    if (l->keywords.n)
        fprintf(c->f, "X-Keywords: %.*s\n", PH_FMT(l->keywords));
    if (l->uidl.n)
        fprintf(c->f, "X-UIDL: %.*s\n", PH_FMT(l->uidl));
    put_lines(c->f, with_lf(c, l->bytes));
    putc('\n', c->f);
    return ferror(c->f) ? io(c, c->box) : 0;
}

/* ---- Maildir ------------------------------------------------------------------------------ */

/* Flags in ASCII order, then the letters of keywords; more than 26 different ones in a mailbox are
 * left out. */
static void info(struct carry_folder *c, const struct carry_letter *l, char out[40])
{
    size_t n =
        (size_t)snprintf(out, 40, ":2,%s%s%s%s%s", l->flags & STORE_DRAFT ? "D" : "",
                         l->flags & STORE_FLAGGED ? "F" : "", l->flags & STORE_ANSWERED ? "R" : "",
                         l->flags & STORE_SEEN ? "S" : "", l->flags & STORE_DELETED ? "T" : "");
    bool has[WORDS] = {false};
    for (ph_str rest = l->keywords, word; ph_str_token(&rest, ' ', &word);) {
        int i = 0;
        while (i < WORDS && c->words[i][0] && !ph_str_ieq(word, ph_str_c(c->words[i])))
            i++;
        if (i == WORDS || word.n == 0 || word.n >= sizeof c->words[i])
            continue;
        if (!c->words[i][0])
            snprintf(c->words[i], sizeof c->words[i], "%.*s", PH_FMT(word));
        has[i] = true;
    }
    for (int i = 0; i < WORDS; i++)
        if (has[i])
            out[n++] = (char)('a' + i);
    out[n] = 0;
}

static int put_maildir(struct carry_folder *c, const struct carry_letter *l)
{
    char base[128], path[PATH_MOST + 256], flags[40];
    ph_str bytes = with_lf(c, l->bytes);
    info(c, l, flags);
    snprintf(base, sizeof base, "%lld.%u_%llu.posthouse,S=%zu", (long long)(l->date / 1000000),
             l->uid, (unsigned long long)c->count, bytes.n);
    snprintf(path, sizeof path, "%s/cur/%s%s", c->box, base, flags);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return io(c, path);
    struct timespec times[2];
    times[0] = times[1] = (struct timespec){l->date / 1000000, l->date % 1000000 * 1000};
    bool ok = true;
    for (size_t at = 0; ok && at < bytes.n;) {
        ssize_t w = write(fd, bytes.p + at, bytes.n - at);
        ok = w > 0 || (w < 0 && errno == EINTR);
        at += w > 0 ? (size_t)w : 0;
    }
    ok = ok && futimens(fd, times) == 0;
    if (close(fd) < 0 || !ok)
        return io(c, path);
    fprintf(c->f, "%u %s%.*s%s:%s\n", l->uid, l->uidl.n ? "P" : "", PH_FMT(l->uidl),
            l->uidl.n ? " " : "", base);
    c->last_uid = l->uid;
    return ferror(c->f) ? io(c, c->box) : 0;
}

int carry_folder_take(void *ctx, const struct carry_letter *l)
{
    struct carry_folder *c = ctx;
    int r = enter_box(c, l);
    if (r >= 0)
        r = c->mbox ? put_mbox(c, l) : put_maildir(c, l);
    c->count += r >= 0;
    return r;
}

int carry_folder_end(struct carry_folder *c, uint64_t *ret_count, struct ph_error *reterr)
{
    if (!c)
        return 0;
    int r = leave_box(c);
    if (r < 0 && reterr)
        *reterr = c->error;
    if (ret_count)
        *ret_count = c->count;
    ph_buf_done(&c->lf);
    free(c);
    return r;
}
