/* text: transfer encodings cut in every way, charsets, encoded words, HTML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "html_strip.h"
#include "utf8.h"
#include "words.h"

enum { MEMORY = 16 * 1024 * 1024 };

static void decode(enum ph_encoding e, ph_str in, size_t step, struct ph_buf *out)
{
    struct ph_decoder d;
    ph_buf_clear(out);
    ph_decoder_init(&d, e);
    for (ph_str rest = in; rest.n; rest = ph_str_skip(rest, step))
        ph_decoder_feed(&d, ph_str_sub(rest, 0, step), out);
    ph_decoder_end(&d, out);
    assert_int_equal(ph_buf_err(out), 0);
}

static void decoders(void **state)
{
    (void)state;
    static const struct {
        enum ph_encoding e;
        const char *in, *out;
    } rows[] = {
        {PH_ENC_BASE64, "", ""},
        {PH_ENC_BASE64, "QQ==", "A"},
        {PH_ENC_BASE64, "QUI=", "AB"},
        {PH_ENC_BASE64, "QUJD", "ABC"},
        {PH_ENC_BASE64, "QU\r\nJD", "ABC"},
        {PH_ENC_BASE64, "Q!U?J*D", "ABC"},
        {PH_ENC_BASE64, "QQ==QUI=QUJD", "AABABC"},
        {PH_ENC_BASE64, "QQ", "A"},
        {PH_ENC_BASE64, "QUI", "AB"},
        {PH_ENC_BASE64, "Q", ""},
        {PH_ENC_BASE64, "====", ""},
        {PH_ENC_BASE64, "\xff\x80QUJD\xff", "ABC"},
        {PH_ENC_QP, "", ""},
        {PH_ENC_QP, "plain\r\n", "plain\r\n"},
        {PH_ENC_QP, "a=\r\nb", "ab"},
        {PH_ENC_QP, "a=\nb", "ab"},
        {PH_ENC_QP, "a= \t\r\nb", "ab"},
        {PH_ENC_QP, "a=20\r\n", "a \r\n"},
        {PH_ENC_QP, "a \t \r\nb", "a\r\nb"},
        {PH_ENC_QP, "a \nb ", "a\nb"},
        {PH_ENC_QP, "=41=4a=4B", "AJK"},
        {PH_ENC_QP, "=4", "=4"},
        {PH_ENC_QP, "=", ""},
        {PH_ENC_QP, "a=", "a"},
        {PH_ENC_QP, "=zz=4z==41", "=zz=4z=A"},
        {PH_ENC_QP, "a b = c", "a b = c"},
        {PH_ENC_QP, "a\rb", "a\rb"},
        {PH_ENC_UUENCODE, "x\nbegin 644 a\n#0V%T\n`\nend\nx", "Cat"},
        {PH_ENC_UUENCODE, "begin 644 a\r\n#0V%T\r\n \r\nend\r\n", "Cat"},
        {PH_ENC_UUENCODE, "no begin\n#0V%T\n", ""},
        {PH_ENC_8BIT, "as = it\r\n is", "as = it\r\n is"},
    };
    struct ph_buf out;
    ph_buf_init(&out, NULL, MEMORY);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t step = 1; step <= strlen(rows[i].in) + 1; step++) {
            decode(rows[i].e, ph_str_c(rows[i].in), step, &out);
            assert_string_equal(ph_buf_cstr(&out), rows[i].out);
        }
    ph_buf_done(&out);
}

/* With vectors and without: the same bytes and the same count of errors. */
static void decoders_wide(void **state)
{
    (void)state;
    typedef void feeder(struct ph_decoder *, ph_str, struct ph_buf *);
    static const struct {
        enum ph_encoding encoding;
        feeder *wide, *plain;
        const char *usual, *odd;
    } rows[] = {
        {PH_ENC_BASE64, ph__b64_feed, ph__b64_feed_plain,
         "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl"
         "mnopqrstuvwxyz0123456789+/",
         "\r\n=*\x80\xff @[`{,-.:"},
        {PH_ENC_QP, ph__qp_feed, ph__qp_feed_plain, "plain text that goes on and on",
         "==AF09ag\r\n\r\n   \t"},
    };
    struct ph_buf one, two;
    ph_buf_init(&one, NULL, MEMORY);
    ph_buf_init(&two, NULL, MEMORY);
    srand(5);
    for (size_t round = 0; round < 8000; round++) {
        size_t r = round % 2, n = (size_t)rand() % 500, dense = (size_t)rand() % 100 + 1;
        char *in = malloc(n + 1); /* the sanitizer sees a step behind it */
        for (size_t i = 0; i < n; i++)
            in[i] = (size_t)rand() % dense ? rows[r].usual[(size_t)rand() % strlen(rows[r].usual)]
                                           : rows[r].odd[(size_t)rand() % strlen(rows[r].odd)];
        for (size_t i = 76; r == 0 && dense > 50 && i + 1 < n; i += 78) {
            in[i] = '\r';
            in[i + 1] = '\n';
        }
        struct ph_decoder a, b;
        ph_decoder_init(&a, rows[r].encoding);
        ph_decoder_init(&b, rows[r].encoding);
        ph_buf_done(&one);
        ph_buf_done(&two);
        rows[r].wide(&a, (ph_str){in, n}, &one);
        rows[r].plain(&b, (ph_str){in, n}, &two);
        ph_decoder_end(&a, &one);
        ph_decoder_end(&b, &two);
        assert_true(ph_str_eq(ph_buf_str(&one), ph_buf_str(&two)));
        assert_int_equal(a.errors, b.errors);
        free(in);
    }
    ph_buf_done(&one);
    ph_buf_done(&two);
}

