/* content.h - the Content-* fields of one part. */
#ifndef PH_MIME_CONTENT_H
#define PH_MIME_CONTENT_H
#include "mime_int.h"

/* What must be remembered of one header while it is read. */
struct ph__content {
    unsigned seen;    /* bits of the fields that were there, for duplicates */
    unsigned defects; /* of the bits below */
    bool typed;       /* Content-Type could be read */
};

enum {
    PH__FIELD_TWICE = 1,
    PH__TYPE_SYNTAX = 2,
    PH__PARAM_SYNTAX = 4,
    PH__PARAM_TWICE = 8,
    PH__ENCODING_UNKNOWN = 16
};

/* Takes one field into the part if it is one of its own. 0 or -PH_ENOMEM. */
int ph__content_field(struct ph_arena *arena, struct ph_part *p, struct ph__content *c, ph_str name,
                      ph_str raw);

#endif
