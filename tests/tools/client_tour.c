/*
 * Walks a whole way through a mail server with the library, printing one line a station. Ends with
 * 1 at the first call that fails, and at the first thing that is not as it must be.
 *
 *   client_tour smtp|pop3|imap HOST PORT starttls|tls|none CA USER PASSWORD [MECHANISM [PROXY]]
 *
 * smtp: a letter to USER by every kind of call. pop3: lists, fetches what is new twice, deletes.
 * imap: append, fetch, search, watch while another session appends, move to the trash and back,
 * delete; compressed and enabled where the server can.
 */
#include <posthouse/fetch.h>
#include <posthouse/send.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ph_account account;
static struct ph_trouble trouble;

static int give_up(const char *where)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, 4096);
    ph_trouble_write(&trouble, &b);
    printf("FAILED %s: %s %s\n", where, ph_trouble_name(trouble.kind), ph_buf_cstr(&b));
    exit(1);
}

static void must(int64_t rc, const char *where)
{
    if (rc < 0)
        give_up(where);
    printf("%s %lld\n", where, (long long)rc);
}

static void check(bool right, const char *what)
{
    if (!right) {
        printf("WRONG %s\n", what);
        exit(1);
    }
}

static void describe(const struct ph_conn_info *i)
{
    printf("tls %s verified %d\n", i->tls, i->verified);
}

/* ---- SMTP ---------------------------------------------------------------------------------- */

static int64_t read_some(void *ctx, char *to, size_t max)
{
    static const char line[] = "A line of a letter that is read piece by piece.\r\n";
    static const char head[] = "Subject: long\r\n\r\n";
    static bool begun;
    size_t *left = ctx, n = 0;
    if (!begun) {
        begun = true;
        memcpy(to, head, sizeof head - 1);
        return sizeof head - 1;
    }
    for (; *left && n + sizeof line - 1 <= max; (*left)--, n += sizeof line - 1)
        memcpy(to + n, line, sizeof line - 1);
    return (int64_t)n;
}

static uint64_t progressed;
static void on_progress(void *ctx, uint64_t done, uint64_t size)
{
    (void)ctx;
    (void)size;
    progressed = done;
}

static void on_each(void *ctx, size_t index, int result, const struct ph_trouble *t)
{
    (void)ctx;
    printf("letter %zu: %d%s\n", index, result, t ? " with trouble" : "");
}

static void tour_smtp(void)
{
    struct ph_smtp_session *s = NULL;
    struct ph_buf text;
    ph_str to[2] = {account.user, PH_STR("nobody-here@a.test")};
    size_t lines = 3000;
    ph_buf_init(&text, NULL, 65536);
    ph_buf_addf(&text, "From: <%.*s>\r\nTo: <%.*s>\r\nSubject: tour\r\n\r\n.dot\r\nend\r\n",
                PH_FMT(to[0]), PH_FMT(to[0]));
    must(ph_smtp_open(&account, &s, &trouble), "open");
    describe(ph_smtp_session_info(s));
    printf("mechanism %.*s\n", PH_FMT(ph_smtp_mechanism(s)));
    printf("pipelining %d\n", ph_smtp_has_extn(s, PH_STR("pipelining"), NULL));
    must(ph_smtp_noop(s, &trouble), "noop");
    struct ph_smtp_letter l[3] = {{.struct_size = sizeof l[0],
                                   .sender = to[0],
                                   .recipients = to,
                                   .count = 1,
                                   .message = ph_buf_str(&text)}};
    l[1] = l[2] = l[0];
    l[1].recipients = to + 1;
    must(ph_smtp_sendmail(s, l, &trouble), "sendmail");
    must(ph_smtp_sendmany(s, l, 3, on_each, NULL, &trouble), "sendmany");
    l[0].read = read_some;
    l[0].ctx = &lines;
    l[0].progress = on_progress;
    must(ph_smtp_sendmail(s, l, &trouble), "stream");
    printf("progress %llu\n", (unsigned long long)progressed);
    must(ph_smtp_rset(s, &trouble), "rset");
    must(ph_smtp_verify(s, to[0], NULL, &trouble), "verify");
    ph_smtp_close(s);
    must(ph_send_letter(&account, to[0], to, 1, ph_buf_str(&text), &trouble), "one call");
    ph_buf_done(&text);
}

/* ---- POP3 ---------------------------------------------------------------------------------- */

