/* mime: the builder. What it writes reads back the same; recipients; failing sinks and sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/build.h>
#include <posthouse/mime.h>

enum { MEMORY = 64 * 1024 * 1024 };

static struct ph_arena *arena;
static struct ph_email *b;

static int set_up(void **state)
{
    (void)state;
    arena = ph_arena_new(NULL, MEMORY);
    b = ph_email_new(arena);
    ph_email_fixed(b, 1790000000, -90, 5);
    return b ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    arena = ph_arena_free(arena);
    return 0;
}

static int field(const char *name, const char *value)
{
    return ph_email_add_header(b, ph_str_c(name), ph_str_c(value), NULL);
}

static ph_str built_as(unsigned flags)
{
    struct ph_buf out;
    ph_buf_init(&out, NULL, MEMORY);
    assert_int_equal(ph_email_as_bytes(b, flags, &out, NULL), 0);
    ph_str kept = ph_arena_copy(arena, ph_buf_str(&out));
    ph_buf_done(&out);
    return kept;
}

static ph_str built(void)
{
    return built_as(0);
}

static int text(ph_str t)
{
    return ph_email_set_content(b, PH_CONTENT(.text = t), NULL);
}

static void simple(void **state)
{
    (void)state;
    assert_int_equal(field("From", "A <a@b.test>"), 0);
    assert_int_equal(field("To", "c@d.test"), 0);
    assert_int_equal(field("Subject", "Hello"), 0);
    assert_int_equal(field("Message-ID", "<1@x>"), 0);
    assert_int_equal(text(PH_STR("one\ntwo")), 0);
    static const char expected[] =
        "From: A <a@b.test>\r\nTo: c@d.test\r\nSubject: Hello\r\nMessage-ID: <1@x>\r\n"
        "Date: Mon, 21 Sep 2026 12:43:20 -0130\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=\"us-ascii\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        "one\r\ntwo\r\n";
    assert_string_equal(ph_arena_cstr(arena, built()), expected);
}

/* Values come back as they were, in both forms of the header, and no line is too long. */
static void values(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "a",
        " leading",
        "trailing ",
        "two  spaces",
        "=?utf-8?Q?looks_encoded?=",
        "\xc3\xa4",
        "plain words and then \xe6\xbc\xa2\xe5\xad\x97 and plain words again, long enough to be "
        "folded twice",
        "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5"
        "\xad\x97"
        "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5"
        "\xad\x97",
        "tab\there and control \x01 there",
        "\xf0\x9f\x99\x82 emoji \xf0\x9f\x99\x82",
    };
    for (unsigned flags = 0; flags <= PH_EMAIL_UTF8; flags++)
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            struct ph_field f;
            ph_str value;
            b = ph_email_new(arena);
            assert_int_equal(field("From", "a@b.test"), 0);
            assert_int_equal(field("X-Some-Rather-Long-Name", texts[i]), 0);
            ph_str letter = built_as(flags);
            assert_true(
                ph_field_find(ph_message_head(letter), PH_STR("x-some-rather-long-name"), 0, &f));
            assert_int_equal(ph_field_text(arena, f.value, &value), 0);
            assert_string_equal(ph_arena_cstr(arena, value), texts[i]);
            for (ph_str rest = f.all, line; ph_str_token(&rest, '\n', &line);)
                assert_true(line.n <= 79 && (line.n < 2 || ph_str_trim(line).n > 0));
        }
}

