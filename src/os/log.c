/*
 * A line is built on the stack and leaves in one write(2): threads and processes that share the
 * descriptor do not cut into each other's lines. A field is added as a whole or not at all.
 */
#include "log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 8192, VALUE_MAX = 1024, TAIL = 4 };

static struct {
    const char *process;
    unsigned instance;
    int fd;
    bool json;
    enum ph_log_level least;
} self = {.process = "posthouse", .fd = 2, .least = PH_LOG_INFO};

static const char *const level_name[] = {"debug", "info", "warn", "error"};

struct line {
    size_t n;
    bool full;
    char p[LINE_MAX_BYTES];
};

/* va_list may be an array type, which a function cannot take by address; in a struct it can. */
struct args {
    va_list ap;
};

struct value {
    size_t n;
    bool number; /* one integer conversion and nothing else */
    char p[VALUE_MAX];
};

void ph_log_init(const char *process, unsigned instance, int fd, enum ph_log_style style,
                 enum ph_log_level least)
{
    self.process = process;
    self.instance = instance;
    self.fd = fd;
    self.json = style == PH_LOG_JSON || (style == PH_LOG_AUTO && !isatty(fd));
    self.least = least;
    tzset(); /* reads the zone now: behind the sandbox it is out of reach */
}

bool ph_log_wants(enum ph_log_level level)
{
    return level >= self.least;
}

/* ---- values from the format -------------------------------------------------------------- */

static void value_add(struct value *v, const char *p, size_t n)
{
    size_t room = sizeof v->p - v->n;
    if (n > room)
        n = room;
    if (n)
        memcpy(v->p + v->n, p, n);
    v->n += n;
}

enum width { W_INT, W_CHAR, W_SHORT, W_LONG, W_LLONG, W_SIZE, W_MAX, W_PTRDIFF };

static const char *take_width(const char *f, enum width *ret)
{
    static const struct {
        char text[3];
        enum width w;
    } row[] = {{"hh", W_CHAR}, {"h", W_SHORT}, {"ll", W_LLONG}, {"l", W_LONG},
               {"z", W_SIZE},  {"j", W_MAX},   {"t", W_PTRDIFF}};
    *ret = W_INT;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        size_t n = strlen(row[i].text);
        if (strncmp(f, row[i].text, n) == 0) {
            *ret = row[i].w;
            return f + n;
        }
    }
    return f;
}

static intmax_t take_signed(struct args *a, enum width w)
{
    switch (w) {
    case W_LONG:
        return va_arg(a->ap, long);
    case W_LLONG:
        return va_arg(a->ap, long long);
    case W_SIZE:
        return (intmax_t)va_arg(a->ap, size_t);
    case W_MAX:
        return va_arg(a->ap, intmax_t);
    case W_PTRDIFF:
        return va_arg(a->ap, ptrdiff_t);
    default:
        return va_arg(a->ap, int);
    }
}

static uintmax_t take_unsigned(struct args *a, enum width w)
{
    switch (w) {
    case W_LONG:
        return va_arg(a->ap, unsigned long);
    case W_LLONG:
        return va_arg(a->ap, unsigned long long);
    case W_SIZE:
        return va_arg(a->ap, size_t);
    case W_MAX:
        return va_arg(a->ap, uintmax_t);
    case W_PTRDIFF:
        return (uintmax_t)va_arg(a->ap, ptrdiff_t);
    default:
        return va_arg(a->ap, unsigned);
    }
}

/* Flags and minimum widths are for columns, which a log has not: skipped. Precision counts. */
static const char *take_precision(const char *f, struct args *a, int *ret)
{
    f += strspn(f, "-+ #0123456789");
    *ret = -1;
    if (*f != '.')
        return f;
    f++;
    if (*f == '*') {
        *ret = va_arg(a->ap, int);
        return f + 1;
    }
    for (*ret = 0; *f >= '0' && *f <= '9' && *ret < VALUE_MAX; f++)
        *ret = *ret * 10 + (*f - '0');
    return f;
}

/* One conversion; f is behind its '%'. Returns what follows it. */
static const char *convert(const char *f, struct args *a, struct value *v)
{
    char tmp[64];
    int prec, n = 0;
    enum width w;
    f = take_width(take_precision(f, a, &prec), &w);
    switch (*f) {
    case 'd':
    case 'i':
        n = snprintf(tmp, sizeof tmp, "%jd", take_signed(a, w));
        break;
    case 'u':
        n = snprintf(tmp, sizeof tmp, "%ju", take_unsigned(a, w));
        break;
    case 'x':
    case 'X':
        n = snprintf(tmp, sizeof tmp, "%jx", take_unsigned(a, w));
        break;
    case 'c':
        tmp[0] = (char)va_arg(a->ap, int);
        n = 1;
        break;
    case 'p':
        n = snprintf(tmp, sizeof tmp, "%p", va_arg(a->ap, void *));
        break;
    case 'e':
    case 'f':
    case 'g':
        n = snprintf(tmp, sizeof tmp, "%.*g", prec < 0 ? 6 : prec, va_arg(a->ap, double));
        break;
    case 's': {
        const char *s = va_arg(a->ap, const char *);
        size_t most = prec < 0 ? VALUE_MAX : (size_t)prec;
        if (!s)
            s = most > 6 ? "(null)" : "";
        value_add(v, s, strnlen(s, most < VALUE_MAX ? most : VALUE_MAX));
        break;
    }
    case '%':
        tmp[0] = '%';
        n = 1;
        break;
    default:
        return f; /* the compiler's format check does not let others through */
    }
    value_add(v, tmp, n > 0 ? (size_t)n : 0);
    return f + 1;
}

