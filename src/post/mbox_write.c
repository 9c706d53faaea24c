/*
 * A letter as mbox has it (mboxrd), from pieces cut anywhere.
 *
 *   head ---------> line start -----------> within a line
 *   (kept until     (">"s and letters of    (passed on; a CR waits
 *   it is whole)    "From " are counted)    for its LF)
 *                        ^----------- LF -----------'
 */
#include "sink.h"
#include <posthouse/mime.h>
#include <string.h>
#include <time.h>

enum { ARENA_MAX = 16 * 1024 * 1024 };

static const char from_word[] = "From ";
enum { FROM_WORD = sizeof from_word - 1 };

/* "From sender Sun Nov 22 19:53:48 2026": who by Return-Path or From, when by Date, else now. */
static void from_line(ph_str head, struct ph_buf *out)
{
    struct ph_arena *arena = ph_arena_new(NULL, ARENA_MAX);
    struct ph_address *a = NULL;
    struct ph_field f;
    struct ph_date d;
    char when[40];
    struct tm tm;
    time_t t = time(NULL);
    if (arena && (ph_field_find(head, PH_STR("Return-Path"), 0, &f) ||
                  ph_field_find(head, PH_STR("From"), 0, &f)))
        (void)!ph_address_parse(arena, f.value, &a);
    ph_str who = a && a->host.n
                     ? ph_arena_printf(arena, "%.*s@%.*s", PH_FMT(a->local), PH_FMT(a->host))
                     : PH_STR("MAILER-DAEMON");
    ph_buf_add(out, PH_STR("From "));
    for (size_t i = 0; i < who.n; i++) /* one word */
        ph_buf_addc(out, (unsigned char)who.p[i] <= ' ' ? '-' : who.p[i]);
    if (ph_field_find(head, PH_STR("Date"), 0, &f) && ph_date_parse(f.value, &d) == 0)
        t = (time_t)d.time;
    gmtime_r(&t, &tm);
    strftime(when, sizeof when, " %a %b %e %H:%M:%S %Y\n", &tm);
    ph_buf_add(out, ph_str_c(when));
    ph_arena_free(arena);
}

void post_mbox_writer_init(struct post_mbox_writer *w)
{
    *w = (struct post_mbox_writer){0};
    ph_buf_init(&w->head, NULL, 2 * POST_MBOX_HEAD);
}

void post_mbox_writer_done(struct post_mbox_writer *w)
{
    ph_buf_done(&w->head);
}

/* What was counted at the beginning of a line is written; is_from: it was a From line. */
static void write_start(struct post_mbox_writer *w, bool is_from, struct ph_buf *out)
{
    for (size_t i = 0; i < w->quotes + is_from; i++)
        ph_buf_addc(out, '>');
    ph_buf_add(out, (ph_str){from_word, w->matched});
    w->quotes = w->matched = 0;
    w->within = true;
}

/* True: the byte is counted, or ended the counting as the last one of "From ". */
static bool counts(struct post_mbox_writer *w, char c, struct ph_buf *out)
{
    if (w->matched == 0 && c == '>') {
        w->quotes++;
        return true;
    }
    if (c == from_word[w->matched]) {
        if (++w->matched == FROM_WORD)
            write_start(w, true, out);
        return true;
    }
    write_start(w, false, out);
    return false;
}

/* A line's bytes, of which the last may be its LF; CRLF becomes LF. */
static void write_rest(struct post_mbox_writer *w, ph_str s, struct ph_buf *out)
{
    bool end = s.p[s.n - 1] == '\n';
    if (end)
        s.n--;
    if (w->cr && (s.n || !end))
        ph_buf_addc(out, '\r');
    w->cr = s.n ? s.p[s.n - 1] == '\r' : w->cr && !end;
    ph_buf_add(out, (ph_str){s.p, s.n - (s.n && w->cr)});
    if (!end)
        return;
    ph_buf_addc(out, '\n');
    w->cr = w->within = false;
}

static void write_lines(struct post_mbox_writer *w, ph_str s, struct ph_buf *out)
{
    while (s.n) {
        if (!w->within && counts(w, s.p[0], out)) {
            s = ph_str_skip(s, 1);
            continue;
        }
        size_t end = ph_str_chr(s, '\n');
        ph_str line = end == PH_NPOS ? s : ph_str_sub(s, 0, end + 1);
        write_rest(w, line, out);
        s = ph_str_skip(s, line.n);
    }
}

static void finish(struct post_mbox_writer *w, struct ph_buf *out)
{
    if (w->quotes || w->matched)
        write_start(w, false, out);
    if (w->within)
        ph_buf_addc(out, '\n');
    ph_buf_addc(out, '\n');
    ph_buf_clear(&w->head);
    w->begun = w->within = w->cr = false;
}

/* The header is whole: behind the `seen` bytes that were looked at, or at the limit. */
static bool has_head(ph_str s, size_t seen)
{
    ph_str fresh = ph_str_skip(s, seen > 3 ? seen - 3 : 0);
    return s.n >= POST_MBOX_HEAD || ph_str_find(fresh, PH_STR("\n\n")) != PH_NPOS ||
           ph_str_find(fresh, PH_STR("\n\r\n")) != PH_NPOS;
}

int post_mbox_write(struct post_mbox_writer *w, ph_str piece, bool last, struct ph_buf *out)
{
    ph_str part;
    while (!w->begun && (piece.n || last)) {
        size_t seen = w->head.n;
        part = ph_str_sub(piece, 0, POST_MBOX_HEAD);
        piece = ph_str_skip(piece, part.n);
        ph_buf_add(&w->head, part);
        w->begun = (last && piece.n == 0) || has_head(ph_buf_str(&w->head), seen);
        if (w->begun) {
            from_line(ph_message_head(ph_buf_str(&w->head)), out);
            write_lines(w, ph_buf_str(&w->head), out);
        }
    }
    int rc = ph_buf_err(&w->head) ? -PH_ENOMEM : 0;
    write_lines(w, piece, out);
    if (last)
        finish(w, out);
    return rc < 0 || ph_buf_err(out) ? -PH_ENOMEM : 0;
}
