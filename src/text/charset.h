/* charset.h - the names of charsets (charset_names.c) for who reads them (charset.c). */
#ifndef PH_TEXT_CHARSET_H
#define PH_TEXT_CHARSET_H
#include <posthouse/base.h>

enum ph__charset_kind {
    PH__CHARSET_UTF8,
    PH__CHARSET_GUESS,   /* says nothing: UTF-8 where it is valid, else the Western set */
    PH__CHARSET_WESTERN, /* windows-1252 and what it contains; done by hand */
    PH__CHARSET_SINGLE,  /* one byte a character, ASCII below 128 */
    PH__CHARSET_MULTI,   /* one to four bytes a character */
    PH__CHARSET_SHIFTED, /* seven bits; escape sequences switch between sets */
    PH__CHARSET_HZ,      /* RFC 1843; done by hand */
    PH__CHARSET_WIDE     /* two or four bytes a character */
};

struct ph__charset {
    enum ph__charset_kind kind;
    const char *name; /* for iconv; "" where it is not asked */
    ph_str key;
};

/* How a label of a letter is read; NULL when it is unknown. Letter case, punctuation, quotes and
 * white space do not matter. */
const struct ph__charset *ph__charset_find(ph_str label);

#endif
