/*
 * The client of bench/imap: the same bytes to every server, one thread a connection, blocking
 * reads, as little work of its own as possible. Any refusal ends it with what the server said: a
 * row is a figure or a failure, never 0.
 *
 *   imap_driver ADDRESS PORT USER PASSWORD TLS CONNECTIONS SECONDS WHAT [ARGUMENT [PORT2]]
 *
 * Prints "RATE P50 P99 COUNT": operations a second while they ran, how long they took, in
 * milliseconds, and how many there were. An operation that was begun is ended and counted, and each
 * connection does one at least.
 *
 *   login    LOGIN and LOGOUT on a new connection         repeat  the command ARGUMENT in INBOX ("@BOX command": in BOX)
 *   select   SELECT ARGUMENT in a new session each; only the SELECT counts
 *   cold     the same once: logs in, prints a line, waits for a line, SELECTs
 *   body     UID FETCH BODY.PEEK[] of random ones of ARGUMENT letters          store   UID STORE of random ones
 *   append   to the mailbox ARGUMENT                       exists  SMTP (or LMTP, PORT2 "lmtp:N") to EXISTS in a session that idles
 *   pop3     RETR of all letters, one session; PORT is POP3's. pop3-pipe: pipelined
 *   fill     ARGUMENT letters into INBOX, a mailbox "Big" of PORT2 copies of them, and one "Kept"
 *   idle     opens the connections, prints a line, waits for one on stdin
 *   echo     the limit of round trips: a line of 30 bytes there and back, from and to a thread of this program
 *   flush    the limit of flushes: 8 KB and fdatasync, on a file of its own for each connection, in the folder ARGUMENT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BUFFER = 256 * 1024,
    LETTER = 4096,
    WINDOW = 100,
    MULTI = 100,
    PAUSE_US = 10000,
    TIMES_MAX = 1 << 20
};

struct link {
    int fd;
    SSL *ssl;
    size_t n, at; /* bytes in buf, and those used up */
    char buf[BUFFER];
};

struct worker {
    pthread_t thread;
    struct link *link, *beside; /* beside: the second session of `exists` */
    unsigned seed, letters;
    int file;
    double *times, end;
    size_t n;
};

static struct {
    const char *address, *user, *password, *what, *argument, *more;
    int port, connections;
    bool tls;
    double seconds;
    SSL_CTX *ctx;
} o;
static pthread_barrier_t all_ready;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *form, ...)
{
    va_list ap;
    va_start(ap, form);
    fprintf(stderr, "imap_driver: %s: ", o.what);
    vfprintf(stderr, form, ap);
    fprintf(stderr, errno ? ": %s\n" : "\n", strerror(errno));
    exit(1);
}

static void *need(void *p)
{
    if (!p)
        die("memory");
    return p;
}

/* ---- bytes and lines ---------------------------------------------------------------------- */

