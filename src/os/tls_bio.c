/* OpenSSL's own socket BIO writes with write(2), which kills a program whose peer went away, unless
 * it ignores SIGPIPE. A library may not ask that of its user. */
#include "tls_int.h"
#include <errno.h>
#include <sys/socket.h>

static int fd_of(BIO *b)
{
    return (int)(intptr_t)BIO_get_data(b);
}

static bool is_again(int sys)
{
    return sys == EAGAIN || sys == EWOULDBLOCK || sys == EINTR;
}

static int sock_write(BIO *b, const char *p, int n)
{
    ssize_t did = send(fd_of(b), p, (size_t)n, MSG_NOSIGNAL);
    BIO_clear_retry_flags(b);
    if (did < 0 && is_again(errno))
        BIO_set_retry_write(b);
    return (int)did;
}

static int sock_read(BIO *b, char *p, int n)
{
    ssize_t did = recv(fd_of(b), p, (size_t)n, 0);
    BIO_clear_retry_flags(b);
    if (did < 0 && is_again(errno))
        BIO_set_retry_read(b);
    else if (did == 0)
        BIO_set_flags(b, BIO_FLAGS_IN_EOF);
    return (int)did;
}

static long sock_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)num;
    (void)ptr;
    if (cmd == BIO_CTRL_EOF)
        return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
    return cmd == BIO_CTRL_FLUSH;
}

BIO_METHOD *ph__tls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOCKET, "posthouse socket");
    if (!m)
        return NULL;
    BIO_meth_set_write(m, sock_write);
    BIO_meth_set_read(m, sock_read);
    BIO_meth_set_ctrl(m, sock_ctrl);
    return m;
}

BIO *ph__tls_bio(const BIO_METHOD *method, int fd)
{
    BIO *b = BIO_new(method);
    if (!b)
        return NULL;
    BIO_set_data(b, (void *)(intptr_t)fd);
    BIO_set_init(b, 1);
    return b;
}
