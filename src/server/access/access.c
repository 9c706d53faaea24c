/* access: the users' protocols: submission, POP3, IMAP. */
#include "proc.h"

/* Its privileges: sockets it is handed; no file, no outgoing connection. */
static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    (void)p;
    *ret = (struct ph_sandbox){.may = PH_MAY_ACCEPT | PH_MAY_MEMFD, .chroot = true};
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {0};

const struct proc_def proc_access = {
    .role = ROLE_ACCESS,
    .handlers = handlers,
    .sandbox = sandbox,
};