struct box {
    char uids[64][72];
    size_t known, letters;
    uint64_t octets;
};

static int on_begin(void *ctx, const struct ph_pop3_item *item)
{
    struct box *b = ctx;
    if (b->known < 64)
        memcpy(b->uids[b->known++], item->uid, sizeof item->uid);
    return 0;
}

static int on_piece(void *ctx, ph_str bytes)
{
    ((struct box *)ctx)->octets += bytes.n;
    return 0;
}

static int on_end(void *ctx)
{
    ((struct box *)ctx)->letters++;
    return 0;
}

static bool is_known(void *ctx, ph_str uid)
{
    struct box *b = ctx;
    for (size_t i = 0; i < b->known; i++)
        if (ph_str_eq(uid, ph_str_c(b->uids[i])))
            return true;
    return false;
}

static void tour_pop3(void)
{
    struct ph_pop3_session *s = NULL;
    struct ph_pop3_item *items;
    struct box b = {0};
    const struct ph_letter_sink sink = {on_begin, on_piece, on_end, &b};
    uint32_t count;
    uint64_t size;
    size_t n;
    must(ph_pop3_open(&account, &s, &trouble), "open");
    describe(ph_pop3_session_info(s));
    must(ph_pop3_stat(s, &count, &size, &trouble), "stat");
    printf("count %u\n", count);
    must(ph_pop3_fetch_new(s, is_known, &b, &sink, &trouble), "new");
    must(ph_pop3_fetch_new(s, is_known, &b, &sink, &trouble), "new again");
    check(b.octets == size, "letters of another size than told");
    printf("letters %zu of the size told\n", b.letters);
    must(ph_pop3_items(s, &items, &n, &trouble), "items");
    must(ph_pop3_retrieve(s, items, n ? 1 : 0, 0, &sink, &trouble), "top");
    must(ph_pop3_delete(s, items, n ? 1 : 0, &trouble), "delete");
    ph_pop3_items_free(items);
    must(ph_pop3_close(s, true, &trouble), "quit");
    must(ph_pop3_open(&account, &s, &trouble), "open");
    must(ph_pop3_stat(s, &count, &size, &trouble), "stat");
    printf("count %u\n", count);
    must(ph_pop3_close(s, false, &trouble), "close");
}

/* ---- IMAP ---------------------------------------------------------------------------------- */

static const ph_str message = PH_STR_INIT("From: a@a.test\r\nSubject: by hand\r\n\r\nText.\r\n");

static int on_fetch(void *ctx, const struct ph_imap_client_event *ev)
{
    struct ph_buf *b = ctx;
    if (ev->kind == PH_IMAP_CHUNK)
        ph_buf_add(b, ev->chunk.data);
    if (ev->kind == PH_IMAP_FETCHED && ev->fetch.part_count && !ev->fetch.parts[0].streamed)
        ph_buf_add(b, ev->fetch.parts[0].value);
    return 0;
}

static int on_found(void *ctx, const struct ph_imap_client_event *ev)
{
    if (ev->kind == PH_IMAP_FOUND)
        *(size_t *)ctx = ev->count;
    return 0;
}

static size_t named, threaded, renewed, gone, changed;
static int on_more(void *ctx, const struct ph_imap_client_event *ev)
{
    (void)ctx;
    named += ev->kind == PH_IMAP_NAMESPACES ? ev->count : 0;
    threaded += ev->kind == PH_IMAP_THREADED ? ev->count : 0;
    gone += ev->kind == PH_IMAP_VANISHED && ev->earlier;
    changed += ev->kind == PH_IMAP_FETCHED;
    renewed += ev->kind == PH_IMAP_CONTINUE;
    return renewed == 3;
}

static bool offers(struct ph_imap_session *s, uint64_t cap)
{
    return ph_imap_client_caps(ph_imap_engine(s)) & cap;
}

