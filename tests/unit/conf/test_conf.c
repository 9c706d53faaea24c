/* conf: files with mistakes and what is said about them, values, rows to the processes and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf_int.h"
#include "ipc.h"
#include "transport.h"

static char folder[] = "/tmp/test_conf.XXXXXX";
static char said[8192];

static void complain(void *ctx, const char *where, const char *what)
{
    size_t n = strlen(said);
    (void)ctx;
    snprintf(said + n, sizeof said - n, "%s: %s\n", where + strlen(folder) + 1, what);
}

static void write_file(const char *name, const char *text, char *ret_path)
{
    snprintf(ret_path, 128, "%s/%s", folder, name);
    FILE *f = fopen(ret_path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int read_text(struct ph_conf *c, const char *text)
{
    char path[128];
    write_file("c", text, path);
    said[0] = 0;
    return ph_conf_read(c, path, complain, NULL);
}

static const struct {
    const char *text, *said;
} mistakes[] = {
    {"", ""},
    {"# nothing\n", ""},
    {"hostname = a.test\nmax_hops = 30\n", ""},
    {"hostnam = a.test\n", "c:1: unknown setting \"hostnam\", did you mean \"hostname\"?\n"},
    {"\n\nqwertyuiop = 1\n", "c:3: unknown setting \"qwertyuiop\"\n"},
    {"max_hops = 5\n", "c:1: max_hops: 5 is out of range, 10 to 1000 are allowed\n"},
    {"max_hops = many\n", "c:1: max_hops: \"many\" is not a whole number\n"},
    {"max_message_size = 5X\n", "c:1: max_message_size: \"5X\" is not a size like 64M or 512K\n"},
    {"max_message_size = 5\n", "c:1: max_message_size: 5 is out of range, 1K to 1G are allowed\n"},
    {"max_message_size = 99999999999999999999G\n",
     "c:1: max_message_size: 99999999999999999999G is out of range, 1K to 1G are allowed\n"},
    {"idle_timeout = 5\n", "c:1: idle_timeout: \"5\" is not a duration like 30s, 5m, 4h or 2d\n"},
    {"idle_timeout = 5s\n", "c:1: idle_timeout: 5s is out of range, 1m to 1d are allowed\n"},
    {"journey = perhaps\n", "c:1: journey: \"perhaps\" is neither true nor false\n"},
    {"relay_tls = always\n", "c:1: relay_tls: \"always\" is not one of may|encrypt|verify\n"},
    {"smarthost = mail.b.test\n", "c:1: smarthost: \"mail.b.test\" is not host:port\n"},
    {"relay_source = here\n", "c:1: relay_source: \"here\" is not an IP address\n"},
    {"hostname = \"a b\"\n", "c:1: hostname: \"a b\" is not a host name\n"},
    {"max_hops = 20\n\nmax_hops = 30\n", "c:3: max_hops is set a second time, first in line 1\n"},
    {"dns_server = {\"127.0.0.1@5353\", \"::1\"}\n", ""},
    {"max_hops = 5\nhostnam = x\njourney = 7\nlisten_pop = {a, b}\nmax_recipients = 1\n",
     "c:1: max_hops: 5 is out of range, 10 to 1000 are allowed\n"
     "c:2: unknown setting \"hostnam\", did you mean \"hostname\"?\n"
     "c:3: journey: \"7\" is neither true nor false\n"
     "c:4: unknown setting \"listen_pop\", did you mean \"listen_pop3\"?\n"
     "c:5: max_recipients: 1 is out of range, 100 to 100000 are allowed\n"},
};

static void mistakes_are_told_with_their_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct ph_conf *c = ph_conf_new();
        int r = read_text(c, mistakes[i].text);
        assert_string_equal(said, mistakes[i].said);
        assert_int_equal(r, *mistakes[i].said ? -PH_ESYNTAX : 0);
        ph_conf_free(c);
    }
}

/* Broken grammar: the words are libconfuse's, the line must be there. */
static void broken_files_are_refused(void **state)
{
    static const char *const texts[] = {"hostname\n",
                                        "hostname = \n",
                                        "hostname = {a}\n",
                                        "hostname a\n",
                                        "= a\n",
                                        "max_hops = \"20\n",
                                        "server {\n a = b\n}\n",
                                        "hostname = a }\n",
                                        "include(\"/nowhere/at/all\")\n",
                                        "\"\"\n",
                                        "\x01\x02\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ph_conf *c = ph_conf_new();
        int r = read_text(c, texts[i]);
        if (r != -PH_ESYNTAX || !*said)
            fail_msg("\"%s\": %d, \"%s\"", texts[i], r, said);
        ph_conf_free(c);
    }
    struct ph_conf *c = ph_conf_new();
    char path[128];
    snprintf(path, sizeof path, "%s/no-such-file", folder);
    said[0] = 0;
    assert_int_equal(ph_conf_read(c, path, complain, NULL), -PH_EIO);
    assert_string_equal(said, "no-such-file: No such file or directory\n");
    ph_conf_free(c);
}

