/* GMime's side of bench/mime: the message stays where it is (a stream over the bytes given). */
#include <gmime/gmime.h>

#include "harness.h"

void begin(void)
{
    g_mime_init();
}

static uint64_t look_at_addresses(InternetAddressList *list)
{
    uint64_t sum = 0;
    for (int i = 0; list && i < internet_address_list_length(list); i++) {
        InternetAddress *a = internet_address_list_get_address(list, i);
        const char *name = internet_address_get_name(a);
        sum += name ? strlen(name) : 0;
        if (INTERNET_ADDRESS_IS_MAILBOX(a)) {
            const char *addr = internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(a));
            sum += addr ? strlen(addr) : 0;
        }
    }
    return sum;
}

static uint64_t look_at_message(GMimeMessage *m)
{
    const char *subject = g_mime_message_get_subject(m), *id = g_mime_message_get_message_id(m);
    GDateTime *date = g_mime_message_get_date(m);
    return (subject ? strlen(subject) : 0) + (id ? strlen(id) : 0) +
           look_at_addresses(g_mime_message_get_from(m)) +
           look_at_addresses(g_mime_message_get_to(m)) +
           look_at_addresses(g_mime_message_get_cc(m)) +
           (date ? (uint64_t)g_date_time_to_unix(date) : 0);
}

static uint64_t look_at(GMimeObject *o, bool bodies)
{
    uint64_t sum = 0;
    GMimeContentType *type = g_mime_object_get_content_type(o);
    sum += strlen(g_mime_content_type_get_media_type(type)) +
           strlen(g_mime_content_type_get_media_subtype(type));
    if (GMIME_IS_MULTIPART(o)) {
        for (int i = 0; i < g_mime_multipart_get_count(GMIME_MULTIPART(o)); i++)
            sum += look_at(g_mime_multipart_get_part(GMIME_MULTIPART(o), i), bodies);
    } else if (GMIME_IS_MESSAGE_PART(o)) {
        GMimeMessage *m = g_mime_message_part_get_message(GMIME_MESSAGE_PART(o));
        if (m) {
            sum += look_at_message(m);
            GMimeObject *inner = g_mime_message_get_mime_part(m);
            sum += inner ? look_at(inner, bodies) : 0;
        }
    } else if (GMIME_IS_PART(o)) {
        const char *name = g_mime_part_get_filename(GMIME_PART(o));
        sum += name ? strlen(name) : 0;
        GMimeDataWrapper *content = bodies ? g_mime_part_get_content(GMIME_PART(o)) : NULL;
        if (content) {
            GMimeStream *out = g_mime_stream_mem_new();
            sum += (uint64_t)g_mime_data_wrapper_write_to_stream(content, out);
            g_object_unref(out);
        }
    }
    return sum;
}

uint64_t parse_one(const char *p, size_t n, bool bodies)
{
    GByteArray bytes = {(guint8 *)(uintptr_t)p, (guint)n};
    GMimeStream *stream = g_mime_stream_mem_new();
    uint64_t sum = 0;
    g_mime_stream_mem_set_byte_array(GMIME_STREAM_MEM(stream), &bytes);
    g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *m = g_mime_parser_construct_message(parser, NULL);
    if (m) {
        sum = look_at_message(m);
        GMimeObject *o = g_mime_message_get_mime_part(m);
        sum += o ? look_at(o, bodies) : 0;
        g_object_unref(m);
    }
    g_object_unref(parser);
    g_object_unref(stream);
    return sum;
}

static GMimeObject *text_part(const char *subtype, const char *text)
{
    GMimeTextPart *part = g_mime_text_part_new_with_subtype(subtype);
    g_mime_text_part_set_charset(part, "utf-8");
    g_mime_text_part_set_text(part, text);
    g_mime_part_set_content_encoding(GMIME_PART(part), GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE);
    return GMIME_OBJECT(part);
}

static GMimeObject *file_part(const struct content *c)
{
    GMimePart *part = g_mime_part_new_with_type("application", "octet-stream");
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer((const char *)c->file, sizeof c->file);
    GMimeDataWrapper *content =
        g_mime_data_wrapper_new_with_stream(stream, GMIME_CONTENT_ENCODING_DEFAULT);
    g_mime_part_set_content(part, content);
    g_mime_part_set_filename(part, "parcel.bin");
    g_mime_part_set_content_encoding(part, GMIME_CONTENT_ENCODING_BASE64);
    g_object_unref(content);
    g_object_unref(stream);
    return GMIME_OBJECT(part);
}

static void add(GMimeMultipart *to, GMimeObject *part)
{
    g_mime_multipart_add(to, part);
    g_object_unref(part);
}

size_t build_one(const struct content *c)
{
    GMimeMessage *m = g_mime_message_new(TRUE);
    GMimeMultipart *mixed = g_mime_multipart_new_with_subtype("mixed");
    GMimeMultipart *both = g_mime_multipart_new_with_subtype("alternative");
    GDateTime *now = g_date_time_new_now_local();
    char *id = g_mime_utils_generate_message_id("example.org");
    g_mime_message_add_mailbox(m, GMIME_ADDRESS_TYPE_FROM, c->from_name, c->from);
    g_mime_message_add_mailbox(m, GMIME_ADDRESS_TYPE_TO, NULL, c->to);
    g_mime_message_set_subject(m, c->subject, "utf-8");
    g_mime_message_set_message_id(m, id);
    g_mime_message_set_date(m, now);
    add(both, text_part("plain", c->text));
    add(both, text_part("html", c->html));
    add(mixed, GMIME_OBJECT(both));
    add(mixed, file_part(c));
    g_mime_message_set_mime_part(m, GMIME_OBJECT(mixed));
    g_object_unref(mixed);
    GMimeStream *out = g_mime_stream_mem_new();
    g_mime_object_write_to_stream(GMIME_OBJECT(m), NULL, out);
    size_t n = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(out))->len;
    g_object_unref(out);
    g_object_unref(m);
    g_date_time_unref(now);
    g_free(id);
    return n;
}

int main(int argc, char **argv)
{
    return harness(argc, argv);
}
