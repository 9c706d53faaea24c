/* Letters on their way in: what lies in memory and what in a memory file; envelopes; what
 * submission adds; journeys as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "file.h"
#include "letter.h"
#include "submission.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int prologue(void *ctx, struct letter *l)
{
    struct letter_trace t = {.helo = PH_STR("c.test"),
                             .ip = PH_STR("192.0.2.1"),
                             .hostname = PH_STR("mx.test"),
                             .with = "ESMTP",
                             .now_us = 1000000};
    struct ph_buf fields;
    size_t skip, id_at;
    (void)ctx;
    ph_buf_init(&fields, NULL, LETTER_ROOM);
    letter_trace_write(l, &t, &fields, &skip, &id_at);
    assert_int_equal(letter_prologue(l, ph_buf_str(&fields), skip, id_at), 0);
    ph_buf_done(&fields);
    return 0;
}

static void add_target(struct ph_buf *rows, const char *address, uint64_t account)
{
    struct ipc_rcpt r = {.target = account ? IPC_LOCAL : IPC_REMOTE,
                         .address = ph_str_c(address),
                         .account = account};
    ipc_add(rcpt, rows, &r);
}

static int to(struct letter *l, ph_str address, ph_str targets)
{
    return letter_to(l, &(struct letter_given){.address = address, .targets = targets});
}

#define PROLOGUE                                                                                   \
    "Return-Path: <a@b.test>\r\nReceived: from c.test ([192.0.2.1])\r\n\tby mx.test with ESMTP "   \
    "id 00000000000\r\n\t"                                                                         \
    "for <c@d.test>;\r\n\tThu, 01 Jan 1970 00:00:01 +0000\r\n"
#define HEADER "Received: x\r\nMessage-ID: <m@x>\r\n\r\n"

static void begin(struct letter *l, struct letter_room *room)
{
    struct ph_buf rows;
    ph_buf_init(&rows, NULL, 1000);
    add_target(&rows, "c@d.test", 7);
    letter_init(l, room);
    letter_from(l, PH_STR("a@b.test"), IPC_8BITMIME, PH_STR("env"));
    assert_int_equal(to(l, PH_STR("c@d.test"), ph_buf_str(&rows)), 0);
    letter_begin(l, prologue, NULL);
    ph_buf_done(&rows);
}

/* Sizes around every border, in pieces of every kind: what comes out is the prologue and what went
 * in. With a packer the smaller ones come out packed. */
static void all_sizes(struct letter_room *room)
{
    static const size_t sizes[] = {
        0,      1,      100,    57000, 65000, 65200, IPC_INLINE - 1, IPC_INLINE, IPC_INLINE + 1,
        131072, 300000, 1000000};
    static const size_t pieces[] = {100, 4096, 65536, 1000000};
    char *text = malloc(1000000);
    for (size_t i = 0; i < 1000000; i++)
        text[i] = (char)('a' + i % 23);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
            struct letter l;
            ph_str whole, rest = {text, sizes[i]};
            struct ph_buf out;
            ph_buf_init(&out, NULL, IPC_INLINE);
            begin(&l, room);
            assert_int_equal(letter_add(&l, PH_STR(HEADER)), 0);
            while (rest.n) {
                ph_str piece = ph_str_sub(rest, 0, pieces[k]);
                assert_int_equal(letter_add(&l, piece), 0);
                rest = ph_str_skip(rest, piece.n);
            }
            assert_int_equal(letter_finish(&l), 0);
            size_t want = strlen(PROLOGUE HEADER) + sizes[i];
            assert_int_equal(l.size, want);
            assert_int_equal(l.fd >= 0, want > IPC_INLINE);
            bool packed = room && want >= PH_PACK_LEAST && want <= PH_PACK_MOST;
            assert_int_equal(!!(l.flags & IPC_PACKED), packed);
            if (packed)
                assert_int_equal(ph_unpack(room->packer, ph_buf_str(&l.packed), l.size, &out), 0);
            if (l.fd >= 0)
                assert_int_equal(ph_memfile_map(l.fd, l.size, &whole), 0);
            else if (packed)
                whole = ph_buf_str(&out);
            else
                whole = ph_str_skip(ph_buf_str(&l.buf), l.at);
            assert_int_equal(whole.n, want);
            assert_memory_equal(whole.p, PROLOGUE HEADER, strlen(PROLOGUE HEADER));
            assert_int_equal(memcmp(whole.p + strlen(PROLOGUE HEADER), text, sizes[i]), 0);
            assert_memory_equal((packed ? l.packed.p : whole.p) + l.id_at, "00000000000", 11);
            assert_int_equal(l.skip, strlen("Return-Path: <a@b.test>\r\n"));
            assert_string_equal(l.message_id, "<m@x>");
            assert_int_equal(l.received, 2);
            assert_true(l.summary.n > 0);
            if (l.fd >= 0)
                ph_unmap(whole);
            ph_buf_done(&out);
            letter_clear(&l);
        }
    free(text);
}