static void values_arrive(void **state)
{
    (void)state;
    struct ph_conf *c = ph_conf_new();
    char path[128], text[512];
    assert_int_equal(c->max_message_size, 50 << 20);
    assert_int_equal(c->session_timeout, 300000);
    assert_int_equal(c->listen_mx.n, 1);
    assert_true(c->journey);
    write_file("more", "max_hops = 77\n", path);
    snprintf(text, sizeof text,
             "hostname = \"mx.a.test\"\nlisten_mx = {\"127.0.0.1:2525\", "
             "\"[::1]:2525\"}\nlisten_pop3 = {}\n"
             "journey = no\nqueue_lifetime = 90s\nmax_message_size = 3M\ninclude(\"%s\")\n",
             path);
    assert_int_equal(read_text(c, text), 0);
    assert_true(ph_str_eq(c->hostname, PH_STR("mx.a.test")));
    assert_int_equal(c->listen_mx.n, 2);
    assert_true(ph_str_eq(c->listen_mx.v[1], PH_STR("[::1]:2525")));
    assert_int_equal(c->listen_pop3.n, 0);
    assert_false(c->journey);
    assert_int_equal(c->queue_lifetime, 90000);
    assert_int_equal(c->max_message_size, 3 << 20);
    assert_int_equal(c->max_hops, 77);
    ph_conf_free(c);
}

static void settings_are_set_by_name(void **state)
{
    (void)state;
    struct ph_conf *c = ph_conf_new();
    struct ph_error e = {0};
    assert_int_equal(ph_conf_set(c, PH_STR("listen_mx"), PH_STR("127.0.0.1:1, 127.0.0.1:2"), &e),
                     0);
    assert_int_equal(c->listen_mx.n, 2);
    assert_int_equal(ph_conf_set(c, PH_STR("max_hop"), PH_STR("20"), &e), -PH_EINVAL);
    assert_string_equal(e.text, "unknown setting \"max_hop\", did you mean \"max_hops\"?");
    assert_int_equal(ph_conf_set(c, PH_STR("hostname"), PH_STR("a\nb"), &e), -PH_EINVAL);
    assert_int_equal(ph_conf_set(c, PH_STR("listen_mx"), PH_STR("nonsense"), &e), -PH_EINVAL);
    assert_non_null(strstr(e.text, "listen_mx: "));
    ph_conf_free(c);
}

static ph_str printed(const struct ph_conf *c, struct ph_buf *out)
{
    ph_buf_init(out, NULL, 1 << 20);
    ph_conf_print(c, out);
    assert_int_equal(ph_buf_err(out), 0);
    return ph_buf_str(out);
}

/* print -> read gives the same settings; so do pack -> unpack for those that a role may see. */
static void settings_come_back_as_they_went(void **state)
{
    (void)state;
    struct ph_conf *a = ph_conf_new(), *b = ph_conf_new();
    struct ph_buf x, y;
    assert_int_equal(
        read_text(
            a,
            "hostname = q.test\nlisten_imap = {}\nretry_first = 1500ms\nsmarthost = \"h:1\"\n"
            "dns_records = {\"b.test. TXT \\\"v=spf1 a, b $x \\\\ \\\"\", \"c. A 127.0.0.1\"}\n"),
        0);
    ph_str text = printed(a, &x);
    (void)text;
    if (read_text(b, ph_buf_cstr(&x)))
        fail_msg("%s", said);
    printed(b, &y);
    assert_string_equal(ph_buf_cstr(&x), ph_buf_cstr(&y));
    ph_buf_done(&y);
    ph_conf_free(b);
    b = ph_conf_new();
    struct ph_buf rows;
    ph_buf_init(&rows, NULL, 1 << 20);
    ph_conf_pack(a, ROLE_RESOLVER, &rows);
    assert_int_equal(ph_buf_err(&rows), 0);
    assert_int_equal(ph_conf_unpack(b, ph_buf_str(&rows), NULL), 0);
    assert_int_equal(b->dns_records.n, 2);
    assert_true(ph_str_eq(b->dns_records.v[0], a->dns_records.v[0]));
    assert_int_equal(b->hostname.n, 0); /* not told to the resolver */
    ph_buf_clear(&rows);
    ph_conf_pack(a, ROLE_MX, &rows);
    assert_true(ph_str_find(ph_buf_str(&rows), PH_STR("tls_key")) == PH_NPOS);
    struct ph_error e;
    assert_true(ph_conf_unpack(b, ph_str_sub(ph_buf_str(&rows), 0, rows.n - 1), &e) < 0);
    ph_buf_done(&rows);
    ph_buf_done(&x);
    ph_conf_free(a);
    ph_conf_free(b);
}

