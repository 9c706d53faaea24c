/* os/log: a line holds what it was given, in both styles, whatever the values are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static int fds[2];
static char line[65536];

static const char *taken(void)
{
    ssize_t n = read(fds[0], line, sizeof line - 1);
    assert_true(n > 0);
    line[n] = '\0';
    assert_int_equal(line[n - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), line + n - 1); /* one line */
    return line;
}

static json_t *taken_json(void)
{
    json_error_t e;
    json_t *j = json_loads(taken(), JSON_REJECT_DUPLICATES, &e);
    assert_non_null(j);
    return j;
}

static const char *text(json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static void json(void **state)
{
    (void)state;
    ph_log_init("mx", 2, fds[1], PH_LOG_JSON, PH_LOG_INFO);
    errno = ENOENT;
    ph_log(PH_LOG_WARN, PH_STR("<1@a>"), "try",
           "host=%s:%d n=%zu big=%" PRIu64 " neg=%ld cut=%.*s pct=100%% f=%.3g note=%s", "b.test",
           25, (size_t)7, UINT64_MAX, -5L, 3, "abcdef", 0.5,
           "two words=\"x\"\n\x80\x1b[31m caf\xc3\xa9 \xc2\x9b");
    assert_int_equal(errno, ENOENT);
    json_t *j = taken_json();
    assert_string_equal(text(j, "process"), "mx");
    assert_int_equal(json_integer_value(json_object_get(j, "instance")), 2);
    assert_string_equal(text(j, "level"), "warn");
    assert_string_equal(text(j, "event"), "try");
    assert_string_equal(text(j, "letter"), "<1@a>");
    assert_string_equal(text(j, "host"), "b.test:25");
    assert_int_equal(json_integer_value(json_object_get(j, "n")), 7);
    assert_int_equal(json_integer_value(json_object_get(j, "neg")), -5);
    assert_string_equal(text(j, "big"),
                        "18446744073709551615"); /* too large for a reader's int64 */
    assert_string_equal(text(j, "cut"), "abc");
    assert_string_equal(text(j, "pct"), "100%");
    assert_string_equal(text(j, "f"), "0.5");
    assert_string_equal(text(j, "note"), "two words=\"x\"\n\xef\xbf\xbd\x1b[31m caf\xc3\xa9 "
                                         "\xef\xbf\xbd\xef\xbf\xbd");
    assert_null(strchr(line, '\x1b'));
    json_decref(j);
}

static void bounds(void **state)
{
    (void)state;
    char *big = malloc(100000);
    memset(big, '\x01', 99999); /* six bytes each when escaped */
    big[99999] = '\0';
    ph_log_init("mx", 0, fds[1], PH_LOG_JSON, PH_LOG_INFO);
    ph_log(PH_LOG_INFO, PH_STR(""), "x", "a=%s b=%s c=%d", big, big, 3);
    json_t *j = taken_json();
    assert_int_equal(strlen(text(j, "a")), 1024);
    assert_null(json_object_get(j, "b")); /* no room: left out as a whole */
    assert_int_equal(json_integer_value(json_object_get(j, "c")), 3);
    json_decref(j);
    free(big);
}

static void human(void **state)
{
    (void)state;
    ph_log_init("queue", 0, fds[1], PH_LOG_HUMAN, PH_LOG_WARN);
    assert_false(ph_log_wants(PH_LOG_INFO));
    ph_log(PH_LOG_INFO, PH_STR(""), "unseen", "a=%d", 1);
    ph_log(PH_LOG_ERROR, PH_STR("<1@a>"), "disk_full", "path=%s why=%s none=%s", "/x", "no space",
           "");
    assert_non_null(strstr(
        taken(), " error queue[0] disk_full letter=<1@a> path=/x why=\"no space\" none=\"\"\n"));
    ph_log(PH_LOG_ERROR, PH_STR(""), "bare", "");
    assert_non_null(strstr(taken(), " bare\n"));
}

static int open_pipe(void **state)
{
    (void)state;
    return pipe(fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json),
        cmocka_unit_test(bounds),
        cmocka_unit_test(human),
    };
    return cmocka_run_group_tests(tests, open_pipe, NULL);
}
