/*
 * gmime_read - what GMime makes of letters: standard input as mime_build writes it (a length in
 * decimal, a line end, the letter), one line of JSON for each; every string is in hexadecimal.
 *
 * {"subject": "", "id": "", "to": [["name", "address"]...], "parts": [["type", "file",
 * "bytes"]...]}
 */
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_hex(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    putchar('"');
    for (size_t i = 0; i < n; i++)
        printf("%02x", p[i]);
    putchar('"');
}

static void put(const char *s)
{
    put_hex(s ? s : "", s ? strlen(s) : 0);
}

static void put_addresses(InternetAddressList *list)
{
    for (int i = 0; i < internet_address_list_length(list); i++) {
        InternetAddress *a = internet_address_list_get_address(list, i);
        printf(i ? ", [" : "[");
        put(internet_address_get_name(a));
        printf(", ");
        put(INTERNET_ADDRESS_IS_MAILBOX(a)
                ? internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(a))
                : "");
        printf("]");
    }
}

static void put_part(GMimeObject *parent, GMimeObject *part, void *ctx)
{
    int *count = ctx;
    (void)parent;
    if (!GMIME_IS_PART(part))
        return;
    char *type = g_mime_content_type_get_mime_type(g_mime_object_get_content_type(part));
    GMimeStream *mem = g_mime_stream_mem_new();
    GMimeDataWrapper *content = g_mime_part_get_content(GMIME_PART(part));
    if (content)
        g_mime_data_wrapper_write_to_stream(content, mem);
    GByteArray *bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(mem));
    printf((*count)++ ? ", [" : "[");
    put(type);
    printf(", ");
    put(g_mime_part_get_filename(GMIME_PART(part)));
    printf(", ");
    put_hex(bytes->data, bytes->len);
    printf("]");
    g_object_unref(mem);
    g_free(type);
}

static int read_letter(const char *bytes, size_t n)
{
    GMimeStream *mem = g_mime_stream_mem_new_with_buffer(bytes, n);
    GMimeParser *parser = g_mime_parser_new_with_stream(mem);
    GMimeMessage *m = g_mime_parser_construct_message(parser, NULL);
    int count = 0;
    if (!m)
        return 1;
    printf("{\"subject\": ");
    put(g_mime_message_get_subject(m));
    printf(", \"id\": ");
    put(g_mime_message_get_message_id(m));
    printf(", \"to\": [");
    put_addresses(g_mime_message_get_addresses(m, GMIME_ADDRESS_TYPE_TO));
    printf("], \"parts\": [");
    g_mime_message_foreach(m, put_part, &count);
    if (GMIME_IS_PART(g_mime_message_get_mime_part(m)) && count == 0)
        put_part(NULL, g_mime_message_get_mime_part(m), &count);
    printf("]}\n");
    g_object_unref(m);
    g_object_unref(parser);
    g_object_unref(mem);
    return 0;
}

int main(void)
{
    size_t n;
    int bad = 0;
    g_mime_init();
    while (!bad && scanf("%zu", &n) == 1 && getchar() == '\n') {
        char *bytes = malloc(n + 1);
        bad = !bytes || fread(bytes, 1, n, stdin) != n || read_letter(bytes, n);
        free(bytes);
    }
    return bad;
}
