/* Answers to any message, and any message passed on: what comes out has no line that is not ours,
 * ends its lines with CRLF, and reads. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/reply.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 128 * 1024 * 1024 };

static void check(struct ph_arena *arena, struct ph_email *e)
{
    struct ph_message *m;
    struct ph_buf out;
    struct ph_field f;
    size_t fields = 0;
    ph_buf_init(&out, NULL, MEMORY);
    unsigned flags = ph_email_needs_utf8(e) ? PH_EMAIL_UTF8 : 0;
    if (ph_email_as_bytes(e, flags, &out, NULL))
        abort();
    for (size_t i = 0; i < out.n; i++)
        if (out.p[i] == '\n' && (i == 0 || out.p[i - 1] != '\r'))
            abort();
    for (ph_str rest = ph_message_head(ph_buf_str(&out)); ph_field_next(&rest, &f);)
        fields++;
    if (fields > 11 || ph_mime_parse(arena, ph_buf_str(&out), NULL, &m))
        abort();
    ph_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    const ph_str own[] = {PH_STR("b@c.test")};
    struct ph_message *m;
    struct ph_email *e;
    ph_str text = {(const char *)data, size};
    if (ph_mime_parse(arena, text, NULL, &m))
        abort();
    for (int to = PH_REPLY_SENDER; to <= PH_REPLY_LIST; to++) {
        int rc = ph_reply_build(arena, m,
                                PH_REPLY(.from = PH_STR("a@b.test"), .own = own, .own_count = 1,
                                         .to = (enum ph_reply_to)to, .text = PH_STR("yes")),
                                &e, NULL);
        if (rc == 0)
            check(arena, e);
        else if (rc != -PH_ENOENT)
            abort();
    }
    for (int attached = 0; attached <= 1; attached++) {
        if (ph_forward_build(arena, m,
                             PH_FORWARD(.from = PH_STR("a@b.test"), .is_attached = attached), &e,
                             NULL))
            abort();
        check(arena, e);
    }
    ph_arena_free(arena);
    return 0;
}
