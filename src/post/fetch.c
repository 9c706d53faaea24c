/*
 * post fetch: letters of a source into a place, those that are not there yet.
 *
 *   open source -> open sink (lock, mend) -> state -> scan what is new
 *               -> get -> { put... flush }* -> finish -> remove -> end of session
 *
 * flush makes a batch safe: sink.sync, then the state tells of it. A letter is removed from the
 * server only when it is in the state. Killed anywhere, the next run goes on behind the last flush,
 * or behind the last letter that a Maildir shows.
 */
#include "loop.h"
#include "sink.h"
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    BATCH = 1000,
    BATCH_BYTES = 16 * 1024 * 1024,
    BATCH_US = 5 * 1000000,
    SHOW_US = 200 * 1000,
    LINES_MAX = 1024 * 1024
};

struct fetching {
    struct post_source source;
    struct post_state state;
    struct post_sink sink; /* ops NULL: standard output */
    const char *maildir, *mbox;
    bool json, quiet, all, delete, watched; /* all: no numbers were given */
    size_t batch, count, told;
    size_t fresh_from, fresh_to; /* in items: since the last flush */
    size_t done_to;              /* IMAP: all items before it are here */
    uint64_t batch_bytes, bytes;
    int64_t flushed_us, shown_us;
    struct ph_buf lines;
    struct post_mbox_writer writer; /* of an mbox on standard output */
    struct ph_buf out;
};

/* ---- telling ----------------------------------------------------------------------------- */

static void show_path(void *ctx, const char *path)
{
    struct fetching *f = ctx;
    if (f->quiet)
        return;
    if (f->json) {
        printf("%s{\"path\":", f->told++ ? ",\n" : "");
        post_json_string(stdout, ph_str_c(path));
        putchar('}');
    } else {
        puts(path);
    }
}

/* On a terminal, when there is more to tell than a moment ago. */
static void show_progress(struct fetching *f, bool end)
{
    int64_t now = f->watched ? ph_mono_us() : 0;
    if (!f->watched || (!end && now - f->shown_us < SHOW_US))
        return;
    f->shown_us = now;
    fprintf(stderr, "\r%zu letters, %.1f MB%s", f->count, (double)f->bytes / 1e6, end ? "\n" : "");
}

/* ---- batches ----------------------------------------------------------------------------- */

/* What the state will say: by IMAP "all up to here", and each letter beyond that came out of
 * order. */
static void write_lines(struct fetching *f)
{
    struct post_source *s = &f->source;
    size_t from = f->done_to;
    if (f->state.imap && f->all) {
        while (f->done_to < s->item_n && s->items[f->done_to].here)
            f->done_to++;
        if (f->done_to > from)
            post_state_upto(&f->state, s->items[f->done_to - 1].number, &f->lines);
    }
    bool upto = f->state.imap && f->all;
    for (size_t i = f->fresh_from; i < f->fresh_to; i++)
        if (s->items[i].fresh && (!upto || i >= f->done_to))
            post_state_line(&f->state, &s->items[i], &f->lines);
}

static int flush(struct fetching *f)
{
    if (f->batch == 0)
        return 0;
    ph_buf_clear(&f->lines);
    write_lines(f);
    if (ph_buf_err(&f->lines))
        return post_fail(EX_OSERR, "out of memory");
    int rc = f->sink.ops->sync(&f->sink, ph_buf_str(&f->lines), show_path, f);
    for (size_t i = f->fresh_from; i < f->fresh_to; i++)
        f->source.items[i].fresh = false;
    f->batch = f->fresh_from = f->fresh_to = 0;
    f->batch_bytes = 0;
    f->flushed_us = ph_mono_us();
    return rc;
}

static int put_letter(void *ctx, struct post_item *item, ph_str piece, bool last)
{
    struct fetching *f = ctx;
    int rc = f->sink.ops->put(&f->sink, item, piece, last);
    f->batch_bytes += piece.n;
    f->bytes += piece.n;
    show_progress(f, false);
    if (rc || !last)
        return rc;
    size_t at = (size_t)(item - f->source.items);
    item->fresh = item->here = true;
    f->fresh_from = f->batch == 0 || at < f->fresh_from ? at : f->fresh_from;
    f->fresh_to = at >= f->fresh_to ? at + 1 : f->fresh_to;
    f->batch++;
    f->count++;
    bool full = f->batch >= BATCH || f->batch_bytes >= BATCH_BYTES ||
                ph_mono_us() - f->flushed_us > BATCH_US;
    return full ? flush(f) : 0;
}

/* ---- standard output --------------------------------------------------------------------- */

static int print_letter(void *ctx, struct post_item *item, ph_str piece, bool last)
{
    struct fetching *f = ctx;
    (void)item;
    int rc = f->mbox ? post_mbox_write(&f->writer, piece, last, &f->out) : 0;
    ph_str out = f->mbox ? ph_buf_str(&f->out) : piece;
    if (out.n)
        fwrite(out.p, 1, out.n, stdout);
    ph_buf_clear(&f->out);
    return rc < 0 ? post_fail(EX_OSERR, "out of memory") : 0;
}

static int to_stdout(struct fetching *f, int argc, char **argv)
{
    int rc = post_source_pick(&f->source, argc, argv);
    post_mbox_writer_init(&f->writer);
    ph_buf_init(&f->out, NULL, SIZE_MAX / 2); /* as large as a piece */
    rc = rc ? rc : post_source_stream(&f->source, print_letter, f);
    post_mbox_writer_done(&f->writer);
    ph_buf_done(&f->out);
    return rc;
}

