#include "random.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

void ph_random(void *p, size_t n)
{
    unsigned char *at = p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            abort();
        }
        at += got;
        n -= (size_t)got;
    }
}

uint64_t ph_random_u64(void)
{
    uint64_t v = 0;
    while (v == 0)
        ph_random(&v, sizeof v);
    return v;
}

const char *ph_random_text(char *out, size_t n)
{
    /* 32 characters that nobody confuses when reading aloud: no i, l, o, u. */
    static const char digits[33] = "0123456789abcdefghjkmnpqrstvwxyz";
    ph_random(out, n);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[(unsigned char)out[i] & 31];
    out[n] = '\0';
    return out;
}

const char *ph_hostname(char *buf, size_t n)
{
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) < 0 || name[0] == '\0')
        snprintf(name, sizeof name, "localhost");
    snprintf(buf, n, "%s", name);
    if (strchr(name, '.'))
        return buf;
    struct addrinfo *ai = NULL, hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM};
    if (getaddrinfo(name, NULL, &hints, &ai) == 0) {
        if (ai && ai->ai_canonname && strchr(ai->ai_canonname, '.'))
            snprintf(buf, n, "%s", ai->ai_canonname);
        freeaddrinfo(ai);
    }
    return buf;
}
