/* mime: what a reader shows (text, HTML, preview, attachments, reports) and the values that lead
 * there (lists, cid: and mid:, domains, flowed text). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "failing.h"
#include "mime_int.h"
#include "utf8.h"

enum { MEMORY = 64 * 1024 * 1024 };

static struct ph_arena *arena;
static struct ph_buf out;

static int set_up(void **state)
{
    (void)state;
    arena = ph_arena_new(NULL, MEMORY);
    ph_buf_init(&out, NULL, MEMORY);
    return arena ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    ph_buf_done(&out);
    arena = ph_arena_free(arena);
    return 0;
}

static struct ph_message *parsed(const char *text)
{
    struct ph_message *m;
    assert_int_equal(ph_mime_parse(arena, ph_str_c(text), NULL, &m), 0);
    return m;
}

static void assert_out(const char *want)
{
    assert_string_equal(ph_buf_cstr(&out), want);
    ph_buf_clear(&out);
}

static void assert_str(ph_str s, const char *want)
{
    assert_string_equal(ph_arena_cstr(arena, s), want);
}

#define MULTI(sub, b) "Content-Type: multipart/" sub "; boundary=" b "\r\n\r\n"
#define PART(b, type, text) "--" b "\r\nContent-Type: " type "\r\n\r\n" text "\r\n"
#define END(b) "--" b "--\r\n"

/* ---- views ---- */

static void show_list(const struct ph_body *b)
{
    ph_buf_addc(&out, '[');
    for (; b; b = b->next)
        ph_buf_addf(&out, "%.*s%s", 1, b->part->subtype.p, b->next ? " " : "");
    ph_buf_addc(&out, ']');
}

