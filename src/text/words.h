/*
 * words.h - encoded words (RFC 2047, language tags of RFC 2231 5) in header values.
 */
#ifndef PH_TEXT_WORDS_H
#define PH_TEXT_WORDS_H
#include <posthouse/base.h>

/* Appends a raw header text as valid UTF-8: line ends and NULs removed, encoded words decoded
 * wherever they stand, white space between two of them dropped, characters split across words
 * joined, other bytes read as UTF-8 or else windows-1252. */
void ph_words_decode(struct ph_buf *out, ph_str raw);

/* The same, where bytes that are not UTF-8 are in the charset named. */
void ph_words_decode_in(struct ph_buf *out, ph_str raw, ph_str fallback);

/* True when the text, put as it is behind a field name, would not come back the same: not
 * ASCII, controls, something that looks like an encoded word, words that cannot be folded. */
bool ph_words_needed(ph_str utf8);

/*
 * Appends UTF-8 text as encoded words of at most 75 characters, with the shorter of B and Q,
 * never splitting a character; a line that would pass 76 is folded. *col is the column on the
 * line, kept up to date. The words are fit for a phrase too (RFC 2047 5 (3)).
 */
void ph_words_encode(struct ph_buf *out, ph_str utf8, unsigned *col);

#endif
