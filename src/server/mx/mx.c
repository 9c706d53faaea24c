/* mx: mail from other servers (SMTP, port 25 in the world). */
#include "proc.h"

/* Its privileges: sockets it is handed; no file, no outgoing connection. */
static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    (void)p;
    *ret = (struct ph_sandbox){.may = PH_MAY_ACCEPT | PH_MAY_MEMFD, .chroot = true};
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {0};

const struct proc_def proc_mx = {
    .role = ROLE_MX,
    .handlers = handlers,
    .sandbox = sandbox,
};
