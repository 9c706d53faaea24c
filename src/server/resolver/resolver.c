/* resolver: names and addresses from the DNS. */
#include "proc.h"

/* Its privileges: datagrams and streams to name servers; no file. */
static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    (void)p;
    *ret = (struct ph_sandbox){.may = PH_MAY_DNS | PH_MAY_CONNECT, .chroot = true};
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {0};

const struct proc_def proc_resolver = {
    .role = ROLE_RESOLVER,
    .handlers = handlers,
    .sandbox = sandbox,
};
