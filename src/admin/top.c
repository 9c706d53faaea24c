/* posthouse top: the running server, looked at once a second. What the counters of `status` gained
 * between two looks is a rate; where letters wait is read from the spool. */
#include "admin.h"
#include "control.h"
#include "queue.h"

#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
    EACH_MS = 1000,
    SITES = 20,
    REPLY = 160,
    PATH = 4096,
    LINE = 1024,
    SCAN_SHARE = 20 /* the spool is read at most a twentieth of the time: that is linear in it */
};

/* A rate: what this counter of the queue gains. */
static const struct {
    const char *counter, *name;
} rates[] = {{"queued", "in"},         {"delivered", "delivered"}, {"relayed", "relayed"},
             {"deferred", "deferred"}, {"bounced", "bounced"},     {"refused", "refused"}};
enum { RATES = sizeof rates / sizeof *rates };

struct site {
    char dest[256], reply[REPLY];
    uint64_t rcpts, held;
};

struct top {
    const char *data;
    struct ph_spool *spool;
    struct site sites[SITES];
    size_t sites_n;
    int64_t sites_due;
    json_t *before, *now; /* answers of `status` */
    int64_t before_at, now_at;
    int rows, cols, row;
};

static volatile sig_atomic_t ended;

static void on_signal(int sig)
{
    ended = ended || sig != SIGWINCH;
}

static int64_t mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* ---- looking ----------------------------------------------------------------------------- */

static int add_site(void *ctx, const struct ph_spool_site *s)
{
    struct top *t = ctx;
    struct site *to = &t->sites[t->sites_n++];
    to->rcpts = s->rcpts;
    to->held = s->held;
    snprintf(to->dest, sizeof to->dest, "%.*s", PH_FMT(s->dest));
    snprintf(to->reply, sizeof to->reply, "%.*s", PH_FMT(s->reply));
    return t->sites_n == SITES;
}

static void look_at_spool(struct top *t)
{
    int64_t began = mono_us();
    if (began < t->sites_due)
        return;
    t->sites_n = 0;
    if (ph_spool_sites(t->spool, SITES, add_site, t) < 0)
        t->sites_n = 0;
    t->sites_due = began + (mono_us() - began) * SCAN_SHARE;
}

static int look(struct top *t)
{
    struct admin_control c;
    int code = admin_control_ask(&c, t->data, "status", "", ADMIN_ANSWER_MS);
    json_t *status = code ? NULL : json_loadb(c.text.p, c.text.n, 0, NULL);
    admin_control_close(&c);
    if (code)
        return code;
    if (!status)
        return admin_fail(EX_PROTOCOL, "the server's answer is not understood");
    json_decref(t->before);
    t->before = t->now;
    t->before_at = t->now_at;
    t->now = status;
    t->now_at = mono_us();
    look_at_spool(t);
    return 0;
}

static json_int_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* The same process a look ago; NULL when it was another one, whose counters began anew. */
static const json_t *earlier(const struct top *t, const json_t *process)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(t->before, "processes"), i,
                       one) if (number(one, "pid") &&
                                number(one, "pid") == number(process, "pid")) return one;
    return NULL;
}

/* What a counter gains in a second. */
static double gain(const struct top *t, const json_t *process, const char *counter)
{
    const json_t *then = earlier(t, process);
    int64_t us = t->now_at - t->before_at;
    json_int_t more = then ? number(json_object_get(process, "counters"), counter) -
                                 number(json_object_get(then, "counters"), counter)
                           : 0;
    return more > 0 && us > 0 ? (double)more * 1e6 / (double)us : 0;
}

static const json_t *queue_of(const struct top *t)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(t->now, "processes"), i,
                       one) if (!strcmp(text(one, "process"), "queue")) return one;
    return NULL;
}

/* ---- as JSON, a line a look ---------------------------------------------------------------- */

