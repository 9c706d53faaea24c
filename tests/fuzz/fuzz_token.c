/* Any bytes as a token, as its claims, and as a set of keys. */
#include "token.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ph_token_rules rules = {PH_STR_INIT("i"), PH_STR_INIT("us"),
                                                PH_STR_INIT("email")};
    static struct ph_token_keys *known;
    ph_str in = {(const char *)data, size};
    struct ph_token_keys *k;
    struct ph_arena *arena = ph_arena_new(NULL, 1 << 20);
    ph_str name = {0};
    if (!known &&
        ph_token_keys_read(PH_STR("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"1Wd\",\"e\":\"AQAB\"},"
                                  "{\"kty\":\"EC\",\"crv\":\"P-256\","
                                  "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                                  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}"),
                           &known, NULL) < 0)
        abort();
    if (ph_token_check(known, &rules, in, 1000, arena, &name, NULL) != -PH_EAUTH)
        abort(); /* nobody can sign for those keys */
    if (ph__token_claims(&rules, in, 1000, arena, &name, NULL) == 0 && !name.n)
        abort();
    if (ph_token_keys_read(in, &k, NULL) == 0)
        ph_token_keys_free(k);
    ph_arena_free(arena);
    return 0;
}
