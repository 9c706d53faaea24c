/* Every operation of a backend, and what it answers when it cannot. */
#include "pack.h"
#include "store_test.h"

struct fixture {
    char *dir;
    struct store *s;
    struct store_account *a;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = test_dir();
    OK(ops->new (&(struct store_options){.root = f->dir}, &f->s, &err));
    f->a = test_account(f->s, 7);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    OK(ops->check(test_account(f->s, 7), false, finding, NULL, &err) ? -PH_ECORRUPT : 0);
    ops->free(f->s);
    test_dir_remove(f->dir);
    free(f);
    return 0;
}

/* ---- helpers ------------------------------------------------------------------------------ */

static struct store_put put(struct store_account *a, const char *mailbox, const char *body,
                            uint64_t qid)
{
    struct store_put p = {0};
    struct store_letter l = {.qid = qid,
                             .address = PH_STR("a@a.test"),
                             .mailbox = ph_str_c(mailbox),
                             .body = ph_str_c(body),
                             .message_id = PH_STR("<1@a.test>"),
                             .summary = PH_STR("S\0x"),
                             .date = 1000000};
    OK(ops->put(a, &l, &p, &err));
    return p;
}

struct texts {
    char text[8192];
};

static int list_mailbox(void *ctx, const struct store_mailbox *m)
{
    struct texts *t = ctx;
    size_t n = strlen(t->text);
    snprintf(t->text + n, sizeof t->text - n, "%.*s%s%s%s%s%s%.*s;", PH_FMT(m->name),
             m->bits & STORE_MB_SUBSCRIBED ? "+" : "", m->bits & STORE_MB_NOSELECT ? "!" : "",
             m->bits & STORE_MB_NONEXISTENT ? "?" : "", m->bits & STORE_MB_CHILDREN ? "/" : "",
             m->special.n ? "=" : "", PH_FMT(m->special));
    return 0;
}

static int note_recent(void *ctx, const struct store_mailbox *m)
{
    *(uint32_t *)ctx = m->recent;
    return 0;
}

static uint32_t recent(struct store_account *a, const char *name)
{
    uint32_t n = UINT32_MAX;
    OK(ops->mailboxes(a, ph_str_c(name), note_recent, &n, &err));
    return n;
}

static const char *mailboxes(struct store_account *a)
{
    static struct texts t;
    t.text[0] = 0;
    OK(ops->mailboxes(a, PH_STR(""), list_mailbox, &t, &err));
    return t.text;
}

static int list_message(void *ctx, const struct store_message *m)
{
    struct texts *t = ctx;
    size_t n = strlen(t->text);
    snprintf(t->text + n, sizeof t->text - n, "%u:%u[%.*s]%.*s;", m->uid, m->flags,
             PH_FMT(m->keywords), PH_FMT(m->body));
    return 0;
}

static struct store_selected sel(struct store_account *a, const char *name, char *uids)
{
    struct store_selected r = {0};
    struct uidset u = {0};
    struct ph_buf b;
    ph_buf_init(&b, NULL, 4096);
    OK(ops->select(a, ph_str_c(name), true, &r, &u, &err));
    uidset_print(&u, &b);
    strcpy(uids, ph_buf_cstr(&b));
    ph_buf_done(&b);
    uidset_done(&u);
    return r;
}

static struct uidset set(const char *text)
{
    struct uidset u = {0};
    assert_int_equal(uidset_parse(&u, ph_str_c(text)), 0);
    return u;
}

static const char *list(struct store_account *a, uint64_t mailbox, const char *uids, unsigned mask)
{
    static struct texts t;
    struct uidset u = set(uids);
    t.text[0] = 0;
    OK(ops->list(a, mailbox, &u, mask, 0, list_message, &t, &err));
    uidset_done(&u);
    return t.text;
}