/* Of what only some servers have. */
static void tour_extensions(struct ph_imap_session *s)
{
    struct ph_imap_client *c = ph_imap_engine(s);
    size_t sorted = 0;
    if (offers(s, PH_IMAP_CAP(NAMESPACE)))
        must(ph_imap_await(s, ph_imap_client_namespace(c), on_more, NULL, &trouble), "namespace");
    if (offers(s, PH_IMAP_CAP(SORT)))
        must(ph_imap_await(
                 s,
                 ph_imap_client_sort(c, true, PH_STR("REVERSE SIZE"), (ph_str){0}, PH_STR("ALL")),
                 on_found, &sorted, &trouble),
             "sort");
    if (offers(s, PH_IMAP_CAP(THREAD_REFERENCES)))
        must(ph_imap_await(
                 s,
                 ph_imap_client_thread(c, true, PH_STR("REFERENCES"), (ph_str){0}, PH_STR("ALL")),
                 on_more, NULL, &trouble),
             "thread");
    printf("namespaces %d sorted %d threaded %d\n", named > 0, sorted == ph_imap_box(s)->exists,
           threaded >= sorted);
    if (ph_imap_client_thread(c, true, PH_STR("NO-SUCH"), (ph_str){0}, PH_STR("ALL")) !=
        -PH_ENOTIMPL)
        give_up("an algorithm that nobody has");
    renewed = 0;
    ph_imap_renew_after(s, 20);
    must(ph_imap_watch(s, 60000, -1, on_more, NULL, &trouble), "renewed");
    ph_imap_renew_after(s, 0);
}

/* A flag is set and a letter removed while this mailbox is closed here; then it is opened with what
 * was known of it. */
static void tour_resync(struct ph_imap_session *s)
{
    const struct ph_imap_flags flagged = {.bits = PH_IMAP_FLAGGED};
    struct ph_imap_session *other = NULL;
    uint32_t uids[2] = {0};
    char set[32], one[16];
    for (int i = 0; i < 2; i++)
        must(ph_imap_append(s, PH_STR("INBOX"), NULL, message, &uids[i], &trouble), "append");
    must(ph_imap_select(s, PH_STR("INBOX"), false, &trouble), "select");
    snprintf(set, sizeof set, "%u,%u", uids[0], uids[1]);
    struct ph_imap_known known = {ph_imap_box(s)->uidvalidity, ph_imap_box(s)->highestmodseq,
                                  ph_str_c(set)};
    must(ph_imap_await(s, ph_imap_client_simple(ph_imap_engine(s), PH_IMAP_CLOSE), NULL, NULL,
                       &trouble),
         "leave");
    must(ph_imap_open(&account, &other, &trouble), "other");
    must(ph_imap_select(other, PH_STR("INBOX"), false, &trouble), "select");
    snprintf(one, sizeof one, "%u", uids[0]);
    must(ph_imap_remove(other, ph_str_c(one), &trouble), "remove");
    snprintf(one, sizeof one, "%u", uids[1]);
    must(ph_imap_await(
             other,
             ph_imap_client_store(ph_imap_engine(other), true, ph_str_c(one), '+', false, &flagged),
             NULL, NULL, &trouble),
         "store");
    ph_imap_close(other);
    gone = changed = renewed = 0;
    int rc = ph_imap_resync(s, PH_STR("INBOX"), false, &known, on_more, NULL, &trouble);
    must(rc, "resync");
    bool offered = offers(s, PH_IMAP_CAP(QRESYNC));
    check(rc == offered && (!offered || (gone == 1 && changed == 1)), "resync");
    printf("resync %s\n", offered ? "told" : "not offered");
    known.uidvalidity++;
    rc = ph_imap_resync(s, PH_STR("INBOX"), false, &known, on_more, NULL, &trouble);
    must(rc, "resync of another mailbox");
}

static uint32_t seen;
static int on_news(void *ctx, const struct ph_imap_client_event *ev)
{
    struct ph_imap_session *other = *(struct ph_imap_session **)ctx;
    if (ev->kind == PH_IMAP_CONTINUE) { /* IDLE stands: now something happens elsewhere */
        uint32_t uid = 0;
        struct ph_trouble t;
        if (ph_imap_append(other, PH_STR("INBOX"), NULL, message, &uid, &t) < 0)
            return 99;
    }
    if (ev->kind == PH_IMAP_EXISTS && ev->n > seen)
        return 7;
    return 0;
}

