/*
 * posthouse/edit.h - changing a message that was read: a header field here, a part less there, and
 * every other byte as it was.
 *
 * A struct ph_edit is a list of changes over a parsed message. Nothing is copied until the result
 * is asked for, and then it is given as slices of the original and of what was added. A signature
 * over what is changed breaks, as it must.
 *
 * Everything lives in the arena given; the message and its bytes are borrowed as long as the
 * result is used.
 */
#ifndef POSTHOUSE_EDIT_H
#define POSTHOUSE_EDIT_H

#include <posthouse/mime.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_edit;

enum { PH_EDIT_CHANGES = 10000 }; /* in one edit */

/* NULL: no memory. */
PH_EXPORT struct ph_edit *ph_edit_new(struct ph_arena *arena, const struct ph_message *m);

/*
 * Header fields of a part of the message (m->root for its own). Name and value as for
 * ph_email_add_header (posthouse/build.h); MIME-Version, Content-Type, -Transfer-Encoding,
 * -Disposition and -ID cannot be changed, because they say what the bytes are. Line ends are those
 * of the header. Later calls for a name replace what earlier ones did, but for add.
 *   set   in the place of the first field of that name, the others go; or at the end
 *   add   at the end of the header
 *   del   all of that name; returns how many there are in the original
 * 0 (del: >= 0), -PH_EINVAL, -PH_ELIMIT, -PH_ENOMEM; then nothing is changed.
 */
PH_EXPORT PH_MUST_CHECK int ph_edit_set_header(struct ph_edit *e, const struct ph_part *part,
                                               ph_str name, ph_str value, struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_edit_add_header(struct ph_edit *e, const struct ph_part *part,
                                               ph_str name, ph_str value, struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_edit_del(struct ph_edit *e, const struct ph_part *part, ph_str name);

/* Takes a part out of its multipart, with its boundary line. A multipart that loses all its parts
 * keeps an empty one, because it must have one (RFC 2046 5.1). -PH_EINVAL for the root, and for
 * the message inside a message/rfc822 (remove that part instead). 0, -PH_ELIMIT, -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_edit_remove_part(struct ph_edit *e, const struct ph_part *part,
                                                struct ph_error *reterr);

/* The result as slices, none empty, to be written one behind the other. 0 or -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_edit_slices(struct ph_edit *e, ph_str **ret_slices,
                                           size_t *ret_count);

/* The same appended to a buffer. 0, -PH_ENOMEM, or what `out` says. */
PH_EXPORT PH_MUST_CHECK int ph_edit_as_bytes(struct ph_edit *e, struct ph_buf *out);

/* The same into a file descriptor; errors as of ph_email_write (build.h). */
PH_EXPORT PH_MUST_CHECK int ph_edit_write(struct ph_edit *e, int fd, struct ph_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