static void flag(struct store_account *a, uint64_t mailbox, const char *uids, enum store_flag_op op,
                 unsigned flags, const char *kw)
{
    struct texts t = {""};
    struct uidset u = set(uids), mod = {0};
    uint64_t modseq;
    struct store_flagging f = {op, flags, ph_str_c(kw), UINT64_MAX};
    OK(ops->flags(a, mailbox, &u, &f, list_message, &t, &mod, &modseq, &err));
    assert_int_equal(mod.n, 0);
    uidset_done(&u);
}

static const char *text_of(const struct uidset *u)
{
    static char text[4096];
    struct ph_buf b;
    ph_buf_init(&b, NULL, sizeof text - 1);
    uidset_print(u, &b);
    strcpy(text, ph_buf_cstr(&b));
    ph_buf_done(&b);
    return text;
}

/* ---- tests -------------------------------------------------------------------------------- */

static void defaults(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(
        mailboxes(f->a),
        "Archive+=\\Archive;Drafts+=\\Drafts;INBOX+;Junk+=\\Junk;Sent+=\\Sent;Trash+=\\Trash;");
    struct store_account *b;
    FAILS(PH_ENOENT, ops->account(f->s, 9, PH_STR("nobody"), STORE_OPEN, &b, &err));
    FAILS(PH_EINVAL, ops->account(f->s, 9, PH_STR("../x"), STORE_OPEN_CREATE, &b, &err));
    FAILS(PH_EINVAL, ops->account(f->s, 9, PH_STR(".hid"), STORE_OPEN_CREATE, &b, &err));
    FAILS(PH_EDENIED, ops->account(f->s, 9, PH_STR("account7"), STORE_OPEN_CREATE, &b, &err));
}

static void deliver_once(void **state)
{
    struct fixture *f = *state;
    char uids[64];
    assert_int_equal(put(f->a, "INBOX", "one", 11).uid, 1);
    assert_int_equal(put(f->a, "INBOX", "two", 12).uid, 2);
    assert_int_equal(recent(f->a, "INBOX"), 2);
    struct store_put again = put(f->a, "INBOX", "one", 11);
    assert_true(again.again);
    assert_int_equal(again.uid, 1);
    struct store_selected s = sel(f->a, "inbox", uids);
    assert_string_equal(uids, "1:2");
    assert_int_equal(s.mailbox.messages, 2);
    assert_int_equal(s.mailbox.unseen, 2);
    assert_int_equal(s.mailbox.size, 6);
    assert_int_equal(s.first_unseen, 1);
    assert_int_equal(s.recent_from, 1);
    s = sel(f->a, "INBOX", uids);
    assert_int_equal(s.recent_from, 3);
    assert_int_equal(recent(f->a, "INBOX"), 0);
    assert_string_equal(list(f->a, s.mailbox.id, "1:9", STORE_F_BODY), "1:0[]one;2:0[]two;");
    /* a delivery to a folder that is not there goes to INBOX, an append does not */
    assert_int_equal(put(f->a, "nowhere", "three", 13).uid, 3);
    assert_int_equal(recent(f->a, "INBOX"), 1);
    struct store_put p;
    FAILS(PH_ENOENT,
          ops->put(f->a, &(struct store_letter){.mailbox = PH_STR("nowhere"), .body = PH_STR("x")},
                   &p, &err));
    /* still a no-op after it was expunged */
    struct uidset gone = {0};
    uint64_t modseq;
    flag(f->a, s.mailbox.id, "1", STORE_FLAGS_ADD, STORE_DELETED, "");
    OK(ops->expunge(f->a, s.mailbox.id, NULL, &gone, &modseq, &err));
    assert_string_equal(text_of(&gone), "1");
    uidset_done(&gone);
    assert_true(put(f->a, "INBOX", "one", 11).again);
    assert_int_equal(sel(f->a, "INBOX", uids).mailbox.messages, 2);
    assert_string_equal(uids, "2:3");
}

