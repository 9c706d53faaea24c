/* The places that post fetch fills: Maildir, mbox, and what it remembers of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "file.h"
#include "sink.h"

#include "scratch.h"

static void ignore(void *ctx, const char *path)
{
    (void)ctx;
    (void)path;
}

static size_t files_in(const char *name)
{
    DIR *d = opendir(below(name));
    size_t n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static struct post_state state_at(const char *name)
{
    struct post_state st = {.imap = true, .validity = 7, .tag = "0123456789abcdef"};
    snprintf(st.path, sizeof st.path, "%s", below(name));
    return st;
}

/* Nobody sees a letter before sync; afterwards its name tells what it is, though the state were
 * lost. */
static void maildir(void **state)
{
    (void)state;
    struct post_item fresh = {.number = 1, .uid = "1"},
                     seen = {.number = 2, .uid = "2", .flags = POST_SEEN | POST_FLAGGED};
    char path[128];
    snprintf(path, sizeof path, "%s", below("md"));
    struct post_state st = state_at("md/.post-x");
    struct post_sink k = {.ops = &post_sink_maildir, .path = path, .state = &st};
    assert_int_equal(k.ops->open(&k), 0);
    struct post_sink other = {.ops = &post_sink_maildir, .path = path, .state = &st};
    assert_int_equal(other.ops->open(&other), EX_TEMPFAIL); /* one at a time */
    other.ops->close(&other);
    assert_int_equal(k.ops->put(&k, &fresh, PH_STR("Subject: 1\r\n\r\n"), true), 0);
    assert_int_equal(k.ops->put(&k, &seen, PH_STR("Subject: 2"), false), 0);
    assert_int_equal(k.ops->put(&k, &seen, PH_STR("\r\n\r\n"), true), 0);
    assert_int_equal(files_in("md/tmp"), 2);
    assert_int_equal(files_in("md/new"), 0);
    assert_int_equal(k.ops->sync(&k, PH_STR(""), ignore, NULL), 0);
    assert_int_equal(files_in("md/tmp"), 0);
    assert_int_equal(access(below("md/new/7.0123456789abcdef-1.post"), R_OK), 0);
    assert_int_equal(access(below("md/cur/7.0123456789abcdef-2.post:2,FS"), R_OK), 0);
    assert_int_equal(k.ops->put(&k, &(struct post_item){.uid = "3"}, PH_STR("x"), true), 0);
    assert_int_equal(k.ops->put(&k, &(struct post_item){.uid = "4"}, PH_STR("x"), false), 0);
    k.ops->close(&k);
    assert_int_equal(files_in("md/tmp"), 0);
    put("md/tmp/7.0123456789abcdef-9.post", "half a let");
    assert_int_equal(k.ops->open(&k), 0);
    assert_int_equal(files_in("md/tmp"), 0);
    assert_true(post_state_has(&st, &fresh));
    assert_true(post_state_has(&st, &seen));
    assert_false(post_state_has(&st, &(struct post_item){.number = 9, .uid = "9"}));
    k.ops->close(&k);
    post_state_done(&st);
}

/* The state file: what counts, what a crash cut off, another UIDVALIDITY. */
static void fetch_state(void **state)
{
    (void)state;
    struct post_state st = state_at("state");
    struct ph_buf b;
    put("state", "upto 7 100\nuid 7 105\nnonsense\nupto 7");
    assert_int_equal(post_state_load(&st), 0);
    assert_int_equal(st.last, 100);
    assert_true(post_state_has(&st, &(struct post_item){.number = 50, .uid = "50"}));
    assert_true(post_state_has(&st, &(struct post_item){.number = 105, .uid = "105"}));
    assert_false(post_state_has(&st, &(struct post_item){.number = 104, .uid = "104"}));
    assert_int_equal(post_state_append(st.path, PH_STR("upto 7 104\n")), 0);
    post_state_done(&st);
    st = state_at("state");
    assert_int_equal(post_state_load(&st), 0);
    assert_int_equal(st.last, 104);
    post_state_done(&st);
    st = state_at("state");
    st.validity = 8;
    assert_int_equal(post_state_load(&st), 0);
    assert_true(st.renumbered && st.last == 0);
    post_state_done(&st);
    st = state_at("state");
    st.imap = false;
    ph_buf_init(&b, NULL, 1000);
    post_state_line(&st, &(struct post_item){.uid = "a b/c"}, &b);
    put("state", ph_buf_cstr(&b));
    assert_int_equal(post_state_load(&st), 0);
    assert_true(post_state_has(&st, &(struct post_item){.number = 3, .uid = "a b/c"}));
    ph_buf_clear(&b);
    post_state_escape(PH_STR("a b/c%:."), &b);
    assert_string_equal(ph_buf_cstr(&b), "a%20b%2Fc%25%3A.");
    ph_buf_done(&b);
    post_state_done(&st);
}

