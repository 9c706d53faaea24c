/*
 * proxy.h - the PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt): a balancer in
 * front of us says first who its connection is from. Read at the front door, before the greeting
 * and before TLS, from peers of the setting proxy_from alone: others could claim any address.
 */
#ifndef PH_PROXY_H
#define PH_PROXY_H
#include "sock.h"

enum {
    PROXY_MOST = 1024,            /* octets of a header that we read */
    PROXY_WAITING = 1000,         /* connections whose header has not come */
    PROXY_PATIENCE_MS = 10 * 1000 /* for how long */
};

/*
 * Reads a header from the first bytes of a connection. 1: *ret_n is its length, and *ret_addr the
 * client (ret_addr->len == 0: the balancer speaks for itself, keep its address). 0: more is needed.
 * -PH_ESYNTAX.
 */
PH_MUST_CHECK int proxy_parse(ph_str in, struct ph_addr *ret_addr, size_t *ret_n);

#endif