static void names(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "Alice",       "Alice B. Example", "Doe, John",     "quo\"te",
        "back\\slash", "J\xc3\xbcrgen",    "=?utf-8?Q?a?=", "\xe6\xbc\xa2 \xe5\xad\x97",
        "a@b",         "(comment)",
    };
    for (unsigned flags = 0; flags <= PH_EMAIL_UTF8; flags++)
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct ph_envelope *e;
            struct ph_message *m;
            struct ph_buf typed;
            ph_str name;
            ph_buf_init(&typed, NULL, 1000);
            ph_buf_addc(&typed, '"');
            for (const char *p = rows[i]; *p; p++) {
                if (*p == '"' || *p == '\\')
                    ph_buf_addc(&typed, '\\');
                ph_buf_addc(&typed, *p);
            }
            ph_buf_add(&typed, PH_STR("\" <a@b.test>, c@d.test"));
            b = ph_email_new(arena);
            assert_int_equal(field("From", ph_buf_cstr(&typed)), 0);
            ph_buf_done(&typed);
            assert_int_equal(ph_mime_parse(arena, built_as(flags), NULL, &m), 0);
            assert_int_equal(ph_mime_envelope(arena, m->root, &e), 0);
            assert_int_equal(ph_field_text(arena, e->from->name, &name), 0);
            assert_string_equal(ph_arena_cstr(arena, name), rows[i]);
            assert_true(e->from->next && !e->from->next->next);
        }
}

static void recipients(void **state)
{
    (void)state;
    static const char *const expected[] = {"a@b.test", "c@d.test", "\"e f\"@g.test",
                                           "h@xn--bcher-kva.test", "secret@x.test"};
    ph_str address;
    assert_int_equal(field("From", "me@x.test"), 0);
    assert_int_equal(field("To", "A <a@b.test>, c@d.test"), 0);
    assert_int_equal(field("Cc", "G: \"e f\"@g.test, a@B.TEST;"), 0);
    assert_int_equal(field("To", "h@b\xc3\xbc"
                                 "cher.test"),
                     0);
    assert_int_equal(field("Bcc", "secret@x.test"), 0);
    const char *wanted[] = {expected[0], expected[1], expected[3], expected[2], expected[4]};
    for (size_t i = 0; i < 5; i++) {
        assert_true(ph_email_recipient(b, i, &address));
        assert_string_equal(ph_arena_cstr(arena, address), wanted[i]);
    }
    assert_false(ph_email_recipient(b, 5, &address));
    assert_true(ph_email_sender(b, &address));
    assert_string_equal(ph_arena_cstr(arena, address), "me@x.test");
    assert_int_equal(ph_str_find(built(), PH_STR("secret")), PH_NPOS);
}

static void refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"Subject", "a\r\nBcc: x"},
        {"Subject", "a\n"},
        {"Sub ject", "a"},
        {"", "a"},
        {"Content-Type", "a"},
        {"Content-Transfer-Encoding", "8bit"},
        {"MIME-Version", "1.0"},
        {"To", "x"},
        {"To", ""},
        {"Message-ID", "\xc3\xa4"},
        {"Subject", "\xe4"},
        {"To", "a@b\xe4"},
        {"From", "<@>"},
    };
    struct ph_error err = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(field(rows[i][0], rows[i][1]), -PH_EINVAL);
    assert_int_equal(ph_email_add_header(b, PH_STR("X"), PH_STR("a\0b"), &err), -PH_EINVAL);
    assert_non_null(strstr(err.text, "NUL"));
    const struct ph_content *const contents[] = {
        PH_CONTENT(.text = PH_STR("\xff")),
        PH_CONTENT(.bytes = PH_STR("x"), .filename = PH_STR("a\nb")),
        PH_CONTENT(.bytes = PH_STR("x"), .filename = PH_STR("a\xff")),
        PH_CONTENT(.bytes = PH_STR("x"), .type = PH_STR("text")),
        PH_CONTENT(.bytes = PH_STR("x"), .type = PH_STR("multipart/mixed")),
        PH_CONTENT(.bytes = PH_STR("x"), .type = PH_STR("a/b; c=\"d\r\nX: y\"")),
        PH_CONTENT(.bytes = PH_STR("x"), .disposition = PH_STR("in line")),
        PH_CONTENT(.bytes = PH_STR("x"), .cid = PH_STR("a>\r\nX: y")),
        PH_CONTENT(.bytes = PH_STR("x"), .text = PH_STR("x")),
        PH_CONTENT(.text = PH_STR("x"), .type = PH_STR("text/plain; charset=koi8-r")),
        PH_CONTENT(.path = PH_STR("/nonexistent/file")),
        PH_CONTENT(.message = b),
    };
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        int wrong = contents[i]->path.n ? -PH_EIO : -PH_EINVAL;
        assert_int_equal(ph_email_add_attachment(b, contents[i], NULL, &err), wrong);
        assert_int_equal(ph_email_set_content(b, contents[i], &err), wrong);
    }
    assert_false(ph_email_is_multipart(b)); /* a failure leaves the message as it was */
    assert_int_equal(field("To", "\xc3\xa4@b.test"), 0);
    assert_true(ph_email_needs_utf8(b));
    struct ph_buf out;
    ph_buf_init(&out, NULL, MEMORY);
    assert_int_equal(ph_email_as_bytes(b, 0, &out, &err), -PH_EINVAL);
    assert_non_null(strstr(err.text, "SMTPUTF8"));
    assert_int_equal(ph_email_as_bytes(b, PH_EMAIL_UTF8, &out, &err), 0);
    ph_buf_done(&out);
}