/* What the encoders write decodes to what it was, for every way of cutting. */
static void encoders(void **state)
{
    (void)state;
    struct ph_buf coded, back;
    char in[400];
    ph_buf_init(&coded, NULL, MEMORY);
    ph_buf_init(&back, NULL, MEMORY);
    srand(3);
    for (int round = 0; round < 2000; round++) {
        struct ph_b64_encoder b64 = {0};
        struct ph_qp_encoder qp = {0};
        size_t n = (size_t)rand() % sizeof in, cut = n ? (size_t)rand() % n : 0;
        for (size_t i = 0; i < n; i++)
            in[i] = (char)(round % 2 ? rand() : " \n=a.F\t"[rand() % 7]);
        for (size_t i = 0; i < n; i++) /* text has no CR */
            in[i] = in[i] == '\r' ? 'x' : in[i];
        ph_buf_clear(&coded);
        ph_b64_encoder_feed(&b64, (ph_str){in, cut}, &coded);
        ph_b64_encoder_feed(&b64, (ph_str){in + cut, n - cut}, &coded);
        ph_b64_encoder_end(&b64, &coded);
        ph_buf_clear(&back); /* with vectors and without */
        ph__b64_encoder_feed_plain(&b64, (ph_str){in, n}, &back);
        ph_b64_encoder_end(&b64, &back);
        assert_true(ph_str_eq(ph_buf_str(&back), ph_buf_str(&coded)));
        decode(PH_ENC_BASE64, ph_buf_str(&coded), n + 1, &back);
        assert_true(ph_str_eq(ph_buf_str(&back), (ph_str){in, n}));
        ph_buf_clear(&coded);
        ph_qp_encoder_feed(&qp, (ph_str){in, cut}, &coded);
        ph_qp_encoder_feed(&qp, (ph_str){in + cut, n - cut}, &coded);
        ph_qp_encoder_end(&qp, &coded);
        for (ph_str rest = ph_buf_str(&coded), line; ph_str_token(&rest, '\n', &line);)
            assert_true(line.n <= 77);
        decode(PH_ENC_QP, ph_buf_str(&coded), n + 1, &back);
        size_t to = 0;
        for (size_t i = 0; i < back.n; i++)
            if (back.p[i] != '\r')
                back.p[to++] = back.p[i];
        assert_true(ph_str_eq((ph_str){back.p, to}, (ph_str){in, n}));
    }
    ph_buf_done(&coded);
    ph_buf_done(&back);
}

static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t valid;
    } rows[] = {
        {"abc", 3},
        {"\xc3\xa4", 2},
        {"\xc3", 0},
        {"a\xc0\x80", 1},
        {"\xe0\x80\x80", 0},
        {"\xe2\x82\xac", 3},
        {"\xed\xa0\x80", 0},
        {"\xf0\x9f\x99\x82", 4},
        {"\xf4\x90\x80\x80", 0},
        {"\xf8\x88\x80\x80\x80", 0},
        {"\x80", 0},
        {"abcdefgh\xff", 8},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(ph_utf8_valid(ph_str_c(rows[i].in)), rows[i].valid);
}