static void print_json(const struct top *t)
{
    json_t *o = json_object(), *gained = json_object(), *sites = json_array(), *list = json_array(),
           *one;
    size_t i;
    json_object_set_new(o, "time", json_integer((json_int_t)time(NULL)));
    for (i = 0; i < RATES; i++)
        json_object_set_new(gained, rates[i].name,
                            json_real(gain(t, queue_of(t), rates[i].counter)));
    for (i = 0; i < t->sites_n; i++)
        json_array_append_new(sites, json_pack("{s:s,s:I,s:I}", "destination", t->sites[i].dest,
                                               "recipients", (json_int_t)t->sites[i].rcpts, "held",
                                               (json_int_t)t->sites[i].held));
    json_array_foreach(json_object_get(t->now, "processes"), i, one) json_array_append_new(
        list, json_pack("{s:s,s:I,s:I,s:s,s:f,s:I}", "process", text(one, "process"), "instance",
                        number(one, "instance"), "pid", number(one, "pid"), "state",
                        text(one, "state"), "cpu_percent", gain(t, one, "cpu_ms") / 10,
                        "memory_kib", number(json_object_get(one, "counters"), "memory_kib")));
    json_object_set_new(o, "per_second", gained);
    json_object_set_new(o, "queue", sites);
    json_object_set_new(o, "processes", list);
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(o);
}

/* ---- on the screen ------------------------------------------------------------------------- */

/* One line, cut at the edge, without controls: replies come from strangers. rows == 0: no
 * screen. */
static void PH_PRINTF(3, 4) line(struct top *t, bool bold, const char *fmt, ...)
{
    char all[LINE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(all, sizeof all, fmt, ap);
    va_end(ap);
    if (t->rows && t->row >= t->rows - 1)
        return;
    size_t n = 0;
    for (int used = 0; all[n]; n++) {
        bool begins = ((unsigned char)all[n] & 0xc0) != 0x80;
        if (begins && t->rows && ++used > t->cols)
            break;
    }
    fputs(bold && t->rows ? "\033[1m" : "", stdout);
    admin_print("", (ph_str){all, n});
    fputs(t->rows ? bold ? "\033[0m\033[K\n" : "\033[K\n" : "\n", stdout);
    t->row++;
}

static void show_processes(struct top *t)
{
    size_t i;
    json_t *one;
    line(t, true, "%-12s %8s %-9s %7s %10s", "process", "pid", "state", "cpu", "memory");
    json_array_foreach(json_object_get(t->now, "processes"), i, one)
    {
        char name[32];
        snprintf(name, sizeof name, "%s %" JSON_INTEGER_FORMAT, text(one, "process"),
                 number(one, "instance") + 1);
        line(t, false, "%-12s %8" JSON_INTEGER_FORMAT " %-9s %5.1f %% %7.1f MB", name,
             number(one, "pid"), text(one, "state"), gain(t, one, "cpu_ms") / 10,
             (double)number(json_object_get(one, "counters"), "memory_kib") / 1024);
    }
}

static void show(struct top *t)
{
    t->row = 0;
    if (t->rows)
        fputs("\033[H", stdout);
    line(t, true, "%s, up %" JSON_INTEGER_FORMAT " s", text(t->now, "hostname"),
         number(t->now, "uptime_ms") / 1000);
    char all[LINE] = "";
    for (size_t i = 0, n = 0; i < RATES && n < sizeof all; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s %.1f/s", i ? "   " : "", rates[i].name,
                              gain(t, queue_of(t), rates[i].counter));
    line(t, false, "%s", all);
    line(t, false, "%s", "");
    show_processes(t);
    line(t, false, "%s", "");
    line(t, true, "%-32s %10s %8s  %s", "waiting for", "recipients", "held", "last reply");
    for (size_t i = 0; i < t->sites_n; i++)
        line(t, false, "%-32s %10" PRIu64 " %8" PRIu64 "  %s",
             t->sites[i].dest[0] ? t->sites[i].dest : "(this house)", t->sites[i].rcpts,
             t->sites[i].held, t->sites[i].reply);
    if (!t->sites_n)
        line(t, false, "nobody");
    fputs(t->rows ? "\033[J" : "", stdout);
    fflush(stdout);
}

/* Asked anew for each picture: a window changes its size. */
static void measure(struct top *t)
{
    struct winsize w = {0};
    bool known = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) && w.ws_row && w.ws_col;
    t->rows = known ? w.ws_row : 24;
    t->cols = known ? w.ws_col : 80;
}

