/*
 * Dates. Mail has many forms of them, so the text is cut into tokens (numbers with the separator
 * before them, words) and each token says by its shape what it is; order matters only where
 * shapes are alike (the day comes before a two-digit year).
 */
#include <stdlib.h>
#include <string.h>

#include "ascii.h"
#include "mime_int.h"

struct reading {
    int year, month, day, hour, minute, second; /* year and so on: -1 while unknown */
    int zone;
    unsigned flags;
    bool pm, am, got_zone;
};

static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";
static const char weekdays[] = "sunmontuewedthufrisat";

/* Zones by name (RFC 5322 4.3) and some more that mail has; minutes east. */
static const struct {
    char name[5];
    int16_t minutes;
} zones[] = {
    {"ut", 0},      {"gmt", 0},     {"utc", 0},    {"z", 0},      {"wet", 0},    {"est", -300},
    {"edt", -240},  {"cst", -360},  {"cdt", -300}, {"mst", -420}, {"mdt", -360}, {"pst", -480},
    {"pdt", -420},  {"bst", 60},    {"cet", 60},   {"cest", 120}, {"met", 60},   {"mest", 120},
    {"eet", 120},   {"eest", 180},  {"msk", 180},  {"msd", 240},  {"jst", 540},  {"kst", 540},
    {"ist", 330},   {"aest", 600},  {"aedt", 660}, {"nzst", 720}, {"nzdt", 780}, {"hst", -600},
    {"akst", -540}, {"akdt", -480}, {"ast", -240}, {"adt", -180}, {"nst", -210},
};

/* The index of a word's first three letters in a string of triples, or -1. */
static int triple(ph_str word, const char *table)
{
    if (word.n < 3)
        return -1;
    for (int i = 0; table[i * 3]; i++)
        if (ph_str_ieq((ph_str){word.p, 3}, (ph_str){table + (size_t)i * 3, 3}))
            return i;
    return -1;
}

static int number(ph_str *s, size_t *ret_digits)
{
    int v = 0;
    size_t n = 0;
    for (; n < s->n && ph_is_digit(s->p[n]); n++)
        v = v < 100000 ? v * 10 + (s->p[n] - '0') : v;
    *s = ph_str_skip(*s, n);
    *ret_digits = n;
    return v;
}

static bool set_year(struct reading *r, int v, size_t digits)
{
    if (r->year >= 0)
        return false;
    if (digits == 3)
        v += 1900; /* RFC 5322 4.3 */
    else if (digits <= 2)
        v += v < 50 ? 2000 : 1900;
    r->year = v;
    return true;
}

/* Takes a separator and a number off the front; white space may stand around both (RFC 5322
 * 4.3). */
static bool after_separator(ph_str *s, const char *separators, int *ret_value)
{
    size_t digits;
    ph_str t = ph__skip_cfws(*s);
    if (t.n == 0 || t.p[0] == 0 || !strchr(separators, t.p[0]))
        return false;
    t = ph__skip_cfws(ph_str_skip(t, 1));
    int v = number(&t, &digits);
    if (digits == 0)
        return false;
    *s = t;
    *ret_value = v;
    return true;
}

/* Behind "hh": ":mm[:ss[.fraction]]". */
static bool read_time(struct reading *r, ph_str *s, int hour)
{
    int fraction;
    if ((r->flags & PH_DATE_TIME) || !after_separator(s, ":.", &r->minute))
        return false;
    r->hour = hour;
    r->flags |= PH_DATE_TIME;
    if (after_separator(s, ":.", &r->second)) {
        r->flags |= PH_DATE_SECOND;
        after_separator(s, ".,", &fraction);
    }
    return true;
}

/* "2002-08-24" or "8/24/2002" behind its first number. */
static bool read_numeric(struct reading *r, ph_str *s, int one, size_t digits)
{
    char sep = s->p[0];
    size_t n2, n3 = 0;
    ph_str t = ph_str_skip(*s, 1);
    int two = number(&t, &n2), three = 0;
    if (n2 == 0 || n2 > 2 || t.n == 0 || t.p[0] != sep)
        return false;
    t = ph_str_skip(t, 1);
    three = number(&t, &n3);
    if (n3 == 0 || r->month >= 0)
        return false;
    bool iso = digits == 4, day_first = !iso && (sep == '.' || one > 12);
    r->month = (iso ? two : day_first ? two : one) - 1;
    r->day = iso ? three : day_first ? one : two;
    *s = t;
    if (s->n && (s->p[0] == 'T' || s->p[0] == 't'))
        *s = ph_str_skip(*s, 1);
    return set_year(r, iso ? one : three, iso ? digits : n3);
}

static bool read_zone(struct reading *r, ph_str *s)
{
    bool west = s->p[0] == '-';
    size_t n, n2 = 0;
    ph_str t = ph_str_skip(*s, 1);
    int v = number(&t, &n);
    if (n <= 2 && t.n > 1 && t.p[0] == ':' && ph_is_digit(t.p[1])) {
        t = ph_str_skip(t, 1);
        v = v * 100 + number(&t, &n2);
    } else if (n <= 2) {
        v *= 100;
    }
    *s = t;
    int minutes = v / 100 * 60 + v % 100;
    if (n == 0 || n > 4 || minutes >= 24 * 60 || r->got_zone)
        return n > 0;
    r->got_zone = true;
    r->zone = west ? -minutes : minutes;
    if (!west || minutes)
        r->flags |= PH_DATE_ZONE;
    return true;
}

