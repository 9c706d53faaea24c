/* summary_int.h - what the two halves of the summary's encoding agree on. */
#ifndef PH_SUMMARY_INT_H
#define PH_SUMMARY_INT_H

enum {
    PH__SUMMARY_VERSION = 1,
    PH__PARTIAL = 1, /* flags of the summary */
    PH__ATTACHED = 2,
    PH__HAS_ENVELOPE = 32,  /* flag of a part, beside 2 bits of kind and 3 of encoding */
    PH__SENDER_IS_FROM = 1, /* flags of an envelope */
    PH__REPLY_IS_FROM = 2,
    PH__HAS_SENT = 4
};

/* Make times and zones positive: years 1..9999, zones within a day. */
#define PH__TIME_BIAS INT64_C(100000000000)
#define PH__ZONE_BIAS 2000

#endif