static void put(struct link *l, const char *p, size_t n)
{
    while (n) {
        ssize_t sent = l->ssl ? SSL_write(l->ssl, p, (int)n) : send(l->fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            die("send");
        p += sent;
        n -= (size_t)sent;
    }
}

static void more(struct link *l)
{
    if (l->at) {
        memmove(l->buf, l->buf + l->at, l->n - l->at);
        l->n -= l->at;
        l->at = 0;
    }
    if (l->n == BUFFER)
        l->n = 0; /* a line longer than the buffer: its begin is of no interest */
    size_t room = BUFFER - l->n;
    ssize_t n =
        l->ssl ? SSL_read(l->ssl, l->buf + l->n, (int)room) : recv(l->fd, l->buf + l->n, room, 0);
    if (n <= 0) {
        errno = n < 0 ? errno : 0;
        die("the server closed the connection");
    }
    l->n += (size_t)n;
}

static void skip(struct link *l, size_t n)
{
    while (n) {
        size_t have = l->n - l->at, take = have < n ? have : n;
        l->at += take;
        n -= take;
        if (n)
            more(l);
    }
}

/* One line, until the next call; *ret_n: with its end. */
static const char *get_line(struct link *l, size_t *ret_n)
{
    size_t seen = 0;
    char *lf;
    while (!(lf = memchr(l->buf + l->at + seen, '\n', l->n - l->at - seen))) {
        seen = l->n - l->at;
        more(l);
        seen = l->n - l->at < seen ? 0 : seen;
    }
    const char *line = l->buf + l->at;
    *ret_n = (size_t)(lf - line) + 1;
    l->at += *ret_n;
    return line;
}

static bool begins(const char *line, size_t n, const char *with)
{
    size_t w = strlen(with);
    return n >= w && memcmp(line, with, w) == 0;
}

/* Reads up to a line that begins with `want`; literals are passed over, refusals end the
 * program. */
static void answer(struct link *l, const char *want)
{
    for (;;) {
        size_t n, literal = 0;
        const char *line = get_line(l, &n);
        if (begins(line, n, want))
            return;
        if (begins(line, n, "a ") || (begins(line, n, "* BYE") && strcmp(o.what, "login") != 0)) {
            errno = 0;
            die("%s was refused: %.*s", o.argument, (int)n - 1, line);
        }
        if (n > 4 && line[n - 3] == '}') {
            const char *p = line + n - 4;
            while (p > line && *p != '{')
                p--;
            literal = strtoul(p + 1, NULL, 10);
        }
        skip(l, literal);
    }
}

static void say(struct link *l, const char *form, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, form);
    int n = vsnprintf(line, sizeof line, form, ap);
    va_end(ap);
    put(l, line, (size_t)n);
}

static void command(struct link *l, const char *text)
{
    say(l, "a %s\r\n", text);
    answer(l, "a OK");
}

/* A protocol whose answers are lines with a code: SMTP, LMTP, POP3. */
static void reply(struct link *l, const char *want)
{
    size_t n, code = strlen(want);
    const char *line = get_line(l, &n);
    while (n > 4 && code == 3 && line[3] == '-')
        line = get_line(l, &n);
    errno = 0;
    if (!begins(line, n, want))
        die("refused: %.*s", (int)n - 1, line);
}

/* ---- connections -------------------------------------------------------------------------- */

static void dial(struct link *l, int port, bool tls)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, o.address, &to.sin_addr);
    int on = 1;
    l->n = l->at = 0;
    l->ssl = NULL;
    l->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect to %s:%d", o.address, port);
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!tls)
        return;
    l->ssl = SSL_new(o.ctx);
    if (!l->ssl || !SSL_set_fd(l->ssl, l->fd) || SSL_connect(l->ssl) != 1)
        die("TLS");
}

static void login(struct link *l)
{
    dial(l, o.port, o.tls);
    answer(l, "* OK");
    say(l, "a LOGIN \"%s\" \"%s\"\r\n", o.user, o.password);
    answer(l, "a OK");
}

static void hang_up(struct link *l)
{
    if (l->ssl)
        SSL_free(l->ssl);
    close(l->fd);
}

static struct link *new_link(void)
{
    return need(malloc(sizeof(struct link)));
}

/* ---- letters ------------------------------------------------------------------------------ */

static size_t letter(char *to, unsigned i)
{
    int n = snprintf(
        to, LETTER,
        "From: Sender %u <s%u@example.org>\r\nTo: reader@example.org\r\nSubject: letter %u of "
        "many\r\n"
        "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nMessage-ID: <%u@bench>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n",
        i % 100, i % 100, i, i);
    while (n < 2000)
        n += snprintf(to + n, LETTER - (size_t)n,
                      "Line %d of letter %u, which is as long as lines are.\r\n", n, i);
    return (size_t)n;
}

static void append(struct link *l, const char *box, unsigned i)
{
    char text[LETTER + 2];
    size_t n = letter(text, i);
    say(l, "a APPEND %s {%zu}\r\n", box, n);
    answer(l, "+");
    memcpy(text + n, "\r\n", 2);
    put(l, text, n + 2);
    answer(l, "a OK");
}

