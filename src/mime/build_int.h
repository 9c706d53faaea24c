/*
 * build_int.h - what the files of the builder share.
 *
 * build_head.c keeps header fields, build_param.c Content-Type and Content-Disposition,
 * build_content.c contents and the tree, build_tree.c looks at it, build_env.c knows recipients and
 * ids, build_letter.c is the short way. To write: build_plan.c decides encodings and boundaries,
 * build_fold.c writes header values, build_write.c the whole.
 */
#ifndef PH_BUILD_INT_H
#define PH_BUILD_INT_H
#include <posthouse/build.h>
#include <posthouse/mime.h>

struct ph__field {
    struct ph__field *next;
    ph_str name, value;
    unsigned is; /* PH__IS_... */
    struct ph_address *list;
};

/* What a field is, by its name. */
enum {
    PH__IS_ADDRESSES = 1,
    PH__IS_ASCII = 2,
    PH__IS_ONCE = 4,
    PH__IS_REFUSED = 8,
    PH__IS_HIDDEN = 16,  /* Bcc */
    PH__IS_PREFIX = 32,  /* the row is the begin of names */
    PH__IS_CONTENT = 64, /* kept in the entity, not among the fields */
    PH__IS_DESTINATION = 128
};

struct ph__pair {
    struct ph__pair *next;
    ph_str name, value;
};

struct ph_email {
    struct ph_arena *arena;
    struct ph_email *parent, *next, *child, *last_child;
    struct ph__field *fields;
    size_t field_count;
    /* Content-*: empty when not said */
    ph_str type; /* "text/plain", lower case */
    ph_str disposition, cid;
    struct ph__pair *params, *disposition_params;
    /* the content of a leaf */
    ph_str bytes, path;
    const struct ph_source *source;
    enum ph_encoding wanted;
    bool has_content, is_text;
    bool is_leaf; /* made by ph_mime_base: takes no parts */
    /* of the outermost entity */
    ph_str message_id;
    ph_str *recipients;
    size_t recipient_count;
    bool recipients_known, is_seeded;
    int64_t time;
    int16_t zone;
    uint64_t seed[2], used; /* random state: a counter over seeds */
    /* the plan of the writing that is under way */
    enum ph_encoding encoding;
    bool has_wide_header; /* not ASCII, and written so */
    ph_str boundary;
    char mark[40];
};

struct ph_email *ph__email_root(struct ph_email *e);
static inline bool ph__email_is_message(const struct ph_email *e)
{
    return e->child && !ph_email_is_multipart(e);
}

/* ---- build_head.c ---- */

/* No CR, LF or NUL. */
bool ph__is_one_line(ph_str s);
bool ph__is_printable(ph_str s); /* ASCII, no controls but tab, no word too long for a line */
/* MIME-Version, and those of Content-* that say what the bytes are. */
bool ph__is_mime_field(ph_str name);
struct ph__field *ph__email_find(const struct ph_email *e, ph_str name);
int ph__refuse(struct ph_error *reterr, ph_str name, const char *why);

/* ---- build_param.c ---- */

bool ph__is_token(ph_str s);
/* "type/subtype; name=value" or "token; name=value" into *ret_word and *ret_list. */
int ph__read_typed(struct ph_arena *arena, ph_str s, bool is_type, ph_str *ret_word,
                   struct ph__pair **ret_list, struct ph_error *reterr);
/* Content-Type, Content-Disposition or Content-ID of `e`. */
int ph__set_own(struct ph_email *e, ph_str name, ph_str value, struct ph_error *reterr);
ph_str ph__pair_get(const struct ph__pair *list, ph_str name);
int ph__pair_set(struct ph_arena *arena, struct ph__pair **list, ph_str name, ph_str value);

/* ---- build_type.c ---- */

/* A media type by the extension of a file name; {NULL, 0}. */
ph_str ph__type_by_name(ph_str name);

/* ---- build_content.c ---- */

bool ph__is_multipart_type(ph_str type);
void ph__email_put_child(struct ph_email *parent, struct ph_email *child);
/* Makes the entity a multipart of that type (static text), what it said its first part. 0 or
 * -PH_ENOMEM. */
int ph__email_wrap(struct ph_email *e, ph_str type);

/* ---- build_env.c ---- */

/* 96 random bits as 24 characters of hexadecimal, into to[24]. */
void ph__email_random(struct ph_email *root, char *to);
/* The seed and the time of the outermost entity, once. */
void ph__email_seed(struct ph_email *root);
ph_str ph__email_new_id(struct ph_email *e); /* "random@host", in the arena */

/* ---- build_read.c: the bytes of a leaf, whatever they come from ---- */

struct ph__reader {
    const struct ph_email *of;
    uint64_t at;
    int fd;
    int err;
};

enum { PH__PIECE = 57 * 512 }; /* whole lines of base64 */

void ph__reader_open(struct ph__reader *r, const struct ph_email *of, struct ph_error *reterr);
/* The next piece: at most PH__PIECE bytes, in `room` when they are not in memory; empty at the end
 * or after a failure. */
ph_str ph__reader_next(struct ph__reader *r, char *room, struct ph_error *reterr);
void ph__reader_close(struct ph__reader *r);

/* ---- build_plan.c ---- */

/* Decides encoding and boundary of each entity. `room` has PH__PIECE bytes. */
int ph__email_plan(struct ph_email *root, unsigned flags, char *room, struct ph_error *reterr);

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
void ph__fold_param(struct ph__fold *f, ph_str name, ph_str value);
/* "; name="value"" as it is, for what readers look at before they decode. */
void ph__fold_quoted(struct ph__fold *f, ph_str name, ph_str value);
void ph__fold_end(struct ph__fold *f);
/* A whole field, by its kind. */
void ph__fold_field(struct ph__fold *f, const struct ph__field *h);

#endif
