/*
 * guard.h - rates: how much of what was taken from whom of late, and who is shut out for it.
 *
 * Each process counts for itself: no message is sent for it, nothing waits for it, and a process
 * that dies takes its counts along. So with N processes a peer whose connections the kernel spreads
 * over them may have N times a limit; the settings say so. Refused logins are the keeper's to
 * count, whose bans hold for all.
 *
 * A count is one number, the time at which it will be empty again (the generic cell rate algorithm:
 * a bucket of one window's worth that leaks evenly). The table has a fixed number of rows in sets
 * of GUARD_WAYS; the row that would be empty first makes room, so that who is far over a limit is
 * forgotten last. Nothing is ever allocated after guard_new.
 *
 * An address with too many errors, or an address or account with too many refused logins, is banned
 * for ban_time; for twice as long each time it comes to that again, up to ban_most; every such
 * length of good behaviour halves it.
 */
#ifndef PH_GUARD_H
#define PH_GUARD_H
#include <posthouse/base.h>

enum { GUARD_ROWS = 32768, GUARD_WAYS = 8 }; /* 24 octets a row: 768 KiB a process */

enum guard_what {
    GUARD_CONNECTION,
    GUARD_LETTER,
    GUARD_RECIPIENT,
    GUARD_OCTETS,
    GUARD_ERROR,
    GUARD_LOGIN
};
enum guard_scope { GUARD_ADDRESS, GUARD_NETWORK, GUARD_SENDER, GUARD_ACCOUNT, GUARD_SCOPES };

/* Who does it; scopes that are empty are not counted. */
struct guard_who {
    ph_str name[GUARD_SCOPES];
};

struct guard;
struct ph_conf;
struct guard *guard_new(void); /* NULL: out of memory */
struct guard *guard_free(struct guard *g);
/* The limits; conf must live until the next call or free. */
void guard_settings(struct guard *g, const struct ph_conf *conf);

/* Counts `amount`. NULL: it is within every limit; else the reply of the first one that it is not,
 * and nothing was counted. */
const char *guard_take(struct guard *g, int64_t now_ms, enum guard_what what,
                       const struct guard_who *who, uint64_t amount);
/* Counts what has happened already, beyond limits too. True: this was what got them banned. */
bool guard_note(struct guard *g, int64_t now_ms, enum guard_what what, const struct guard_who *who,
                uint64_t amount);
/* Another process has banned the address for so long. */
void guard_ban(struct guard *g, int64_t now_ms, ph_str address, int64_t duration_ms);
/* Milliseconds that its address or account is still banned for; 0: neither is. */
int64_t guard_banned(struct guard *g, int64_t now_ms, const struct guard_who *who);

#endif
