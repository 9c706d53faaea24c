/* The memory of `post fetch`: see fetch_state.h for the file. */
#include "fetch_state.h"
#include "file.h"
#include "grow.h"
#include "hash.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* The tag tells a person's own sources apart; it guards nothing. */
static void tag_of(const char *text, char ret[POST_TAG])
{
    snprintf(ret, POST_TAG, "%016llx", (unsigned long long)ph_hash_fixed(ph_str_c(text)));
}

int post_state_name(struct post_state *st, const struct post_source *s, const char *dir,
                    const char *name)
{
    char source[2048];
    const struct ph_account *a = &s->login->account;
    bool imap = s->ops == &post_source_imap;
    snprintf(source, sizeof source, "%s %.*s@%.*s/%s", imap ? "imap" : "pop3", PH_FMT(a->user),
             PH_FMT(a->host), imap ? s->mailbox : "");
    *st = (struct post_state){.imap = imap, .validity = s->validity};
    tag_of(source, st->tag);
    int n = name ? snprintf(st->path, sizeof st->path, "%s/.%s.post-%s", dir, name, st->tag)
                 : snprintf(st->path, sizeof st->path, "%s/.post-%s", dir, st->tag);
    return n < (int)sizeof st->path ? 0 : post_fail(EX_CANTCREAT, "the path %s is too long", dir);
}

int post_state_add(struct post_state *st, ph_str id)
{
    char **more = ph_grow(st->ids, st->id_n, &st->id_cap, sizeof *more);
    if (!more)
        return post_fail(EX_OSERR, "out of memory");
    st->ids = more;
    char *copy = strndup(id.p, id.n);
    if (!copy)
        return post_fail(EX_OSERR, "out of memory");
    st->ids[st->id_n++] = copy;
    st->sorted = false;
    return 0;
}

/* One line of the file; what is not understood is passed over. */
static int take_line(struct post_state *st, ph_str line)
{
    ph_str word;
    uint64_t validity, uid;
    if (!ph_str_token(&line, ' ', &word))
        return 0;
    if (!st->imap)
        return ph_str_eq(word, PH_STR("uidl")) ? post_state_add(st, line) : 0;
    bool upto = ph_str_eq(word, PH_STR("upto"));
    if ((!upto && !ph_str_eq(word, PH_STR("uid"))) || !ph_str_token(&line, ' ', &word) ||
        !ph_str_u64(word, UINT32_MAX, &validity) || !ph_str_u64(line, UINT32_MAX, &uid))
        return 0;
    st->renumbered = validity != st->validity;
    if (st->renumbered)
        return 0;
    if (!upto)
        return post_state_add(st, line);
    st->last = (uint32_t)uid;
    return 0;
}

int post_state_load(struct post_state *st)
{
    struct ph_buf b;
    int rc = 0;
    if (!ph_file_exists(st->path))
        return 0;
    ph_buf_init(&b, NULL, POST_STATE_MAX);
    rc = post_read_file(st->path, &b);
    for (ph_str rest = ph_buf_str(&b); rc == 0;) {
        size_t end = ph_str_chr(rest, '\n');
        if (end == PH_NPOS)
            break;
        rc = take_line(st, ph_str_sub(rest, 0, end));
        rest = ph_str_skip(rest, end + 1);
    }
    ph_buf_done(&b);
    return rc;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool post_state_has(struct post_state *st, const struct post_item *item)
{
    const char *id = item->uid;
    if (st->imap && item->number <= st->last)
        return true;
    if (!st->sorted && st->id_n)
        qsort(st->ids, st->id_n, sizeof *st->ids, by_text);
    st->sorted = true;
    return id[0] && st->id_n && bsearch(&id, st->ids, st->id_n, sizeof *st->ids, by_text);
}

void post_state_line(const struct post_state *st, const struct post_item *item,
                     struct ph_buf *lines)
{
    if (st->imap)
        ph_buf_addf(lines, "uid %llu %s\n", (unsigned long long)st->validity, item->uid);
    else if (item->uid[0])
        ph_buf_addf(lines, "uidl %s\n", item->uid);
}

void post_state_upto(const struct post_state *st, uint32_t uid, struct ph_buf *lines)
{
    ph_buf_addf(lines, "upto %llu %u\n", (unsigned long long)st->validity, uid);
}

int post_state_append(const char *path, ph_str lines)
{
    int rc = 0;
    if (lines.n == 0)
        return 0;
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return post_fail(EX_CANTCREAT, "cannot write %s: %s", path, strerror(errno));
    /* What a crash cut off must not run into the next line. */
    char last = '\n';
    off_t size = lseek(fd, 0, SEEK_END);
    if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n' &&
        ph_memfile_add(fd, PH_STR("\n")) < 0)
        rc = -1;
    if (rc || ph_memfile_add(fd, lines) < 0 || fdatasync(fd) < 0)
        rc = post_fail(EX_IOERR, "cannot write %s: %s", path, strerror(errno));
    close(fd);
    return rc;
}

int post_state_finish(struct post_state *st, const struct post_source *s)
{
    struct ph_buf b;
    struct ph_error e;
    int rc = 0;
    ph_buf_init(&b, NULL, POST_STATE_MAX);
    if (st->imap && (st->last || s->item_n)) {
        uint32_t last = s->item_n ? s->items[s->item_n - 1].number : 0;
        post_state_upto(st, last > st->last ? last : st->last, &b);
    }
    for (size_t i = 0; !st->imap && i < s->item_n; i++)
        post_state_line(st, &s->items[i], &b);
    if (ph_buf_err(&b) || ph_file_write(st->path, ph_buf_str(&b), 0600, &e) < 0)
        rc = post_fail(EX_IOERR, "%s", ph_buf_err(&b) ? "out of memory" : e.text);
    ph_buf_done(&b);
    return rc;
}

void post_state_done(struct post_state *st)
{
    while (st->id_n)
        free(st->ids[--st->id_n]);
    free(st->ids);
    st->ids = NULL;
    st->id_cap = 0;
}

void post_state_escape(ph_str id, struct ph_buf *out)
{
    for (size_t i = 0; i < id.n; i++) {
        unsigned char c = (unsigned char)id.p[i];
        if (isalnum(c) || strchr("-_.+@=", c))
            ph_buf_addc(out, (char)c);
        else
            ph_buf_addf(out, "%%%02X", c);
    }
}