/* A boundary that stands in the text is not used: seeds give known boundaries. */
static void boundary(void **state)
{
    (void)state;
    const struct ph_content *file = PH_CONTENT(.bytes = PH_STR("x"), .filename = PH_STR("a.bin"));
    struct ph_message *m;
    ph_str mark, again;
    assert_int_equal(field("Message-ID", "<1@x>"), 0);
    assert_int_equal(text(PH_STR("x")), 0);
    assert_int_equal(ph_email_add_attachment(b, file, NULL, NULL), 0);
    assert_int_equal(ph_mime_parse(arena, built(), NULL, &m), 0);
    assert_int_equal(ph_param_get(arena, m->root->params, PH_STR("boundary"), &mark), 0);
    for (size_t before = 0; before < 60000; before += 29184 - 20) { /* at the edge of a piece too */
        b = ph_email_new(arena);
        ph_email_fixed(b, 1, 0, 5);
        assert_int_equal(field("Message-ID", "<1@x>"), 0);
        char *lines = ph_arena_get(arena, before + 100);
        memset(lines, 'x', before);
        for (size_t i = 60; i < before; i += 60)
            lines[i] = '\n';
        size_t n = before + (size_t)sprintf(lines + before, "\n--%.*s\nb\n", PH_FMT(mark));
        assert_int_equal(text((ph_str){lines, n}), 0);
        assert_int_equal(ph_email_add_attachment(b, file, NULL, NULL), 0);
        assert_int_equal(ph_mime_parse(arena, built(), NULL, &m), 0);
        assert_int_equal(m->part_count, 3);
        assert_int_equal(ph_param_get(arena, m->root->params, PH_STR("boundary"), &again), 0);
        assert_false(ph_str_eq(mark, again));
        assert_true(ph_str_eq(built(), m->bytes)); /* again the same */
    }
    struct ph_error err;
    struct ph_buf out;
    ph_buf_init(&out, NULL, MEMORY);
    assert_int_equal(ph_email_set_boundary(b, PH_STR("b"), &err), 0);
    assert_int_equal(ph_email_as_bytes(b, 0, &out, &err), -PH_EINVAL);
    assert_int_equal(out.n, 0);
    assert_int_equal(ph_email_set_boundary(b, PH_STR("not inside"), &err), 0);
    assert_int_equal(ph_email_as_bytes(b, 0, &out, &err), 0);
    assert_int_equal(ph_email_set_boundary(b, PH_STR("ends with space "), &err), -PH_EINVAL);
    assert_int_equal(ph_email_set_boundary(b, PH_STR("a\r\nb"), &err), -PH_EINVAL);
    ph_buf_done(&out);
}

static int64_t letters(void *ctx, uint64_t at, char *to, size_t n)
{
    uint64_t size = *(const uint64_t *)ctx;
    if (size == UINT64_MAX)
        return -PH_EIO;
    uint64_t left = at < size ? size - at : 0;
    n = left < n ? (size_t)left : n;
    memset(to, 'x', n);
    return (int64_t)n;
}

