/* conf: any file. What is read without a mistake is printed, and what is printed reads without a
 * mistake to the same. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf.h"

static void complain(void *ctx, const char *where, const char *what)
{
    assert(*where && *what);
    ++*(int *)ctx;
}

static int read_bytes(struct ph_conf *c, ph_str bytes, int *said)
{
    char path[64];
    int fd = memfd_create("fuzz_conf", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes.p, bytes.n) != (ssize_t)bytes.n)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    *said = 0;
    int r = ph_conf_read(c, path, complain, said);
    close(fd);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char include[] = "include";
    if (size >= sizeof include - 1 && memmem(data, size, include, sizeof include - 1))
        return 0; /* no other files of this machine */
    struct ph_conf *a = ph_conf_new(), *b = ph_conf_new();
    struct ph_buf x, y;
    int said;
    assert(a && b);
    ph_buf_init(&x, NULL, 8u << 20);
    ph_buf_init(&y, NULL, 8u << 20);
    int r = read_bytes(a, (ph_str){(const char *)data, size}, &said);
    assert((r != 0) == (said > 0));
    if (r == 0) {
        ph_conf_print(a, &x);
        r = read_bytes(b, ph_buf_str(&x), &said);
        assert(r == 0);
        ph_conf_print(b, &y);
        assert(ph_str_eq(ph_buf_str(&x), ph_buf_str(&y)));
    }
    ph_buf_done(&x);
    ph_buf_done(&y);
    ph_conf_free(a);
    ph_conf_free(b);
    return 0;
}