static void read_body(void **state)
{
    struct fixture *f = *state;
    char uids[64];
    put(f->a, "INBOX", "one", 11);
    uint64_t box = sel(f->a, "INBOX", uids).mailbox.id;
    struct store_body b;
    OK(ops->body(f->a, box, 1, false, &b, &err));
    assert_int_equal(b.size, 3);
    assert_memory_equal(b.bytes.p, "one", 3);
    assert_true(ph_str_eq(b.journey, PH_STR("<1@a.test>")));
    assert_int_equal(b.qid, 11);
    OK(ops->body(f->a, box, 1, false, &b, &err));
    assert_int_equal(b.journey.n, 0);
    FAILS(PH_ENOENT, ops->body(f->a, box, 2, false, &b, &err));
    FAILS(PH_ENOENT, ops->body(f->a, 999, 1, false, &b, &err));
    while (ops->tend(f->s, INT64_MAX, 0) > 0)
        ;
    f->a = test_account(f->s, 7);
    OK(ops->body(f->a, box, 1, false, &b, &err));
    assert_int_equal(b.journey.n, 0); /* remembered on disk */
}

struct news {
    char text[256];
    size_t n;
};

static int add_news(void *ctx, const struct store_message *m)
{
    struct news *w = ctx;
    w->n += (size_t)snprintf(w->text + w->n, sizeof w->text - w->n, "%u:%d %llu %.*s;",
                             (unsigned)m->uid, m->flags & STORE_FRESH ? 1 : 0,
                             (unsigned long long)m->qid, PH_FMT(m->journey));
    return 0;
}

static const char *news(struct store_account *a, uint64_t box)
{
    static struct news w;
    struct uidset all = {0};
    w = (struct news){0};
    OK(uidset_add(&all, 1, 99));
    OK(ops->list(a, box, &all, STORE_F_BODY | STORE_F_FRESH, 0, add_news, &w, &err));
    uidset_done(&all);
    return w.text;
}

/* Deliveries that nobody has read say whose journey ends; who was given them says so, and no modseq
 * changes. */
static void first_readings(void **state)
{
    struct fixture *f = *state;
    char uids[64];
    for (uint64_t i = 1; i <= 3; i++)
        put(f->a, "INBOX", "x", i);
    put(f->a, "INBOX", "y", 0);
    struct store_selected s = sel(f->a, "INBOX", uids);
    uint64_t box = s.mailbox.id, modseq = 0;
    assert_string_equal(news(f->a, box),
                        "1:1 1 <1@a.test>;2:1 2 <1@a.test>;3:1 3 <1@a.test>;4:0 0 ;");
    struct uidset read = {0}, modified = {0};
    OK(uidset_add(&read, 2, 3));
    OK(ops->flags(f->a, box, &read,
                  &(struct store_flagging){STORE_FLAGS_DEL, STORE_FRESH, {0}, UINT64_MAX}, add_news,
                  NULL, &modified, &modseq, &err));
    uidset_done(&read);
    assert_int_equal(modseq, 0);
    assert_int_equal(sel(f->a, "INBOX", uids).mailbox.modseq, s.mailbox.modseq);
    assert_string_equal(news(f->a, box), "1:1 1 <1@a.test>;2:0 0 ;3:0 0 ;4:0 0 ;");
    while (ops->tend(f->s, INT64_MAX, 0) > 0)
        ;
    f->a = test_account(f->s, 7);
    assert_string_equal(news(f->a, box), "1:1 1 <1@a.test>;2:0 0 ;3:0 0 ;4:0 0 ;");
}

