/*
 * The client of bench/imap: the same bytes to every server, one thread a connection, blocking reads, as little work of its own as
 * possible. Prints operations a second.
 *
 *   imap_driver ADDRESS PORT USER PASSWORD TLS CONNECTIONS SECONDS WHAT [ARGUMENT]
 *
 * WHAT: login (LOGIN and LOGOUT on a new connection); fill (APPENDs ARGUMENT letters, once); repeat (the command ARGUMENT over and
 * over in INBOX); select (the same without INBOX selected); body (UID FETCH of random ones of ARGUMENT letters); append; idle (opens
 * the connections, prints a line, waits for a byte on stdin).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024 };

struct link {
    int fd;
    SSL *ssl;
    size_t n, at; /* bytes in buf, and those used up */
    char buf[BUFFER];
};

static struct {
    const char *address, *user, *password, *what, *argument;
    int port, connections;
    bool tls;
    double seconds;
    SSL_CTX *ctx;
} o;
static atomic_long done, ready;
static atomic_bool stop;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "imap_driver: %s: %s\n", what, strerror(errno));
    exit(1);
}

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
    ssize_t n = l->ssl ? SSL_read(l->ssl, l->buf + l->n, (int)room)
                       : recv(l->fd, l->buf + l->n, room, 0);
    if (n <= 0)
        die("receive");
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

/* Reads up to a line that begins with `tag`; literals are passed over. */
static void answer(struct link *l, const char *tag)
{
    size_t tag_n = strlen(tag);
    for (;;) {
        char *lf;
        while (!(lf = memchr(l->buf + l->at, '\n', l->n - l->at)))
            more(l);
        const char *line = l->buf + l->at;
        size_t n = (size_t)(lf - line) + 1, literal = 0;
        bool is_tag = n > tag_n && memcmp(line, tag, tag_n) == 0;
        if (is_tag && tag[0] == 'a' && memcmp(line + tag_n, " OK", 3) != 0) {
            fprintf(stderr, "imap_driver: %.*s", (int)n, line);
            exit(1);
        }
        if (n > 4 && line[n - 3] == '}') {
            const char *p = line + n - 4;
            while (p > line && *p != '{')
                p--;
            literal = strtoul(p + 1, NULL, 10);
        }
        l->at += n;
        if (is_tag)
            return;
        skip(l, literal);
    }
}

static void command(struct link *l, const char *text)
{
    char line[1024];
    int n = snprintf(line, sizeof line, "a %s\r\n", text);
    put(l, line, (size_t)n);
    answer(l, "a");
}

static void open_link(struct link *l)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o.port)};
    inet_pton(AF_INET, o.address, &to.sin_addr);
    l->n = l->at = 0;
    l->ssl = NULL;
    l->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    if (o.tls) {
        l->ssl = SSL_new(o.ctx);
        if (!l->ssl || !SSL_set_fd(l->ssl, l->fd) || SSL_connect(l->ssl) != 1)
            die("TLS");
    }
    answer(l, "*");
}

static void login(struct link *l)
{
    char line[512];
    snprintf(line, sizeof line, "LOGIN \"%s\" \"%s\"", o.user, o.password);
    command(l, line);
}

static void close_link(struct link *l)
{
    if (l->ssl)
        SSL_free(l->ssl);
    close(l->fd);
}

static void append(struct link *l, unsigned i)
{
    char letter[4096], head[64];
    int n = snprintf(letter, sizeof letter,
                     "From: Sender %u <s%u@example.org>\r\nTo: reader@example.org\r\nSubject: letter %u of many\r\n"
                     "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nMessage-ID: <%u@bench>\r\nMIME-Version: 1.0\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\n\r\n",
                     i % 100, i % 100, i, i);
    while (n < 2000)
        n += snprintf(letter + n, sizeof letter - (size_t)n, "Line %d of letter %u, which is as long as lines are.\r\n", n, i);
    int h = snprintf(head, sizeof head, "a APPEND INBOX {%d}\r\n", n);
    put(l, head, (size_t)h);
    answer(l, "+");
    memcpy(letter + n, "\r\n", 2);
    put(l, letter, (size_t)n + 2);
    answer(l, "a");
}

static void one(struct link *l, unsigned *seed)
{
    char line[128];
    if (!strcmp(o.what, "login")) {
        open_link(l);
        login(l);
        command(l, "LOGOUT");
        close_link(l);
    } else if (!strcmp(o.what, "body")) {
        snprintf(line, sizeof line, "UID FETCH %d BODY.PEEK[]", 1 + rand_r(seed) % atoi(o.argument));
        command(l, line);
    } else if (!strcmp(o.what, "store")) {
        snprintf(line, sizeof line, "UID STORE %d %cFLAGS (\\Flagged)",
                 1 + rand_r(seed) % atoi(o.argument), rand_r(seed) & 1 ? '+' : '-');
        command(l, line);
    } else if (!strcmp(o.what, "append")) {
        append(l, (unsigned)rand_r(seed));
    } else {
        command(l, o.argument);
    }
}

static void *run(void *arg)
{
    struct link *l = malloc(sizeof *l);
    unsigned seed = (unsigned)(size_t)arg + 1;
    if (!l)
        die("memory");
    if (strcmp(o.what, "login") != 0) {
        open_link(l);
        login(l);
        if (strcmp(o.what, "select") != 0 && strcmp(o.what, "append") != 0)
            command(l, "SELECT INBOX");
    }
    ready++;
    while (!stop) {
        one(l, &seed);
        done++;
    }
    free(l);
    return NULL;
}

static void fill(int count)
{
    struct link *l = malloc(sizeof *l);
    if (!l)
        die("memory");
    open_link(l);
    login(l);
    for (int i = 0; i < count; i++)
        append(l, (unsigned)i);
    free(l);
}

static void idle(void)
{
    struct link *l = malloc(sizeof *l);
    for (int i = 0; l && i < o.connections; i++) {
        open_link(l);
        login(l);
        command(l, "SELECT INBOX");
        put(l, "a IDLE\r\n", 8);
        answer(l, "+");
    }
    puts("open");
    fflush(stdout);
    (void)getchar();
    free(l);
}

int main(int argc, char **argv)
{
    if (argc < 9) {
        fprintf(stderr, "usage: imap_driver ADDRESS PORT USER PASSWORD TLS CONNECTIONS SECONDS WHAT [ARGUMENT]\n");
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
    o.ctx = SSL_CTX_new(TLS_client_method());
    if (!strcmp(o.what, "fill")) {
        fill(atoi(o.argument));
        return 0;
    }
    if (!strcmp(o.what, "idle")) {
        idle();
        return 0;
    }
    double begin = now();
    for (int i = 0; i < o.connections; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, run, (void *)(size_t)i) != 0)
            die("thread");
    }
    while (ready < o.connections)
        usleep(1000);
    begin = now(); /* logging in is a row of its own */
    long before = done;
    while (now() - begin < o.seconds)
        usleep(10000);
    long n = done - before;
    printf("%.2f\n", (double)n / (now() - begin));
    fflush(stdout);
    stop = true;
    _exit(0);
}