/* What a stream gives in pieces is what is written at once; its memory does not grow. */
/* ph_stream_read gives the same, whatever it is asked for. */
static void read_piecemeal(ph_str whole)
{
    static const size_t sizes[] = {1, 7, 4096, 1 << 20};
    static char to[1 << 20];
    struct ph_stream *s;
    int64_t n;
    size_t at = 0, turn = 0;
    assert_int_equal(ph_email_stream(b, 0, &s, NULL), 0);
    while ((n = ph_stream_read(s, to, sizes[turn++ % 4], NULL)) > 0) {
        assert_true(ph_str_eq((ph_str){to, (size_t)n}, ph_str_sub(whole, at, (size_t)n)));
        at += (size_t)n;
    }
    assert_int_equal(n, 0);
    assert_int_equal(at, whole.n);
    ph_stream_free(s);
}

static void streamed(void **state)
{
    (void)state;
    uint64_t size = 8 * 1024 * 1024;
    const struct ph_source source = {&size, letters};
    struct ph_stream *s;
    struct ph_buf all;
    ph_str piece;
    ph_buf_init(&all, NULL, MEMORY);
    assert_int_equal(field("From", "a@b.test"), 0);
    assert_int_equal(text(PH_STR("see the file")), 0);
    assert_int_equal(ph_email_add_attachment(b, PH_CONTENT(.source = &source), NULL, NULL), 0);
    assert_int_equal(ph_email_message_id(b).n > 0, 1);
    size_t used = ph_arena_used(arena), pieces = 0;
    int rc;
    assert_int_equal(ph_email_stream(b, 0, &s, NULL), 0);
    while ((rc = ph_stream_next(s, &piece, NULL)) > 0) {
        assert_true(piece.n > 0 && piece.n <= 2 * PH_EMAIL_CHUNK);
        ph_buf_add(&all, piece);
        pieces++;
    }
    assert_int_equal(rc, 0);
    s = ph_stream_free(s);
    assert_true(pieces > 60);
    assert_int_equal(ph_arena_used(arena), used);
    assert_true(ph_str_eq(ph_buf_str(&all), built()));
    read_piecemeal(ph_buf_str(&all));
    size = UINT64_MAX;
    assert_int_equal(ph_email_stream(b, 0, &s, NULL), 0);
    while ((rc = ph_stream_next(s, &piece, NULL)) > 0)
        continue;
    assert_int_equal(rc, -PH_EIO);
    assert_int_equal(ph_stream_next(s, &piece, NULL), -PH_EIO);
    ph_stream_free(s);
    ph_buf_done(&all);
}

/* A text of every kind of length and line end comes back whole, cut where it may be. */
static void texts(void **state)
{
    (void)state;
    static const char *const units[] = {"a",          "a\n",  "a b\r\n", "\xc3\xa4",
                                        "\xc3\xa4\n", "a \n", "\r"};
    static const size_t sizes[] = {0, 1, 997, 998, 999, 1000, 29183, 29184, 29185, 70000};
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct ph_buf in, got;
            struct ph_message *m;
            ph_buf_init(&in, NULL, MEMORY);
            ph_buf_init(&got, NULL, MEMORY);
            while (in.n < sizes[i])
                ph_buf_add(&in, ph_str_c(units[u]));
            struct ph_mark mark = ph_arena_mark(arena);
            b = ph_email_new(arena);
            assert_int_equal(text(in.p ? ph_buf_str(&in) : PH_STR("")), 0);
            ph_str letter = built_as(i % 2 ? PH_EMAIL_8BIT : 0);
            for (ph_str rest = letter, line; ph_str_token(&rest, '\n', &line);)
                assert_true(line.n <= 999);
            assert_int_equal(ph_mime_parse(arena, letter, NULL, &m), 0);
            assert_int_equal(m->defect_count, 0);
            assert_int_equal(ph_part_text(m, m->root, &got), 0);
            size_t at = 0; /* what went in, with LF and an end for its last line */
            for (size_t k = 0; k < in.n; k++) {
                if (in.p[k] == '\r' && k + 1 < in.n && in.p[k + 1] == '\n')
                    continue;
                assert_true(at < got.n && got.p[at] == (in.p[k] == '\r' ? '\n' : in.p[k]));
                at++;
            }
            assert_true(got.n == at || (got.n == at + 1 && got.p[at] == '\n'));
            ph_buf_done(&in);
            ph_buf_done(&got);
            ph_arena_back(arena, mark);
        }
}

