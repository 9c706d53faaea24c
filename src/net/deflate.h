/* deflate.h - both directions of one compressed connection (RFC 4978), for the library's
 * connections and for the pump. */
#ifndef PH_NET_DEFLATE_H
#define PH_NET_DEFLATE_H
#include <posthouse/base.h>

struct ph__deflate;
/* small: for servers with many connections, about 110 KiB each instead of 300. NULL: out of
 * memory. */
struct ph__deflate *ph__deflate_new(bool small);
struct ph__deflate *ph__deflate_free(struct ph__deflate *d);
/* Deflates all of `in`, to the end of a block, so that the other side can read it at once; appended
 * to out. */
int ph__deflate_put(struct ph__deflate *d, ph_str in, struct ph_buf *out);
/* Inflates from *in (which it shortens) at most max octets. The number, 0: more input is needed;
 * -PH_ESYNTAX. When it is max there may be more inside. */
int64_t ph__deflate_take(struct ph__deflate *d, ph_str *in, char *to, size_t max);

#endif
