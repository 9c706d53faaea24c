/* libetpan's side of bench/mime. */
#include <libetpan/libetpan.h>

#include "harness.h"

void begin(void)
{
}

static uint64_t decoded(const char *s)
{
    size_t at = 0;
    char *text = NULL;
    uint64_t n = 0;
    if (s && mailmime_encoded_phrase_parse("iso-8859-1", s, strlen(s), &at, "utf-8", &text) ==
                 MAILIMF_NO_ERROR) {
        n = strlen(text);
        free(text);
    }
    return n;
}

static uint64_t look_at_mailbox(const struct mailimf_mailbox *mb)
{
    return decoded(mb->mb_display_name) + strlen(mb->mb_addr_spec);
}

static uint64_t look_at_addresses(const struct mailimf_address_list *list)
{
    uint64_t sum = 0;
    for (clistiter *i = list ? clist_begin(list->ad_list) : NULL; i; i = clist_next(i)) {
        const struct mailimf_address *a = clist_content(i);
        if (a->ad_type == MAILIMF_ADDRESS_MAILBOX)
            sum += look_at_mailbox(a->ad_data.ad_mailbox);
    }
    return sum;
}

static uint64_t look_at_fields(struct mailimf_fields *fields)
{
    struct mailimf_single_fields f;
    uint64_t sum = 0;
    mailimf_single_fields_init(&f, fields);
    if (f.fld_subject)
        sum += decoded(f.fld_subject->sbj_value);
    if (f.fld_from)
        for (clistiter *i = clist_begin(f.fld_from->frm_mb_list->mb_list); i; i = clist_next(i))
            sum += look_at_mailbox(clist_content(i));
    sum += look_at_addresses(f.fld_to ? f.fld_to->to_addr_list : NULL);
    sum += look_at_addresses(f.fld_cc ? f.fld_cc->cc_addr_list : NULL);
    if (f.fld_orig_date)
        sum += (uint64_t)f.fld_orig_date->dt_date_time->dt_sec;
    if (f.fld_message_id)
        sum += strlen(f.fld_message_id->mid_value);
    return sum;
}

static uint64_t look_at(struct mailmime *mime, bool bodies)
{
    uint64_t sum = 0;
    struct mailmime_single_fields f;
    if (mime->mm_type == MAILMIME_MULTIPLE) {
        for (clistiter *i = clist_begin(mime->mm_data.mm_multipart.mm_mp_list); i;
             i = clist_next(i))
            sum += look_at(clist_content(i), bodies);
        return sum;
    }
    if (mime->mm_type == MAILMIME_MESSAGE) {
        if (mime->mm_data.mm_message.mm_fields)
            sum += look_at_fields(mime->mm_data.mm_message.mm_fields);
        if (mime->mm_data.mm_message.mm_msg_mime)
            sum += look_at(mime->mm_data.mm_message.mm_msg_mime, bodies);
        return sum;
    }
    mailmime_single_fields_init(&f, mime->mm_mime_fields, mime->mm_content_type);
    sum += decoded(f.fld_disposition_filename);
    const struct mailmime_data *data = mime->mm_data.mm_single;
    char *out;
    size_t n, at = 0;
    if (bodies && data && data->dt_type == MAILMIME_DATA_TEXT &&
        mailmime_part_parse(data->dt_data.dt_text.dt_data, data->dt_data.dt_text.dt_length, &at,
                            data->dt_encoding, &out, &n) == MAILIMF_NO_ERROR) {
        sum += n;
        mailmime_decoded_part_free(out);
    }
    return sum;
}

uint64_t parse_one(const char *p, size_t n, bool bodies)
{
    struct mailmime *mime = NULL;
    size_t at = 0;
    uint64_t sum = 0;
    if (mailmime_parse(p, n, &at, &mime) == MAILIMF_NO_ERROR && mime) {
        sum = look_at(mime, bodies);
        mailmime_free(mime);
    }
    return sum;
}

static struct mailmime *part(const char *type, int encoding, const char *bytes, size_t n)
{
    struct mailmime_content *content = mailmime_content_new_with_str(type);
    struct mailmime_fields *fields = mailmime_fields_new_encoding(encoding);
    struct mailmime *mime = mailmime_new_empty(content, fields);
    mailmime_set_body_text(mime, (char *)(uintptr_t)bytes, n);
    return mime;
}

size_t build_one(const struct content *c)
{
    struct mailimf_mailbox_list *from = mailimf_mailbox_list_new_empty();
    struct mailimf_address_list *to = mailimf_address_list_new_empty();
    MMAPString *text = mmap_string_new("");
    int col = 0;
    mailimf_mailbox_list_add_mb(from, strdup(c->from_name), strdup(c->from));
    mailimf_address_list_add_mb(to, NULL, strdup(c->to));
    struct mailimf_fields *fields = mailimf_fields_new_with_data(from, NULL, NULL, to, NULL, NULL,
                                                                 NULL, NULL, strdup(c->subject));
    struct mailmime *message = mailmime_new_message_data(NULL);
    struct mailmime *mixed = mailmime_multiple_new("multipart/mixed");
    struct mailmime *both = mailmime_multiple_new("multipart/alternative");
    mailmime_set_imf_fields(message, fields);
    mailmime_smart_add_part(message, mixed);
    mailmime_smart_add_part(
        both, part("text/plain", MAILMIME_MECHANISM_QUOTED_PRINTABLE, c->text, strlen(c->text)));
    mailmime_smart_add_part(
        both, part("text/html", MAILMIME_MECHANISM_QUOTED_PRINTABLE, c->html, strlen(c->html)));
    mailmime_smart_add_part(mixed, both);
    mailmime_smart_add_part(mixed, part("application/octet-stream", MAILMIME_MECHANISM_BASE64,
                                        (const char *)c->file, sizeof c->file));
    mailmime_write_mem(text, &col, message);
    size_t n = text->len;
    mailmime_free(message);
    mmap_string_free(text);
    return n;
}

int main(int argc, char **argv)
{
    return harness(argc, argv);
}
