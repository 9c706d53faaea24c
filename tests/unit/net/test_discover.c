/* Finding servers, with a DNS and a web of the test's own; the table of providers itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <posthouse/discover.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the outside knows: "srv NAME HOST PORT PRIORITY", "mx DOMAIN HOST", "get URL BODY", one a
 * line. */
static char asked[4096];

static int records(const char *world, const char *kind, const char *name, struct ph_srv *rows,
                   size_t max)
{
    ph_str rest = ph_str_c(world), line;
    size_t n = 0;
    snprintf(asked + strlen(asked), sizeof asked - strlen(asked), "%s %s\n", kind, name);
    while (ph_str_token(&rest, '\n', &line) && n < max) {
        char k[8], key[256], text[512];
        struct ph_srv r = {0};
        snprintf(text, sizeof text, "%.*s", PH_FMT(line));
        int got = sscanf(text, "%7s %255s %255s %u %u", k, key, r.host, &r.port, &r.priority);
        if (got >= 3 && strcmp(k, kind) == 0 && strcmp(key, name) == 0)
            rows[n++] = r;
    }
    return (int)n;
}

static int srv(void *ctx, const char *name, struct ph_srv *rows, size_t max)
{
    return records(ctx, "srv", name, rows, max);
}

static int mx(void *ctx, const char *domain, struct ph_srv *rows, size_t max)
{
    return records(ctx, "mx", domain, rows, max);
}

static int get(void *ctx, const char *url, struct ph_buf *out)
{
    char want[300];
    snprintf(asked + strlen(asked), sizeof asked - strlen(asked), "get %s\n", url);
    snprintf(want, sizeof want, "get %s ", url);
    ph_str world = ph_str_c(ctx);
    size_t at = ph_str_find(world, ph_str_c(want));
    if (at == PH_NPOS)
        return -PH_ENOENT;
    ph_str body = ph_str_skip(world, at + strlen(want));
    ph_buf_add(out, ph_str_sub(body, 0, ph_str_chr(body, '\n')));
    return 0;
}

static const char *const by_names[] = {"nothing", "preset", "srv", "autoconfig", "mx"};
static const char *const tls_names[] = {"starttls", "tls", "none"};

/* "smtp host:port tls user by; imap ..." */
static const char *told(const struct ph_discovered *d)
{
    static const char *const names[] = {"smtp", "imap", "pop3"};
    static char out[1024];
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < PH_SERVICE_COUNT; i++)
        if (d->service[i].known)
            n += (size_t)snprintf(out + n, sizeof out - n, "%s%s %s:%u %s %s %s", n ? "; " : "",
                                  names[i], d->service[i].host, d->service[i].port,
                                  tls_names[d->service[i].tls], d->service[i].user,
                                  by_names[d->by[i]]);
    return out;
}

#define XML                                                                                        \
    "<clientConfig version='1.1'><emailProvider id='c.test'><incomingServer "                      \
    "type='imap'><hostname>imap.c.test</hostname>"                                                 \
    "<port>143</port><socketType>STARTTLS</socketType><username>%EMAILLOCALPART%</username></"     \
    "incomingServer>"                                                                              \
    "<incomingServer "                                                                             \
    "type='pop3'><hostname>pop.c.test</hostname><port>110</port><socketType>plain</socketType>"    \
    "<username>%EMAILADDRESS%</username></incomingServer><outgoingServer type='smtp'><hostname> "  \
    "smtp.c.test </hostname>"                                                                      \
    "<port>465</port><socketType>SSL</socketType><username>%EMAILADDRESS%</username></"            \
    "outgoingServer></emailProvider></clientConfig>"