static void large_bodies(void **state)
{
    struct fixture *f = *state;
    char uids[64];
    size_t n = 3 << 20;
    char *text = malloc(n);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(i * 2654435761u >> 13);
    struct store_put p;
    OK(ops->put(f->a, &(struct store_letter){.mailbox = PH_STR("INBOX"), .body = {text, n}}, &p,
                &err));
    OK(ops->put(f->a, &(struct store_letter){.mailbox = PH_STR("INBOX"), .body = {text, 300000}},
                &p, &err));
    uint64_t box = sel(f->a, "INBOX", uids).mailbox.id;
    for (uint32_t uid = 1; uid <= 2; uid++) {
        struct store_body b;
        OK(ops->body(f->a, box, uid, false, &b, &err));
        assert_int_equal(b.size, uid == 1 ? n : 300000);
        assert_true(b.fd >= 0);
        char *back = malloc(n);
        assert_int_equal(pread(b.fd, back, n, 0), b.size);
        assert_memory_equal(back, text, b.size);
        assert_true(write(b.fd, "x", 1) < 0);
        free(back);
        close(b.fd);
    }
    flag(f->a, box, "1:2", STORE_FLAGS_ADD, STORE_DELETED, "");
    struct uidset gone = {0};
    uint64_t modseq;
    OK(ops->expunge(f->a, box, NULL, &gone, &modseq, &err));
    uidset_done(&gone);
    struct store_sync *y;
    assert_int_equal(ops->mark(f->a, &y), 1);
    assert_int_equal(ops->sync(y, true), 0); /* teardown's check finds no file left */
    assert_int_equal(ops->mark(f->a, &y), 0);
    free(text);
}

struct seen_bodies {
    struct ph_packer *packer;
    ph_str want; /* of the large ones */
    unsigned n, packed;
};

static int see_body(void *ctx, const struct store_message *m)
{
    struct seen_bodies *seen = ctx;
    struct ph_buf out;
    ph_buf_init(&out, NULL, PH_PACK_MOST);
    if (m->packed)
        assert_int_equal(ph_unpack(seen->packer, m->body, m->size, &out), 0);
    ph_str body = m->packed ? ph_buf_str(&out) : m->body;
    assert_true(ph_str_eq(body, m->size == 5 ? PH_STR("hello") : seen->want));
    seen->n++;
    seen->packed += m->packed;
    ph_buf_done(&out);
    return 0;
}

/* A body that comes packed is kept so, and is the message for everyone. */
static void packed_bodies(void **state)
{
    struct fixture *f = *state;
    enum { SIZE = 30000 };
    char uids[64], *text = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (char)('a' + (i * 2654435761u >> 20) % 20);
    struct ph_packer *packer = ph_packer_new();
    struct ph_buf packed;
    ph_buf_init(&packed, NULL, 2 * PH_PACK_MOST);
    assert_int_equal(ph_pack(packer, (ph_str){text, SIZE}, 500, &packed), 1);
    struct store_letter l = {
        .mailbox = PH_STR("INBOX"), .body = ph_buf_str(&packed), .packed = SIZE};
    struct store_put p;
    OK(ops->put(f->a, &l, &p, &err));
    static const struct {
        uint64_t size;
        size_t cut;
    } wrong[] = {{SIZE - 1, 0}, {SIZE + 1, 0}, {PH_PACK_MOST + 1, 0}, {SIZE, 1}, {SIZE, 1000}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        l.packed = wrong[i].size;
        l.body = (ph_str){packed.p, packed.n - wrong[i].cut};
        FAILS(PH_EINVAL, ops->put(f->a, &l, &p, &err));
    }
    l.packed = 5;
    l.body = PH_STR("hello");
    FAILS(PH_EINVAL, ops->put(f->a, &l, &p, &err));
    struct store_selected in = sel(f->a, "INBOX", uids);
    assert_int_equal(in.mailbox.messages, 1);
    assert_int_equal(in.mailbox.size, SIZE);
    struct store_body b;
    OK(ops->body(f->a, in.mailbox.id, p.uid, false, &b, &err));
    assert_int_equal(b.size, SIZE);
    assert_memory_equal(b.bytes.p, text, SIZE);
    put(f->a, "INBOX", "hello", 0);
    l.packed = 0;
    l.body = (ph_str){text, SIZE};
    OK(ops->put(f->a, &l, &p, &err)); /* which the store packs itself */
    struct seen_bodies seen = {.packer = packer, .want = {text, SIZE}};
    struct uidset all = set("1:9");
    OK(ops->list(f->a, in.mailbox.id, &all, STORE_F_BODY, 0, see_body, &seen, &err));
    assert_int_equal(seen.packed, 0);
    OK(ops->list(f->a, in.mailbox.id, &all, STORE_F_BODY | STORE_F_PACKED, 0, see_body, &seen,
                 &err));
    assert_int_equal(seen.packed, 2);
    assert_int_equal(seen.n, 6);
    uidset_done(&all);
    ph_buf_done(&packed);
    ph_packer_free(packer);
    free(text);
}

