/*
 * Posthouse's side of bench/mime, and two more: "letters FILE COUNT" writes the generated pack,
 * "codec SECONDS" measures the transfer decoders beside a plain read of memory.
 */
#include <posthouse/build.h>
#include <posthouse/mime.h>

#include "harness.h"

enum { MEMORY = 256 * 1024 * 1024 };

static struct ph_buf body;

void begin(void)
{
    ph_buf_init(&body, NULL, MEMORY);
}

static uint64_t look_at_addresses(struct ph_arena *arena, const struct ph_address *a)
{
    uint64_t sum = 0;
    ph_str name;
    for (; a; a = a->next)
        if (ph_field_text(arena, a->name, &name) == 0)
            sum += name.n + a->local.n + a->host.n;
    return sum;
}

static uint64_t look_at_part(struct ph_arena *arena, const struct ph_message *m, struct ph_part *p,
                             bool bodies)
{
    uint64_t sum = p->type.n + p->subtype.n;
    struct ph_envelope *e;
    ph_str text;
    if ((!p->parent || p->parent->kind == PH_PART_MESSAGE) && ph_mime_envelope(arena, p, &e) == 0) {
        if (ph_field_text(arena, e->subject, &text) == 0)
            sum += text.n;
        sum += look_at_addresses(arena, e->from) + look_at_addresses(arena, e->to) +
               look_at_addresses(arena, e->cc) + e->message_id.n + (uint64_t)e->sent.time;
    }
    if (ph_param_get(arena, p->disposition_params, PH_STR("filename"), &text) == 0)
        sum += text.n;
    if (bodies && p->kind == PH_PART_LEAF) {
        ph_buf_clear(&body);
        if (ph_part_decode(m, p, &body) == 0)
            sum += body.n;
    }
    return sum;
}

uint64_t parse_one(const char *p, size_t n, bool bodies)
{
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph_message *m;
    uint64_t sum = 0;
    if (arena && ph_mime_parse(arena, (ph_str){p, n}, NULL, &m) == 0)
        for (struct ph_part *q = m->root; q; q = ph_part_next(q))
            sum += look_at_part(arena, m, q, bodies);
    ph_arena_free(arena);
    return sum;
}

static bool build(const struct content *c, uint64_t seed, struct ph_buf *out)
{
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph_email *e;
    char from[200];
    int n = snprintf(from, sizeof from, "\"%s\" <%s>", c->from_name, c->from);
    const struct ph_letter *letter =
        PH_LETTER(.from = {from, (size_t)n}, .to = ph_str_c(c->to), .subject = ph_str_c(c->subject),
                  .text = ph_str_c(c->text), .html = ph_str_c(c->html),
                  .files = PH_CONTENT(.bytes = {(const char *)c->file, sizeof c->file},
                                      .filename = PH_STR("parcel.bin")),
                  .file_count = 1);
    bool ok = arena && ph_letter_build(arena, letter, &e, NULL) == 0;
    if (ok && seed)
        ph_email_fixed(e, 1700000000 + (int64_t)seed, 60, seed);
    ok = ok && ph_email_as_bytes(e, 0, out, NULL) == 0;
    ph_arena_free(arena);
    return ok;
}

size_t build_one(const struct content *c)
{
    ph_buf_clear(&body);
    return build(c, 0, &body) ? body.n : 0;
}

/* ---- the generated letters ---- */

static int write_letters(const char *path, unsigned long count)
{
    static struct content c;
    FILE *f = fopen(path, "wb");
    bool ok = f != NULL;
    for (unsigned long i = 1; ok && i <= count; i++) {
        fill(&c, i);
        ph_buf_clear(&body);
        ok = build(&c, i, &body);
        uint64_t n = body.n;
        ok = ok && fwrite(&n, 8, 1, f) == 1 && fwrite(body.p, body.n, 1, f) == 1;
    }
    if (f && fclose(f))
        ok = false;
    if (!ok)
        perror(path);
    return !ok;
}

/* ---- the decoders alone ---- */

enum { SOME = 256 * 1024 };

/* Base64; or text with an escape here and there, or with runs of them, as in Chinese. */
static void encode(enum ph_encoding encoding, bool foreign, struct ph_buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t col = 0, run = 0;
    while (out->n < SOME) {
        uint64_t r = next_random();
        if (run == 0 && r % 100 < (foreign ? 25 : 3))
            run = foreign ? 3 * (r >> 20) % 60 : 1;
        if (encoding == PH_ENC_BASE64) {
            ph_buf_addc(out, b64[r >> 32 & 63]);
            col++;
        } else if (run) {
            const char three[] = {'=', digits[8 + (r >> 20) % 8], digits[r >> 40 & 15]};
            ph_buf_add(out, (ph_str){three, 3});
            col += 3;
            run--;
        } else {
            ph_buf_addc(out, "etaoin shrdlu"[(r >> 32) % 13]);
            col++;
        }
        if (col >= (encoding == PH_ENC_BASE64 ? 76u : 72u)) {
            ph_buf_add(out, encoding == PH_ENC_QP ? PH_STR("=\r\n") : PH_STR("\r\n"));
            col = 0;
        }
    }
}

static double rate(enum ph_encoding encoding, ph_str in, double seconds)
{
    uint64_t bytes = 0;
    double start = cpu(), now = start;
    for (; now - start < seconds; now = cpu())
        for (int i = 0; i < 8; i++, bytes += in.n) {
            struct ph_decoder d;
            ph_buf_clear(&body);
            ph_decoder_init(&d, encoding);
            ph_decoder_feed(&d, in, &body);
            ph_decoder_end(&d, &body);
            sink += body.n;
        }
    return (double)bytes / (now - start) / 1e9;
}

/* Reading and copying memory that is in no cache: what no parser can be faster than. */
static void memory_rates(double seconds)
{
    enum { BIG = 256 * 1024 * 1024 };
    char *p = malloc(BIG);
    uint64_t bytes = 0;
    if (!p)
        return;
    memset(p, 'a', BIG);
    double start = cpu(), now = start;
    for (; now - start < seconds; now = cpu(), bytes += BIG) {
        uint64_t sum = 0, word[8];
        for (size_t i = 0; i < BIG; i += sizeof word) {
            memcpy(word, p + i, sizeof word);
            for (int k = 0; k < 8; k++)
                sum ^= word[k];
        }
        sink += sum;
    }
    printf("memory read %.2f\n", (double)bytes / (now - start) / 1e9);
    free(p);
}

static int codec(double seconds)
{
    static const struct {
        const char *name;
        enum ph_encoding encoding;
        bool foreign;
    } rows[] = {{"base64", PH_ENC_BASE64, false},
                {"quoted-printable, western text", PH_ENC_QP, false},
                {"quoted-printable, mostly escapes", PH_ENC_QP, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_buf in;
        ph_buf_init(&in, NULL, MEMORY);
        encode(rows[i].encoding, rows[i].foreign, &in);
        printf("%s %.2f\n", rows[i].name, rate(rows[i].encoding, ph_buf_str(&in), seconds));
        ph_buf_done(&in);
    }
    memory_rates(seconds);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "letters") == 0) {
        begin();
        return write_letters(argv[2], strtoul(argv[3], NULL, 10));
    }
    if (argc == 3 && strcmp(argv[1], "codec") == 0) {
        begin();
        return codec(atof(argv[2]));
    }
    return harness(argc, argv);
}