static void found(void **state)
{
    (void)state;
    static const struct {
        const char *address, *world, *answer; /* answer NULL: nothing is found */
        int rc;
    } rows[] = {
        {"a@gmail.com", "",
         "smtp smtp.gmail.com:465 tls a@gmail.com preset; imap imap.gmail.com:993 tls a@gmail.com "
         "preset; "
         "pop3 pop.gmail.com:995 tls a@gmail.com preset",
         0},
        {"a@QQ.com", "",
         "smtp smtp.qq.com:465 tls a@QQ.com preset; imap imap.qq.com:993 tls a@QQ.com preset; "
         "pop3 pop.qq.com:995 tls a@QQ.com preset",
         0},
        {"a@b.test",
         "srv _submissions._tcp.b.test mail.b.test 4650 0\nsrv _imaps._tcp.b.test . 0 0\nsrv "
         "_imap._tcp.b.test one.b.test 143 0\n"
         "srv _imap._tcp.b.test two.b.test 143 10\n",
         "smtp mail.b.test:4650 tls a@b.test srv; imap one.b.test:143 starttls a@b.test srv", 0},
        {"a@c.test", "get https://autoconfig.c.test/mail/config-v1.1.xml " XML "\n",
         "smtp smtp.c.test:465 tls a@c.test autoconfig; imap imap.c.test:143 starttls a autoconfig",
         0},
        {"a@c.test",
         "srv _imaps._tcp.c.test x.c.test 993 0\nget "
         "https://autoconfig.thunderbird.net/v1.1/c.test " XML "\n",
         "smtp smtp.c.test:465 tls a@c.test autoconfig; imap x.c.test:993 tls a@c.test srv", 0},
        {"a@shop.test", "mx shop.test aspmx.l.google.com 0 0\n",
         "smtp smtp.gmail.com:465 tls a@shop.test mx; imap imap.gmail.com:993 tls a@shop.test mx; "
         "pop3 pop.gmail.com:995 tls a@shop.test mx",
         0},
        {"a@shop.test", "mx shop.test shop-test.mail.protection.outlook.com 0 0\n",
         "smtp smtp.office365.com:587 starttls a@shop.test mx; imap outlook.office365.com:993 tls "
         "a@shop.test mx; "
         "pop3 outlook.office365.com:995 tls a@shop.test mx",
         0},
        {"a@shop.test", "mx shop.test mxbiz1.qq.com 0 0\n",
         "smtp smtp.exmail.qq.com:465 tls a@shop.test mx; imap imap.exmail.qq.com:993 tls "
         "a@shop.test mx; "
         "pop3 pop.exmail.qq.com:995 tls a@shop.test mx",
         0},
        {"a@d.test", "mx d.test mail.d.test 0 0\n",
         "smtp mail.d.test:465 tls a@d.test mx; imap mail.d.test:993 tls a@d.test mx; pop3 "
         "mail.d.test:995 tls a@d.test mx",
         0},
        {"a@d.test",
         "mx d.test mx1.host.test 0 0\nget https://autoconfig.host.test/mail/config-v1.1.xml " XML
         "\n",
         "smtp smtp.c.test:465 tls a@d.test autoconfig; imap imap.c.test:143 starttls a "
         "autoconfig; "
         "pop3 mx1.host.test:995 tls a@d.test mx",
         0},
        {"a@nowhere.test", "", NULL, -PH_ENOENT},
        {"a@c.test", "get https://autoconfig.c.test/mail/config-v1.1.xml <clientConfig><!-- not\n",
         NULL, -PH_ENOENT},
        {"a@c.test",
         "get https://autoconfig.c.test/mail/config-v1.1.xml <!DOCTYPE a [<!ENTITY x SYSTEM "
         "'file:///etc/passwd'>]><a>&x;</a>\n",
         NULL, -PH_ENOENT},
        {"a@tutanota.com", "", NULL, -PH_ENOENT},
        {"nobody", "", NULL, -PH_EINVAL},
        {"a@", "", NULL, -PH_EINVAL},
        {"a@b/../c", "", NULL, -PH_EINVAL},
        {"a@b.test?x=", "", NULL, -PH_EINVAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_discovered d = {0};
        struct ph_error e = {0};
        struct ph_lookup l = {srv, mx, get, (void *)(uintptr_t)rows[i].world};
        asked[0] = '\0';
        int rc = ph_discover(ph_str_c(rows[i].address), &l, &d, &e);
        if (rc != rows[i].rc || (rows[i].answer && strcmp(told(&d), rows[i].answer) != 0))
            fail_msg("%zu %s: %d %s\n%s\nasked:\n%s", i, rows[i].address, rc, e.text, told(&d),
                     asked);
        if (rc < 0)
            assert_true(e.text[0]);
        /* Who is written to is nobody else's business. */
        assert_null(strstr(asked, "a%40"));
        assert_null(strstr(asked, "get http:"));
    }
}

static void a_known_provider_is_not_looked_up(void **state)
{
    (void)state;
    struct ph_discovered d = {0};
    struct ph_lookup l = {srv, mx, get, (void *)(uintptr_t) ""};
    struct ph_account a = {0};
    asked[0] = '\0';
    assert_int_equal(ph_discover(PH_STR("a@163.com"), &l, &d, NULL), 0);
    assert_string_equal(asked, "");
    assert_non_null(strstr(d.provider->hint, "authorisation code"));
    ph_discovered_account(&d, PH_SERVICE_IMAP, &a);
    assert_true(ph_str_eq(a.host, PH_STR("imap.163.com")) && a.port == 993 && a.tls == PH_TLS_ON);
    assert_int_equal(ph_discover(PH_STR("a@nobody.test"), NULL, &d, NULL),
                     -PH_ENOENT); /* no lookup at all */
}

static void the_table(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct ph_provider *p; (p = ph_provider_at(n)); n++) {
        ph_str all = ph_str_c(p->domains), one;
        while (ph_str_token(&all, ' ', &one)) {
            if (ph_provider_of_domain(one) != p)
                fail_msg("%.*s belongs to two providers", PH_FMT(one));
        }
        for (int s = 0; s < PH_SERVICE_COUNT; s++)
            if (p->service[s].host)
                assert_true(p->service[s].port > 0 && p->service[s].port < 65536 &&
                            p->service[s].tls != PH_TLS_OFF);
        assert_non_null(p->hint);
    }
    assert_true(n > 60);
    static const char *const wanted[] = {
        "gmail.com",  "outlook.com", "icloud.com", "yahoo.com", "fastmail.com", "zoho.com",
        "gmx.net",    "yandex.com",  "proton.me",  "qq.com",    "foxmail.com",  "163.com",
        "126.com",    "yeah.net",    "sina.com",   "sohu.com",  "139.com",      "189.cn",
        "aliyun.com", "aol.com",     "mail.ru",    "web.de",    "mailbox.org",  "posteo.de"};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        assert_non_null(ph_provider_of_domain(ph_str_c(wanted[i])));
    assert_null(ph_provider_of_host(PH_STR("127.0.0.1"))); /* a bridge, or any server at home */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(found),
                                       cmocka_unit_test(a_known_provider_is_not_looked_up),
                                       cmocka_unit_test(the_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
