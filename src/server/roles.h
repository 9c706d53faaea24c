/* roles.h - the definition of each process, by its role; NULL for those that are none. */
#ifndef PH_ROLES_H
#define PH_ROLES_H
#include "proc.h"

extern const struct proc_def *const server_roles[ROLE_COUNT];

/* posthouse probe [ROLE...]: what each process is refused, tried for real. Not in --help: it is for
 * the tests. */
int probe_main(int argc, char **argv);

#endif