static void flags_and_changes(void **state)
{
    struct fixture *f = *state;
    char uids[64];
    for (int i = 0; i < 5; i++)
        put(f->a, "INBOX", "x", 0);
    struct store_selected s = sel(f->a, "INBOX", uids);
    uint64_t box = s.mailbox.id, before = s.mailbox.modseq;
    flag(f->a, box, "2,4", STORE_FLAGS_ADD, STORE_SEEN, "Work $Forwarded work");
    flag(f->a, box, "4", STORE_FLAGS_DEL, 0, "WORK");
    flag(f->a, box, "5", STORE_FLAGS_SET, STORE_DELETED, "");
    assert_string_equal(list(f->a, box, "1:5", STORE_F_FLAGS),
                        "1:0[];2:1[Work $Forwarded];3:0[];4:1[$Forwarded];5:8[];");
    s = sel(f->a, "INBOX", uids);
    assert_true(ph_str_eq(s.keywords, PH_STR("Work $Forwarded")));
    assert_int_equal(s.mailbox.unseen, 3);
    assert_int_equal(s.mailbox.deleted, 1);
    /* conditional store */
    struct uidset u = set("1:3"), mod = {0}, gone = {0};
    struct texts t = {""};
    uint64_t modseq;
    OK(ops->flags(f->a, box, &u,
                  &(struct store_flagging){STORE_FLAGS_ADD, STORE_FLAGGED, {0}, before},
                  list_message, &t, &mod, &modseq, &err));
    assert_string_equal(text_of(&mod), "2");
    assert_string_equal(t.text, "1:4[];3:4[];");
    OK(ops->expunge(f->a, box, NULL, &gone, &modseq, &err));
    assert_string_equal(text_of(&gone), "5");
    put(f->a, "INBOX", "new", 0);
    uidset_done(&gone);
    t.text[0] = 0;
    OK(ops->changes(f->a, box, before, list_message, &t, &gone, &modseq, &err));
    assert_string_equal(t.text, "2:1[Work $Forwarded];4:1[$Forwarded];1:4[];3:4[];6:0[];");
    assert_string_equal(text_of(&gone), "5");
    assert_int_equal(modseq, sel(f->a, "INBOX", uids).mailbox.modseq);
    t.text[0] = 0;
    OK(ops->changes(f->a, box, modseq, list_message, &t, &gone, &modseq, &err));
    assert_string_equal(t.text, "");
    uidset_done(&u), uidset_done(&mod), uidset_done(&gone);
}

static int thread_of(void *ctx, const struct store_message *m)
{
    *(uint64_t *)ctx = m->thread;
    return 0;
}

/* The thread of a letter with these ids ("own parent ...", "-": none). */
static uint64_t put_thread(struct store_account *a, const char *ids)
{
    ph_str list[8], rest = ph_str_c(ids);
    size_t n = 0;
    uint64_t thread = 0;
    struct store_put p;
    while (ph_str_token(&rest, ' ', &list[n]))
        n++;
    if (n && ph_str_eq(list[0], PH_STR("-")))
        list[0] = PH_STR("");
    OK(ops->put(a,
                &(struct store_letter){
                    .mailbox = PH_STR("INBOX"), .body = PH_STR("x"), .thread = list, .thread_n = n},
                &p, &err));
    struct uidset u = {0};
    OK(uidset_add(&u, p.uid, p.uid));
    OK(ops->list(a, p.mailbox, &u, STORE_F_THREAD, 0, thread_of, &thread, &err));
    uidset_done(&u);
    assert_true(thread > 0);
    return thread;
}