/* ---- a place on disk --------------------------------------------------------------------- */

/* All that the place does not have. With --delete also what it has, so that it can be removed. */
static int scan_new(struct fetching *f)
{
    struct post_source *s = &f->source;
    char set[32] = "1:*";
    if (f->state.imap && !f->delete &&f->state.last)
        snprintf(set, sizeof set, "%u:*", f->state.last + 1);
    if (s->ops->scan(s, ph_str_c(set)) < 0)
        return post_source_fail(s);
    for (size_t i = 0; i < s->item_n; i++) {
        s->items[i].here = post_state_has(&f->state, &s->items[i]);
        s->items[i].picked = !s->items[i].here;
    }
    return 0;
}

/* What is safe here is removed there, whichever run has fetched it. */
static int remove_here(struct fetching *f)
{
    for (size_t i = 0; i < f->source.item_n; i++)
        f->source.items[i].picked = f->source.items[i].here;
    return post_source_remove(&f->source);
}

static int fetch_into(struct fetching *f, int argc, char **argv)
{
    struct post_source *s = &f->source;
    char dir[4096], name[256];
    f->all = argc == 0;
    f->sink = (struct post_sink){.ops = f->maildir ? &post_sink_maildir : &post_sink_mbox,
                                 .path = f->maildir ? f->maildir : f->mbox,
                                 .state = &f->state};
    int rc = f->sink.ops->where(f->sink.path, dir, name);
    if (rc == 0)
        rc = post_state_name(&f->state, s, dir, name[0] ? name : NULL);
    if (rc == 0)
        rc = f->sink.ops->open(&f->sink);
    if (rc == 0)
        rc = post_state_load(&f->state);
    if (rc == 0)
        rc = f->all ? scan_new(f) : post_source_pick(s, argc, argv);
    f->flushed_us = ph_mono_us();
    if (rc == 0)
        rc = post_source_stream(s, put_letter, f);
    int end = flush(f); /* also when the connection broke: what came is kept */
    rc = rc ? rc : end;
    show_progress(f, true);
    if (rc == 0 && f->delete)
        rc = remove_here(f);
    return rc;
}

static int fetch(struct fetching *f, const struct post_source_args *a, struct post_login *login,
                 int argc, char **argv)
{
    bool out = !f->maildir && (!f->mbox || strcmp(f->mbox, "-") == 0);
    if (f->maildir && f->mbox)
        return post_fail(EX_USAGE, "--maildir and --mbox are two places");
    if (out && !f->mbox && argc == 0)
        return post_fail(EX_USAGE, "where to? Give --maildir DIR, --mbox FILE, or the number of a "
                                   "letter for standard output");
    if (out && f->delete)
        return post_fail(EX_USAGE, "--delete goes with --maildir or --mbox: standard output does "
                                   "not tell whether a letter is safe");
    int rc = post_source_open(&f->source, a, login);
    if (rc)
        return rc;
    ph_buf_init(&f->lines, NULL, LINES_MAX);
    f->watched = isatty(STDERR_FILENO) && !f->quiet;
    if (f->json && !out)
        putchar('[');
    rc = out ? to_stdout(f, argc, argv) : fetch_into(f, argc, argv);
    if (f->json && !out)
        puts("]");
    /* Before the end of the session: what it removes is still in the state then, and gone from it
     * after the next run. */
    if (rc == 0 && !out && f->all)
        rc = post_state_finish(&f->state, &f->source);
    int end = post_source_close(&f->source, rc == 0);
    if (!out && f->sink.ops)
        f->sink.ops->close(&f->sink);
    post_state_done(&f->state);
    ph_buf_done(&f->lines);
    return rc ? rc : end;
}

int post_fetch(int argc, char **argv)
{
    static const char details[] =
        "Fetches what is not there yet; with numbers (of post list) those letters, wherever they "
        "are. They stay on the server "
        "unless --delete is given, which removes what is safely on disk, also from earlier runs. "
        "What was fetched is remembered "
        "beside the place, in a file whose name begins with \".post-\" or \".FILE.post-\"; killed "
        "at any moment, the next run "
        "goes on, and nothing is lost or doubled.\n\n"
        "A Maildir is a folder with tmp, new and cur; it is made when it is not there. An mbox is "
        "one file; \"-\" is standard "
        "output. Without a place the letters numbered go to standard output as they are.\n\n"
        "  post fetch --maildir ~/Mail\n"
        "  post fetch --pop3 --server mail.here.test --user me@here.test --mbox ~/mbox --delete\n";
    struct post_login login = {0};
    struct post_source_args a = {0};
    struct fetching f = {0};
    struct post_option account[POST_LOGIN_ROWS], source[POST_SOURCE_ROWS];
    const struct post_option own[] = {
        {"--maildir", "DIR", .value = &f.maildir, .help = "put the letters into this Maildir"},
        {"--mbox", "FILE", .value = &f.mbox, .help = "append them to this mbox; - prints one"},
        {"--delete", NULL, .flag = &f.delete, .help = "remove from the server what is safely here"},
        {"--quiet", NULL, .flag = &f.quiet, .help = "tell neither files nor progress"},
        {"--json", NULL, .flag = &f.json, .help = "print what was fetched as JSON"},
        {0}};
    const struct post_option *const tables[] = {source, own, account, NULL};
    post_source_options(&a, source);
    post_login_options(&login, account);
    int rc = post_options(argc, argv, tables, details, 0, -1);
    rc = rc < 0 ? -1 - rc : fetch(&f, &a, &login, rc, argv + 1);
    post_login_done(&login);
    return rc;
}