static void sizes(void **state)
{
    (void)state;
    struct letter_room room = {.most = UINT64_MAX, .packer = ph_packer_new()};
    all_sizes(NULL);
    assert_non_null(room.packer);
    all_sizes(&room);
    assert_int_equal(room.used, 0);
    ph_packer_free(room.packer);
}

/* What reports need goes with every recipient. */
static void notices(void **state)
{
    (void)state;
    struct letter l;
    struct ph_buf rows;
    struct ipc_rcpt r;
    static const char *const originals[] = {"rfc822;Bob@d.test", "rfc822;list@d.test",
                                            "utf-8;l\xc3\xa4st@d.test", ""};
    ph_buf_init(&rows, NULL, 10000);
    letter_init(&l, NULL);
    letter_from(&l, PH_STR("a@b.test"), IPC_RET_HDRS, PH_STR("QQ314"));
    assert_string_equal(l.envid, "QQ314");
    add_target(&rows, "one@d.test", 1);
    assert_int_equal(letter_to(&l, &(struct letter_given){.address = PH_STR("bob@d.test"),
                                                          .targets = ph_buf_str(&rows),
                                                          .orcpt = PH_STR("rfc822;Bob@d.test"),
                                                          .notify = IPC_NEVER}),
                     0);
    for (int i = 1; i < 4; i++) {
        static const char *const given[] = {"", "list@d.test", "l\xc3\xa4st@d.test", ""};
        char address[] = {(char)('a' + i), '@', 'd', '\0'};
        ph_buf_clear(&rows);
        r = (struct ipc_rcpt){.address = ph_str_c(address), .original = ph_str_c(given[i])};
        ipc_add(rcpt, &rows, &r);
        assert_int_equal(to(&l, ph_str_c(given[i]), ph_buf_str(&rows)), 0);
    }
    ph_str all = ph_buf_str(&l.rcpts);
    for (int i = 0; i < 4; i++) {
        assert_true(ipc_each(rcpt, &all, &r));
        assert_true(ph_str_eq(r.original, ph_str_c(originals[i])));
        assert_int_equal(r.notify, i ? 0 : IPC_NEVER);
    }
    letter_clear(&l);
    ph_buf_done(&rows);
}

static void envelopes(void **state)
{
    (void)state;
    struct letter l;
    struct ph_buf rows;
    ph_buf_init(&rows, NULL, 10000);
    letter_init(&l, NULL);
    letter_from(&l, (ph_str){0}, 0, (ph_str){0});
    add_target(&rows, "one@d.test", 1);
    add_target(&rows, "two@d.test", 2);
    assert_int_equal(to(&l, PH_STR("all@d.test"), ph_buf_str(&rows)), 0);
    assert_int_equal(to(&l, PH_STR("all@d.test"), ph_buf_str(&rows)), 0);
    assert_int_equal(l.given, 2);
    assert_int_equal(l.targets, 2);
    assert_string_equal(l.first, "all@d.test");
    /* An alias larger than the message to the queue: refused whole, the others stay. */
    size_t before = l.rcpts.n;
    ph_buf_done(&rows);
    ph_buf_init(&rows, NULL, 1 << 20);
    char address[1000];
    for (int i = 0; i < 700; i++) {
        memset(address, 'x', sizeof address);
        address[999] = '\0';
        address[0] = (char)('a' + i % 26);
        address[1] = (char)('a' + i / 26);
        add_target(&rows, address, 0);
    }
    assert_int_equal(to(&l, PH_STR("huge@d.test"), ph_buf_str(&rows)), -PH_ELIMIT);
    assert_int_equal(l.rcpts.n, before);
    assert_int_equal(l.given, 2);
    letter_clear(&l);
    ph_buf_done(&rows);
}