static void threads(void **state)
{
    struct fixture *f = *state;
    uint64_t a = put_thread(f->a, "<a>"), b = put_thread(f->a, "<b>");
    assert_true(a != b);
    assert_int_equal(put_thread(f->a, "<c> <a>"), a);
    assert_int_equal(put_thread(f->a, "<d> <not-here> <c>"), a); /* not the nearest, but known */
    assert_int_equal(put_thread(f->a, "- <b>"), b);
    assert_int_equal(put_thread(f->a, "<e> <c> <b>"), a); /* the nearest known decides */
    assert_int_equal(put_thread(f->a, "<b>"), b);         /* the same letter again */
    uint64_t answer = put_thread(f->a, "<y2> <y1> <y>"), other = put_thread(f->a, "");
    assert_true(answer != a && answer != b && other != answer && put_thread(f->a, "-") != other);
    assert_int_equal(put_thread(f->a, "<y>"), answer); /* the question comes after the answer */
    assert_int_equal(put_thread(f->a, "<y1> <y>"), answer);
    assert_int_equal(ops->check(f->a, false, finding, NULL, &(struct ph_error){0}), 0);
}

static void copy_and_move(void **state)
{
    struct fixture *f = *state;
    char uids[64];
    for (int i = 0; i < 4; i++)
        put(f->a, "INBOX", "x", 0);
    uint64_t inbox = sel(f->a, "INBOX", uids).mailbox.id,
             trash = sel(f->a, "Trash", uids).mailbox.id;
    struct uidset u = set("2:3,9");
    struct store_copied c;
    OK(ops->copy(f->a, inbox, &u, PH_STR("Trash"), false, &c, &err));
    assert_string_equal(text_of(&c.from), "2:3");
    assert_string_equal(text_of(&c.to), "1:2");
    uidset_done(&c.from), uidset_done(&c.to), uidset_done(&u);
    u = set("1,3");
    OK(ops->copy(f->a, inbox, &u, PH_STR("Trash"), true, &c, &err));
    assert_string_equal(text_of(&c.to), "3:4");
    uidset_done(&c.from), uidset_done(&c.to);
    sel(f->a, "INBOX", uids);
    assert_string_equal(uids, "2,4");
    sel(f->a, "Trash", uids);
    assert_string_equal(uids, "1:4");
    FAILS(PH_EINVAL, ops->copy(f->a, inbox, &u, PH_STR("None"), true, &c, &err));
    uidset_done(&u);
    u = set("1:4"); /* into itself: new copies at the end, once */
    OK(ops->copy(f->a, trash, &u, PH_STR("Trash"), true, &c, &err));
    uidset_done(&c.from), uidset_done(&c.to), uidset_done(&u);
    sel(f->a, "Trash", uids);
    assert_string_equal(uids, "5:8");
}

static uint64_t change(struct store_account *a, enum store_change op, const char *name,
                       const char *to)
{
    uint64_t id = 0;
    OK(ops->change(a, op, ph_str_c(name), ph_str_c(to), PH_STR(""), &id, &err));
    return id;
}