static const char batch[] = "From a@a.test Thu Jan  1 00:00:00 1970\nDate: 1 Jan 1970 00:00:00 "
                            "+0000\nFrom: a@a.test\n\n>From here\n>>From there\n\n";

/* Cut at every two places, with a NUL of the text kept, and lone CRs. */
static void mbox_pieces(void **state)
{
    (void)state;
    static const char letter[] = "Date: 1 Jan 1970 00:00:00 +0000\r\nFrom: a@a.test\r\n\r\nFrom "
                                 "here\r\n>From there\r\n>>Fro\r\na\rb\r\r\n\0\r";
    static const char want[] = "From a@a.test Thu Jan  1 00:00:00 1970\n"
                               "Date: 1 Jan 1970 00:00:00 +0000\nFrom: a@a.test\n\n>From here\n"
                               ">>From there\n>>Fro\na\rb\r\n\0\n\n";
    const ph_str all = {letter, sizeof letter - 1};
    struct post_mbox_writer w;
    struct ph_buf b;
    post_mbox_writer_init(&w);
    ph_buf_init(&b, NULL, 1000);
    for (size_t i = 0; i <= all.n; i++)
        for (size_t j = i; j <= all.n; j++) {
            ph_buf_clear(&b);
            assert_int_equal(post_mbox_write(&w, ph_str_sub(all, 0, i), false, &b), 0);
            assert_int_equal(post_mbox_write(&w, ph_str_sub(all, i, j - i), false, &b), 0);
            assert_int_equal(post_mbox_write(&w, ph_str_skip(all, j), true, &b), 0);
            assert_int_equal(b.n, sizeof want - 1);
            assert_memory_equal(b.p, want, b.n);
        }
    ph_buf_done(&b);
    post_mbox_writer_done(&w);
}

/* Every length of the piece that a crash may have left, with and without a letter of another
 * program behind it. */
static void mbox(void **state)
{
    (void)state;
    static const char other[] = "From x Thu Jan  1 00:00:00 1970\n\nother\n\n";
    char path[128], was[64] = "From old Thu Jan  1 00:00:00 1970\n\nold\n\n", journal[1200],
                    now[1200], want[1200];
    snprintf(path, sizeof path, "%s", below("box.mbox"));
    snprintf(journal, sizeof journal, "%supto 7 5\npost-journal 2 %zu 9 %zu %s\n", batch,
             strlen(was), strlen(batch), below("box-state"));
    for (size_t piece = 0; piece <= strlen(batch); piece++) {
        for (int behind = 0; behind < 2; behind++) {
            struct post_state st = state_at("box-state");
            struct post_sink k = {.ops = &post_sink_mbox, .path = path, .state = &st};
            snprintf(now, sizeof now, "%s%.*s%s", was, (int)piece, batch, behind ? other : "");
            snprintf(want, sizeof want, "%s%s%s", was, batch, behind ? other : "");
            put("box.mbox", now);
            put(".box.mbox.post-journal", journal);
            unlink(st.path);
            assert_int_equal(k.ops->open(&k), 0);
            slurp("box.mbox", now, sizeof now);
            assert_string_equal(now, want);
            assert_int_equal(access(below(".box.mbox.post-journal"), F_OK), -1);
            assert_int_equal(post_state_load(&st), 0);
            assert_int_equal(st.last, 5);
            k.ops->close(&k);
            post_state_done(&st);
        }
    }
    struct post_state st = state_at("box-state");
    struct post_sink k = {.ops = &post_sink_mbox, .path = path, .state = &st};
    put("box.mbox", was);
    assert_int_equal(k.ops->open(&k), 0);
    static const char *const pieces[] = {"Date: 1 Jan 1970 00:00:00 +0000\nFrom: a@a.test\n",
                                         "\nFrom here\n>From there", "From: broke@off.test\n\nx"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(k.ops->put(&k, &(struct post_item){0}, ph_str_c(pieces[i]), i == 1), 0);
    assert_int_equal(k.ops->sync(&k, PH_STR("upto 7 6\n"), ignore, NULL), 0);
    slurp("box.mbox", now, sizeof now);
    snprintf(want, sizeof want, "%s%s", was, batch);
    assert_string_equal(now, want);
    k.ops->close(&k);
    put(".box.mbox.post-journal", "nonsense");
    assert_int_equal(k.ops->open(&k), EX_DATAERR);
    k.ops->close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(maildir), cmocka_unit_test(fetch_state),
                                       cmocka_unit_test(mbox), cmocka_unit_test(mbox_pieces)};
    return cmocka_run_group_tests(tests, make, drop);
}
