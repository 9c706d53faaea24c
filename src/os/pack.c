/* pack.c - compressed bodies: see pack.h. */
#include "pack.h"

#include <string.h>
#include <zstd.h>

enum { LEVEL = 1 };

struct ph_packer { /* each made when it is first needed */
    ZSTD_CCtx *packing;
    ZSTD_DCtx *unpacking;
};

struct ph_packer *ph_packer_new(void)
{
    return ph_new0(NULL, sizeof(struct ph_packer));
}

struct ph_packer *ph_packer_free(struct ph_packer *p)
{
    if (p) {
        ZSTD_freeCCtx(p->packing);
        ZSTD_freeDCtx(p->unpacking);
    }
    ph_free(NULL, p, sizeof *p);
    return NULL;
}

static ZSTD_CCtx *packing(struct ph_packer *p)
{
    if (!p->packing && (p->packing = ZSTD_createCCtx()))
        ZSTD_CCtx_setParameter(p->packing, ZSTD_c_compressionLevel, LEVEL);
    return p->packing;
}

static ZSTD_DCtx *unpacking(struct ph_packer *p)
{
    if (!p->unpacking)
        p->unpacking = ZSTD_createDCtx();
    return p->unpacking;
}

static void little_endian(char *to, unsigned n, uint32_t value)
{
    for (unsigned i = 0; i < n; i++)
        to[i] = (char)(value >> 8 * i & 0xff);
}

/* A frame of one raw block: RFC 8878 3.1.1. */
static void add_plain(struct ph_buf *out, ph_str bytes)
{
    enum { SINGLE_SEGMENT_SIZE_4 = 0xa0, LAST_RAW_BLOCK = 1 };
    char lead[PH_PACK_LEAD];
    little_endian(lead, 4, ZSTD_MAGICNUMBER);
    lead[4] = (char)SINGLE_SEGMENT_SIZE_4;
    little_endian(lead + 5, 4, (uint32_t)bytes.n);
    little_endian(lead + 9, 3, (uint32_t)bytes.n << 3 | LAST_RAW_BLOCK);
    ph_buf_add(out, (ph_str){lead, sizeof lead});
    ph_buf_add(out, bytes);
}

int ph_pack(struct ph_packer *p, ph_str body, size_t plain, struct ph_buf *out)
{
    if (body.n < PH_PACK_LEAST || body.n > PH_PACK_MOST || plain > PH_PACK_PLAIN || plain > body.n)
        return 0;
    size_t start = out->n, worth = body.n - body.n / 16;
    ph_str rest = ph_str_skip(body, plain);
    add_plain(out, ph_str_sub(body, 0, plain));
    size_t room = ZSTD_compressBound(rest.n);
    char *to = packing(p) ? ph_buf_reserve(out, room) : NULL;
    if (!to)
        return -PH_ENOMEM;
    size_t n = ZSTD_compress2(p->packing, to, room, rest.p, rest.n);
    if (ZSTD_isError(n) || out->n - start + n > worth) {
        out->n = start;
        return ZSTD_isError(n) ? -PH_ENOMEM : 0;
    }
    ph_buf_commit(out, n);
    return 1;
}

int ph_unpack(struct ph_packer *p, ph_str packed, uint64_t size, struct ph_buf *out)
{
    if (size == 0 || size > PH_PACK_MOST)
        return -PH_ECORRUPT;
    if (!unpacking(p))
        return -PH_ENOMEM;
    char *to = ph_buf_reserve(out, (size_t)size);
    if (!to)
        return ph_buf_err(out);
    size_t n = ZSTD_decompressDCtx(p->unpacking, to, (size_t)size, packed.p, packed.n);
    if (ZSTD_isError(n) || n != size)
        return -PH_ECORRUPT;
    ph_buf_commit(out, n);
    return 0;
}
