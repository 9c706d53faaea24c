/* The one table of errors. */
#include <posthouse/base.h>
#include <stdio.h>

static const struct ph_error_info rows[PH_ERR_COUNT] = {
    [PH_OK] = {"PH_OK", PH_CLASS_ANSWER, 250, "2.0.0", "", "no error"},
#define ROW(sym, cls, smtp, esc, imap, text) [sym] = {#sym, PH_CLASS_##cls, smtp, esc, imap, text},
    PH_ERRORS(ROW)
#undef ROW
};

const struct ph_error_info *ph_error_info(int code)
{
    if (code < 0)
        code = code == INT32_MIN ? PH_EIO : -code;
    return &rows[code < PH_ERR_COUNT ? code : PH_EIO];
}

int ph_fail(struct ph_error *reterr, int code, int sys, const char *fmt, ...)
{
    if (reterr) {
        *reterr = (struct ph_error){.code = code, .sys = sys};
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(reterr->text, sizeof reterr->text, fmt, ap);
        va_end(ap);
    }
    return -code;
}
