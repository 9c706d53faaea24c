/* One question, one answer, blocking: for the signer channel and the control socket. */
#include "ipc_int.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int wait_for(int fd, short what, int64_t until)
{
    struct pollfd p = {.fd = fd, .events = what};
    for (;;) {
        int64_t left = until - now_ms();
        if (left <= 0)
            return -PH_ETIMEOUT;
        int n = poll(&p, 1, (int)left);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -PH_EIO;
    }
}

static int put_all(int fd, ph_str bytes, int64_t until)
{
    while (bytes.n) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            bytes = ph_str_skip(bytes, (size_t)n);
            continue;
        }
        int r = errno == EINTR ? 0 : errno == EAGAIN ? wait_for(fd, POLLOUT, until) : -PH_ECLOSED;
        if (r)
            return r;
    }
    return 0;
}

static int read_more(int fd, struct ph_buf *buf, size_t n, int64_t until)
{
    char *to = ph_buf_reserve(buf, n);
    if (!to)
        return ph_buf_err(buf);
    for (;;) {
        ssize_t got = recv(fd, to, n, MSG_DONTWAIT);
        if (got > 0) {
            ph_buf_commit(buf, (size_t)got);
            return 0;
        }
        if (got == 0)
            return -PH_ECLOSED;
        int r = errno == EINTR ? 0 : errno == EAGAIN ? wait_for(fd, POLLIN, until) : -PH_ECLOSED;
        if (r)
            return r;
    }
}

/* Reads on until a frame other than HELLO is there. It reads no more than it needs: what follows
 * stays in the socket. */
static int get_answer(int fd, const struct ipc_ends *ends, struct ph_buf *buf,
                      struct ipc_msg *ret_msg, int64_t until)
{
    ph_buf_clear(buf);
    for (;;) {
        bool has_fd = false;
        size_t whole = 0;
        const char *why;
        int64_t n = ipc__frame_get(ph_buf_str(buf), ends, ret_msg, &has_fd, &whole, &why);
        if (n < 0 || has_fd)
            return -PH_ESYNTAX;
        if (n > 0 && ret_msg->type != IPC_HELLO)
            return 0;
        if (n > 0) {
            if (ipc__hello_wrong(&ret_msg->HELLO, ends))
                return -PH_ESYNTAX;
            ph_buf_clear(buf);
            whole = IPC__HEAD;
        }
        int r = read_more(fd, buf, whole - buf->n, until);
        if (r)
            return r;
    }
}

int ipc_call(int fd, const struct ipc_ends *ends, enum ipc_type type, const void *fields,
             struct ph_buf *buf, struct ipc_msg *ret_msg, int timeout_ms)
{
    int64_t until = now_ms() + timeout_ms;
    struct ipc_HELLO hello = {ipc_table_hash(), (uint8_t)ends->self_role, ends->self_instance};
    ph_buf_clear(buf);
    int r = ipc__frame_put(buf, IPC_HELLO, &hello, false);
    if (!r)
        r = ipc__frame_put(buf, type, fields, false);
    if (!r)
        r = put_all(fd, ph_buf_str(buf), until);
    if (!r)
        r = get_answer(fd, ends, buf, ret_msg, until);
    return r;
}