static void traces(void **state)
{
    (void)state;
    static const struct {
        const char *helo, *ip, *from;
    } rows[] = {
        {"c.test", "192.0.2.1", "from c.test ([192.0.2.1])"},
        {"[192.0.2.1]", "192.0.2.1", "from [192.0.2.1] ([192.0.2.1])"},
        {"c.test", "2001:db8::1", "from c.test ([IPv6:2001:db8::1])"},
        {"c(d", "192.0.2.1", "from [192.0.2.1] ([192.0.2.1])"},
        {"", "192.0.2.1", "from [192.0.2.1] ([192.0.2.1])"},
        {"c.test;(evil)", "2001:db8::1", "from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct letter l;
        struct ph_buf out;
        size_t skip, id_at;
        letter_init(&l, NULL);
        ph_buf_init(&out, NULL, 10000);
        letter_trace_write(&l,
                           &(struct letter_trace){.helo = ph_str_c(rows[i].helo),
                                                  .ip = ph_str_c(rows[i].ip),
                                                  .hostname = PH_STR("h"),
                                                  .with = "SMTP",
                                                  .tls = PH_STR("TLSv1.3 X")},
                           &out, &skip, &id_at);
        assert_int_equal(skip, strlen("Return-Path: <>\r\n"));
        assert_non_null(strstr(ph_buf_cstr(&out), rows[i].from));
        assert_non_null(
            strstr(ph_buf_cstr(&out), "with SMTP\r\n\t(TLSv1.3 X) id 00000000000;\r\n\t"));
        ph_buf_done(&out);
        letter_clear(&l);
    }
}

static int nothing(void *ctx, struct letter *l)
{
    (void)ctx, (void)l;
    return 0;
}

static void completed(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        bool date, id;
    } rows[] = {
        {"Subject: x\r\n\r\nDate: in the body\r\n", true, true},
        {"date: x\r\nmessage-id: <y>\r\n\r\n", false, false},
        {"Date: x\r\n", false, true},
        {"X-Date: x\r\nMessage-ID:\r\n\r\n", true, false},
        {"", true, true},
        {"Bcc: x@y\r\nTo: a\r\nbcc: z@y,\r\n\tw@y\r\nDate: x\r\nMessage-ID: "
         "x\r\nResent-Bcc:\r\n\r\nBcc: body\r\n",
         false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct letter l;
        struct ph_buf fields;
        letter_init(&l, NULL);
        letter_begin(&l, nothing, NULL);
        ph_buf_init(&fields, NULL, 1000);
        assert_int_equal(letter_add(&l, ph_str_c(rows[i].message)), 0);
        assert_int_equal(submission_complete(&l, PH_STR("h.test"), &fields), 0);
        assert_int_equal(strstr(ph_buf_cstr(&fields), "Date: ") != NULL, rows[i].date);
        assert_int_equal(strstr(ph_buf_cstr(&fields), "@h.test>\r\n") != NULL, rows[i].id);
        if (strstr(rows[i].message, "Bcc"))
            assert_true(ph_str_eq(letter_head(&l), PH_STR("To: a\r\nDate: x\r\nMessage-ID: x\r\n"
                                                          "\r\nBcc: body\r\n")));
        else
            assert_true(ph_str_eq(letter_head(&l), ph_str_c(rows[i].message)));
        ph_buf_done(&fields);
        letter_clear(&l);
    }
    struct letter l;
    struct ph_buf fields;
    letter_init(&l, NULL);
    letter_begin(&l, nothing, NULL);
    ph_buf_init(&fields, NULL, 1000);
    for (int i = 0; i < LETTER_HEADER / 10 + 1; i++)
        assert_int_equal(letter_add(&l, PH_STR("X: 45678\r\n")), 0);
    assert_int_equal(submission_complete(&l, PH_STR("h.test"), &fields), -PH_ELIMIT);
    ph_buf_done(&fields);
    letter_clear(&l);
}

static void journeys(void **state)
{
    (void)state;
    struct ph_buf rows, out;
    ph_buf_init(&rows, NULL, 1 << 20);
    ph_buf_init(&out, NULL, 1 << 20);
    assert_int_equal(submission_trace_write((ph_str){0}, &out), -PH_ENOENT);
    struct ipc_event e = {
        .time = 5, .kind = EV_RELAYED, .reply = PH_STR("250 \"ok\"\n\xff"), .code = 250};
    ipc_add(event, &rows, &e);
    assert_int_equal(submission_trace_write(ph_buf_str(&rows), &out), 0);
    assert_string_equal(ph_buf_cstr(&out), "{\"time\":5,\"step\":\"relayed\",\"code\":250,"
                                           "\"reply\":\"250 \\\"ok\\\"\\n?\",\"took\":0}");
    /* More than a reply holds. */
    for (int i = 0; i < 2000; i++)
        ipc_add(event, &rows, &e);
    ph_buf_clear(&out);
    assert_int_equal(submission_trace_write(ph_buf_str(&rows), &out), 0);
    assert_true(out.n < 64 * 1024);
    assert_true(ph_str_has_suffix(ph_buf_str(&out), PH_STR("\n{\"more\":true}")));
    ph_buf_done(&rows);
    ph_buf_done(&out);
}

/* A list said again and again adds nobody, at a price that does not grow with itself. */
static void test_same_targets(void **state)
{
    struct ph_buf rows;
    struct letter l;
    char address[40];
    (void)state;
    letter_init(&l, NULL);
    ph_buf_init(&rows, NULL, 1 << 20);
    for (int i = 0; i < 4000; i++) {
        snprintf(address, sizeof address, "u%d@d.test", i);
        add_target(&rows, address, 0);
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(to(&l, PH_STR("list@d.test"), ph_buf_str(&rows)), 0);
    assert_int_equal(l.targets, 4000);
    assert_int_equal(l.given, 1000);
    struct letter_room room = {.most = 10};
    l.room = &room;
    ph_buf_clear(&rows);
    add_target(&rows, "more@d.test", 0);
    assert_int_equal(to(&l, PH_STR("more@d.test"), ph_buf_str(&rows)), -PH_EFULL);
    room.most = 1000;
    assert_int_equal(to(&l, PH_STR("more@d.test"), ph_buf_str(&rows)), 0);
    assert_int_equal(l.targets, 4001);
    ph_buf_done(&rows);
    letter_clear(&l);
}

/* What is taken is given back, and what does not fit is not taken. */
static void test_room(void **state)
{
    struct letter_room room = {.most = 100000};
    struct letter a, b;
    char *big = calloc(1, 90000);
    (void)state;
    begin(&a, NULL);
    begin(&b, NULL);
    a.room = b.room = &room;
    assert_int_equal(letter_add(&a, (ph_str){big, 90000}), 0);
    assert_int_equal(letter_add(&b, (ph_str){big, 10001}), -PH_EFULL);
    assert_int_equal(letter_add(&b, (ph_str){big, 10000}), 0);
    assert_int_equal(to(&b, PH_STR("c@d.test"), PH_STR("")), 0);
    assert_int_equal(room.used, 100000);
    letter_clear(&b);
    assert_int_equal(room.used, 90000);
    letter_clear(&a);
    letter_clear(&a);
    assert_int_equal(room.used, 0);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),     cmocka_unit_test(envelopes),
        cmocka_unit_test(notices),   cmocka_unit_test(test_same_targets),
        cmocka_unit_test(test_room), cmocka_unit_test(traces),
        cmocka_unit_test(completed), cmocka_unit_test(journeys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
