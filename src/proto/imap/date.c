/* Dates of IMAP (RFC 9051 9): date "1-Feb-1994" and date-time "17-Jul-1996 02:44:25 -0700". */
#include "imap_int.h"
#include <string.h>

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970-01-01 of the proleptic Gregorian calendar, and back. */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *m = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *y = yoe + era * 400 + (*m <= 2);
}

static bool month(struct ph__imap_cur *c, unsigned *ret_m)
{
    for (unsigned i = 0; c->end - c->at >= 3 && i < 12; i++) {
        if (ph_str_ieq((ph_str){c->at, 3}, (ph_str){months + 3 * (size_t)i, 3})) {
            c->at += 3;
            *ret_m = i + 1;
            return true;
        }
    }
    return ph__imap_bad(c, "expected a month such as Jan");
}

static bool digits(struct ph__imap_cur *c, unsigned count, unsigned max, unsigned *ret_n)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++, c->at++) {
        if (c->at == c->end || *c->at < '0' || *c->at > '9')
            return ph__imap_bad(c, "a date is not well-formed");
        n = n * 10 + (unsigned)(*c->at - '0');
    }
    *ret_n = n;
    return n <= max || ph__imap_bad(c, "a date is out of range");
}

static bool day_month_year(struct ph__imap_cur *c, unsigned day_digits, int64_t *ret_days)
{
    unsigned d = 0, m = 1, y = 0;
    if (!digits(c, day_digits, 31, &d) || !ph__imap_char(c, '-') || !month(c, &m) ||
        !ph__imap_char(c, '-') || !digits(c, 4, 9999, &y))
        return false;
    if (d == 0)
        return ph__imap_bad(c, "a date is out of range");
    *ret_days = days_from_civil(y, m, d);
    return true;
}

bool ph__imap_date(struct ph__imap_cur *c, int32_t *ret_day)
{
    bool quoted = ph__imap_take(c, '"');
    int64_t days;
    bool two = c->end - c->at >= 2 && c->at[1] != '-';
    if (!day_month_year(c, two ? 2 : 1, &days))
        return false;
    if (quoted && !ph__imap_take(c, '"'))
        return ph__imap_bad(c, "a quoted string is not closed");
    *ret_day = (int32_t)days;
    return true;
}

bool ph__imap_date_time(struct ph__imap_cur *c, int64_t *ret_seconds, int *ret_zone)
{
    int64_t days = 0;
    unsigned h = 0, m = 0, s = 0, zh = 0, zm = 0;
    if (!ph__imap_take(c, '"'))
        return ph__imap_bad(c, "expected a date and time in quotes");
    bool padded = ph__imap_take(c, ' ');
    bool one = !padded && c->lenient && c->end - c->at >= 2 && c->at[1] == '-';
    if (!day_month_year(c, padded || one ? 1 : 2, &days) || !ph__imap_char(c, ' ') ||
        !digits(c, 2, 23, &h) || !ph__imap_char(c, ':') || !digits(c, 2, 59, &m) ||
        !ph__imap_char(c, ':') || !digits(c, 2, 60, &s) || !ph__imap_char(c, ' '))
        return false;
    bool west = ph__imap_take(c, '-');
    if (!west && !ph__imap_take(c, '+'))
        return ph__imap_bad(c, "expected a zone such as +0000");
    if (!digits(c, 2, 23, &zh) || !digits(c, 2, 59, &zm) || !ph__imap_char(c, '"'))
        return false;
    int zone = (int)(zh * 60 + zm) * (west ? -1 : 1);
    *ret_seconds = days * 86400 + h * 3600 + m * 60 + s - zone * 60;
    *ret_zone = zone;
    return true;
}

void ph__imap_date_time_write(struct ph_buf *out, int64_t seconds, int zone)
{
    int64_t local = seconds + (int64_t)zone * 60, y;
    int64_t days = local >= 0 ? local / 86400 : -((86399 - local) / 86400);
    unsigned m, d, left = (unsigned)(local - days * 86400);
    civil_from_days(days, &y, &m, &d);
    if (y < 0 || y > 9999) {
        ph_buf_add(out, PH_STR("\"01-Jan-1970 00:00:00 +0000\""));
        return;
    }
    unsigned z = (unsigned)(zone < 0 ? -zone : zone);
    ph_buf_addf(out, "\"%02u-%.3s-%04u %02u:%02u:%02u %c%02u%02u\"", d,
                months + 3 * (size_t)(m - 1), (unsigned)y, left / 3600, left / 60 % 60, left % 60,
                zone < 0 ? '-' : '+', z / 60, z % 60);
}
