/*
 * pack.h - bodies of letters, compressed once where they come in: so they travel, so the queue
 * and the mailbox keep them. Who sends them on to the world, or quotes them, unpacks them.
 *
 *   packed:  [frame: the first bytes as they are][frame: the rest, compressed]
 *
 * Both are zstd frames (RFC 8878), so that any zstd gives the letter back. The first one is there
 * because the queue writes its id into our Received field, which is PH_PACK_LEAD bytes further
 * on than in the message.
 *
 * A packed body comes from a process that speaks with strangers: any bytes are safe to unpack, and
 * cost no more than the size that was claimed.
 */
#ifndef PH_PACK_H
#define PH_PACK_H
#include <posthouse/base.h>

enum {
    PH_PACK_LEAST = 1024, /* of smaller ones the copies cost less than the packing */
    PH_PACK_LEAD = 12,    /* bytes in front of those that are kept as they are */
    PH_PACK_MOST = 65536, /* larger ones stay as they are, too */
    PH_PACK_PLAIN = 16384 /* of those at most */
};

struct ph_packer;
/* What is kept from one letter to the next, some 200 KB; for one thread. NULL: out of memory. */
struct ph_packer *ph_packer_new(void);
struct ph_packer *ph_packer_free(struct ph_packer *p);

/* Appends `body` packed, its first `plain` bytes as they are. 1; 0: it is not worth it, or larger
 * than PH_PACK_MOST, or `plain` is more than PH_PACK_PLAIN, and out is as it was; -PH_ENOMEM. */
PH_MUST_CHECK int ph_pack(struct ph_packer *p, ph_str body, size_t plain, struct ph_buf *out);

/* Appends the letter, which is said to have `size` bytes. -PH_ECORRUPT: it is not packed, not of
 * that size, or that is more than PH_PACK_MOST, of which none is packed; -PH_ENOMEM, -PH_ELIMIT (as
 * ph_buf). */
PH_MUST_CHECK int ph_unpack(struct ph_packer *p, ph_str packed, uint64_t size, struct ph_buf *out);
#endif