static void names(void **state)
{
    struct fixture *f = *state;
    struct store_account *a = f->a;
    char uids[64];
    static const char *const bad[] = {"",  "/a",   "a//b",         "a\nb",      "a%",
                                      "*", "\xff", "\xed\xa0\x80", "a/\xc2\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(PH_EINVAL,
              ops->change(a, STORE_CREATE, ph_str_c(bad[i]), PH_STR(""), PH_STR(""), NULL, &err));
    FAILS(PH_EEXIST,
          ops->change(a, STORE_CREATE, PH_STR("inbox"), PH_STR(""), PH_STR(""), NULL, &err));
    FAILS(PH_EDENIED,
          ops->change(a, STORE_DELETE, PH_STR("Inbox"), PH_STR(""), PH_STR(""), NULL, &err));
    FAILS(PH_ENOENT, ops->change(a, STORE_DELETE, PH_STR("x"), PH_STR(""), PH_STR(""), NULL, &err));
    FAILS(PH_EINVAL,
          ops->change(a, STORE_CREATE, PH_STR("x"), PH_STR(""), PH_STR("\\sent"), NULL, &err));
    static const char *const away[] = {"Archive", "Drafts", "Junk", "Sent", "Trash"};
    for (size_t i = 0; i < 5; i++) {
        change(a, STORE_UNSUBSCRIBE, away[i], "");
        change(a, STORE_DELETE, away[i], "");
    }
    uint64_t id = change(a, STORE_CREATE, "a/b/\xe4\xb8\xad/", "");
    assert_string_equal(mailboxes(a), "INBOX+;a/;a/b/;a/b/\xe4\xb8\xad;");
    put(a, "a/b", "x", 0);
    uint32_t validity = sel(a, "a/b", uids).mailbox.uidvalidity;
    change(a, STORE_SUBSCRIBE, "a/b", "");
    change(a, STORE_DELETE, "a/b", "");
    assert_string_equal(mailboxes(a), "INBOX+;a/;a/b+!/;a/b/\xe4\xb8\xad;");
    FAILS(PH_EDENIED,
          ops->change(a, STORE_DELETE, PH_STR("a/b"), PH_STR(""), PH_STR(""), NULL, &err));
    FAILS(PH_EINVAL,
          ops->change(a, STORE_RENAME, PH_STR("a"), PH_STR("a/x"), PH_STR(""), NULL, &err));
    FAILS(PH_EEXIST,
          ops->change(a, STORE_RENAME, PH_STR("a"), PH_STR("INBOX"), PH_STR(""), NULL, &err));
    change(a, STORE_RENAME, "a", "z/y");
    assert_string_equal(mailboxes(a), "INBOX+;z/;z/y/;z/y/b+!/;z/y/b/\xe4\xb8\xad;");
    assert_int_equal(sel(a, "z/y/b/\xe4\xb8\xad", uids).mailbox.id, id);
    change(a, STORE_DELETE, "z/y/b/\xe4\xb8\xad", "");
    change(a, STORE_DELETE, "z/y/b", "");
    assert_string_equal(mailboxes(a), "INBOX+;z/;z/y;z/y/b+!?;");
    change(a, STORE_CREATE, "z/y/b", "");
    assert_string_equal(mailboxes(a), "INBOX+;z/;z/y/;z/y/b+;");
    assert_true(sel(a, "z/y/b", uids).mailbox.uidvalidity > validity);
    assert_string_equal(uids, "");
    /* RENAME INBOX */
    put(a, "INBOX", "m", 5);
    put(a, "INBOX", "n", 6);
    change(a, STORE_CREATE, "INBOX/sub", "");
    change(a, STORE_RENAME, "INBOX", "old");
    assert_string_equal(mailboxes(a), "INBOX+/;INBOX/sub;old;z/;z/y/;z/y/b+;");
    assert_int_equal(sel(a, "INBOX", uids).mailbox.messages, 0);
    assert_int_equal(sel(a, "INBOX", uids).mailbox.uidnext, 3);
    sel(a, "old", uids);
    assert_string_equal(uids, "1:2");
}

