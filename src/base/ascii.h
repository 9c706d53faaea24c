/* ascii.h - classes of ASCII characters: no locale, and any char may be asked about. */
#ifndef PH_ASCII_H
#define PH_ASCII_H
#include <posthouse/base.h>

static inline bool ph_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ph_is_alpha(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static inline bool ph_is_alnum(char c)
{
    return ph_is_alpha(c) || ph_is_digit(c);
}

static inline char ph_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

#endif
