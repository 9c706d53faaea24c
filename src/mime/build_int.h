/* build_int.h - what the files of the builder share: build.c keeps what the letter is made of,
 * build_fold.c writes header values, build_write.c writes the letter. */
#ifndef PH_BUILD_INT_H
#define PH_BUILD_INT_H
#include <posthouse/build.h>
#include <posthouse/mime.h>

struct ph__field {
    struct ph__field *next;
    ph_str name, value;
    bool is_address, is_ascii, is_hidden;
    struct ph_address *list, **last;
};

struct ph__leaf {
    struct ph__leaf *next;
    ph_str type, name, cid;
    ph_str bytes;
    const struct ph_source *source;
    const char *disposition; /* NULL: none */
    bool is_text;            /* ours: charset utf-8, the smallest encoding */
};

struct ph_build {
    struct ph_arena *arena;
    ph_str host;
    unsigned flags;
    struct ph__field *fields, **last_field;
    size_t field_count, part_count;
    struct ph__leaf *text, *html;
    struct ph__leaf *files, **last_file;
    struct ph__leaf *pictures, **last_picture;
    ph_str message_id;
    int64_t time;
    int16_t zone;
    uint64_t seed[2], used; /* random state: a counter over seeds */
    ph_str *recipients;
    size_t recipient_count;
    bool recipients_known;
};

/* 96 random bits as 24 characters of hexadecimal, into to[24]. */
void ph__build_random(struct ph_build *b, char *to);

struct ph__field *ph__build_find(struct ph_build *b, ph_str name);

/* ---- build_fold.c: all append whole or partial header lines, folded at 78 ---- */

struct ph__fold {
    struct ph_buf *out;
    unsigned col;
    bool utf8; /* no encoded words needed for what is not ASCII */
};

/* "Name:" */
void ph__fold_begin(struct ph__fold *f, ph_str name);
/* A space (or a fold) and a piece that is not broken. */
void ph__fold_piece(struct ph__fold *f, ph_str piece);
/* Unstructured text, encoded where it must be. */
void ph__fold_text(struct ph__fold *f, ph_str text);
void ph__fold_addresses(struct ph__fold *f, const struct ph_address *list);
/* "; name=value", quoted or as RFC 2231 has it. */
void ph__fold_param(struct ph__fold *f, const char *name, ph_str value);
void ph__fold_end(struct ph__fold *f);

/* Text that consists of atoms (RFC 5322 3.2.3) and single spaces only. */
bool ph__is_atoms(ph_str s);

#endif