static void transactions(void **state)
{
    struct fixture *f = *state;
    char uids[64];
    struct store_put p;
    OK(ops->txn(f->a, STORE_BEGIN, &err));
    put(f->a, "INBOX", "a", 1);
    FAILS(PH_ENOENT,
          ops->put(f->a, &(struct store_letter){.mailbox = PH_STR("none"), .body = PH_STR("x")}, &p,
                   &err));
    put(f->a, "INBOX", "b", 2);
    OK(ops->txn(f->a, STORE_COMMIT, &err));
    OK(ops->txn(f->a, STORE_BEGIN, &err));
    assert_int_equal(put(f->a, "INBOX", "c", 3).uid, 3);
    change(f->a, STORE_CREATE, "new", "");
    OK(ops->txn(f->a, STORE_ABORT, &err));
    assert_int_equal(sel(f->a, "INBOX", uids).mailbox.messages, 2);
    assert_null(strstr(mailboxes(f->a), "new"));
    assert_int_equal(put(f->a, "INBOX", "c", 3).uid, 3);
}

static void holes(void **state)
{
    struct fixture *f = *state;
    char uids[4096];
    OK(ops->txn(f->a, STORE_BEGIN, &err));
    for (int i = 0; i < 700; i++)
        put(f->a, "INBOX", "x", 0);
    OK(ops->txn(f->a, STORE_COMMIT, &err));
    uint64_t box = sel(f->a, "INBOX", uids).mailbox.id, modseq;
    struct uidset odd = {0}, gone = {0};
    for (uint32_t i = 1; i < 700; i += 2)
        assert_int_equal(uidset_add(&odd, i, i), 0);
    struct texts t = {""};
    struct uidset mod = {0};
    OK(ops->flags(f->a, box, &odd,
                  &(struct store_flagging){STORE_FLAGS_ADD, STORE_DELETED, {0}, UINT64_MAX},
                  list_message, &t, &mod, &modseq, &err));
    OK(ops->expunge(f->a, box, NULL, &gone, &modseq, &err));
    assert_int_equal(gone.n, 350);
    assert_int_equal(sel(f->a, "INBOX", uids).mailbox.messages, 350);
    assert_true(!strncmp(uids, "2,4,6,8,", 8));
    /* few left: the other way to know the uids */
    flag(f->a, box, "4:800", STORE_FLAGS_ADD, STORE_DELETED, "");
    uidset_done(&gone);
    OK(ops->expunge(f->a, box, NULL, &gone, &modseq, &err));
    sel(f->a, "INBOX", uids);
    assert_string_equal(uids, "2");
    uidset_done(&odd), uidset_done(&gone);
}

static void erase(void **state)
{
    struct fixture *f = *state;
    struct store_account *b = test_account(f->s, 8);
    put(b, "INBOX", "x", 1);
    OK(ops->account(f->s, 8, PH_STR("account8"), STORE_ERASE, NULL, &err));
    FAILS(PH_ENOENT, ops->account(f->s, 8, PH_STR("account8"), STORE_OPEN, &b, &err));
    OK(ops->account(f->s, 8, PH_STR("account8"), STORE_ERASE, NULL, &err));
    b = test_account(f->s, 8);
    assert_false(put(b, "INBOX", "x", 1).again);
}

/* More accounts than may stay open, visited in turns. */
static void many_accounts(void **state)
{
    struct fixture *f = *state;
    char uids[64];
    ops->free(f->s);
    OK(ops->new (&(struct store_options){.root = f->dir, .max_open = 3}, &f->s, &err));
    for (int turn = 0; turn < 3; turn++)
        for (uint64_t id = 100; id < 110; id++) {
            struct store_account *a = test_account(f->s, id);
            assert_int_equal(put(a, "INBOX", "x", (uint64_t)turn + 1).uid, turn + 1);
            struct store_sync *y = NULL;
            if (id % 2 && ops->mark(a, &y) == 1)
                assert_int_equal(ops->sync(y, true), 0);
        }
    for (uint64_t id = 100; id < 110; id++)
        assert_int_equal(sel(test_account(f->s, id), "INBOX", uids).mailbox.messages, 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(defaults),      T(deliver_once),  T(read_body),         T(first_readings),
        T(large_bodies),  T(packed_bodies), T(flags_and_changes), T(threads),
        T(copy_and_move), T(names),         T(transactions),      T(holes),
        T(erase),         T(many_accounts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