/* Message; lists of text and HTML by the first letter of the subtype; attachments; text. */
static void views(void **state)
{
    (void)state;
    static const struct {
        const char *mail, *lists;
        int attachments;
        const char *text, *html;
    } rows[] = {
        {"\r\nhello\r\n", "[p][p]", 0, "hello\n", "<pre>hello\n</pre>\n"},
        {"Content-Type: text/html\r\n\r\n<b>hello</b>", "[h][h]", 0, "hello\n", "<b>hello</b>"},
        {"Content-Type: application/pdf\r\n\r\nx", "[][]", 1, "", ""},
        {"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nx", "[][]", 1, "", ""},
        {MULTI("alternative", "b") PART("b", "text/plain", "P") PART("b", "text/html", "<i>H</i>")
             END("b"),
         "[p][h]", 0, "P", "<i>H</i>"},
        {MULTI("alternative", "b") PART("b", "text/html", "<i>H</i>") END("b"), "[h][h]", 0, "H\n",
         "<i>H</i>"},
        {MULTI("alternative", "b") PART("b", "text/plain", "P") END("b"), "[p][p]", 0, "P",
         "<pre>P</pre>\n"},
        {MULTI("alternative", "b") PART("b", "text/plain", "P")
             PART("b", "text/calendar", "BEGIN:VCALENDAR") END("b"),
         "[p][p]", 0, "P", "<pre>P</pre>\n"},
        {MULTI("mixed", "b") PART("b", "text/plain", "one") PART("b", "image/png", "x")
             PART("b", "text/plain", "two") END("b"),
         "[p p][p p]", 1, "one\ntwo", "<pre>one</pre>\n<pre>two</pre>\n"},
        {MULTI("mixed", "b") PART("b", "text/plain", "one")
             PART("b", "text/plain; name=a.txt", "two") END("b"),
         "[p][p]", 1, "one", "<pre>one</pre>\n"},
        {MULTI("mixed", "b") PART("b", "text/plain; name=a.txt", "one") END("b"), "[p][p]", 0,
         "one", "<pre>one</pre>\n"},
        {MULTI("related", "b") PART("b", "text/html", "H") PART("b", "image/gif", "x")
             PART("b", "text/html", "frame") END("b"),
         "[h][h]", 2, "H\n", "H"},
        {MULTI("mixed", "a") "--a\r\n" MULTI("alternative", "b") PART(
             "b", "text/plain", "P") "--b\r\n" MULTI("related", "c") PART("c", "text/html", "H")
             PART("c", "image/gif", "x") END("c") END("b") PART("a", "text/plain", "foot") END("a"),
         "[p p][h p]", 1, "P\nfoot", "H<pre>foot</pre>\n"},
        {MULTI("alternative", "a") PART("a", "text/plain", "P") "--a\r\n" MULTI("mixed", "b")
             PART("b", "text/html", "H") PART("b", "image/png", "x") PART("b", "text/html", "I")
                 END("b") END("a"),
         "[p][h h]", 1, "P", "HI"},
        {MULTI("mixed", "a") PART("a", "text/plain", "P")
             PART("a", "message/rfc822", "Subject: x\r\n\r\ninner") END("a"),
         "[p][p]", 1, "P", "<pre>P</pre>\n"},
        {"Content-Type: text/plain; format=flowed\r\n\r\none \r\ntwo\r\n", "[p][p]", 0, "one two\n",
         "<pre>one two\n</pre>\n"},
        {"Content-Type: text/plain; format=flowed; delsp=yes\r\n\r\none \r\ntwo\r\n", "[p][p]", 0,
         "onetwo\n", "<pre>onetwo\n</pre>\n"},
        {"Content-Type: text/plain; charset=utf-8\r\n\r\n\xef\xbb\xbfmark", "[p][p]", 0, "mark",
         "<pre>mark</pre>\n"},
        {"\r\n1 < 2 & \"3\" > 2", "[p][p]", 0, "1 < 2 & \"3\" > 2",
         "<pre>1 &lt; 2 &amp; &quot;3&quot; &gt; 2</pre>\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].mail);
        const struct ph_message *m = parsed(rows[i].mail);
        struct ph_view view;
        struct ph_attachment *files;
        assert_int_equal(ph_message_view(arena, m, &view), 0);
        show_list(view.text);
        show_list(view.html);
        assert_out(rows[i].lists);
        assert_int_equal(ph_message_attachments(arena, m, &files), rows[i].attachments);
        assert_int_equal(ph_message_text(m, &out), 0);
        assert_out(rows[i].text);
        assert_int_equal(ph_message_html(m, NULL, NULL, &out), 0);
        assert_out(rows[i].html);
        assert_true((view.text != NULL) == (ph_message_text_part(m) != NULL));
    }
    const struct ph_message *m = parsed(MULTI("mixed", "a") PART("a", "text/calendar", "x")
                                            PART("a", "text/calendar", "y") END("a"));
    struct ph_view view;
    assert_int_equal(ph_message_view(arena, m, &view), 0);
    assert_ptr_equal(view.calendar, m->root->child);
    assert_null(view.report);
}

static void link_part(void *ctx, const struct ph_part *p, struct ph_buf *to)
{
    (void)ctx;
    ph_buf_addf(to, "/part/%u", p->index);
}

static void pictures(void **state)
{
    (void)state;
    static const struct {
        const char *html, *want;
    } rows[] = {
        {"<img src=\"cid:a@x\">", "<img src=\"/part/2\">"},
        {"<img src='cid:b%40x'>", "<img src='/part/3'>"},
        {"<img src=CID:a@x>", "<img src=/part/2>"},
        {"<td background=\"cid:b@x\" style=\"background:url(cid:a@x)\">",
         "<td background=\"/part/3\" style=\"background:url(/part/2)\">"},
        {"<img src=\"cid:none\">", "<img src=\"cid:none\">"},
        {"acid:a@x", "acid:a@x"},
        {"cid:", "cid:"},
        {"<img src=\"cid:a@x", "<img src=\"/part/2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ph_str mail = ph_arena_printf(
            arena,
            MULTI("related", "b") "--b\r\nContent-Type: text/html\r\n\r\n%s\r\n"
                                  "--b\r\nContent-Type: image/png\r\nContent-ID: <a@x>\r\n\r\n1\r\n"
                                  "--b\r\nContent-Type: image/png\r\nContent-ID: b@x\r\n\r\n2\r\n"
                                  "--b--\r\n",
            rows[i].html);
        assert_int_equal(ph_message_html(parsed(mail.p), link_part, NULL, &out), 0);
        assert_out(rows[i].want);
    }
}

static void previews(void **state)
{
    (void)state;
    static const struct {
        const char *mail;
        size_t most;
        const char *want;
    } rows[] = {
        {"\r\n  one\r\n\t two\x01\r\n", 200, "one two"},
        {"\r\none two", 3, "one"},
        {"\r\none two", 4, "one"},
        {"\r\none two", 5, "one t"},
        {"\r\none two", 0, ""},
        {"\r\n", 200, ""},
        {"Content-Type: text/plain; charset=utf-8\r\n\r\näöü", 2, "äö"},
        {"Content-Type: text/html\r\n\r\n<style>x{}</style><p>a</p><p>b &amp; c", 200, "a b & c"},
        {"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=", 200,
         "hello"},
        {"Content-Type: image/png\r\n\r\nx", 200, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ph_buf_add(&out, PH_STR("> "));
        assert_int_equal(ph_message_preview(parsed(rows[i].mail), rows[i].most, &out), 0);
        assert_out(ph_arena_printf(arena, "> %s", rows[i].want).p);
    }
    ph_str style =
        ph_arena_printf(arena, "Content-Type: text/html\r\n\r\n<style>%*s</style>word", 20000, "x");
    assert_int_equal(ph_message_preview(parsed(style.p), 200, &out), 0);
    assert_out("word");
}

/* ---- names of attachments ---- */

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *params, *want;
    } rows[] = {
        {"name=a.txt", "a.txt"},
        {"name=\"../../etc/passwd\"", "passwd"},
        {"name=\"C:\\\\dir\\\\x.exe\"", "x.exe"},
        {"name=\"/etc/\"", "part.bin"},
        {"name=\"..\"", "part.bin"},
        {"name=\".bashrc\"", "bashrc"},
        {"name=\"a. . \"", "a"},
        {"name=\"a .txt\"", "a.txt"},
        {"name=\"a:b*c?d.txt\"", "a_b_c_d.txt"},
        {"name=\"a\tb\x7f.txt\"", "a_b_.txt"},
        {"name=\"CON\"", "_CON"},
        {"name=\"nul.txt\"", "_nul.txt"},
        {"name=\"com7.tar.gz\"", "_com7.tar.gz"},
        {"name=\"com.txt\"", "com.txt"},
        {"name=\"console\"", "console"},
        {"name*=utf-8''%E2%80%AEtxt.exe", "_txt.exe"},
        {"name*=utf-8''a%E2%80%8Bb", "a_b"},
        {"name*=utf-8''a%00b", "a_b"},
        {"name*=utf-8''a%2Fb", "b"},
        {"name*=utf-8''%D8%9Ca", "_a"},
        {"name*=utf-8''%F3%A0%81%81a", "_a"},
        {"name*=utf-8''%E4%BD%A0%E5%A5%BD.doc", "你好.doc"},
        {"x=y", "part.bin"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ph_str mail = ph_arena_printf(arena, "Content-Type: a/b; %s\r\n\r\nx", rows[i].params);
        struct ph_attachment *a;
        assert_int_equal(ph_message_attachments(arena, parsed(mail.p), &a), 1);
        assert_str(a->name, rows[i].want);
    }
}

/* Many of one name, names that only differ in case, and long ones: all safe, all different. */
static void names_unique(void **state)
{
    (void)state;
    enum { PARTS = 300 };
    struct ph_buf mail;
    struct ph_attachment *first;
    struct ph_message *m;
    ph_buf_init(&mail, NULL, MEMORY);
    ph_buf_add(&mail, PH_STR(MULTI("mixed", "b")));
    for (int i = 0; i < PARTS; i++) {
        static const char *const given[] = {"a.txt", "A.TXT", "a-3.txt"};
        ph_buf_addf(&mail, "--b\r\nContent-Type: a/b; name=\"%s\"\r\n\r\n\r\n", given[i % 3]);
    }
    ph_buf_add(&mail, PH_STR("--b\r\nContent-Type: a/b; name=\""));
    for (int i = 0; i < 300; i++)
        ph_buf_add(&mail, PH_STR("ä"));
    ph_buf_add(&mail, PH_STR(".jpeg\"\r\n\r\n\r\n--b--"));
    assert_int_equal(ph_mime_parse(arena, ph_buf_str(&mail), NULL, &m), 0);
    assert_int_equal(ph_message_attachments(arena, m, &first), PARTS + 1);
    for (const struct ph_attachment *a = first; a; a = a->next) {
        assert_true(a->name.n <= 200 && ph_utf8_is_valid(a->name));
        for (const struct ph_attachment *b = a->next; b; b = b->next)
            assert_false(ph_str_ieq(a->name, b->name));
        if (!a->next) {
            assert_true(ph_str_has_suffix(a->name, PH_STR("ä.jpeg")));
        }
    }
    ph_buf_done(&mail);
}

/* ---- values ---- */

static void show_urls(const char *name, const struct ph_url *u)
{
    for (; u; u = u->next)
        ph_buf_addf(&out, " %s=%.*s", name, PH_FMT(u->url));
}

static void lists(void **state)
{
    (void)state;
    static const struct {
        const char *head, *want;
    } rows[] = {
        {"", "|"},
        {"List-Id: List Header Mailing List <list-header.nisto.com>\r\n",
         "list-header.nisto.com|List Header Mailing List"},
        {"List-Id: <a.b>\r\n", "a.b|"},
        {"List-Id: a.b\r\n", "a.b|"},
        {"List-Id: \"A, B\" <a.b>\r\n", "a.b|A, B"},
        {"List-Id: =?utf-8?Q?J=C3=A4?= <a.b>\r\nList-ID: <c.d>\r\n", "a.b|Jä"},
        {"List-Help: <mailto:list@host.com?subject=help> (List Instructions)\r\n",
         "| help=mailto:list@host.com?subject=help"},
        {"List-Unsubscribe: (Use this command) <http://a/\r\n b>,\r\n <mailto:x@y>\r\n",
         "| unsubscribe=http://a/b unsubscribe=mailto:x@y"},
        {"List-Post: NO (posting not allowed on this list)\r\n", "| no-post"},
        {"List-Post: <mailto:moderator@host.com> (Postings are Moderated)\r\n",
         "| post=mailto:moderator@host.com"},
        {"List-Owner: <mailto:a@b>\r\nList-Archive: <http://c>\r\nList-Subscribe: <mailto:d>\r\n",
         "| subscribe=mailto:d owner=mailto:a@b archive=http://c"},
        {"List-Unsubscribe: <https://a/b>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
         "| unsubscribe=https://a/b one-click"},
        {"List-Unsubscribe: <http://a/b>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
         "| unsubscribe=http://a/b"},
        {"List-Unsubscribe: <https://a/b>\r\nList-Unsubscribe-Post: x\r\n",
         "| unsubscribe=https://a/b"},
        {"List-Help: <a\r\nList-Post: <>\r\n", "|"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_list l;
        assert_int_equal(ph_list_parse(arena, ph_str_c(rows[i].head), &l), 0);
        ph_buf_addf(&out, "%.*s|%.*s", PH_FMT(l.id), PH_FMT(l.name));
        show_urls("help", l.help);
        show_urls("subscribe", l.subscribe);
        show_urls("unsubscribe", l.unsubscribe);
        show_urls("post", l.post);
        show_urls("owner", l.owner);
        show_urls("archive", l.archive);
        ph_buf_addf(&out, "%s%s", l.no_post ? " no-post" : "", l.one_click ? " one-click" : "");
        assert_out(rows[i].want);
    }
}

static void mids(void **state)
{
    (void)state;
    static const struct {
        const char *url, *want;
    } rows[] = {
        {"cid:foo4*foo1@bar.net", "|foo4*foo1@bar.net"},
        {"cid:foo4%25foo1@bar.net", "|foo4%foo1@bar.net"},
        {"mid:960830.1639@XIson.com", "960830.1639@XIson.com|"},
        {"mid:960830.1639@XIson.com/partA.960830.1639@XIson.com",
         "960830.1639@XIson.com|partA.960830.1639@XIson.com"},
        {"MID:a%2Fb@c/d", "a/b@c|d"},
        {"cid:a/b", "|a/b"},
        {"cid:%3Ca@b%3E", "|a@b"},
        {" cid:a%zz ", "|a%zz"},
    };
    static const char *const wrong[] = {"", "cid:", "mid:", "mid:/", "http://a", "ci", "acid:x"};
    struct ph_mid mid;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(ph_mid_parse(arena, ph_str_c(rows[i].url), &mid), 0);
        ph_buf_addf(&out, "%.*s|%.*s", PH_FMT(mid.message_id), PH_FMT(mid.content_id));
        assert_out(rows[i].want);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(ph_mid_parse(arena, ph_str_c(wrong[i]), &mid), -PH_ESYNTAX);
    const struct ph_message *m =
        parsed(MULTI("mixed", "a") "--a\r\nContent-Type: message/rfc822\r\n\r\n"
                                   "Content-ID: <x@y>\r\n\r\ninner\r\n"
                                   "--a\r\nContent-ID: <x@y>\r\n\r\nouter\r\n--a--\r\n");
    assert_ptr_equal(ph_part_by_id(m->root, PH_STR("x@y")), m->root->child->next);
    assert_ptr_equal(ph_part_by_id(m->root, PH_STR("<x@y>")), m->root->child->next);
    assert_ptr_equal(ph_part_by_id(m->root->child, PH_STR("x@y")), m->root->child->child);
    assert_null(ph_part_by_id(m->root, PH_STR("")));
    assert_null(ph_part_by_id(m->root, PH_STR("y@x")));
}

static void hosts(void **state)
{
    (void)state;
    static const struct {
        const char *unicode, *ascii; /* NULL: no valid domain */
    } rows[] = {
        {"example.org", "example.org"},
        {"bücher.example", "xn--bcher-kva.example"},
        {"straße.example", "xn--strae-oqa.example"},
        {"例え.テスト", "xn--r8jz45g.xn--zckzah"},
        {"[192.0.2.1]", "[192.0.2.1]"},
        {"ü[", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int rc = ph_host_ascii(ph_str_c(rows[i].unicode), &out);
        assert_int_equal(rc, rows[i].ascii ? 0 : -PH_EINVAL);
        assert_out(rows[i].ascii ? rows[i].ascii : "");
        if (!rows[i].ascii)
            continue;
        assert_int_equal(ph_host_unicode(ph_str_c(rows[i].ascii), &out), 0);
        assert_out(rows[i].unicode);
    }
    assert_int_equal(ph_host_unicode(PH_STR("xn--\xff"), &out), 0);
    assert_out("xn--\xef\xbf\xbd");
    assert_int_equal(ph_host_ascii(PH_STR(""), &out), -PH_EINVAL);
    struct ph_address *a;
    assert_int_equal(
        ph_address_parse(arena, PH_STR("=?utf-8?Q?J=C3=BCrgen?= <\"a b\"@xn--bcher-kva.test>"), &a),
        1);
    assert_int_equal(ph_address_text(a, &out), 0);
    assert_out("Jürgen <\"a b\"@bücher.test>");
}

/* ---- flowed ---- */

static void flowed(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool del_sp;
        const char *want;
    } rows[] = {
        {"", false, ""},
        {"a \nb\n", false, "a b\n"},
        {"a \r\nb\r\n", false, "a b\n"},
        {"a \nb \nc", false, "a b c\n"},
        {"a\nb\n", false, "a\nb\n"},
        {"a \n\nb\n", false, "a \nb\n"},
        {"a ", false, "a \n"},
        {" stuffed\n From me\n  two\n", false, "stuffed\nFrom me\n two\n"},
        {"> a \n> b\n", false, "> a b\n"},
        {">a \n>b\n", false, "> a b\n"},
        {">> a \n> b\n", false, ">> a \n> b\n"},
        {"a \n> b\n", false, "a \n> b\n"},
        {">\n", false, ">\n"},
        {"text \n-- \nname\n", false, "text \n-- \nname\n"},
        {"> -- \n> x\n", false, "> -- \n> x\n"},
        {"a \nb\n", true, "ab\n"},
        {"a  \nb\n", true, "a b\n"},
        {"\xe4\xbd\xa0 \n\xe5\xa5\xbd\n", true, "\xe4\xbd\xa0\xe5\xa5\xbd\n"},
        {">>>Well, how \n>>> many \n>> do you\n", false, ">>> Well, how many \n>> do you\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(ph_flowed_decode(ph_str_c(rows[i].in), rows[i].del_sp, &out), 0);
        assert_out(rows[i].want);
    }
}

/* What is written is within the width, and reads back as it was. */
static void flowed_round(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "short\n",
        "The quick brown fox jumps over the lazy dog and runs on until the line is far too long.\n",
        "> The quick brown fox jumps over the lazy dog and runs on until it is far too long.\n",
        ">>> a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n\n",
        "  indented words that go on and on and on and on and on and on and on and on and on\n",
        "From the beginning\n\n-- \nThe signature\n",
        "averyverylongwordthatcannotbebrokenanywhereatallbecausetherearenospacesinitnotone more\n",
        "words with  two  spaces  each  which  must  come  back  as  they  were  all  of  them "
        "ok\n",
        "Äußerst lange Wörter für einen überlangen Satz über Öl, ähnlich dünn und größer als "
        "möglich.\n",
    };
    struct ph_buf again;
    ph_buf_init(&again, NULL, MEMORY);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (unsigned width = 20; width <= 100; width++) {
            ph_buf_clear(&again);
            assert_int_equal(ph_flowed_encode(ph_str_c(texts[i]), width, &out), 0);
            assert_int_equal(ph_flowed_decode(ph_buf_str(&out), false, &again), 0);
            for (ph_str rest = ph_buf_str(&out), line; ph_str_token(&rest, '\n', &line);) {
                size_t chars = 0;
                for (size_t j = 0; j < line.n; j++)
                    chars += (line.p[j] & 0xc0) != 0x80;
                assert_true(chars <= width + 1 ||
                            ph_str_find(line, PH_STR("averyvery")) != PH_NPOS);
            }
            assert_string_equal(ph_buf_cstr(&again), texts[i]);
            ph_buf_clear(&out);
        }
    ph_buf_done(&again);
}

/* ---- reports ---- */

static const char delivery[] =
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    "--b\r\n\r\nIt did not work.\r\n"
    "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Original-Envelope-ID: env1\r\nReporting-MTA: DNS; cs.utk.edu\r\n"
    "Arrival-Date: Thu, 7 Jul 1994 17:15:49 -0400\r\n\r\n"
    "Original-Recipient: rfc822;louisl@larry.slip.umd.edu\r\n"
    "Final-Recipient: rfc822; louisl@larry.slip.umd.edu (a comment)\r\n"
    "Action: failed\r\nStatus: 4.0.0 (no more)\r\nRemote-MTA: dns; larry.slip.umd.edu\r\n"
    "Diagnostic-Code: smtp; 426 connection timed\r\n out\r\n"
    "Last-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400\r\n\r\n\r\n"
    "Final-Recipient: x@y\r\nAction: DELAYED\r\nStatus: 4.4.1\r\n"
    "Will-Retry-Until: Thu, 7 Jul 1994 17:15:49 -0400\r\nFinal-Log-ID: 42\r\n\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ninner\r\n--b--\r\n";

static void reports(void **state)
{
    (void)state;
    const struct ph_message *m = parsed(delivery);
    struct ph_view view;
    struct ph_report r;
    assert_int_equal(ph_message_view(arena, m, &view), 0);
    assert_ptr_equal(view.report, m->root);
    assert_int_equal(ph_report_parse(arena, m, view.report, &r), 0);
    assert_int_equal(r.kind, PH_REPORT_DELIVERY);
    assert_ptr_equal(r.text, m->root->child);
    assert_ptr_equal(r.status, m->root->child->next);
    assert_ptr_equal(r.original, m->root->child->next->next);
    assert_str(r.envelope_id, "env1");
    assert_str(r.reporting_mta.type, "dns");
    assert_str(r.reporting_mta.value, "cs.utk.edu");
    assert_true(r.has_arrival && r.arrival.time == 773615749);
    assert_int_equal(r.recipient_count, 2);
    const struct ph_report_recipient *to = r.recipients;
    assert_str(to->original.type, "rfc822");
    assert_str(to->original.value, "louisl@larry.slip.umd.edu");
    assert_int_equal(to->action, PH_ACTION_FAILED);
    assert_str(to->status, "4.0.0");
    assert_str(to->remote_mta.value, "larry.slip.umd.edu");
    assert_str(to->diagnostic.value, "426 connection timed out");
    assert_true(to->has_last_attempt && !to->has_retry_until);
    to = to->next;
    assert_str(to->final.type, "");
    assert_str(to->final.value, "x@y");
    assert_int_equal(to->action, PH_ACTION_DELAYED);
    assert_true(!to->has_last_attempt && to->has_retry_until);
    assert_str(to->log_id, "42");
    assert_null(to->next);
    assert_int_equal(ph_report_parse(arena, m, m->root->child, &r), -PH_ENOENT);
    assert_int_equal(ph_report_parse(arena, m, m->root->child->next, &r), 0);
    assert_int_equal(r.recipient_count, 2);
}

static void notifications(void **state)
{
    (void)state;
    const struct ph_message *m = parsed(
        MULTI("report",
              "b") "--b\r\n\r\nRead.\r\n"
                   "--b\r\nContent-Type: message/disposition-notification\r\n"
                   "Content-Transfer-Encoding: base64\r\n\r\n"
                   "UmVwb3J0aW5nLVVBOiB4CkZpbmFsLVJlY2lwaWVudDogcmZjODIyOyBhQGIKT3JpZ2luYWwtTWVz"
                   "c2FnZS1JRDogPG1AeD4KRGlzcG9zaXRpb246IG1hbnVhbC1hY3Rpb24vTUROLXNlbnQtbWFudWFs"
                   "bHk7IGRpc3BsYXllZAo=\r\n--b--\r\n");
    struct ph_report r;
    assert_int_equal(ph_report_parse(arena, m, m->root, &r), 0);
    assert_int_equal(r.kind, PH_REPORT_DISPOSITION);
    assert_str(r.original_message_id, "<m@x>");
    assert_str(r.disposition, "manual-action/MDN-sent-manually; displayed");
    assert_int_equal(r.recipient_count, 1);
    assert_str(r.recipients->final.value, "a@b");
    m = parsed(MULTI("mixed", "b") PART("b", "text/plain", "x") END("b"));
    assert_int_equal(ph_report_parse(arena, m, m->root, &r), -PH_ENOENT);
}

/* ---- no memory: every allocation fails once ---- */

static int use_all(const struct ph_alloc *al, const char *mail)
{
    struct ph_arena *a = ph_arena_new(al, MEMORY);
    struct ph_message *m;
    struct ph_view view;
    struct ph_report report;
    struct ph_list list;
    struct ph_attachment *files;
    struct ph_mid mid;
    struct ph_buf text;
    ph_buf_init(&text, al, MEMORY);
    int rc = a ? ph_mime_parse(a, ph_str_c(mail), NULL, &m) : -PH_ENOMEM;
    if (rc == 0)
        rc = ph_message_view(a, m, &view);
    if (rc == 0 && view.report)
        rc = ph_report_parse(a, m, view.report, &report);
    if (rc == 0)
        rc = ph_list_parse(a, m->root->head, &list);
    if (rc == 0 && ph_message_attachments(a, m, &files) < 0)
        rc = -PH_ENOMEM;
    if (rc == 0)
        rc = ph_mid_parse(a, PH_STR("mid:a/b"), &mid);
    if (rc == 0)
        rc = ph_message_text(m, &text);
    if (rc == 0)
        rc = ph_message_html(m, link_part, NULL, &text);
    if (rc == 0)
        rc = ph_message_preview(m, 200, &text);
    ph_buf_done(&text);
    ph_arena_free(a);
    return rc;
}

static void no_memory(void **state)
{
    (void)state;
    static const char *const mails[] = {
        delivery,
        "List-Id: =?utf-8?Q?=C3=A4?= <x>\r\nList-Post: <a>, <b>\r\n" MULTI("related", "b")
            PART("b", "text/html", "<img src=cid:a>") PART("b", "image/png\r\nContent-ID: <a>", "x")
                END("b"),
    };
    for (size_t i = 0; i < sizeof mails / sizeof mails[0]; i++) {
        int rc = -1, n = 0;
        for (; rc && n < 1000; n++) {
            struct failing f = {n};
            rc = use_all(&(struct ph_alloc){&f, failing_resize}, mails[i]);
            assert_true(rc == 0 || rc == -PH_ENOMEM);
        }
        assert_true(n > 3 && rc == 0);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(views), T(pictures), T(previews),     T(names),   T(names_unique),  T(lists),     T(mids),
        T(hosts), T(flowed),   T(flowed_round), T(reports), T(notifications), T(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