static void read_word(struct reading *r, ph_str word)
{
    if (triple(word, weekdays) >= 0 && !(r->flags & PH_DATE_WEEKDAY)) {
        r->flags |= PH_DATE_WEEKDAY;
        return;
    }
    if (r->month < 0 && triple(word, months) >= 0) {
        r->month = triple(word, months);
        return;
    }
    r->pm |= ph_str_ieq(word, PH_STR("pm"));
    r->am |= ph_str_ieq(word, PH_STR("am"));
    for (size_t i = 0; i < sizeof zones / sizeof zones[0] && !r->got_zone; i++)
        if (ph_str_ieq(word, ph_str_c(zones[i].name))) {
            r->got_zone = true;
            r->zone = zones[i].minutes;
            r->flags |= PH_DATE_ZONE;
        }
}

static bool read_number(struct reading *r, ph_str *s)
{
    size_t digits;
    int v = number(s, &digits);
    char next = s->n ? s->p[0] : 0;
    ph_str ahead = ph__skip_cfws(*s);
    if ((ahead.n && ahead.p[0] == ':') ||
        (next == '.' && r->day >= 0 && r->year >= 0 && digits <= 2))
        return read_time(r, s, v);
    if ((next == '-' || next == '/' || (next == '.' && r->day < 0)) && s->n > 1 &&
        ph_is_digit(s->p[1]) && read_numeric(r, s, v, digits))
        return true;
    if (digits <= 2 && r->day < 0) {
        r->day = v;
        return true;
    }
    if (digits == 4 && r->year >= 0 && (r->flags & PH_DATE_TIME) && !r->got_zone) {
        r->got_zone = true; /* "0530": a zone that has lost its sign */
        r->zone = v / 100 * 60 + v % 100;
        r->flags |= PH_DATE_ZONE;
        return true;
    }
    return set_year(r, v, digits);
}

static bool read_token(struct reading *r, ph_str *s)
{
    char c = s->p[0];
    bool zone =
        (c == '+' || c == '-') && s->n > 1 && ph_is_digit(s->p[1]) && (r->flags & PH_DATE_TIME);
    if (zone)
        return read_zone(r, s);
    if (ph_is_digit(c))
        return read_number(r, s);
    size_t n = 0;
    while (n < s->n && ph_is_alpha(s->p[n]))
        n++;
    read_word(r, (ph_str){s->p, n});
    *s = ph_str_skip(*s, n ? n : 1);
    return true;
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar; month 0..11. */
static int64_t days(int64_t y, int m, int d)
{
    int64_t yy = m < 2 ? y - 1 : y;
    int64_t era = yy / 400, yoe = yy - era * 400;
    int64_t doy = (153 * (m < 2 ? m + 10 : m - 2) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool is_possible(const struct reading *r)
{
    return r->year >= 1 && r->year <= 9999 && r->month >= 0 && r->month < 12 && r->day >= 1 &&
           r->day <= 31 && r->hour <= 24 && r->minute < 60 && r->second <= 60 &&
           abs(r->zone) < 24 * 60;
}

int ph_date_parse(ph_str raw, struct ph_date *ret)
{
    enum { LONGEST = 200 };
    struct reading r = {.year = -1, .month = -1, .day = -1};
    raw.n = raw.n < LONGEST ? raw.n : LONGEST;
    for (ph_str s = ph__skip_cfws(raw); s.n; s = ph__skip_cfws(s))
        if (!read_token(&r, &s) && !(is_possible(&r) && (r.flags & PH_DATE_TIME)))
            return -PH_ESYNTAX;
    if (r.pm && r.hour < 12)
        r.hour += 12;
    else if (r.am && r.hour == 12)
        r.hour = 0;
    if (!is_possible(&r))
        return -PH_ESYNTAX;
    *ret = (struct ph_date){.time = days(r.year, r.month, r.day) * 86400 + r.hour * 3600 +
                                    r.minute * 60 + r.second - r.zone * 60,
                            .zone = (int16_t)r.zone,
                            .flags = (uint8_t)r.flags};
    return 0;
}

void ph_date_write(struct ph_buf *out, const struct ph_date *date)
{
    static const char day_names[] = "SunMonTueWedThuFriSat";
    static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t t = date->time + date->zone * 60, day = t / 86400, left = t % 86400;
    if (left < 0) {
        left += 86400;
        day--;
    }
    int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t d = doy - (153 * mp + 2) / 5 + 1, m = mp < 10 ? mp + 2 : mp - 10;
    int64_t y = yoe + era * 400 + (m < 2);
    int64_t weekday = ((day + 4) % 7 + 7) % 7;
    int zone = date->zone < 0 ? -date->zone : date->zone;
    ph_buf_addf(out, "%.3s, %02d %.3s %04d %02d:%02d:%02d %c%02d%02d", day_names + weekday * 3,
                (int)d, month_names + m * 3, (int)y, (int)(left / 3600), (int)(left / 60 % 60),
                (int)(left % 60), date->zone < 0 ? '-' : '+', zone / 60, zone % 60);
}
