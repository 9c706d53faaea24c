/* The settings for people: a file with the effective values, and the section of
 * posthouse.conf(5). */
#include "conf_int.h"

#include <string.h>

static const char *const kind_names[] = {
    [KIND_str] = "text",  [KIND_bool] = "true | false", [KIND_int] = "number",
    [KIND_size] = "size", [KIND_duration] = "duration", [KIND_list] = "list",
};

/* In double quotes, as libconfuse reads them back. */
static void add_quoted(struct ph_buf *out, ph_str s)
{
    ph_buf_addc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == '$')
            ph_buf_addc(out, '\\');
        ph_buf_addc(out, s.p[i]);
    }
    ph_buf_addc(out, '"');
}

static void add_list(const struct ph_conf *c, const struct ph__conf_row *row, struct ph_buf *out)
{
    struct ph_conf_list l;
    memcpy(&l, (const char *)c + row->offset, sizeof l);
    ph_buf_addc(out, '{');
    for (size_t i = 0; i < l.n; i++) {
        ph_buf_add(out, ph_str_c(i ? ", " : ""));
        add_quoted(out, l.v[i]);
    }
    ph_buf_addc(out, '}');
}

void ph_conf_print(const struct ph_conf *c, struct ph_buf *out)
{
    for (size_t i = 0; i < ph__conf_count; i++) {
        const struct ph__conf_row *row = &ph__conf_rows[i];
        ph_str s;
        ph_buf_addf(out, "%s = ", row->name);
        if (row->kind == KIND_list) {
            add_list(c, row, out);
        } else if (row->kind == KIND_str) {
            memcpy(&s, (const char *)c + row->offset, sizeof s);
            add_quoted(out, s);
        } else {
            ph__conf_text(c, row, ',', out);
        }
        ph_buf_addc(out, '\n');
    }
}

/* Text for mdoc: each sentence on a line of its own; what looks like a macro or an escape is made
 * plain. */
static void add_mdoc(struct ph_buf *out, const char *text)
{
    bool line_start = true;
    for (const char *p = text; *p; p++) {
        bool sentence_end = p > text && p[-1] == '.' && *p == ' ';
        if (line_start && (*p == '.' || *p == '\''))
            ph_buf_add(out, PH_STR("\\&"));
        if (*p == '\\')
            ph_buf_add(out, PH_STR("\\e"));
        else
            ph_buf_addc(out, sentence_end ? '\n' : *p);
        line_start = sentence_end;
    }
    ph_buf_addc(out, '\n');
}

void ph_conf_manual(struct ph_buf *out)
{
    ph_buf_add(out, PH_STR(".Bl -tag -width Ds\n"));
    for (size_t i = 0; i < ph__conf_count; i++) {
        const struct ph__conf_row *row = &ph__conf_rows[i];
        ph_buf_addf(out, ".It Cm %s No = Ar %s\n", row->name, kind_names[row->kind]);
        add_mdoc(out, row->text);
        ph_buf_add(out, ph_str_c(*row->def ? "Default:\n.Ql " : "Default: empty.\n"));
        if (*row->def)
            ph_buf_addf(out, "%s .\n", row->def);
    }
    ph_buf_add(out, PH_STR(".El\n"));
}
