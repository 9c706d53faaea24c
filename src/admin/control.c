/* The client of the control socket. */
#include "control.h"

#include "admin.h"
#include "ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum { ANSWER_MAX = 2 * 1024 * 1024 };

/* By way of /proc: a socket's path may have 107 bytes only. */
static int connect_to(const char *data)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int folder = open(data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = folder < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(sa.sun_path, sizeof sa.sun_path, "/proc/self/fd/%d/control.sock", folder);
    int r = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&sa, sizeof sa);
    int sys = errno;
    if (folder >= 0)
        close(folder);
    if (r && fd >= 0)
        close(fd);
    errno = sys;
    return r ? -1 : fd;
}

static int not_reached(const char *data)
{
    if (errno == EACCES || errno == EPERM)
        return admin_fail(EX_NOPERM, "%s/control.sock: %s; ask as the user who started the server",
                          data, strerror(errno));
    return admin_fail(EX_UNAVAILABLE,
                      "no server is running in %s; start one with posthouse serve --data %s, or "
                      "name its folder with --data",
                      data, data);
}

int admin_control_ask(struct admin_control *c, const char *data, const char *verb,
                      const char *argument, int ms)
{
    struct ipc_ends ends = {ROLE_CONTROL, ROLE_PARENT, 0, 0};
    struct ipc_CTL ask = {ph_str_c(verb), ph_str_c(argument)};
    struct ipc_msg msg;
    *c = (struct admin_control){.fd = connect_to(data)};
    ph_buf_init(&c->buf, NULL, ANSWER_MAX);
    if (c->fd < 0)
        return not_reached(data);
    int r = ipc_call(c->fd, &ends, IPC_CTL, &ask, &c->buf, &msg, ms);
    if (r == -PH_ESYNTAX)
        return admin_fail(EX_PROTOCOL,
                          "the running server is of another version than this program; restart it");
    if (r || msg.type != IPC_CTL_RESULT)
        return admin_fail(EX_TEMPFAIL, "the server does not answer: %s", ph_error_info(r)->text);
    c->text = msg.CTL_RESULT.text;
    if (msg.CTL_RESULT.verdict == IPC_OK)
        return 0;
    return admin_fail(msg.CTL_RESULT.verdict == IPC_TEMP ? EX_TEMPFAIL : EX_CONFIG, "%.*s",
                      PH_FMT(c->text));
}

bool admin_control_wait_end(struct admin_control *c, int ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    char rest[256];
    while (poll(&p, 1, ms) > 0)
        if (recv(c->fd, rest, sizeof rest, 0) <= 0)
            return true;
    return false;
}

void admin_control_close(struct admin_control *c)
{
    if (c->fd >= 0)
        close(c->fd);
    ph_buf_done(&c->buf);
}