static void append_many(struct link *l, unsigned from, unsigned count)
{
    char text[LETTER + 2];
    say(l, "a APPEND INBOX");
    for (unsigned i = from; i < from + count; i++) {
        size_t n = letter(text, i);
        say(l, " {%zu}\r\n", n);
        answer(l, "+");
        put(l, text, n);
    }
    put(l, "\r\n", 2);
    answer(l, "a OK");
}

static void fill(void)
{
    struct link *l = new_link();
    unsigned count = (unsigned)atoi(o.argument), big = (unsigned)atoi(o.more);
    login(l);
    command(l, "CREATE Kept");
    for (unsigned i = 0; i < count; i += MULTI)
        append_many(l, i, count - i < MULTI ? count - i : MULTI);
    if (big) {
        command(l, "CREATE Big");
        command(l, "SELECT INBOX");
    }
    for (unsigned i = 0; i < big; i++)
        command(l, "COPY 1:* Big");
    free(l);
}

/* ---- the operations ----------------------------------------------------------------------- */

static void select_new(struct link *l, double *ret_begin)
{
    login(l);
    if (!strcmp(o.what, "cold")) {
        puts("ready");
        fflush(stdout);
        (void)getchar();
    }
    *ret_begin = now();
    say(l, "a SELECT %s\r\n", o.argument);
    answer(l, "a OK");
}

/* From the last byte of the letter sent to EXISTS in the session beside. */
static void deliver(struct worker *w, double *ret_begin)
{
    char text[LETTER + 8];
    size_t n = letter(text, w->seed + w->letters++), ln = 0;
    usleep(PAUSE_US); /* an idle machine, and servers at rest */
    say(w->link, "MAIL FROM:<sender@example.org>\r\n");
    reply(w->link, "250");
    say(w->link, "RCPT TO:<%s>\r\n", o.user);
    reply(w->link, "250");
    say(w->link, "DATA\r\n");
    reply(w->link, "354");
    memcpy(text + n, ".\r\n", 3);
    *ret_begin = now();
    put(w->link, text, n + 3);
    for (const char *line = ""; !memmem(line, ln, " EXISTS", 7);)
        line = get_line(w->beside, &ln);
}

static void retrieve(struct link *l, unsigned count)
{
    unsigned sent = 0, got = 0, window = strcmp(o.what, "pop3") ? 2 * WINDOW : 1;
    while (got < count) {
        char batch[WINDOW * 16];
        int n = 0;
        for (unsigned i = 0; i < (window + 1) / 2 && sent < count; i++)
            n += snprintf(batch + n, sizeof batch - (size_t)n, "RETR %u\r\n", ++sent);
        put(l, batch, (size_t)n);
        while (got < sent && (sent == count || sent - got > window / 2)) {
            size_t ln;
            reply(l, "+OK");
            while (get_line(l, &ln)[0] != '.' || ln != 3)
                ;
            got++;
        }
    }
}

static void pop3(struct worker *w, double *ret_begin)
{
    size_t n;
    dial(w->link, o.port, o.tls);
    reply(w->link, "+OK");
    say(w->link, "USER %s\r\n", o.user);
    reply(w->link, "+OK");
    say(w->link, "PASS %s\r\n", o.password);
    reply(w->link, "+OK");
    say(w->link, "STAT\r\n");
    w->letters = (unsigned)atoi(get_line(w->link, &n) + 4);
    *ret_begin = now();
    retrieve(w->link, w->letters);
}

static void flush_file(struct worker *w)
{
    char block[8192] = {0};
    if (pwrite(w->file, block, sizeof block, (off_t)(w->letters++ % 128) * 8192) < 0 ||
        fdatasync(w->file) < 0)
        die("fdatasync");
}