/* ---- the tree ---- */

/* "mixed(alternative(plain html) png)" */
static void describe(struct ph_buf *out, struct ph_email *e)
{
    ph_buf_add(out, ph_email_get_content_subtype(e));
    if (!ph_email_iter_parts(e, NULL))
        return;
    ph_buf_addc(out, '(');
    for (struct ph_email *c = NULL; (c = ph_email_iter_parts(e, c));) {
        if (c != ph_email_iter_parts(e, NULL))
            ph_buf_addc(out, ' ');
        describe(out, c);
    }
    ph_buf_addc(out, ')');
}

static void assert_shape(struct ph_email *e, const char *expected)
{
    struct ph_buf out;
    ph_buf_init(&out, NULL, 1000);
    describe(&out, e);
    assert_string_equal(ph_buf_cstr(&out), expected);
    ph_buf_done(&out);
}

/* As Python's EmailMessage does it. */
static void parts(void **state)
{
    (void)state;
    struct ph_email *html, *picture, *file;
    struct ph_error err;
    assert_int_equal(text(PH_STR("plain")), 0);
    assert_shape(b, "plain");
    assert_int_equal(
        ph_email_add_alternative(b, PH_CONTENT(.text = PH_STR("<p>"), .type = PH_STR("text/html")),
                                 &html, &err),
        0);
    assert_shape(b, "alternative(plain html)");
    assert_int_equal(
        ph_email_add_related(html, PH_CONTENT(.bytes = PH_STR("x"), .filename = PH_STR("a.png")),
                             &picture, &err),
        0);
    assert_shape(b, "alternative(plain related(html png))");
    assert_int_equal(ph_email_add_related(b, PH_CONTENT(.bytes = PH_STR("x")), NULL, &err),
                     -PH_EINVAL);
    assert_int_equal(
        ph_email_add_attachment(b, PH_CONTENT(.bytes = PH_STR("x"), .filename = PH_STR("b.pdf")),
                                &file, &err),
        0);
    assert_shape(b, "mixed(alternative(plain related(html png)) pdf)");
    assert_int_equal(ph_email_make_alternative(b, &err), -PH_EINVAL);
    assert_true(ph_str_eq(ph_email_get_content_disposition(picture), PH_STR("inline")));
    assert_true(ph_str_eq(ph_email_get_filename(file), PH_STR("b.pdf")));
    assert_true(ph_email_is_attachment(file) && !ph_email_is_attachment(picture));
    assert_true(ph_str_eq(ph_email_get_content_type(file), PH_STR("application/pdf")));
    assert_ptr_equal(ph_email_iter_attachments(b, NULL), file);
    assert_null(ph_email_iter_attachments(b, file));
    assert_true(
        ph_str_eq(ph_email_get_content(ph_email_get_body(b, "plain html")), PH_STR("plain")));
    assert_true(ph_str_eq(ph_email_get_content(ph_email_get_body(b, "html plain")), PH_STR("<p>")));
    assert_true(
        ph_str_eq(ph_email_get_content_subtype(ph_email_get_body(b, NULL)), PH_STR("related")));
    int count = 0;
    for (struct ph_email *e = NULL; (e = ph_email_walk(b, e));)
        count++;
    assert_int_equal(count, 7);
}

