/* What others tell of a letter's way: Received fields, and ids in replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "heard.h"
#include "ipc.h"
#include "reply_id.h"
#include "reported.h"

#include <string.h>

#define NOW INT64_C(1795000000000000) /* 2026-11-18 11:06:40 UTC */

static void ids_of_replies(void **state)
{
    static const struct {
        const char *reply, *id;
    } cases[] = {
        {"Ok: queued as 4XyZ12abCdz9rT", "4XyZ12abCdz9rT"},
        {"2.0.0 Ok: queued as 7C9D42001B.", "7C9D42001B"},
        {"OK id=1r5abc-0003Ab-1C", "1r5abc-0003Ab-1C"},
        {"OK ID=1r5abc-0003Ab-1C, thank you", "1r5abc-0003Ab-1C"},
        {"2.0.0 3ANBCDEF012345 Message accepted for delivery", "3ANBCDEF012345"},
        {"2.0.0 1a2b3c4d Message accepted for delivery", "1a2b3c4d"},
        {"2.6.0 <a@b.test> [InternalId=12345678, Hostname=X.b.test] 8 bytes Queued mail for "
         "delivery",
         "12345678"},
        {"2.0.0 OK  1700000000 6-20020a05600c231600b0040a4835d2b2si123 - gsmtp",
         "6-20020a05600c231600b0040a4835d2b2si123"},
        {"ok 1700000000 qp 12345", "12345"},
        {"Message Queued (E0A1B2C3-D4E5-4F60-8A7B-9C0D1E2F3A4B.1)",
         "E0A1B2C3-D4E5-4F60-8A7B-9C0D1E2F3A4B.1"},
        {"Ok 0100018c1a2b3c4d-5e6f7a8b-000000", "0100018c1a2b3c4d-5e6f7a8b-000000"},
        {"Ok", ""},
        {"", ""},
        {"queued as ", ""},
        {"queued as soon as possible", ""},
        {"Message accepted for delivery", ""},
        {"Thank you for your letter", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ph_str id = reply_id(ph_str_c(cases[i].reply));
        char text[200] = "";
        assert_true(id.n < sizeof text);
        if (id.n)
            memcpy(text, id.p, id.n);
        assert_string_equal(text, cases[i].id);
    }
}

/* The rows as lines: time since the hour, host, peer, note. */
static void told(const char *head, struct ph_buf *out)
{
    struct ph_buf rows;
    struct ipc_event e;
    ph_buf_init(&rows, NULL, 1 << 20);
    ph_buf_init(out, NULL, 1 << 20);
    heard_write(ph_str_c(head), NOW, &rows);
    assert_int_equal(ph_buf_err(&rows), 0);
    ph_str left = ph_buf_str(&rows);
    while (ipc_each(event, &left, &e)) {
        assert_int_equal(e.kind, EV_RECEIVED);
        assert_true(ph_str_eq(e.process, PH_STR(IPC_HEARD)));
        ph_buf_addf(out, "%lld %.*s from %.*s: %.*s%s%.*s\n", (long long)(e.time - NOW) / 1000000,
                    PH_FMT(e.host), PH_FMT(e.peer), PH_FMT(e.tls), e.tls.n ? ": " : "",
                    PH_FMT(e.note));
    }
    assert_int_equal(left.n, 0);
    ph_buf_done(&rows);
}

static void ways_of_letters(void **state)
{
    static const struct {
        const char *head, *want;
    } cases[] = {
        {"Subject: none\r\n\r\n", ""},
        {"Received: from out.b.test (out.b.test [192.0.2.2])\r\n\t(using TLSv1.3 with cipher "
         "TLS_AES_256_GCM_SHA384 (256/256 bits))\r\n"
         "\tby mx.c.test (Postfix) with ESMTPS id 4XyZ12\r\n\tfor <d@c.test>; Wed, 18 Nov 2026 "
         "11:06:30 +0000 (UTC)\r\n"
         "Received: from [10.0.0.1]\r\n by out.b.test\r\n with esmtpsa (Exim 4.96) id "
         "1r5abc-0003Ab-1C; Wed, 18 Nov 2026 12:06:20 +0100\r\nSubject: two\r\n\r\n",
         "-20 out.b.test from [10.0.0.1]: with esmtpsa, id 1r5abc-0003Ab-1C; not seen by us: its "
         "Received field says so\n"
         "-10 mx.c.test from out.b.test (out.b.test [192.0.2.2]): TLSv1.3 TLS_AES_256_GCM_SHA384: "
         "with ESMTPS, id 4XyZ12; not seen "
         "by us: its Received field says so\n"},
        {"Received: from a by b with ESMTPS\r\n\t(TLSv1.3 TLS_AES_128_GCM_SHA256) id x; Wed, 18 "
         "Nov "
         "2026 11:06:30 +0000\r\n\r\n",
         "-10 b from a: TLSv1.3 TLS_AES_128_GCM_SHA256: with ESMTPS, id x; not seen by us: its "
         "Received field says so\n"},
        {"Received: from a by g (version=TLS1_2 cipher=ECDHE-RSA bits=128/128); Wed, 18 Nov 2026 "
         "11:06:30 +0000\r\n\r\n",
         "-10 g from a: TLSv1.2 ECDHE-RSA: not seen by us: its Received field says so\n"},
        {"Received: by mail.g.test; Wed, 18 Nov 2026 12:06:40 +0000\r\n\r\n",
         "0 mail.g.test from : not seen by us: its Received field says so, and its clock is 3600 s "
         "ahead of ours\n"},
        {"Received: from a by b\r\n\r\n",
         "0 b from a: not seen by us: its Received field says so, and no time\n"},
        {"Received: rubbish\r\nReceived:\r\nReceived: from x; Wed, 18 Nov 2026 11:06:30 "
         "+0000\r\n\r\n",
         ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ph_buf out;
        told(cases[i].head, &out);
        assert_string_equal(ph_buf_cstr(&out), cases[i].want);
        ph_buf_done(&out);
    }
}

#define REPORT(type, status, original)                                                             \
    "From: postmaster@far.test\r\nContent-Type: " type "; boundary=b; "                            \
    "report-type=delivery-status\r\n\r\n--b\r\n\r\nfor people\r\n--b\r\nContent-Type: "            \
    "message/delivery-status\r\n\r\nReporting-MTA: dns; mx.far.test\r\n" status "\r\n--b\r\n"      \
    "Content-Type: " original "--b--\r\n"
#define FAILED                                                                                     \
    "\r\nFinal-Recipient: rfc822; bob@far.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"             \
    "Remote-MTA: dns; in.far.test\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n"            \
    "Last-Attempt-Date: Wed, 18 Nov 2026 11:06:30 +0000\r\n"
#define DELIVERED                                                                                  \
    "\r\nOriginal-Recipient: rfc822; info@far.test\r\nFinal-Recipient: rfc822; c@in.far.test\r\n"  \
    "Action: delivered\r\nStatus: 2.0.0\r\nLast-Attempt-Date: Wed, 18 Nov 2036 11:06:30 +0000\r\n"
#define HEADER "text/rfc822-headers\r\n\r\nFrom: alice@a.test\r\nMessage-ID: <one@a.test>\r\n"
#define WHOLE "message/rfc822\r\n\r\nFrom: alice@a.test\r\nMessage-ID: <two@a.test>\r\n\r\ntext\r\n"

static void reports_of_others(void **state)
{
    static const struct {
        const char *letter, *id, *want; /* id NULL: nothing is learnt */
    } cases[] = {
        {REPORT("multipart/report", FAILED, HEADER), "<one@a.test>",
         "-10 bounced mx.far.test bob@far.test at in.far.test: 550 550 5.1.1 no such user (5.1.1; "
         "not seen by us: its delivery report says so)\n"},
        {REPORT("Multipart/Report", FAILED DELIVERED, WHOLE), "<two@a.test>",
         "-10 bounced mx.far.test bob@far.test at in.far.test: 550 550 5.1.1 no such user (5.1.1; "
         "not seen by us: its delivery report says so)\n"
         "0 delivered mx.far.test info@far.test at : 0  (2.0.0; not seen by us: its delivery "
         "report says so)\n"},
        {REPORT("multipart/mixed", FAILED, HEADER), NULL, ""},
        {REPORT("multipart/report", "", HEADER), NULL, ""},
        {REPORT("multipart/report", FAILED, "text/plain\r\n\r\nMessage-ID: <x@y>\r\n"), NULL, ""},
        {REPORT("multipart/report", FAILED, "text/rfc822-headers\r\n\r\nFrom: a@b\r\n"), NULL, ""},
        {"Content-Type: multipart/report\r\n\r\nrubbish\r\n", NULL, ""},
        {"Subject: x\r\n\r\n", NULL, ""},
        {"", NULL, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ph_buf rows, out;
        struct ipc_event e;
        char id[REPORTED_ID + 1];
        ph_buf_init(&rows, NULL, 65536);
        ph_buf_init(&out, NULL, 65536);
        assert_int_equal(reported_read(ph_str_c(cases[i].letter), NOW, id, &rows), !!cases[i].id);
        if (cases[i].id)
            assert_string_equal(id, cases[i].id);
        for (ph_str left = ph_buf_str(&rows); cases[i].id && ipc_each(event, &left, &e);) {
            assert_true(ph_str_eq(e.process, PH_STR(IPC_HEARD)));
            ph_buf_addf(&out, "%lld %s %.*s %.*s at %.*s: %u %.*s (%.*s)\n",
                        (long long)(e.time - NOW) / 1000000, ipc_step_name(e.kind), PH_FMT(e.host),
                        PH_FMT(e.rcpt), PH_FMT(e.peer), e.code, PH_FMT(e.reply), PH_FMT(e.note));
        }
        assert_string_equal(out.n ? ph_buf_cstr(&out) : "", cases[i].want);
        ph_buf_done(&rows);
        ph_buf_done(&out);
    }
}

/* A thousand fields of a thousand octets cost no more than the first twenty. */
static void hostile_headers_are_bounded(void **state)
{
    (void)state;
    struct ph_buf head, rows;
    struct ipc_event e;
    size_t n = 0;
    ph_buf_init(&head, NULL, 1 << 22);
    for (int i = 0; i < 1000; i++) {
        ph_buf_add(&head, PH_STR("Received: from "));
        for (int k = 0; k < 1000; k++)
            ph_buf_addc(&head, 'x');
        ph_buf_add(&head, PH_STR(" by "));
        for (int k = 0; k < 1000; k++)
            ph_buf_addc(&head, 'y');
        ph_buf_add(&head, PH_STR("; Wed, 18 Nov 2026 11:06:30 +0000\r\n"));
    }
    ph_buf_add(&head, PH_STR("\r\n"));
    ph_buf_init(&rows, NULL, 32768);
    heard_write(ph_buf_str(&head), NOW, &rows);
    assert_int_equal(ph_buf_err(&rows), 0);
    ph_str left = ph_buf_str(&rows);
    while (ipc_each(event, &left, &e))
        n++;
    assert_int_equal(n, HEARD_MOST);
    ph_buf_done(&rows);
    ph_buf_done(&head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_of_replies),
        cmocka_unit_test(ways_of_letters),
        cmocka_unit_test(reports_of_others),
        cmocka_unit_test(hostile_headers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