static void every_row_is_whole(void **state)
{
    (void)state;
    struct ph_buf manual;
    ph_buf_init(&manual, NULL, 1 << 20);
    ph_conf_manual(&manual);
    for (size_t i = 0; i < ph__conf_count; i++) {
        const struct ph__conf_row *row = &ph__conf_rows[i];
        char item[128];
        assert_true(row->min <= row->max);
        assert_true(strlen(row->text) > 10 && row->text[strlen(row->text) - 1] == '.');
        snprintf(item, sizeof item, ".It Cm %s No", row->name);
        assert_non_null(strstr(ph_buf_cstr(&manual), item));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(row->name, ph__conf_rows[j].name);
    }
    ph_buf_done(&manual);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/c", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/more", folder);
    unlink(path);
    return rmdir(folder);
}

/* ---- transports ---------------------------------------------------------------------------- */

static const struct {
    const char *row, *says; /* says: part of the complaint; NULL: good */
    enum ph_transport_way way;
    const char *host;
    unsigned port;
} rows[] = {
    {"* smtp", NULL, PH_TRANSPORT_SMTP, "", 0},
    {"  b.test\tsmtp:mx.b.test  tls=verify ", NULL, PH_TRANSPORT_SMTP, "mx.b.test", 0},
    {".b.test smtps:mx.b.test", NULL, PH_TRANSPORT_SMTPS, "mx.b.test", 465},
    {"from:@a.test * smtp:[::1]:587 user=a password=/p", NULL, PH_TRANSPORT_SMTP, "::1", 587},
    {"b.test lmtp:127.0.0.1 source=127.0.0.2 source=::1", NULL, PH_TRANSPORT_LMTP, "127.0.0.1", 24},
    {"b.test smtp:x:1 connections=5 rate=60", NULL, PH_TRANSPORT_SMTP, "x", 1},
    {"b.test error:550 5.1.2 gone", NULL, PH_TRANSPORT_ERROR, "", 0},
    {"", "is not \"[from:SENDER]", 0, NULL, 0},
    {"b.test", "is not \"[from:SENDER]", 0, NULL, 0},
    {"from:a@a.test b.test", "is not \"[from:SENDER]", 0, NULL, 0},
    {"from: b.test smtp", "is not \"[from:SENDER]", 0, NULL, 0},
    {"b.test smtp:", "is not smtp", 0, NULL, 0},
    {"b.test smtp:x:0", "is not smtp", 0, NULL, 0},
    {"b.test smtp:x:70000", "is not smtp", 0, NULL, 0},
    {"b.test smtp:[::1", "is not smtp", 0, NULL, 0},
    {"b.test uucp:x", "is not smtp", 0, NULL, 0},
    {"b.test error:250 fine", "from 500 to 599", 0, NULL, 0},
    {"b.test smtp tls=yes", "\"tls=yes\" is not", 0, NULL, 0},
    {"b.test smtp source=host", "\"source=host\" is not", 0, NULL, 0},
    {"b.test smtp:x password=relative user=a", "password=relative", 0, NULL, 0},
    {"b.test smtp:x user=a", "needs password", 0, NULL, 0},
    {"b.test smtp user=a password=/p", "and a server", 0, NULL, 0},
    {"b.test smtp rate=0", "rate=0", 0, NULL, 0},
};

static void transport_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ph_transport t = {0};
        struct ph_error e = {0};
        int err = ph_transport_parse(ph_str_c(rows[i].row), &t, &e);
        if (rows[i].says) {
            assert_int_equal(err, -PH_EINVAL);
            assert_non_null(strstr(e.text, rows[i].says));
            continue;
        }
        assert_int_equal(err, 0);
        assert_int_equal(t.way, rows[i].way);
        assert_true(ph_str_eq(t.host, ph_str_c(rows[i].host)));
        assert_int_equal(t.port, rows[i].port);
    }
}

static void transport_fits(void **state)
{
    static const struct {
        const char *row, *sender, *domain;
        bool fits;
    } cases[] = {
        {"* smtp", "", "b.test", true},
        {"b.test smtp", "x@a.test", "B.test", true},
        {"b.test smtp", "", "sub.b.test", false},
        {".b.test smtp", "", "sub.b.test", true},
        {".b.test smtp", "", "b.test", false},
        {".b.test smtp", "", "notb.test", false},
        {"from:alice@a.test * smtp", "Alice@A.test", "b.test", true},
        {"from:alice@a.test * smtp", "bob@a.test", "b.test", false},
        {"from:@a.test b.test smtp", "bob@a.test", "b.test", true},
        {"from:@a.test b.test smtp", "bob@a.test", "c.test", false},
        {"from:@a.test * smtp", "", "b.test", false},
        {"from:.a.test * smtp", "x@sub.a.test", "b.test", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ph_transport t;
        assert_int_equal(ph_transport_parse(ph_str_c(cases[i].row), &t, NULL), 0);
        assert_int_equal(
            ph_transport_fits(&t, ph_str_c(cases[i].sender), ph_str_c(cases[i].domain)),
            cases[i].fits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transport_rows),
        cmocka_unit_test(transport_fits),
        cmocka_unit_test(mistakes_are_told_with_their_line),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(settings_are_set_by_name),
        cmocka_unit_test(settings_come_back_as_they_went),
        cmocka_unit_test(every_row_is_whole),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