static void by_kind(void **state)
{
    (void)state;
    struct ph_email *report, *part, *inner = ph_email_new(arena);
    struct ph_message *m;
    struct ph_error err;
    assert_int_equal(ph_mime_multipart(arena, PH_STR("report"), &report, &err), 0);
    assert_int_equal(ph_email_set_param(report, PH_STR("Content-Type"), PH_STR("report-type"),
                                        PH_STR("delivery-status"), &err),
                     0);
    assert_int_equal(ph_mime_text(arena, PH_STR("plain"), PH_STR("sorry\n"), &part, &err), 0);
    assert_int_equal(ph_email_attach(report, part, &err), 0);
    assert_int_equal(ph_email_attach(report, part, &err), -PH_EINVAL);
    assert_int_equal(ph_mime_base(arena, PH_STR("message/delivery-status"),
                                  PH_CONTENT(.text = PH_STR("Action: failed\n")), &part, &err),
                     0);
    assert_int_equal(ph_email_attach(part, report, &err), -PH_EINVAL);
    assert_int_equal(ph_email_add_attachment(part, PH_CONTENT(.bytes = PH_STR("x")), NULL, &err),
                     -PH_EINVAL);
    assert_int_equal(ph_email_attach(report, part, &err), 0);
    assert_int_equal(
        ph_email_add_header(inner, PH_STR("Subject"), PH_STR("gr\xc3\xbc\xc3\x9f"), &err), 0);
    assert_int_equal(ph_email_set_content(inner, PH_CONTENT(.text = PH_STR("in\n")), &err), 0);
    assert_int_equal(ph_mime_message(arena, inner, &part, &err), 0);
    assert_int_equal(ph_email_attach(report, part, &err), 0);
    assert_int_equal(ph_email_attach(inner, report, &err), -PH_EINVAL);
    assert_int_equal(ph_mime_image(arena, PH_CONTENT(.bytes = PH_STR("x")), &part, &err),
                     -PH_EINVAL);
    assert_int_equal(ph_mime_image(arena,
                                   PH_CONTENT(.bytes = PH_STR("x"), .filename = PH_STR("x.GIF")),
                                   &part, &err),
                     0);
    assert_int_equal(ph_mime_audio(arena,
                                   PH_CONTENT(.bytes = PH_STR("x"), .type = PH_STR("audio/ogg")),
                                   &part, &err),
                     0);
    assert_int_equal(ph_mime_application(arena, PH_CONTENT(.bytes = PH_STR("x")), &part, &err), 0);
    b = report;
    for (unsigned flags = 0; flags <= PH_EMAIL_UTF8; flags++) {
        assert_int_equal(ph_mime_parse(arena, built_as(flags), NULL, &m), 0);
        assert_int_equal(m->part_count, 5);
        assert_true(flags || m->defect_count == 0);
        const struct ph_part *last = m->root->child->next->next;
        assert_true(ph_part_is(last, "message", flags ? "global" : "rfc822"));
        assert_true(ph_part_is(m->root->child->next, "message", "delivery-status"));
        assert_int_equal(last->encoding, flags ? PH_ENC_8BIT : PH_ENC_7BIT);
        assert_int_equal(m->root->encoding, flags ? PH_ENC_8BIT : PH_ENC_7BIT);
    }
}

static void fields(void **state)
{
    (void)state;
    ph_str name, value;
    assert_int_equal(field("X-A", "1"), 0);
    assert_int_equal(field("X-B", "2"), 0);
    assert_int_equal(field("x-a", "3"), 0);
    assert_int_equal(field("Subject", "s"), 0);
    assert_int_equal(field("Subject", "s"), -PH_EINVAL);
    assert_int_equal(ph_email_set_header(b, PH_STR("X-A"), PH_STR("4"), NULL), 0);
    assert_int_equal(ph_email_replace_header(b, PH_STR("X-C"), PH_STR("5"), NULL), -PH_ENOENT);
    assert_int_equal(ph_email_replace_header(b, PH_STR("Subject"), PH_STR("t"), NULL), 0);
    assert_true(ph_email_header(b, 0, &name, &value));
    assert_true(ph_str_eq(name, PH_STR("X-A")) && ph_str_eq(value, PH_STR("4")));
    assert_true(ph_email_header(b, 2, &name, &value));
    assert_true(ph_str_eq(name, PH_STR("Subject")) && ph_str_eq(value, PH_STR("t")));
    assert_false(ph_email_header(b, 3, &name, &value));
    assert_int_equal(ph_email_del(b, PH_STR("x-b")), 1);
    assert_null(ph_email_get(b, PH_STR("X-B")).p);
    assert_int_equal(field("Content-Type", "application/x-y; a=\"b c\"; d=e"), 0);
    assert_true(
        ph_str_eq(ph_email_get_param(b, PH_STR("content-type"), PH_STR("A")), PH_STR("b c")));
    assert_int_equal(ph_email_del_param(b, PH_STR("content-type"), PH_STR("a")), 1);
    assert_null(ph_email_get_param(b, PH_STR("content-type"), PH_STR("a")).p);
    assert_int_equal(field("Content-Disposition", "attachment; filename=x"), 0);
    assert_int_equal(ph_email_del(b, PH_STR("Content-Disposition")), 1);
    assert_null(ph_email_get_filename(b).p);
}