static void one(struct worker *w, double *ret_begin)
{
    char line[128];
    struct link *l = w->link;
    if (!strcmp(o.what, "login")) {
        login(l);
        command(l, "LOGOUT");
        hang_up(l);
    } else if (!strcmp(o.what, "select") || !strcmp(o.what, "cold")) {
        select_new(l, ret_begin);
        hang_up(l);
    } else if (!strcmp(o.what, "body")) {
        snprintf(line, sizeof line, "UID FETCH %d BODY.PEEK[]",
                 1 + rand_r(&w->seed) % atoi(o.argument));
        command(l, line);
    } else if (!strcmp(o.what, "store")) {
        snprintf(line, sizeof line, "UID STORE %d %cFLAGS (\\Flagged)",
                 1 + rand_r(&w->seed) % atoi(o.argument), rand_r(&w->seed) & 1 ? '+' : '-');
        command(l, line);
    } else if (!strcmp(o.what, "append")) {
        append(l, o.argument, (unsigned)rand_r(&w->seed));
    } else if (!strcmp(o.what, "exists")) {
        deliver(w, ret_begin);
    } else if (!strncmp(o.what, "pop3", 4)) {
        pop3(w, ret_begin);
    } else if (!strcmp(o.what, "echo")) {
        say(l, "* OK a line of thirty bytes\r\n");
        answer(l, "* OK");
    } else if (!strcmp(o.what, "flush")) {
        flush_file(w);
    } else {
        command(l, o.argument[0] == '@' ? strchr(o.argument, ' ') + 1 : o.argument);
    }
    if (!strcmp(o.what, "exists"))
        reply(l, "250");
    if (!strncmp(o.what, "pop3", 4))
        hang_up(l);
}

/* ---- before them -------------------------------------------------------------------------- */

static void *echo_back(void *arg)
{
    char buf[256];
    int fd = (int)(size_t)arg;
    for (ssize_t n; (n = recv(fd, buf, sizeof buf, 0)) > 0;)
        if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) < 0)
            break;
    close(fd);
    return NULL;
}

static void *echo_accept(void *arg)
{
    pthread_t t;
    for (int fd, on = 1; (fd = accept((int)(size_t)arg, NULL, NULL)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&t, NULL, echo_back, (void *)(size_t)fd) != 0)
            die("thread");
    }
    return NULL;
}

static void echo_server(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    pthread_t t;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, o.address, &at.sin_addr);
    if (bind(fd, (struct sockaddr *)&at, n) < 0 || listen(fd, 100) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) < 0 ||
        pthread_create(&t, NULL, echo_accept, (void *)(size_t)fd) != 0)
        die("listen");
    o.port = ntohs(at.sin_port);
}

static void open_file(struct worker *w)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/flush.%u", o.argument, w->seed);
    w->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (w->file < 0 || ftruncate(w->file, 128 * 8192) < 0)
        die("%s", path);
    for (int i = 0; i < 128; i++)
        flush_file(w);
    unlink(path);
}

/* What is not measured: the session that the operations are in. */
static void prepare(struct worker *w)
{
    struct link *l = w->link;
    char line[128];
    if (!strcmp(o.what, "echo")) {
        dial(l, o.port, false);
    } else if (!strcmp(o.what, "flush")) {
        open_file(w);
    } else if (!strcmp(o.what, "exists")) {
        bool lmtp = !strncmp(o.more, "lmtp:", 5);
        w->beside = new_link();
        login(w->beside);
        command(w->beside, "SELECT INBOX");
        say(w->beside, "a IDLE\r\n");
        answer(w->beside, "+");
        dial(l, atoi(o.more + (lmtp ? 5 : 0)), false);
        reply(l, "220");
        say(l, "%s bench.test\r\n", lmtp ? "LHLO" : "EHLO");
        reply(l, "250");
    } else if (!strcmp(o.what, "append")) {
        login(l);
    } else if (!strcmp(o.what, "body") || !strcmp(o.what, "store") || !strcmp(o.what, "repeat")) {
        login(l);
        bool other = o.argument[0] == '@';
        snprintf(line, sizeof line, "SELECT %.*s", other ? (int)strcspn(o.argument + 1, " ") : 5,
                 other ? o.argument + 1 : "INBOX");
        command(l, line);
        if (!strcmp(o.what, "repeat")) /* what is made once, the first time, is not the row's */
            command(l, strchr(line, ' ') && other ? strchr(o.argument, ' ') + 1 : o.argument);
    }
}

