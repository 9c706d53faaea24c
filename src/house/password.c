/* Password hashes by libxcrypt, and new passwords from the kernel's random numbers. */
#include "house.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

_Static_assert(PH_PASSWORD_MAX < CRYPT_MAX_PASSPHRASE_SIZE, "libxcrypt's own limit");
_Static_assert(PH_HASH_MAX >= CRYPT_OUTPUT_SIZE, "room for any hash");

/* crypt(3) into memory of this call, which is 32 KiB: too much for a thread's stack to take for
 * granted. */
static int crypt_to(ph_str password, const char *setting, char ret_hash[PH_HASH_MAX])
{
    char phrase[PH_PASSWORD_MAX + 1];
    struct crypt_data *data = calloc(1, sizeof *data);
    if (!data)
        return -PH_ENOMEM;
    memcpy(phrase, password.p, password.n);
    phrase[password.n] = '\0';
    const char *hash = crypt_rn(phrase, setting, data, sizeof *data);
    size_t n = hash ? strlen(hash) : 0;
    int r = n && n < PH_HASH_MAX && *hash != '*' ? 0 : -PH_EINVAL;
    if (r == 0)
        memcpy(ret_hash, hash, n + 1);
    ph_wipe(phrase, sizeof phrase);
    ph_wipe(data, sizeof *data);
    free(data);
    return r;
}

static bool is_usable(ph_str password)
{
    return password.n && password.n <= PH_PASSWORD_MAX && !memchr(password.p, 0, password.n);
}

int ph_password_hash(ph_str password, char ret_hash[PH_HASH_MAX], struct ph_error *reterr)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (!is_usable(password))
        return ph_fail(reterr, PH_EINVAL, 0, "a password has 1 to %d octets and no NUL among them",
                       PH_PASSWORD_MAX);
    if (!crypt_gensalt_rn("$y$", PH_HASH_COST, NULL, 0, setting, sizeof setting))
        return ph_fail(reterr, PH_EIO, 0, "no random numbers for a salt");
    if (crypt_to(password, setting, ret_hash) < 0)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory while hashing a password");
    return 0;
}

int ph_password_check(ph_str password, ph_str hash)
{
    char setting[PH_HASH_MAX], got[PH_HASH_MAX];
    if (!is_usable(password) || hash.n == 0 || hash.n >= sizeof setting ||
        memchr(hash.p, 0, hash.n))
        return 0;
    memcpy(setting, hash.p, hash.n);
    setting[hash.n] = '\0';
    int r = crypt_to(password, setting, got);
    if (r < 0)
        return r == -PH_EINVAL ? 0 : r;
    r = ph_str_secret_eq(ph_str_c(got), hash);
    ph_wipe(got, sizeof got);
    return r;
}

int ph_password_generate(char ret_password[24])
{
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789"; /* without i l o 0 1 */
    enum { GROUPS = 4, GROUP = 5 };
    size_t n = 0;
    while (n < GROUPS * (GROUP + 1) - 1) {
        unsigned char c;
        if (n % (GROUP + 1) == GROUP) {
            ret_password[n++] = '-';
            continue;
        }
        if (getrandom(&c, 1, 0) != 1)
            return -PH_EIO;
        if (c < 256 / (sizeof letters - 1) * (sizeof letters - 1)) /* every letter equally often */
            ret_password[n++] = letters[c % (sizeof letters - 1)];
    }
    ret_password[n] = '\0';
    return 0;
}