/* ---- the common letter ---- */

static void letter(void **state)
{
    (void)state;
    const struct ph_content pictures[] = {{.filename = PH_STR("logo.png"), .bytes = PH_STR("1")},
                                          {.cid = PH_STR("own@id.test"), .bytes = PH_STR("2")}};
    const struct ph_content files[] = {{.filename = PH_STR("a.pdf"), .bytes = PH_STR("3")}};
    static const struct {
        const char *html;
        int rc;
        const char *tells;
    } rows[] = {
        {"<img src=\"cid:1\"><img src='cid:2'>", 0, NULL},
        {"<img src=CID:logo.png><p style=\"background:url(cid:own@id.test)\">", 0, NULL},
        {"<img src=cid:1><img src=cid:2><img src=cid:3>", -PH_ENOENT, "cid:3"},
        {"<img src=cid:1><p>placid:2", -PH_ENOENT, "own@id.test"},
        {"<img src=cid:own@id.test>", -PH_ENOENT, "logo.png"},
    };
    struct ph_error err;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_email *m;
        int rc = ph_letter_build(arena,
                                 PH_LETTER(.from = PH_STR("a@b.test"),
                                           .html = ph_str_c(rows[i].html), .pictures = pictures,
                                           .picture_count = 2, .files = files, .file_count = 1),
                                 &m, &err);
        assert_int_equal(rc, rows[i].rc);
        if (rc) {
            assert_non_null(strstr(err.text, rows[i].tells));
            continue;
        }
        assert_shape(m, "mixed(related(alternative(plain html) png octet-stream) pdf)");
        assert_int_equal(ph_email_check_cids(m, &err), 0);
        ph_str html = ph_email_get_content(ph_email_get_body(m, "html"));
        assert_true(ph_str_find(html, PH_STR("own@id.test")) != PH_NPOS);
        assert_true(ph_str_find(html, PH_STR("@b.test")) != PH_NPOS);
    }
}

/* Each memory that cannot be had is told of, and nothing is lost. */
static int fail_at;

static void *failing(void *ctx, void *p, size_t old, size_t now)
{
    (void)ctx;
    if (now && fail_at-- == 0)
        return NULL;
    return ph_resize(NULL, p, old, now);
}

static void no_memory(void **state)
{
    (void)state;
    const struct ph_alloc al = {NULL, failing};
    const struct ph_content picture = {.filename = PH_STR("\xc3\xa4.png"), .bytes = PH_STR("1")};
    int rc = -PH_ENOMEM;
    for (int i = 0; rc == -PH_ENOMEM; i++) {
        fail_at = i;
        struct ph_arena *small = ph_arena_new(&al, MEMORY);
        struct ph_email *m;
        struct ph_buf out;
        ph_buf_init(&out, &al, MEMORY);
        rc = !small ? -PH_ENOMEM
                    : ph_letter_build(small,
                                      PH_LETTER(.from = PH_STR("a@b\xc3\xa4.test"),
                                                .subject = PH_STR("\xc3\xa4"),
                                                .html = PH_STR("<img src=cid:1>"),
                                                .pictures = &picture, .picture_count = 1),
                                      &m, NULL);
        if (rc == 0)
            rc = ph_email_as_bytes(m, 0, &out, NULL);
        assert_true(rc == 0 || rc == -PH_ENOMEM);
        ph_buf_done(&out);
        ph_arena_free(small);
        assert_true(i < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(simple, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(recipients, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(boundary, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streamed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(letter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
