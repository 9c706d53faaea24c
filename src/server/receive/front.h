/*
 * front.h - the front door of mx and access: listening sockets, how many may come in, and from
 * where.
 *
 * A connection above a limit is still handed over, marked so that it can be told why; far above it
 * is closed at once.
 */
#ifndef PH_FRONT_H
#define PH_FRONT_H
#include "guard.h"
#include "sock.h"

struct ph_loop;
struct front;

enum {
    FRONT_BATCH = 32,     /* connections accepted from one socket in one turn */
    FRONT_PAUSE_MS = 100, /* how long nothing is accepted when descriptors have run out */
    /* connections that are being told that there is no room; more are closed unheard */
    FRONT_REFUSED = 64
};

enum front_room { FRONT_OK, FRONT_FULL, FRONT_FULL_FOR_ADDRESS, FRONT_TOO_FAST, FRONT_BANNED };

/* One that came in. Give `ticket` back with front_left when it is gone. */
struct front_guest {
    int service;
    int fd; /* the callee's */
    enum front_room room;
    char why[96];     /* where it is not OK: a sentence for the client */
    bool exempt;      /* limits_exempt: no rate counts for it */
    char address[64]; /* what counts as one address: the IPv4 address, the /64 around an IPv6 one */
    char network[64]; /* the /24, or the /48 */
    struct ph_addr addr;
    char ip[64];   /* without port and brackets */
    char text[80]; /* "192.0.2.1:5555" */
    char id[12];   /* of this session, for log lines: unique, see id.h */
    struct front_ticket *ticket;
};

struct front *front_new(struct ph_loop *loop, unsigned instance,
                        void (*arrived)(void *ctx, const struct front_guest *g), void *ctx);
struct front *front_free(struct front *f);
/* max_connections and its kin, limits_exempt, rates. conf must live until the next call or free. */
void front_settings(struct front *f, const struct ph_conf *conf);
/* Whether one of the ranges ("192.0.2.0/24") holds the address. */
struct ph_conf_list;
bool front_in(const struct ph_conf_list *ranges, const struct ph_addr *addr);
struct guard *front_guard(struct front *f);
/* The scopes of a guest: nothing where it is exempt. */
struct guard_who front_who(const struct front_guest *g);
/* Takes over fd. 0 or -PH_ENOMEM (fd is closed). */
int front_listen(struct front *f, int service, int fd);
/* The guest turns out to be someone else (XCLIENT): addresses, ticket, room and why are made
 * anew. */
void front_move(struct front *f, struct front_guest *g, const struct ph_addr *addr);
void front_left(struct front *f, struct front_ticket *ticket);
void front_close(struct front *f);         /* accepts no more */
size_t front_count(const struct front *f); /* inside now */
uint64_t front_total(const struct front *f);
uint64_t front_refused(const struct front *f);

#endif
