/* conf_int.h - settings.def as a table, and values as text. Inside src/conf and its tests. */
#ifndef PH_CONF_INT_H
#define PH_CONF_INT_H
#include "conf.h"

enum ph__conf_kind { KIND_str, KIND_bool, KIND_int, KIND_size, KIND_duration, KIND_list };

struct ph__conf_row {
    const char *name;
    enum ph__conf_kind kind;
    size_t offset; /* in struct ph_conf */
    const char *def;
    int64_t min, max;
    unsigned roles;
    const char *text;
};

extern const struct ph__conf_row ph__conf_rows[];
extern const size_t ph__conf_count;

const struct ph__conf_row *ph__conf_find(ph_str name);
/* The setting whose name is least far from `name`, or NULL when none is near. */
const struct ph__conf_row *ph__conf_nearest(ph_str name);

/* Puts `text` into the row's field of c, checked. Lists: *sep-separated (0: one element, appended
 * to what is there). */
PH_MUST_CHECK int ph__conf_put(struct ph_conf *c, const struct ph__conf_row *row, ph_str text,
                               char sep, struct ph_error *reterr);
/* Empties a list, so that elements can be appended. */
void ph__conf_clear(struct ph_conf *c, const struct ph__conf_row *row);
/* The value as text: what ph__conf_put reads. */
void ph__conf_text(const struct ph_conf *c, const struct ph__conf_row *row, char sep,
                   struct ph_buf *out);

/* Checks that go beyond kind and range: words to choose from, addresses. */
PH_MUST_CHECK int ph__conf_check(const struct ph__conf_row *row, ph_str value,
                                 struct ph_error *reterr);

#endif
