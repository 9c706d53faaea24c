/* keeper: accounts, passwords and private keys. */
#include "proc.h"

/* Its privileges: its own folder and threads; no network. */
static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    *ret =
        (struct ph_sandbox){.may = PH_MAY_FILES | PH_MAY_THREADS, .dir = p->data, .chroot = true};
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {0};

const struct proc_def proc_keeper = {
    .role = ROLE_KEEPER,
    .handlers = handlers,
    .sandbox = sandbox,
};
