/*
 * ipc_int.h - the tables that messages.def expands to, and the codec over them. Inside src/ipc, for
 * its tests and fuzz targets.
 */
#ifndef PH_IPC_INT_H
#define PH_IPC_INT_H
#include "ipc.h"

enum ipc__kind { IPC__u8, IPC__u32, IPC__u64, IPC__i64, IPC__str, IPC__rows };

struct ipc__field {
    uint8_t kind;
    uint16_t offset; /* in its struct */
    uint32_t max;    /* bytes of str and rows, highest value of u8 and u32 */
    const char *name;
};

struct ipc__fields {
    const struct ipc__field *v;
    size_t n;
};

struct ipc__type {
    const char *name;
    unsigned from, to; /* masks of roles */
    int fd;            /* as ipc_type_fd */
    struct ipc__fields (*fields)(void);
};

struct ipc__row {
    const char *name;
    struct ipc__fields (*fields)(void);
};

extern const struct ipc__type ipc__types[IPC_TYPE_COUNT];
extern const struct ipc__row ipc__rows[IPC_ROW_COUNT];

enum { IPC__HEAD = 16, IPC__HAS_FD = 1 };

/* Appends the fields of *values; -PH_ELIMIT when one is above its maximum, -PH_ENOMEM; then `out`
 * is as it was. */
int ipc__encode(struct ph_buf *out, struct ipc__fields fields, const void *values);
/* Cuts the fields off *in into *ret_values; -PH_ESYNTAX when one is cut short or above its
 * maximum. */
int ipc__decode(ph_str *in, struct ipc__fields fields, void *ret_values);

/* Appends a whole frame; errors as ipc__encode, and -PH_ELIMIT when it is above IPC_FRAME_MAX. */
int ipc__frame_put(struct ph_buf *out, enum ipc_type type, const void *values, bool has_fd);

/*
 * Cuts a frame off the front of `in`. Returns its length, or 0 when it is not complete yet
 * (*ret_whole is then its length, or IPC__HEAD while that is not known), or -PH_ESYNTAX with
 * *ret_why: the peer broke the protocol. The strings of *ret_msg are borrowed from `in`; its fd is
 * -1, and *ret_fd tells whether a descriptor belongs to it.
 */
int64_t ipc__frame_get(ph_str in, const struct ipc_ends *ends, struct ipc_msg *ret_msg,
                       bool *ret_fd, size_t *ret_whole, const char **ret_why);

/* Whether a HELLO is the one these ends expect; NULL, or what is wrong with it. */
const char *ipc__hello_wrong(const struct ipc_HELLO *h, const struct ipc_ends *ends);

#endif
