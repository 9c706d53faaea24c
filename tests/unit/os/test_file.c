/* os/file, os/random: whole files, atomic writes, sealed memory files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "random.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/ph-file-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    char cmd[80];
    (void)state;
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

static const char *below(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_and_read(void **state)
{
    (void)state;
    struct ph_error e;
    struct ph_buf b;
    struct stat st;
    ph_buf_init(&b, NULL, 10);
    assert_int_equal(ph_mkdirs(below("a/b/c"), 0700, &e), 0);
    assert_int_equal(ph_mkdirs(below("a/b/c"), 0700, &e), 0);
    assert_int_equal(ph_file_write(below("a/f"), PH_STR("0123456789"), 0640, &e), 0);
    assert_int_equal(stat(below("a/f"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(ph_file_read(below("a/f"), &b, &e), 0);
    assert_int_equal(b.n, 10);
    ph_buf_clear(&b);
    assert_int_equal(ph_file_write(below("a/f"), PH_STR("0123456789x"), 0600, &e), 0);
    assert_int_equal(ph_file_read(below("a/f"), &b, &e), -PH_ELIMIT);
    assert_non_null(strstr(e.text, "longer than 10 bytes"));
    assert_int_equal(ph_file_read(below("none"), &b, &e), -PH_ENOENT);
    assert_non_null(strstr(e.text, "/none: No such file"));
    assert_int_equal(ph_file_write(below("none/f"), PH_STR("x"), 0600, &e), -PH_ENOENT);
    assert_int_equal(ph_mkdirs(below("a/f"), 0700, &e), -PH_EEXIST);
    assert_int_equal(ph_mkdirs(below("a/f/g"), 0700, &e), -PH_ENOENT);
    assert_true(ph_file_exists(below("a/f")));
    assert_false(ph_file_exists(below("a/x")));
    ph_buf_done(&b);
}

static void codes(void **state)
{
    (void)state;
    assert_int_equal(ph_sys_code(ENOSPC), PH_EFULL);
    assert_int_equal(ph_sys_code(EACCES), PH_EDENIED);
    assert_int_equal(ph_sys_code(12345), PH_EIO);
}

static void memory_files(void **state)
{
    (void)state;
    ph_str s = PH_STR("untouched");
    int fd = ph_memfile("body");
    assert_true(fd >= 0);
    assert_int_equal(ph_memfile_add(fd, PH_STR("hello ")), 0);
    assert_int_equal(ph_memfile_add(fd, PH_STR("world")), 0);
    assert_int_equal(ph_memfile_map(fd, 11, &s), -PH_EINVAL); /* not sealed */
    assert_string_equal(s.p, "untouched");
    assert_int_equal(ph_memfile_seal(fd), 0);
    assert_int_equal(ph_memfile_add(fd, PH_STR("!")), -PH_EDENIED);
    assert_int_equal(ph_memfile_map(fd, 12, &s), -PH_EINVAL); /* another size */
    assert_int_equal(ph_memfile_map(fd, 11, &s), 0);
    assert_true(ph_str_eq(s, PH_STR("hello world")));
    close(fd);
    assert_true(ph_str_eq(s, PH_STR("hello world")));
    ph_unmap(s);
    fd = ph_memfile("empty");
    assert_int_equal(ph_memfile_seal(fd), 0);
    assert_int_equal(ph_memfile_map(fd, 0, &s), 0);
    assert_int_equal(s.n, 0);
    ph_unmap(s);
    close(fd);
    assert_int_equal(ph_memfile_map(0, 0, &s), -PH_EINVAL); /* no memory file at all */
}

static void random_text(void **state)
{
    (void)state;
    char a[27], b[27], host[256];
    ph_random_text(a, 26);
    ph_random_text(b, 26);
    assert_int_equal(strlen(a), 26);
    assert_string_not_equal(a, b);
    assert_int_equal(strspn(a, "0123456789abcdefghjkmnpqrstvwxyz"), 26);
    assert_true(ph_random_u64() != ph_random_u64());
    assert_true(strlen(ph_hostname(host, sizeof host)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_and_read),
        cmocka_unit_test(codes),
        cmocka_unit_test(memory_files),
        cmocka_unit_test(random_text),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
