/*
 * id.h - the one way in which a queue id is written: eleven characters, base32 with the digits
 * first and without the letters i, l, o and u (so that it can be read aloud), lower case. Text
 * order is numeric order.
 */
#ifndef PH_ID_H
#define PH_ID_H
#include <posthouse/base.h>

enum { PH_ID_TEXT = 11 }; /* characters; ids are below 2^55 */

/* Writes the text and a NUL; returns buf. Bits above 2^55 are not written. */
const char *ph_id_text(uint64_t id, char buf[PH_ID_TEXT + 1]);

/* Exactly PH_ID_TEXT characters of the alphabet, either case; false on anything else. */
bool ph_id_parse(ph_str text, uint64_t *ret_id);

#endif