static void charsets(void **state)
{
    (void)state;
    static const struct {
        const char *charset, *in, *out;
        int bad;
    } rows[] = {
        {"utf-8",
         "a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b",
         1},
        {"us-ascii", "\xe4", "\xc3\xa4", 0},
        {"iso-8859-1", "\xc3\xa4", "\xc3\xa4", 0},
        {"iso-8859-15", "\xa4", "\xe2\x82\xac", 0},
        {"\"ISO-8859-2\"", "\xb9", "\xc5\xa1", 0},
        {"iso-2022-jp", "\x1b$B$3\x1b(B", "\xe3\x81\x93", 0},
        {"iso-2022-jp", "\xa4\xb3", "\xe3\x81\x93", 0}, /* EUC under a wrong label */
        {"gb2312", "\x81\x30\x81\x30", "\xc2\x80", 0},
        {"gb2312", "\xff", "\xef\xbf\xbd", 1},
        {"hz-gb-2312", "~{VP~}", "\xe4\xb8\xad", 0},
        {"utf-16",
         "\xfe\xff\x00"
         "a",
         "a", 0},
        {"x-unknown", "\xe4", "\xc3\xa4", 0},
        {"../../etc", "a", "a", 0},
    };
    struct ph_buf out;
    ph_buf_init(&out, NULL, MEMORY);
    struct ph_charsets *loaded = ph_charset_preload();
    assert_non_null(loaded);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ph_str in =
            strcmp(rows[i].charset, "utf-16") ? ph_str_c(rows[i].in) : (ph_str){rows[i].in, 4};
        ph_buf_clear(&out);
        assert_int_equal(ph_charset_decode(ph_str_c(rows[i].charset), in, &out), rows[i].bad);
        assert_string_equal(ph_buf_cstr(&out), rows[i].out);
    }
    ph_buf_done(&out);
    ph_charset_unload(loaded);
}

/* Encoded words: at most 75 characters each, at most 76 a line, whole characters, the shorter
 * encoding. */
/* Whatever the bytes and the label, UTF-8 comes out, and not more bytes are bad than there are. */
static void charsets_random(void **state)
{
    (void)state;
    static const ph_str labels[] = {
#define PH_CHARSET(kind, name, key) PH_STR_INIT(key),
#include "charsets.def"
    };
    enum { LONGEST = 40, ROUNDS = 12 };
    uint32_t seed = 20261122;
    struct ph_buf out;
    ph_buf_init(&out, NULL, MEMORY);
    for (size_t i = 0; i < sizeof labels / sizeof labels[0] * ROUNDS; i++) {
        char bytes[LONGEST];
        size_t n = i % (LONGEST + 1);
        for (size_t j = 0; j < n; j++) {
            seed = seed * 1664525 + 1013904223;
            bytes[j] = (char)(seed >> 24);
            if (seed >> 8 & 1) /* more of what switches sets */
                bytes[j] = "\033$(B)C~{}+-\xff\xfe\xef\xbb\x8e"[seed >> 9 & 15];
        }
        ph_buf_clear(&out);
        int bad = ph_charset_decode(labels[i / ROUNDS], (ph_str){bytes, n}, &out);
        assert_in_range(bad, 0, n);
        assert_true(ph_utf8_is_valid(ph_buf_str(&out)));
    }
    ph_buf_done(&out);
}

