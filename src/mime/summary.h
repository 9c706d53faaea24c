/*
 * summary.h - what IMAP and search need to know of a message without its bytes: envelope,
 * structure, part offsets, sizes, preview. Made where the message is parsed (mx, access), kept by
 * the store as opaque data, read where FETCH is answered.
 */
#ifndef PH_SUMMARY_H
#define PH_SUMMARY_H
#include <posthouse/mime.h>

enum { PH_SUMMARY_MAX = 256 * 1024, PH_SUMMARY_PREVIEW = PH_PREVIEW_MOST };

/* Parses `message` (whole, as it will be stored) and appends its summary, at most PH_SUMMARY_MAX
 * bytes: a message whose structure is larger gets a summary that says so (`partial`) and IMAP
 * parses the body with ph_summary_full. -PH_ENOMEM is the only error (also when `out` has no
 * room). */
PH_MUST_CHECK int ph_summary_make(ph_str message, struct ph_buf *out);

/* The same, bounded by `out` alone, never partial. -PH_ENOMEM, -PH_ELIMIT. */
PH_MUST_CHECK int ph_summary_full(ph_str message, struct ph_buf *out);

/* Borrowed from the message given: its Message-ID with brackets (empty when there is none), and
 * how many Received fields it has. Looks at the header only. */
void ph_summary_trace(ph_str message, ph_str *ret_message_id, unsigned *ret_received);

/*
 * A summary read. `root` is a tree as ph_mime_parse gives it (offsets count from the first byte of
 * the message as it was given to ph_summary_make; `head` is empty), with `envelope` set in the
 * root and in the child of every PH_PART_MESSAGE.
 *
 * It is made so that BODYSTRUCTURE needs no special cases:
 *   - a MULTIPART has at least one child; what claims to be multipart without any is text/plain
 *   - type message/rfc822 (message/global) with kind PH_PART_MESSAGE has exactly one child with
 *     envelope; where the inside was not read (transfer encoded, too deep) the type is
 *     application/octet-stream
 *   - `lines` is right for text and message parts; `language` is a comma list
 *   - a MAILBOX address without "@" has host {NULL, 0}: to be sent as "", since a host of NIL
 *     marks a group (RFC 9051 7.5.2)
 *   - no string holds CR, LF or NUL; they may hold bytes above 127
 *
 * partial: the structure was larger than PH_SUMMARY_MAX; `root` is then one text/plain leaf with
 * the right ranges of the whole message, the envelope may lack long address lists, and
 * everything else is right.
 */
struct ph_summary {
    bool partial;
    uint64_t size;        /* bytes of the message */
    struct ph_part *root; /* root->header: BODY[HEADER]; root->body: BODY[TEXT] */
    ph_str message_id;    /* with brackets, empty when there is none */
    ph_str in_reply_to;   /* first id, with brackets */
    ph_str references;    /* raw, unfolded */
    struct ph_date date;  /* the Date field */
    bool has_date;        /* false: use the internal date */
    bool has_attachments; /* a part that is not the text to read */
    ph_str preview;       /* UTF-8, white space collapsed, at most PH_SUMMARY_PREVIEW characters */
};

/* Reads an encoded summary. Strings are borrowed from `encoded`, the rest lives in the arena
 * given. -PH_ENOMEM; -PH_ECORRUPT when it is not a summary (any bytes are safe to give). */
PH_MUST_CHECK int ph_summary_read(struct ph_arena *arena, ph_str encoded,
                                  struct ph_summary **ret_summary);

/* Borrowed from the encoded summary: the ids by which letters that belong together are found, with
 * brackets: its own Message-ID first (empty when there is none), then of those it answers the
 * nearest first, and of many References the last ones and the first. Returns how many, at least 1:
 * of what is not a summary, or without memory, that is one empty id. */
enum { PH_THREAD_IDS = 8 };
size_t ph_summary_thread(ph_str encoded, ph_str ids[PH_THREAD_IDS]);
#endif
