/* What is printed: errors with the exit codes of sysexits.h, text from outside made harmless,
 * JSON. */
#include "file.h"
#include "post.h"
#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

int post_fail(int exit_code, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fputs("post: ", stderr);
    post_print(stderr, ph_str_c(text));
    fputc('\n', stderr);
    return exit_code;
}

int post_exit_code(int code)
{
    static const unsigned char codes[PH_ERR_COUNT] = {
        [PH_ENOMEM] = EX_OSERR,         [PH_EIO] = EX_IOERR,           [PH_EFULL] = EX_IOERR,
        [PH_EAGAIN] = EX_TEMPFAIL,      [PH_ECORRUPT] = EX_DATAERR,    [PH_ETLS] = EX_PROTOCOL,
        [PH_ETIMEOUT] = EX_TEMPFAIL,    [PH_ECLOSED] = EX_TEMPFAIL,    [PH_ELIMIT] = EX_DATAERR,
        [PH_ESYNTAX] = EX_PROTOCOL,     [PH_EORDER] = EX_PROTOCOL,     [PH_EINVAL] = EX_DATAERR,
        [PH_ENOENT] = EX_NOHOST,        [PH_EEXIST] = EX_CANTCREAT,    [PH_EDENIED] = EX_NOPERM,
        [PH_EAUTH] = EX_NOPERM,         [PH_EQUOTA] = EX_TEMPFAIL,     [PH_EINUSE] = EX_TEMPFAIL,
        [PH_EREFUSED] = EX_UNAVAILABLE, [PH_ENOTIMPL] = EX_UNAVAILABLE};
    if (code < 0)
        code = -code;
    return code > 0 && code < PH_ERR_COUNT ? codes[code] : EX_SOFTWARE;
}

int post_fail_error(const struct ph_error *e)
{
    bool cert = e->code == PH_ETLS && strstr(e->text, "certificate");
    return post_fail(
        post_exit_code(e->code), "%s%s", e->text,
        cert ? " (--ca FILE trusts the certificates in a file, --insecure does not check)" : "");
}

int post_fail_trouble(const struct ph_trouble *t)
{
    int rc = post_fail_error(&t->error);
    if (t->means && t->means[0])
        post_fail(rc, "%s %s", t->means, t->remedy);
    if (t->hint)
        post_fail(rc, "%s", t->hint);
    return rc;
}

/* Length of the well-formed character at p (RFC 3629 4) that is safe to show; 0 when it is none. */
static size_t safe_len(const unsigned char *p, size_t n)
{
    if (p[0] == '\n' || p[0] == '\t' || (p[0] >= 0x20 && p[0] < 0x7F))
        return 1;
    size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    bool bad = (p[0] == 0xC2 && p[1] < 0xA0) || (p[0] == 0xE0 && p[1] < 0xA0) ||
               (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
               (p[0] == 0xF4 && p[1] > 0x8F);
    /* Marks that turn the direction of what follows: U+202A-202E, U+2066-2069. */
    bool turns = p[0] == 0xE2 && ((p[1] == 0x80 && p[2] >= 0xAA && p[2] <= 0xAE) ||
                                  (p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9));
    return bad || turns ? 0 : len;
}

void post_print(FILE *to, ph_str text)
{
    for (size_t i = 0; i < text.n;) {
        size_t len = safe_len((const unsigned char *)text.p + i, text.n - i);
        if (len)
            fwrite(text.p + i, 1, len, to);
        else if (text.p[i] != '\r')
            fputs("\xEF\xBF\xBD", to);
        i += len ? len : 1;
    }
}

void post_json_string(FILE *to, ph_str text)
{
    fputc('"', to);
    for (size_t i = 0; i < text.n;) {
        unsigned char c = (unsigned char)text.p[i];
        size_t len = safe_len((const unsigned char *)text.p + i, text.n - i);
        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c == '\n' || c == '\t' || c == '\r')
            fputs(c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r", to);
        else if (len)
            fwrite(text.p + i, 1, len, to);
        else
            fprintf(to, "\\u%04x", c < 0x80 ? c : 0xFFFDu);
        i += len ? len : 1;
    }
    fputc('"', to);
}

static int read_input(struct ph_buf *out)
{
    for (;;) {
        size_t room = out->max - out->n < 65536 ? out->max - out->n : 65536;
        char *p = room ? ph_buf_reserve(out, room) : NULL;
        if (!p)
            return post_fail(EX_DATAERR, "standard input is too long");
        ssize_t n = read(0, p, room);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return post_fail(EX_IOERR, "cannot read standard input: %s", strerror(errno));
        ph_buf_commit(out, n > 0 ? (size_t)n : 0);
    }
}

int post_read_file(const char *path, struct ph_buf *out)
{
    struct ph_error e;
    if (strcmp(path, "-") == 0)
        return read_input(out);
    if (ph_file_read(path, out, &e) < 0)
        return post_fail(e.code == PH_ELIMIT ? EX_DATAERR : EX_NOINPUT, "%s", e.text);
    return 0;
}

int post_close_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    return errno == EPIPE ? EX_OK
                          : post_fail(EX_IOERR, "cannot write the output: %s", strerror(errno));
}
