/* What messages.def says, as tables: fields, directions, names, and the hash that both ends of a
 * channel compare. */
#include "hash.h"
#include "ipc_int.h"

#include <string.h>

/* The masks that messages.def is written with. */
enum {
    PARENT = IPC_BIT(ROLE_PARENT),
    MX = IPC_BIT(ROLE_MX),
    ACCESS = IPC_BIT(ROLE_ACCESS),
    RELAY = IPC_BIT(ROLE_RELAY),
    RESOLVER = IPC_BIT(ROLE_RESOLVER),
    QUEUE = IPC_BIT(ROLE_QUEUE),
    STORE = IPC_BIT(ROLE_STORE),
    KEEPER = IPC_BIT(ROLE_KEEPER),
    INDEXER = IPC_BIT(ROLE_INDEXER),
    CONTROL = IPC_BIT(ROLE_CONTROL),
    ANYONE = IPC_BIT(ROLE_COUNT) - 1,
    CHILDREN = ANYONE & ~(PARENT | CONTROL),
    FD = IPC_BIT(16),
    MAY_FD = IPC_BIT(17),
    ROLES = 0xffff,
};

static const char *const role_names[ROLE_COUNT] = {
    [ROLE_PARENT] = "parent",     [ROLE_MX] = "mx",
    [ROLE_ACCESS] = "access",     [ROLE_RELAY] = "relay",
    [ROLE_RESOLVER] = "resolver", [ROLE_QUEUE] = "queue",
    [ROLE_STORE] = "store",       [ROLE_KEEPER] = "keeper",
    [ROLE_INDEXER] = "indexer",   [ROLE_CONTROL] = "control",
};

/* One function a message and a row, because only there its struct has a name that F can use. */
#define F(kind, name, max) {IPC__##kind, offsetof(self, name), max, #name},
#define FIELDS(function, type, ...)                                                                \
    static struct ipc__fields function(void)                                                       \
    {                                                                                              \
        typedef struct type self;                                                                  \
        static const struct ipc__field v[] = {__VA_ARGS__};                                        \
        return (struct ipc__fields){v, sizeof v / sizeof *v};                                      \
    }
#define R(name, list) FIELDS(row_##name, ipc_##name, list)
#define M(name, from, to, list) FIELDS(type_##name, ipc_##name, list)
#include "messages.def"
#undef M
#undef R
#undef F

#define F(kind, name, max)
#define R(name, list)
#define M(name, from, to, list)                                                                    \
    [IPC_##name] = {#name, (from)&ROLES, to,                                                       \
                    ((from)&FD)       ? 2                                                          \
                    : ((from)&MAY_FD) ? 1                                                          \
                                      : 0,                                                         \
                    type_##name},
const struct ipc__type ipc__types[IPC_TYPE_COUNT] = {
#include "messages.def"
};
#undef M
#undef R

#define R(name, list) [IPC_ROW_##name] = {#name, row_##name},
#define M(name, from, to, list)
const struct ipc__row ipc__rows[IPC_ROW_COUNT] = {
#include "messages.def"
};
#undef M
#undef R
#undef F

/* The whole table as text, for its hash. */
#define F(kind, name, max) #kind " " #name " " #max ";"
#define R(name, list) #name "{" list "}"
#define M(name, from, to, list) #name ":" #from ">" #to "{" list "}"
static const char table_text[] =
#include "messages.def"
    ;
#undef M
#undef R
#undef F

const char *ipc_role_name(int role)
{
    return role >= 0 && role < ROLE_COUNT ? role_names[role] : "?";
}

const char *ipc_step_name(int step)
{
    static const char *const names[EV_COUNT] = {
        [EV_SUBMITTED] = "submitted",
        [EV_RECEIVED] = "received",
        [EV_AUTHENTICATED] = "authenticated",
        [EV_QUEUED] = "queued",
        [EV_TRIED] = "tried",
        [EV_DEFERRED] = "deferred",
        [EV_RELAYED] = "relayed",
        [EV_DELIVERED] = "delivered",
        [EV_BOUNCED] = "bounced",
        [EV_FETCHED] = "fetched",
        [EV_EXPIRED] = "expired",
        [EV_REFUSED] = "refused",
        [EV_REPORTED] = "reported",
    };
    return step >= 0 && step < EV_COUNT ? names[step] : "?";
}

const char *ipc_type_name(int type)
{
    return type >= 0 && type < IPC_TYPE_COUNT ? ipc__types[type].name : "?";
}

/* It guards against programs of different versions, not against malice. */
uint64_t ipc_table_hash(void)
{
    static uint64_t hash;
    if (!hash)
        hash = ph_hash_fixed((ph_str){table_text, sizeof table_text - 1});
    return hash;
}

static bool is_role(int role)
{
    return role >= 0 && role < ROLE_COUNT;
}

bool ipc_may_send(int type, int from_role, int to_role)
{
    if (type < 0 || type >= IPC_TYPE_COUNT || !is_role(from_role) || !is_role(to_role))
        return false;
    return (ipc__types[type].from & IPC_BIT(from_role)) && (ipc__types[type].to & IPC_BIT(to_role));
}

int ipc_type_fd(int type)
{
    return type >= 0 && type < IPC_TYPE_COUNT ? ipc__types[type].fd : 0;
}

bool ipc_may_talk(int role, int other)
{
    for (int t = 0; t < IPC_TYPE_COUNT; t++)
        if (t != IPC_HELLO && (ipc_may_send(t, role, other) || ipc_may_send(t, other, role)))
            return true;
    return false;
}