static void encoded_words(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"\xc3\xa4", "=?utf-8?B?w6Q=?="},
        {"plain words \xc3\xa4", "=?utf-8?Q?plain_words_=C3=A4?="},
        {"\xe6\xbc\xa2", "=?utf-8?B?5ryi?="},
    };
    struct ph_buf out;
    ph_buf_init(&out, NULL, MEMORY);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned col = 0;
        ph_buf_clear(&out);
        ph_words_encode(&out, ph_str_c(rows[i].in), &col);
        assert_string_equal(ph_buf_cstr(&out), rows[i].out);
        assert_int_equal(col, out.n);
    }
    struct ph_buf text;
    ph_buf_init(&text, NULL, MEMORY);
    for (int n = 0; n < 300; n++) {
        unsigned col = (unsigned)n % 80;
        ph_buf_add(&text, n % 3 ? PH_STR("\xf0\x9f\x99\x82") : PH_STR("a"));
        ph_buf_clear(&out);
        ph_words_encode(&out, ph_buf_str(&text), &col);
        for (ph_str rest = ph_buf_str(&out), word; ph_str_token(&rest, ' ', &word);)
            assert_true(word.n <= 77);
        struct ph_buf back;
        ph_buf_init(&back, NULL, MEMORY);
        ph_words_decode(&back, ph_str_trim(ph_buf_str(&out)));
        assert_true(ph_str_eq(ph_buf_str(&back), ph_buf_str(&text)));
        ph_buf_done(&back);
    }
    ph_buf_done(&text);
    ph_buf_done(&out);
}

static void html(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", ""},
        {"text", "text\n"},
        {"<p>one</p><p>two</p>", "one\n\ntwo\n"},
        {"<div>one</div><div><div>two</div></div>", "one\ntwo\n"},
        {"a  \n b<br>c<br><br>d", "a b\nc\n\nd\n"},
        {"<a href=\"http://x/\">link</a>.", "link <http://x/>.\n"},
        {"<a href=\"http://x/\">http://x/</a>", "http://x/\n"},
        {"<a href=\"mailto:a@b\">a@b</a>", "a@b\n"},
        {"<ul><li>one<li>two<ul><li>in</ul></ul>after", "* one\n* two\n  * in\n\nafter\n"},
        {"<ol><li>one<li>two</ol>", "1. one\n2. two\n"},
        {"<blockquote>q<br>r</blockquote>a", "> q\n> r\n\na\n"},
        {"<pre>\n a\n  b</pre>", " a\n  b\n"},
        {"a<pre>x\n\ny</pre>b", "a\n\nx\n\ny\n\nb\n"},
        {"<blockquote><p>q<p>r<blockquote>s</blockquote></blockquote>", "> q\n>\n> r\n>\n> > s\n"},
        {"<table border=1><tr><td>1<td>2<tr><td><td>4</table>", "1 | 2\n| 4\n"},
        {"<table><tr><th>a<th>b<tr><td>1<td>2</table>c", "a | b\n1 | 2\n\nc\n"},
        {"<table border=0><tr><td>1<td><table border=1><tr><td>x<td>y</table><td>3</table>",
         "1\n\nx | y\n\n3\n"},
        {"a<span style='color:red; display : none'>b<p>c<br></span>d", "ad\n"},
        {"<div style=\"display:none\">a<div>b</div>c</div>d", "d\n"},
        {"a&nbsp;&nbsp; b<p>&nbsp;</p>c", "a b\n\nc\n"},
        {"a&shy;b&#8203;&#847;c", "abc\n"},
        {"<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n3\n"},
        {"<style>x</style><script>y</script><title>t</title>z", "z\n"},
        {"&auml;&#8364;&lt;", "\xc3\xa4\xe2\x82\xac<\n"},
        {"<img alt=\"pic\" src=x>", "pic\n"},
        {"<p>unclosed <b>bold", "unclosed bold\n"},
        {"a<hr>b", "a\n\n---\nb\n"},
    };
    struct ph_buf out;
    ph_buf_init(&out, NULL, MEMORY);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ph_buf_clear(&out);
        assert_int_equal(ph_html_text(ph_str_c(rows[i].in), &out), 0);
        assert_string_equal(ph_buf_cstr(&out), rows[i].out);
    }
    struct ph_buf deep;
    ph_buf_init(&deep, NULL, MEMORY);
    for (int i = 0; i < 100000; i++)
        ph_buf_add(&deep, PH_STR("<b><i>"));
    for (int i = 0; i < 100000; i++)
        ph_buf_add(&deep, PH_STR("x</u>"));
    assert_int_equal(ph_html_text(ph_buf_str(&deep), &out), 0);
    ph_buf_done(&deep);
    ph_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders),      cmocka_unit_test(decoders_wide),
        cmocka_unit_test(encoders),      cmocka_unit_test(utf8),
        cmocka_unit_test(charsets),      cmocka_unit_test(charsets_random),
        cmocka_unit_test(encoded_words), cmocka_unit_test(html),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