static void *run(void *arg)
{
    struct worker *w = arg;
    w->link = new_link();
    prepare(w);
    pthread_barrier_wait(&all_ready);
    double until = now() + o.seconds;
    do {
        double begin = now();
        one(w, &begin);
        w->end = now();
        w->times[w->n++] = w->end - begin;
    } while (w->end < until && w->n < TIMES_MAX / (size_t)o.connections);
    return NULL;
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sessions that are opened for each operation are not the row's: then only the operations' own time
 * counts. */
static bool own_time(void)
{
    static const char *const rows[] = {"select", "cold", "exists", "pop3", "pop3-pipe"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!strcmp(o.what, rows[i]))
            return true;
    return false;
}

static void measure(void)
{
    struct worker *w = need(calloc((size_t)o.connections, sizeof *w));
    double *times = need(malloc(TIMES_MAX * sizeof *times)), begin, end = 0, sum = 0, per = 1;
    size_t n = 0;
    pthread_barrier_init(&all_ready, NULL, (unsigned)o.connections + 1);
    for (int i = 0; i < o.connections; i++) {
        w[i].seed = (unsigned)i + 1;
        w[i].times = need(malloc(TIMES_MAX / (size_t)o.connections * sizeof(double)));
        if (pthread_create(&w[i].thread, NULL, run, &w[i]) != 0)
            die("thread");
    }
    pthread_barrier_wait(&all_ready);
    begin = now();
    for (int i = 0; i < o.connections; i++) {
        pthread_join(w[i].thread, NULL);
        memcpy(times + n, w[i].times, w[i].n * sizeof *times);
        n += w[i].n;
        end = w[i].end > end ? w[i].end : end;
    }
    for (size_t i = 0; i < n; i++)
        sum += times[i];
    if (!strncmp(o.what, "pop3", 4))
        per = w[0].letters;
    qsort(times, n, sizeof *times, by_time);
    printf("%.3f %.4f %.4f %.0f\n", (double)n * per / (own_time() ? sum : end - begin),
           times[n / 2] * 1e3, times[n - 1 - n / 100] * 1e3, (double)n * per);
}

static void idle(void)
{
    struct link *l = new_link();
    for (int i = 0; i < o.connections; i++) {
        login(l);
        command(l, "SELECT INBOX");
        say(l, "a IDLE\r\n");
        answer(l, "+");
    }
    puts("open");
    fflush(stdout);
    (void)getchar();
}

int main(int argc, char **argv)
{
    if (argc < 9) {
        fprintf(stderr, "usage: imap_driver ADDRESS PORT USER PASSWORD TLS CONNECTIONS SECONDS "
                        "WHAT [ARGUMENT [PORT2]]\n");
        return 64;
    }
    o.address = argv[1];
    o.port = atoi(argv[2]);
    o.user = argv[3];
    o.password = argv[4];
    o.tls = atoi(argv[5]);
    o.connections = atoi(argv[6]);
    o.seconds = atof(argv[7]);
    o.what = argv[8];
    o.argument = argc > 9 ? argv[9] : "";
    o.more = argc > 10 ? argv[10] : "0";
    o.ctx = SSL_CTX_new(TLS_client_method());
    if (!strcmp(o.what, "echo"))
        echo_server();
    if (!strcmp(o.what, "fill"))
        fill();
    else if (!strcmp(o.what, "idle"))
        idle();
    else
        measure();
    return 0;
}
