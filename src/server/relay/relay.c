/* relay: mail to other servers. */
#include "proc.h"

/* Its privileges: outgoing streams; no file. */
static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    (void)p;
    *ret = (struct ph_sandbox){.may = PH_MAY_CONNECT, .chroot = true};
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {0};

const struct proc_def proc_relay = {
    .role = ROLE_RELAY,
    .handlers = handlers,
    .sandbox = sandbox,
};
