/*
 * posthouse/reply.h - answering mail and passing it on.
 *
 * Both take a parsed message, however hostile, and give a message to be written as in
 * posthouse/build.h, which can be changed before. It lives in the arena given; the bytes of the
 * original are borrowed until it is written.
 */
#ifndef POSTHOUSE_REPLY_H
#define POSTHOUSE_REPLY_H

#include <posthouse/build.h>
#include <posthouse/mime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- subjects -------------------------------------------------------------------------------- */

enum ph_subject { PH_SUBJECT_REPLY, PH_SUBJECT_FORWARD };

/*
 * The subject with `prefix` before it: "Re: " or "Fwd: " when empty. Prefixes of that kind that
 * are there already, in any of the languages that mail programs write them in (Re, AW, SV, Antw,
 * Odp, ...; Fwd, FW, WG, TR, VS, ...), numbered ("Re[2]:") or with a wide colon, go first, so that
 * they never pile up; one behind a "[list]" goes too. One-letter prefixes ("R:", "I:") stay: they
 * may be words. Appends UTF-8 to `out`. 0 or an error of `out`.
 */
PH_EXPORT PH_MUST_CHECK int ph_subject_write(ph_str subject, enum ph_subject kind, ph_str prefix,
                                             struct ph_buf *out);

/* ---- replies --------------------------------------------------------------------------------- */

enum ph_reply_to {
    /* Mail-Reply-To, else Reply-To (but for one that the list put there: the address of
     * List-Post), else From */
    PH_REPLY_SENDER,
    /* Mail-Followup-To, else that of the sender in To, and To and Cc in Cc */
    PH_REPLY_ALL,
    /* the address of List-Post (RFC 2369 3.4); -PH_ENOENT when there is none */
    PH_REPLY_LIST
};

struct ph_reply {
    size_t struct_size; /* sizeof(struct ph_reply); PH_REPLY sets it */
    ph_str from;        /* who answers: "Name <a@b>"; must be there */
    const ph_str *own;  /* addresses that are his too: no reply goes to any of his own, unless */
    /* nobody else would be left; an answer to an own letter goes where that went */
    size_t own_count;
    enum ph_reply_to to;
    ph_str text;        /* what he writes, UTF-8 */
    ph_str prefix;      /* "Re: " */
    ph_str attribution; /* the line above the quote; default "On DATE, NAME wrote:" */
    bool no_quote;
    bool text_below; /* the text below the quote instead of above it */
};

#define PH_REPLY(...) (&(const struct ph_reply){sizeof(struct ph_reply), __VA_ARGS__})

/*
 * An answer with To, Cc, Subject, In-Reply-To and References (RFC 5322 3.6.4), and the text of the
 * original quoted: HTML turned into text, format=flowed joined, the signature left out, at most
 * PH_REPLY_QUOTE bytes. The answer is format=flowed itself (RFC 3676), so that quotes stay quotes
 * at any width. Of a long References the first and the last PH_REPLY_REFERENCES stay.
 *
 * 0, -PH_EINVAL (from), -PH_ENOENT (nobody to write to), -PH_ELIMIT, -PH_ENOMEM.
 */
enum { PH_REPLY_QUOTE = 256 * 1024, PH_REPLY_REFERENCES = 50, PH_REPLY_RECIPIENTS = 1000 };
PH_EXPORT PH_MUST_CHECK int ph_reply_build(struct ph_arena *arena, struct ph_message *m,
                                           const struct ph_reply *reply,
                                           struct ph_email **ret_email, struct ph_error *reterr);

/* ---- forwarding ------------------------------------------------------------------------------ */

struct ph_forward {
    size_t struct_size; /* sizeof(struct ph_forward); PH_FORWARD sets it */
    ph_str from, to;    /* `to` may be empty and be set later */
    ph_str text;        /* what he writes above it, UTF-8 */
    ph_str prefix;      /* "Fwd: " */
    bool is_attached;   /* as message/rfc822, every byte as it was; else its text and its files */
};

#define PH_FORWARD(...) (&(const struct ph_forward){sizeof(struct ph_forward), __VA_ARGS__})

/* 0, -PH_EINVAL, -PH_ELIMIT, -PH_ENOMEM (files are decoded into the arena). */
PH_EXPORT PH_MUST_CHECK int ph_forward_build(struct ph_arena *arena, struct ph_message *m,
                                             const struct ph_forward *forward,
                                             struct ph_email **ret_email, struct ph_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
