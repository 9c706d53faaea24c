/* Previews (RFC 8970): the first words of the text, from as little of the body as will do. */
#include "html_strip.h"
#include "mime_int.h"
#include "utf8.h"
#include "view.h"

static bool is_blank(uint32_t c)
{
    return c <= ' ' || c == 0xa0 || c == 0x34f || c == 0x200b || c == 0x200c || c == 0xfeff;
}

/* White space collapsed, controls left out, at most `most` characters. */
static void collapse(struct ph_buf *out, ph_str text, size_t most)
{
    const char *p = text.p, *end = text.p + text.n;
    char *room = ph_buf_reserve(out, (text.n < most * 4 ? text.n : most * 4) + 1), *to = room;
    bool gap = false;
    size_t chars = 0;
    while (room && p < end && chars < most) {
        size_t len = (unsigned char)*p < 0x80 ? 1 : ph_utf8_step((ph_str){p, (size_t)(end - p)});
        uint32_t c = len ? ph_utf8_point(p, len) : 0;
        len = len ? len : 1;
        if (is_blank(c)) {
            gap = to > room;
        } else if (c < 0x7f || c >= 0xa0) {
            if (gap && ++chars == most)
                break;
            if (gap)
                *to++ = ' ';
            gap = false;
            chars++;
            for (size_t i = 0; i < len; i++)
                *to++ = p[i];
        }
        p += len;
    }
    if (room)
        ph_buf_commit(out, (size_t)(to - room));
}

/* From the first `bytes` of the body. A character cut in half at their end is dropped. */
static int preview_from(const struct ph_message *m, const struct ph_part *p, size_t bytes,
                        size_t most, struct ph_buf *out)
{
    struct ph_buf raw, text, words;
    struct ph_decoder d;
    ph_buf_init(&raw, NULL, SIZE_MAX / 2);
    ph_buf_init(&text, NULL, SIZE_MAX / 2);
    ph_buf_init(&words, NULL, SIZE_MAX / 2);
    ph_str body = ph_str_sub(ph_part_body(m, p), 0, bytes), decoded = body;
    ph_decoder_init(&d, p->encoding);
    if (p->encoding == PH_ENC_QP || p->encoding == PH_ENC_BASE64) {
        ph_decoder_feed(&d, body, &raw);
        decoded = ph_buf_str(&raw);
    }
    int rc = ph_charset_decode(ph__charset_of(p), decoded, &text);
    if (rc >= 0) {
        ph_str seen = ph_buf_str(&text);
        while (body.n == bytes && ph_str_has_suffix(seen, PH_STR("\xef\xbf\xbd")))
            seen.n -= 3;
        if (ph_part_is(p, "text", "html")) {
            ph_html_strip(&words, seen, most * 8);
            seen = ph_buf_str(&words);
        }
        collapse(out, seen, most);
        rc = ph_buf_err(&words);
    }
    ph_buf_done(&raw);
    ph_buf_done(&text);
    ph_buf_done(&words);
    return rc < 0 ? rc : ph_buf_err(out);
}

/* A little of the body is nearly always enough; a style sheet before the text needs more. */
int ph_message_preview(const struct ph_message *m, size_t most, struct ph_buf *out)
{
    enum { LITTLE = 5, MORE = 20, MUCH = 480, ENOUGH = 5 }; /* bytes a character; a part of it */
    const struct ph_part *p = ph__text_part(m->root);
    size_t from = out->n;
    most = most < PH_PREVIEW_MOST ? most : PH_PREVIEW_MOST;
    if (!p || most == 0)
        return 0;
    size_t little = most * (ph_part_is(p, "text", "html") ? MORE : LITTLE);
    int rc = preview_from(m, p, little, most, out);
    if (rc == 0 && out->n - from < most / ENOUGH && p->body.n > little) {
        out->n = from;
        rc = preview_from(m, p, most * MUCH, most, out);
    }
    return rc;
}
