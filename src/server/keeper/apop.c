/*
 * APOP (RFC 1939 7): MD5 of the greeting's stamp and a shared secret. Only app passwords made for
 * it are such secrets: the account's own password is kept as hashes alone, and stays so.
 */
#include "auth_int.h"

#include <openssl/evp.h>
#include <stdio.h>

enum { MD5_BYTES = 16 };

struct proof {
    ph_str stamp, digest;
    bool right, expired;
    int64_t used; /* the one that fits */
    char name[PH_APP_NAME_MAX + 1];
};

static bool fits(const struct proof *y, ph_str secret)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    char hex[2 * MD5_BYTES + 1];
    unsigned n = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_md5(), NULL) == 1 &&
              EVP_DigestUpdate(md, y->stamp.p, y->stamp.n) == 1 &&
              EVP_DigestUpdate(md, secret.p, secret.n) == 1 &&
              EVP_DigestFinal_ex(md, sum, &n) == 1 && n == MD5_BYTES;
    EVP_MD_CTX_free(md);
    for (size_t i = 0; ok && i < MD5_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    return ok && ph_str_secret_eq((ph_str){hex, 2 * MD5_BYTES}, y->digest);
}

static int look_at(void *ctx, const struct ph_house_app *row)
{
    struct proof *y = ctx;
    if (row->scope != PH_SCOPE_APOP || !row->secret.n || !fits(y, row->secret))
        return 0;
    y->right = true;
    y->used = row->used;
    y->expired = row->expires && row->expires <= ph_wall_us() / 1000000;
    auth_copy(y->name, sizeof y->name, row->name);
    return 1;
}

void auth_apop(struct keeper_auth *a, struct attempt *t, ph_str data)
{
    struct ph_house_account account;
    struct proof y = {0};
    ph_str user;
    if (!a->k->p->conf->pop3_apop || !ph_str_token(&data, '\0', &y.stamp) ||
        !ph_str_token(&data, '\0', &user)) {
        auth_fail_later(a, t, "a mechanism that is not offered");
        return;
    }
    y.digest = data;
    int r = auth_identify(a, t, user, &account);
    if (r > 0)
        r = ph_house_apps(a->k->house, t->account, look_at, &y, NULL);
    keeper_forget(a->k);
    if (r < 0) {
        auth_fail_now(a, t, IPC_TEMP, "the address book can not be read now");
    } else if (!y.right || y.expired) {
        auth_fail_later(a, t,
                        y.right ? "this app password has expired" : "wrong user name or password");
    } else {
        auth_note_use(a->k, t, &(struct ph_house_app){.name = ph_str_c(y.name), .used = y.used});
        auth_grant(a, t);
    }
}