/* ---- the verb ---------------------------------------------------------------------------- */

/* Until the next look is due; a window of another size is drawn at once. */
static void wait_and_read(struct top *t, bool screen)
{
    int64_t due = t->now_at + EACH_MS * INT64_C(1000), left;
    struct pollfd p = {.fd = screen ? STDIN_FILENO : -1, .events = POLLIN};
    while (!ended && (left = due - mono_us()) > 0) {
        char key = 0;
        int n = poll(&p, 1, (int)(left / 1000) + 1);
        if (n > 0 && (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q'))
            ended = 1;
        if (n < 0 && screen && !ended) {
            measure(t);
            show(t);
        }
    }
}

/* count: looks that are shown; 0: until it is ended. */
static int watch(struct top *t, uint64_t count, bool json, bool screen)
{
    int code = look(t);
    for (uint64_t n = 0; !code && !ended && (!count || n < count); n++) {
        if (screen) {
            measure(t);
            show(t);
        }
        wait_and_read(t, screen);
        code = ended ? 0 : look(t);
        if (!code && !ended && json)
            print_json(t);
        else if (!code && !ended && (!screen || n + 1 == count))
            show(t);
    }
    return code;
}

/* On the other screen, keys taken one by one and not shown; put back in any case. */
static int watch_screen(struct top *t, uint64_t count)
{
    struct termios was, raw;
    bool keys = !tcgetattr(STDIN_FILENO, &was);
    if (keys) {
        raw = was;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    fputs("\033[?1049h\033[?25l", stdout);
    int code = watch(t, count, false, true);
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &was);
    return code;
}

static int run(struct top *t, const char *count_text, bool json)
{
    char path[PATH];
    struct ph_error err = {0};
    bool terminal = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
    uint64_t count = json || terminal ? 0 : 1;
    if (count_text && (!ph_str_u64(ph_str_c(count_text), 1000000000, &count) || !count))
        return admin_fail(EX_USAGE, "--count wants a number from 1 on");
    snprintf(path, sizeof path, "%s/queue/queue.sqlite", t->data);
    int rc = ph_spool_open(path, &(struct ph_spool_options){.read_only = true}, &t->spool, &err);
    if (rc < 0)
        return admin_fail(admin_exit_code(rc), "%s", err.text);
    const struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    sigaction(SIGWINCH, &act, NULL);
    return terminal && !json ? watch_screen(t, count) : watch(t, count, json, false);
}

int admin_top(int argc, char **argv)
{
    struct admin_args a;
    struct top *t;
    const char *count = NULL;
    const struct admin_option opts[] = {
        {.name = "--count", .value = &count, .help = "--count N     end after so many looks"}, {0}};
    int left = admin_options(argc, argv, opts,
                             "Letters a second, processes with processor time and memory (PSS), "
                             "and where letters wait. On a terminal it is drawn anew each second "
                             "until q or Ctrl-C; else it is printed once. With --json: a line for "
                             "each second.\n",
                             0, 0, &a);
    if (left >= 0)
        return left;
    t = ph_new0(NULL, sizeof *t);
    if (!t)
        return admin_fail(EX_OSERR, "out of memory");
    t->data = a.data;
    int code = run(t, count, a.json);
    json_decref(t->before);
    json_decref(t->now);
    ph_spool_close(t->spool);
    ph_free(NULL, t, sizeof *t);
    return code;
}
