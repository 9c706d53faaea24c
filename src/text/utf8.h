/*
 * utf8.h - UTF-8 (RFC 3629): checking, stepping, repairing.
 */
#ifndef PH_TEXT_UTF8_H
#define PH_TEXT_UTF8_H
#include <posthouse/base.h>

/* Length of the longest prefix that is valid: s.n when all of it is. */
size_t ph_utf8_valid(ph_str s);

static inline bool ph_utf8_is_valid(ph_str s)
{
    return ph_utf8_valid(s) == s.n;
}

/* True when every byte is below 128. */
bool ph_ascii_only(ph_str s);

/* Length of the character at the front, 1..4; 0 when it is not valid (or s is empty). */
size_t ph_utf8_step(ph_str s);

/* The code point of the character at the front, whose length ph_utf8_step gave. */
uint32_t ph_utf8_point(const char *p, size_t len);

/* Appends one code point; one that is not a character (surrogate, above 10FFFF) as U+FFFD. */
void ph_utf8_add(struct ph_buf *out, uint32_t point);

/* Appends s, each invalid byte as U+FFFD; returns how many those were. */
size_t ph_utf8_add_repaired(struct ph_buf *out, ph_str s);

#endif