static void watch_and_move(struct ph_imap_session *s, ph_str uid)
{
    struct ph_imap_session *other = NULL;
    struct ph_buf trash;
    must(ph_imap_open(&account, &other, &trouble), "other");
    seen = ph_imap_box(s)->exists;
    must(ph_imap_watch(s, 60000, -1, on_news, &other, &trouble), "watch");
    must(ph_imap_watch(s, 1, -1, NULL, NULL, &trouble), "watch in vain");
    ph_imap_close(other);
    ph_buf_init(&trash, NULL, 1000);
    int rc = ph_imap_find_special(s, PH_IMAP_MB_TRASH, &trash, &trouble);
    if (rc == 0) {
        ph_buf_add(&trash, PH_STR("Trash"));
        must(ph_imap_await(s,
                           ph_imap_client_mailbox(ph_imap_engine(s), PH_IMAP_CREATE,
                                                  ph_buf_str(&trash), (ph_str){0}),
                           NULL, NULL, &trouble),
             "create");
    }
    printf("trash %s\n", ph_buf_cstr(&trash));
    must(ph_imap_move(s, uid, ph_buf_str(&trash), &trouble), "move");
    must(ph_imap_select(s, ph_buf_str(&trash), false, &trouble), "select trash");
    printf("in the trash %u\n", ph_imap_box(s)->exists);
    must(ph_imap_move(s, PH_STR("1:*"), PH_STR("INBOX"), &trouble), "move back");
    ph_buf_done(&trash);
}

static void tour_imap(void)
{
    struct ph_imap_session *s = NULL;
    struct ph_buf got;
    uint32_t uid = 0;
    size_t found = 0;
    char text[16];
    ph_buf_init(&got, NULL, 100000);
    must(ph_imap_open(&account, &s, &trouble), "open");
    describe(ph_imap_session_info(s));
    must(ph_imap_compress(s, &trouble), "compress");
    printf("compressed %d\n", ph_imap_session_info(s)->compressed);
    must(ph_imap_enable(s, &trouble), "enable");
    must(ph_imap_select(s, PH_STR("INBOX"), false, &trouble), "select");
    must(ph_imap_append(s, PH_STR("INBOX"), NULL, message, &uid, &trouble), "append");
    must(ph_imap_await(s, ph_imap_client_noop(ph_imap_engine(s)), NULL, NULL, &trouble), "noop");
    snprintf(text, sizeof text, "%u", uid);
    must(ph_imap_fetch(s, ph_str_c(text), PH_STR("(UID BODY.PEEK[])"), on_fetch, &got, &trouble),
         "fetch");
    check(ph_str_eq(ph_buf_str(&got), message), "another letter");
    puts("the same letter");
    must(ph_imap_await(
             s, ph_imap_client_search(ph_imap_engine(s), true, (ph_str){0}, PH_STR("SUBJECT hand")),
             on_found, &found, &trouble),
         "search");
    check(found > 0, "SEARCH does not find it");
    puts("found 1");
    tour_extensions(s);
    tour_resync(s);
    watch_and_move(s, ph_str_c(text));
    must(ph_imap_select(s, PH_STR("INBOX"), false, &trouble), "select");
    must(ph_imap_remove(s, PH_STR("1:*"), &trouble), "remove");
    printf("left %u\n", ph_imap_box(s)->exists);
    if (ph_imap_select(s, PH_STR("No Such"), true, &trouble) >= 0)
        give_up("a mailbox that is not there");
    printf("missing %s\n", ph_trouble_name(trouble.kind));
    ph_imap_close(s);
    ph_buf_done(&got);
}

static void on_line(void *ctx, int64_t at_ms, char who, ph_str line)
{
    (void)ctx;
    fprintf(stderr, "%5lld %c %.*s\n", (long long)at_ms, who, PH_FMT(line));
}

int main(int argc, char **argv)
{
    if (argc < 8)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    account = (struct ph_account){.struct_size = sizeof account,
                                  .host = ph_str_c(argv[2]),
                                  .port = (unsigned)atoi(argv[3]),
                                  .tls = strcmp(argv[4], "tls") == 0    ? PH_TLS_ON
                                         : strcmp(argv[4], "none") == 0 ? PH_TLS_OFF
                                                                        : PH_TLS_STARTTLS,
                                  .ca_file = argv[5][0] ? argv[5] : NULL,
                                  .insecure = !argv[5][0],
                                  .user = ph_str_c(argv[6]),
                                  .password = ph_str_c(argv[7]),
                                  .mechanisms = ph_str_c(argc > 8 ? argv[8] : NULL),
                                  .proxy = ph_str_c(argc > 9 ? argv[9] : NULL),
                                  .transcript = {getenv("TOUR_DEBUG") ? 2 : 0, on_line, NULL}};
    if (strcmp(argv[1], "smtp") == 0)
        tour_smtp();
    else if (strcmp(argv[1], "pop3") == 0)
        tour_pop3();
    else
        tour_imap();
    puts("done");
    return 0;
}
