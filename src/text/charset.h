/* charset.h - what the rest of text needs of charset.c beside <posthouse/text.h>. */
#ifndef PH_TEXT_CHARSET_H
#define PH_TEXT_CHARSET_H
#include <posthouse/base.h>

/* How a charset label of a letter is read: an iconv name, "1252" for the Western sets, "" for
 * UTF-8 or ASCII, NULL when it is unknown. Quotes and white space around it do not matter. */
const char *ph__charset_name(ph_str label);

#endif
