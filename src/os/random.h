/* random.h - unguessable bytes from the kernel, and the name of this machine. */
#ifndef PH_RANDOM_H
#define PH_RANDOM_H
#include <posthouse/base.h>

/* Fills p. Never fails on a kernel that has getrandom (Linux 3.17); ends the process where it does
 * not, because nothing that asks for a session id or a nonce may go on without. */
void ph_random(void *p, size_t n);
uint64_t ph_random_u64(void); /* never 0 */
/* n letters and digits of 5 bits each, and a NUL: out has room for n + 1. */
const char *ph_random_text(char *out, size_t n);

/* The machine's full name when the resolver files know one, else its host name, else "localhost".
 * At least 256 bytes. Reads files: before the sandbox. Returns buf. */
const char *ph_hostname(char *buf, size_t n);

#endif
