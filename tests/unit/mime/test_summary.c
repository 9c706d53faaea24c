/* mime: summaries. What is written reads back as the tree it came from; every allocation fails
 * once; what is too large says so; every damaged summary is refused without harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failing.h"
#include "summary.h"
#include "utf8.h"

enum { MEMORY = 64 * 1024 * 1024 };

static const char letter[] =
    "Return-Path: <r@x>\r\nReceived: from a by b; 1 Jan 2020 00:00:00 +0000\r\n"
    "Received: from c by d;\r\n 1 Jan 2020 00:00:00 +0000\r\n"
    "From: A <a@b>\r\nTo: G: c@d, \"E F\" <@r:e@f>;, g\r\nSubject: one\r\n two\r\n"
    "Date: 1 Jan 2020 00:00:00 +0100\r\nMessage-ID: <1@x>\r\nIn-Reply-To: x <0@x>\r\n"
    "References: <0@x>\r\n <00@x>\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n"
    "--b\r\nContent-Type: text/plain; charset=\"iso-8859-1\"\r\nContent-Language: en, de (x)\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\nContent-Disposition: inline; a=b\r\n\r\n"
    "h=E4llo\r\n\t there,   you\r\n"
    "--b\r\nContent-Type: message/rfc822\r\nContent-Description: d\r\n\r\n"
    "Subject: inner\r\n\r\nbody\r\n"
    "--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ==\r\n"
    "--b\r\nContent-Type: multipart/alternative; boundary=none\r\n\r\nx\r\n--b--\r\n";

static bool same_str(ph_str a, ph_str b)
{
    return (a.p == NULL) == (b.p == NULL) && ph_str_eq(a, b);
}

static void same_params(const struct ph_param *a, const struct ph_param *b)
{
    for (; a && b; a = a->next, b = b->next)
        assert_true(ph_str_eq(a->name, b->name) && ph_str_eq(a->value, b->value));
    assert_true(!a && !b);
}

static void same_addresses(const struct ph_address *a, const struct ph_address *b)
{
    for (; a && b; a = a->next, b = b->next)
        assert_true(a->kind == b->kind && ph_str_eq(a->name, b->name) &&
                    same_str(a->route, b->route) && same_str(a->local, b->local) &&
                    same_str(a->host, b->host));
    assert_true(!a && !b);
}

static void same_envelope(const struct ph_envelope *a, const struct ph_envelope *b)
{
    assert_true(same_str(a->subject, b->subject) && same_str(a->date, b->date) &&
                same_str(a->message_id, b->message_id) && same_str(a->references, b->references));
    assert_true(a->has_sent == b->has_sent && a->sent.time == b->sent.time &&
                a->sent.zone == b->sent.zone && a->sent.flags == b->sent.flags);
    same_addresses(a->from, b->from);
    same_addresses(a->sender, b->sender);
    same_addresses(a->reply_to, b->reply_to);
    same_addresses(a->to, b->to);
    same_addresses(a->bcc, b->bcc);
}

static void same_part(struct ph_arena *arena, struct ph_part *a, const struct ph_part *b)
{
    struct ph_envelope *e;
    assert_true(a->kind == b->kind && a->encoding == b->encoding && a->index == b->index &&
                a->depth == b->depth && a->lines == b->lines);
    assert_memory_equal(&a->header, &b->header, sizeof a->header);
    assert_memory_equal(&a->body, &b->body, sizeof a->body);
    bool kept = a->kind != PH_PART_LEAF ||
                (!ph_part_is(a, "multipart", NULL) && !ph_part_is(a, "message", NULL));
    if (kept) {
        assert_true(ph_str_eq(a->type, b->type) && ph_str_eq(a->subtype, b->subtype));
        same_params(a->params, b->params);
    }
    same_params(a->disposition_params, b->disposition_params);
    assert_true(same_str(a->id, b->id) && same_str(a->description, b->description) &&
                same_str(a->language, b->language) && same_str(a->disposition, b->disposition));
    if (b->envelope) {
        assert_int_equal(ph_mime_envelope(arena, a, &e), 0);
        same_envelope(e, b->envelope);
    }
}

static void round_trip(void **state)
{
    (void)state;
    ph_str bytes = {letter, sizeof letter - 1};
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph_buf out;
    struct ph_message *m;
    struct ph_summary *s;
    ph_buf_init(&out, NULL, PH_SUMMARY_MAX);
    assert_int_equal(ph_summary_make(bytes, &out), 0);
    assert_int_equal(ph_summary_read(arena, ph_buf_str(&out), &s), 0);
    assert_int_equal(ph_mime_parse(arena, bytes, NULL, &m), 0);
    struct ph_part *a = m->root;
    for (const struct ph_part *b = s->root; b; b = ph_part_next(b), a = ph_part_next(a))
        same_part(arena, a, b);
    assert_null(a);
    assert_false(s->partial);
    assert_true(s->has_attachments && s->has_date && s->date.time == 1577833200);
    assert_int_equal(s->size, bytes.n);
    assert_true(ph_str_eq(s->message_id, PH_STR("<1@x>")));
    assert_true(ph_str_eq(s->in_reply_to, PH_STR("<0@x>")));
    assert_true(ph_str_eq(s->references, PH_STR("<0@x> <00@x>")));
    assert_true(ph_str_eq(s->preview, PH_STR("h\xc3\xa4llo there, you")));
    assert_true(ph_str_eq(s->root->child->language, PH_STR("en,de")));
    const struct ph_part *closed = s->root->child->next->next;
    assert_true(ph_part_is(closed, "application", "octet-stream"));
    assert_true(ph_part_is(closed->next, "text", "plain"));
    ph_buf_done(&out);
    ph_arena_free(arena);
}

static void damaged(void **state)
{
    (void)state;
    struct ph_buf out;
    struct ph_summary *s;
    ph_buf_init(&out, NULL, PH_SUMMARY_MAX);
    assert_int_equal(ph_summary_make((ph_str){letter, sizeof letter - 1}, &out), 0);
    for (size_t n = 0; n < out.n; n++) {
        char *exact = malloc(n + 1);
        struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
        memcpy(exact + 1, out.p, n);
        assert_int_equal(ph_summary_read(arena, (ph_str){exact + 1, n}, &s), -PH_ECORRUPT);
        ph_arena_free(arena);
        free(exact);
    }
    for (size_t n = 0; n < out.n; n++)
        for (int bit = 0; bit < 8; bit++) {
            struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
            out.p[n] = (char)(out.p[n] ^ 1 << bit);
            if (ph_summary_read(arena, ph_buf_str(&out), &s) == 0)
                for (const struct ph_part *p = s->root; p; p = ph_part_next(p))
                    assert_true(p->body.at + p->body.n <= s->size);
            out.p[n] = (char)(out.p[n] ^ 1 << bit);
            ph_arena_free(arena);
        }
    ph_buf_done(&out);
}

static void too_large(void **state)
{
    (void)state;
    struct ph_buf big, out;
    struct ph_summary *s;
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    ph_buf_init(&big, NULL, MEMORY);
    ph_buf_init(&out, NULL, MEMORY);
    ph_buf_add(&big, PH_STR("Subject: many\r\nTo: "));
    for (int i = 0; i < 30000; i++)
        ph_buf_addf(&big, "user%d@example.test,\r\n ", i);
    ph_buf_add(&big, PH_STR("x@y\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"));
    for (int i = 0; i < 20000; i++)
        ph_buf_addf(&big, "--b\r\n\r\npart %d\r\n", i);
    assert_int_equal(ph_summary_make(ph_buf_str(&big), &out), 0);
    assert_true(out.n <= PH_SUMMARY_MAX);
    assert_int_equal(ph_summary_read(arena, ph_buf_str(&out), &s), 0);
    assert_true(s->partial && s->size == big.n);
    assert_true(ph_str_eq(s->root->envelope->subject, PH_STR("many")));
    assert_int_equal(s->root->header.n + s->root->body.n, big.n);
    ph_buf_clear(&out);
    assert_int_equal(ph_summary_full(ph_buf_str(&big), &out), 0);
    assert_int_equal(ph_summary_read(arena, ph_buf_str(&out), &s), 0);
    assert_false(s->partial);
    ph_buf_done(&big);
    ph_buf_done(&out);
    ph_arena_free(arena);
}

static void thread(void **state)
{
    (void)state;
    static const struct {
        const char *head, *ids;
    } rows[] = {
        {"Subject: x\r\n", ""},
        {"Message-ID: <a@b>\r\n", "<a@b>"},
        {"In-Reply-To: <p@b>\r\nmessage-id: <a@b>\r\n", "<a@b> <p@b>"},
        {"In-Reply-To: your letter <p@b> of today\r\n", " <p@b>"},
        {"Message-ID: <a@b>\r\nReferences: <r@b>\r\n <q@b> <p@b>\r\nIn-Reply-To: <p@b>\r\n",
         "<a@b> <p@b> <q@b> <r@b>"},
        {"Message-ID: <a@b>\r\nReferences: <1> <2> <3> <4> <5> <6> <7> <8> <9> <10>\r\n",
         "<a@b> <10> <9> <8> <7> <6> <5> <1>"},
        {"Message-ID: <a>\r\nReferences: <1> <1> <a> <1>\r\nReferences: <second>\r\n", "<a> <1>"},
        {"\r\nMessage-ID: <body>\r\n", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ph_str ids[PH_THREAD_IDS];
        char text[256] = "";
        struct ph_buf out;
        ph_buf_init(&out, NULL, MEMORY);
        assert_int_equal(ph_summary_make(ph_str_c(rows[i].head), &out), 0);
        size_t n = ph_summary_thread(ph_buf_str(&out), ids);
        assert_in_range(n, 1, PH_THREAD_IDS);
        for (size_t k = 0; k < n; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s", k ? " " : "",
                     PH_FMT(ids[k]));
        assert_string_equal(text, rows[i].ids);
        for (size_t cut = 0; cut + 1 < out.n && out.n < 4096; cut++)
            assert_in_range(ph_summary_thread((ph_str){out.p, cut}, ids), 1, PH_THREAD_IDS);
        ph_buf_done(&out);
    }
}

static void trace(void **state)
{
    (void)state;
    ph_str id;
    unsigned n;
    ph_summary_trace((ph_str){letter, sizeof letter - 1}, &id, &n);
    assert_true(ph_str_eq(id, PH_STR("<1@x>")));
    assert_int_equal(n, 2);
    ph_summary_trace(PH_STR("A: b\r\n\r\nReceived: x\r\nMessage-ID: <a@b>\r\n"), &id, &n);
    assert_true(id.n == 0 && n == 0);
    ph_summary_trace(PH_STR("Received: x\r\nno header\r\nReceived: x\r\n"), &id, &n);
    assert_int_equal(n, 1);
}

static void previews(void **state)
{
    (void)state;
    static const struct {
        const char *letter, *preview;
    } rows[] = {
        {"\r\nplain  text\r\n", "plain text"},
        {"Content-Type: text/html\r\n\r\n<style>p{}</style><p>a&amp;b<br>c</p><!-- x -->d",
         "a&b c d"},
        {"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nw6QK",
         "\xc3\xa4"},
        {"Content-Type: image/png\r\n\r\nxx", ""},
        {"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nxx", ""},
        {"\r\n", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
        struct ph_buf out;
        struct ph_summary *s;
        ph_buf_init(&out, NULL, PH_SUMMARY_MAX);
        assert_int_equal(ph_summary_make(ph_str_c(rows[i].letter), &out), 0);
        assert_int_equal(ph_summary_read(arena, ph_buf_str(&out), &s), 0);
        assert_string_equal(ph_arena_cstr(arena, s->preview), rows[i].preview);
        ph_buf_done(&out);
        ph_arena_free(arena);
    }
}

/* ---- every allocation fails once ---- */

