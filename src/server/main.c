/*
 * posthouse: the server and its administration, one program. The parent runs it again for each of
 * its processes, which know what they are by their title: a fresh address space each, with nothing
 * of the parent's in it.
 */
#include "admin.h"
#include "parent.h"
#include "roles.h"

#include <string.h>

enum { PARENT_FD = 3 };

const struct proc_def *const server_roles[ROLE_COUNT] = {
    [ROLE_MX] = &proc_mx,         [ROLE_ACCESS] = &proc_access,
    [ROLE_RELAY] = &proc_relay,   [ROLE_RESOLVER] = &proc_resolver,
    [ROLE_QUEUE] = &proc_queue,   [ROLE_STORE] = &proc_store,
    [ROLE_KEEPER] = &proc_keeper, [ROLE_INDEXER] = &proc_indexer,
};

int main(int argc, char **argv)
{
    int role;
    unsigned instance;
    if (argc == 1 && parent_title_parse(argv[0], &role, &instance))
        return proc_main(server_roles[role], instance, PARENT_FD);
    if (argc > 1 && !strcmp(argv[1], "probe"))
        return probe_main(argc - 1, argv + 1);
    return admin_main(argc, argv);
}
