/*
 * transport.h - a row of the setting `transports`: for which letters it is, and how they go on.
 *
 *   [from:SENDER] DOMAIN WAY [OPTION=VALUE...]
 *
 *   SENDER, DOMAIN  b.test, .b.test (all below it), * (all); SENDER also alice@a.test and @a.test
 *   WAY             smtp             by the MX records of the domain
 *                   smtp:HOST:PORT   this server (a smarthost)
 *                   smtps:HOST:PORT  ... with TLS from the first octet
 *                   lmtp:HOST:PORT   this server, by LMTP (RFC 2033)
 *                   error:CODE TEXT  back to the sender: 5xx, with an enhanced code or without
 *   OPTION          tls=may|encrypt|verify  source=ADDRESS (one of each family)
 *                   user=NAME  password=FILE (absolute)  connections=N  rate=N (letters a minute)
 *
 * The first row that fits counts.
 */
#ifndef PH_TRANSPORT_H
#define PH_TRANSPORT_H
#include <posthouse/base.h>

enum ph_transport_way {
    PH_TRANSPORT_SMTP,
    PH_TRANSPORT_SMTPS,
    PH_TRANSPORT_LMTP,
    PH_TRANSPORT_ERROR
};

struct ph_transport {
    ph_str sender, domain; /* patterns; sender empty: any */
    enum ph_transport_way way;
    ph_str host;   /* name or address without brackets; empty: by MX */
    unsigned port; /* 0: relay_port */
    ph_str tls;    /* empty: relay_tls */
    ph_str source4, source6;
    ph_str user, password_file;
    unsigned connections; /* at the same time to one site; 0: relay_connections */
    unsigned rate;        /* letters a minute to one site; 0: no limit */
    unsigned code;        /* ERROR */
    ph_str esc, text;     /* ERROR */
};

/* Slices are borrowed from `row`. -PH_EINVAL: the text says which word is wrong. */
PH_MUST_CHECK int ph_transport_parse(ph_str row, struct ph_transport *ret_transport,
                                     struct ph_error *reterr);
/* domain: A-labels. sender: an envelope's, empty for <>; only "*" fits that. */
bool ph_transport_fits(const struct ph_transport *t, ph_str sender, ph_str domain);

#endif