/* The value up to the next space of the format. */
static const char *take_value(const char *f, struct args *a, struct value *v)
{
    const char *start = f;
    v->n = 0;
    v->number = false;
    while (*f && *f != ' ') {
        if (*f != '%') {
            value_add(v, f++, 1);
            continue;
        }
        bool first = f == start;
        f = convert(f + 1, a, v);
        v->number = first && strchr("diu", f[-1]) && (*f == ' ' || *f == '\0') &&
                    v->n < 19; /* fits an int64 */
    }
    return f;
}

/* ---- writing ----------------------------------------------------------------------------- */

static void put(struct line *l, const char *p, size_t n)
{
    if (l->full || n > sizeof l->p - TAIL - l->n) {
        l->full = true;
        return;
    }
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

static void puts_(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

/* Length of the UTF-8 character at p, 0 when there is none, or a C1 control. RFC 3629 4. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((p[0] == 0xC2 && p[1] < 0xA0) || (p[0] == 0xE0 && p[1] < 0xA0) ||
        (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
        (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return len;
}

/* Quoted text that is right both as JSON and for the eye; no control character goes through. */
static void quoted(struct line *l, ph_str s)
{
    puts_(l, "\"");
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        char esc[8];
        size_t len = 1;
        if (c == '"' || c == '\\') {
            snprintf(esc, sizeof esc, "\\%c", c);
            puts_(l, esc);
        } else if (c >= 0x20 && c < 0x7F) {
            put(l, s.p + i, 1);
        } else if (c >= 0x80 && (len = utf8_len((const unsigned char *)s.p + i, s.n - i)) > 0) {
            put(l, s.p + i, len);
        } else {
            snprintf(esc, sizeof esc, "\\u%04x", c >= 0x80 ? 0xFFFDu : c);
            puts_(l, esc);
            len = 1;
        }
        i += len;
    }
    puts_(l, "\"");
}

static bool is_plain(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return s.n > 0;
}

static void field(struct line *l, ph_str key, ph_str value, bool number)
{
    size_t before = l->n;
    if (self.json) {
        puts_(l, ",");
        quoted(l, key);
        puts_(l, ":");
    } else {
        puts_(l, " ");
        put(l, key.p, key.n);
        puts_(l, "=");
    }
    if (self.json ? number : is_plain(value))
        put(l, value.p, value.n);
    else
        quoted(l, value);
    if (l->full)
        l->n = before;
}

static void head(struct line *l, enum ph_log_level level, const char *event)
{
    char text[160], when[32];
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    if (self.json) {
        gmtime_r(&ts.tv_sec, &tm);
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(text, sizeof text,
                 "{\"time\":\"%s.%06ldZ\",\"level\":\"%s\",\"process\":\"%s\",\"instance\":%u,"
                 "\"event\":",
                 when, ts.tv_nsec / 1000, level_name[level], self.process, self.instance);
        puts_(l, text);
        quoted(l, ph_str_c(event));
        return;
    }
    localtime_r(&ts.tv_sec, &tm);
    strftime(when, sizeof when, "%H:%M:%S", &tm);
    snprintf(text, sizeof text, "%s.%03ld %-5s %s[%u] ", when, ts.tv_nsec / 1000000,
             level_name[level], self.process, self.instance);
    puts_(l, text);
    puts_(l, event);
}

static void send_line(struct line *l)
{
    if (self.json)
        l->p[l->n++] = '}';
    l->p[l->n++] = '\n';
    /* A log that cannot be written (full pipe, full disk) must not stop the mail. */
    while (write(self.fd, l->p, l->n) < 0 && errno == EINTR)
        ;
}

void ph_log(enum ph_log_level level, ph_str letter, const char *event, const char *fmt, ...)
{
    if (!ph_log_wants(level))
        return;
    int sys = errno;
    struct line l;
    struct value v;
    struct args a;
    l.n = 0;
    l.full = false;
    head(&l, level, event);
    if (letter.n)
        field(&l, PH_STR("letter"), ph_str_sub(letter, 0, VALUE_MAX), false);
    va_start(a.ap, fmt);
    while (*fmt) {
        size_t n = strcspn(fmt, "= ");
        if (n == 0) { /* a space too many, or no key: nothing to say */
            fmt++;
            continue;
        }
        ph_str key = {fmt, n};
        fmt = take_value(fmt + n + (fmt[n] == '='), &a, &v);
        field(&l, key, (ph_str){v.p, v.n}, v.number);
        l.full = false; /* a shorter one may still fit */
        fmt += *fmt == ' ';
    }
    va_end(a.ap);
    send_line(&l);
    errno = sys;
}