static int read_all(struct ph_arena *arena, ph_str encoded)
{
    struct ph_summary *s;
    struct ph_message *m;
    struct ph_envelope *e;
    struct ph_attachment *a;
    int rc = ph_summary_read(arena, encoded, &s);
    if (rc == 0)
        rc = ph_mime_parse(arena, (ph_str){letter, sizeof letter - 1}, NULL, &m);
    if (rc == 0)
        rc = ph_mime_envelope(arena, m->root, &e);
    if (rc == 0)
        rc = ph_message_attachments(arena, m, &a);
    return rc < 0 ? rc : 0;
}

static void no_memory(void **state)
{
    (void)state;
    struct ph_buf out;
    ph_buf_init(&out, NULL, PH_SUMMARY_MAX);
    assert_int_equal(ph_summary_make((ph_str){letter, sizeof letter - 1}, &out), 0);
    bool done = false;
    for (long n = 0; !done; n++) {
        struct failing f = {.left = n};
        struct ph_alloc al = {&f, failing_resize};
        struct ph_arena *arena = ph_arena_new(&al, MEMORY);
        int rc = arena ? read_all(arena, ph_buf_str(&out)) : -PH_ENOMEM;
        assert_true(rc == 0 || rc == -PH_ENOMEM);
        done = rc == 0;
        ph_arena_free(arena);
        assert_int_equal(f.live, 0);
    }
    done = false;
    for (size_t max = 0; !done; max += 64) { /* the same for the limit of an arena */
        struct ph_arena *arena = ph_arena_new(NULL, max);
        int rc = read_all(arena, ph_buf_str(&out));
        assert_true(rc == 0 || rc == -PH_ENOMEM);
        done = rc == 0;
        ph_arena_free(arena);
    }
    ph_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(damaged), cmocka_unit_test(too_large),
        cmocka_unit_test(thread),     cmocka_unit_test(trace),   cmocka_unit_test(previews),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
