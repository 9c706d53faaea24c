/*
 * posthouse metrics: nothing is counted here. What the processes tell `status` is written as
 * Prometheus reads it, so a counter that a process gains has its metric at once:
 *
 *   posthouse_process_X{process,instance}   what every process has
 *   posthouse_PROCESS_COUNTER_total         what this one counts (a few are gauges: no _total)
 *   posthouse_queue_waiting_X               the spool, read as `queue stats` reads it
 */
#include "metrics.h"

#include "admin.h"
#include "control.h"
#include "queue.h"

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum {
    TEXT_MAX = 2 * 1024 * 1024,
    FRESH_US = 1000 * 1000,
    SCAN_SHARE = 20 /* the spool is read at most a twentieth of the time: that is linear in it */
};

struct metrics {
    const char *data;
    struct ph_buf text;
    int64_t asked, scan_due; /* monotonic us */
    struct ph_spool *spool;
    uint64_t letters, rcpts;
    bool up, counted;
};

static int64_t mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* ---- what every process has ---------------------------------------------------------------- */

static const struct common {
    const char *name, *type, *help;
    const char *key; /* of the process, or of its counters */
    bool counter;
    double unit;
} commons[] = {
    {"uptime_seconds", "gauge", "Since the process was started.", "uptime_ms", false, 1e-3},
    {"restarts_total", "counter", "How often the parent started it again.", "restarts", false, 1},
    {"memory_bytes", "gauge", "Proportional set size.", "memory_kib", true, 1024},
    {"cpu_seconds_total", "counter", "Processor time.", "cpu_ms", true, 1e-3},
    {"messages_in_total", "counter", "Messages from other processes.", "messages_in", true, 1},
    {"messages_out_total", "counter", "Messages to other processes.", "messages_out", true, 1},
    {"backlog_bytes", "gauge", "Messages to others that wait to be written.", "backlog_bytes", true,
     1},
    {"uptime_ms", NULL, NULL, "uptime_ms", true, 0}, /* told above */
};
enum { COMMONS = sizeof commons / sizeof *commons };

/* Those of a process' own counters that go down again. */
static const char *const gauges[] = {"sessions", "letters_in_memory", "jobs", "destinations",
                                     "open"};

static bool is_gauge(const char *counter)
{
    bool found = false;
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++)
        found = found || !strcmp(counter, gauges[i]);
    return found;
}

static bool is_common(const char *counter)
{
    bool found = false;
    for (size_t i = 0; i < COMMONS; i++)
        found = found || (commons[i].counter && !strcmp(counter, commons[i].key));
    return found;
}

/* ---- writing --------------------------------------------------------------------------------- */

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* A label's value: backslash, quote and newline are escaped. */
static void add_label(struct ph_buf *b, const char *name, const char *value)
{
    ph_buf_addf(b, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            ph_buf_addc(b, '\\');
        ph_buf_add(b, *value == '\n' ? PH_STR("\\n") : (ph_str){value, 1});
    }
    ph_buf_addc(b, '"');
}

static void add_head(struct ph_buf *b, const char *name, const char *type, const char *help)
{
    ph_buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_of_process(struct ph_buf *b, const char *name, const json_t *p, double value)
{
    char instance[24];
    snprintf(instance, sizeof instance, "%" JSON_INTEGER_FORMAT,
             json_integer_value(json_object_get(p, "instance")));
    ph_buf_addf(b, "%s{", name);
    add_label(b, "process", text(p, "process"));
    ph_buf_addc(b, ',');
    add_label(b, "instance", instance);
    ph_buf_addf(b, "} %.15g\n", value);
}

static void add_commons(struct ph_buf *b, json_t *processes)
{
    size_t i;
    json_t *p;
    add_head(b, "posthouse_process_up", "gauge", "1 while the process serves.");
    json_array_foreach(processes, i, p)
        add_of_process(b, "posthouse_process_up", p, !strcmp(text(p, "state"), "ready"));
    for (size_t k = 0; k < COMMONS; k++) {
        char name[64];
        if (!commons[k].type)
            continue;
        snprintf(name, sizeof name, "posthouse_process_%s", commons[k].name);
        add_head(b, name, commons[k].type, commons[k].help);
        json_array_foreach(processes, i, p)
        {
            json_t *from = commons[k].counter ? json_object_get(p, "counters") : p;
            add_of_process(b, name, p,
                           (double)json_integer_value(json_object_get(from, commons[k].key)) *
                               commons[k].unit);
        }
    }
}

/* One counter of one kind of process, for all its instances. */
static void add_counter(struct ph_buf *b, json_t *processes, const char *process,
                        const char *counter)
{
    char name[128], help[160];
    size_t i;
    json_t *p;
    bool gauge = is_gauge(counter);
    snprintf(name, sizeof name, "posthouse_%.40s_%.60s%s", process, counter, gauge ? "" : "_total");
    snprintf(help, sizeof help, "%.60s of process %.40s, as posthouse status tells them.", counter,
             process);
    add_head(b, name, gauge ? "gauge" : "counter", help);
    json_array_foreach(processes, i, p)
    {
        json_t *value = json_object_get(json_object_get(p, "counters"), counter);
        if (value && !strcmp(text(p, "process"), process))
            add_of_process(b, name, p, (double)json_integer_value(value));
    }
}

static bool seen_before(json_t *processes, size_t at)
{
    bool seen = false;
    for (size_t i = 0; i < at; i++)
        seen = seen || !strcmp(text(json_array_get(processes, i), "process"),
                               text(json_array_get(processes, at), "process"));
    return seen;
}

static void add_counters(struct ph_buf *b, json_t *processes)
{
    size_t i;
    json_t *p, *value;
    const char *counter;
    json_array_foreach(processes, i, p)
    {
        if (seen_before(processes, i))
            continue;
        json_object_foreach(json_object_get(p, "counters"), counter, value) if (!is_common(counter))
            add_counter(b, processes, text(p, "process"), counter);
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void add_spool(struct metrics *m)
{
    int64_t began = mono_us();
    if (!m->spool) {
        char path[PATH_MAX];
        struct ph_error err = {0};
        snprintf(path, sizeof path, "%s/queue/queue.sqlite", m->data);
        if (ph_spool_open(path, &(struct ph_spool_options){.read_only = true}, &m->spool, &err) < 0)
            return;
    }
    if (began >= m->scan_due) {
        m->counted = ph_spool_count(m->spool, &m->letters, &m->rcpts) >= 0;
        m->scan_due = began + (mono_us() - began) * SCAN_SHARE;
    }
    if (!m->counted)
        return;
    add_head(&m->text, "posthouse_queue_waiting_letters", "gauge", "Letters in the queue.");
    ph_buf_addf(&m->text, "posthouse_queue_waiting_letters %" PRIu64 "\n", m->letters);
    add_head(&m->text, "posthouse_queue_waiting_recipients", "gauge", "Recipients in the queue.");
    ph_buf_addf(&m->text, "posthouse_queue_waiting_recipients %" PRIu64 "\n", m->rcpts);
}

static void ask(struct metrics *m)
{
    struct admin_control c;
    int code = admin_control_ask(&c, m->data, "status", "", ADMIN_ANSWER_MS);
    json_t *status = code ? NULL : json_loadb(c.text.p, c.text.n, 0, NULL);
    admin_control_close(&c);
    ph_buf_clear(&m->text);
    m->up = status;
    add_head(&m->text, "posthouse_up", "gauge", "1 when the server answers.");
    ph_buf_addf(&m->text, "posthouse_up %d\n", m->up);
    if (status) {
        json_t *processes = json_object_get(status, "processes");
        add_head(&m->text, "posthouse_info", "gauge", "The name of the server.");
        ph_buf_add(&m->text, PH_STR("posthouse_info{"));
        add_label(&m->text, "hostname", text(status, "hostname"));
        ph_buf_add(&m->text, PH_STR("} 1\n"));
        add_commons(&m->text, processes);
        add_counters(&m->text, processes);
    }
    json_decref(status);
    add_spool(m);
}

const char *metrics_text(struct metrics *m)
{
    int64_t now = mono_us();
    if (!m->asked || now - m->asked >= FRESH_US) {
        ask(m);
        m->asked = now;
    }
    return ph_buf_err(&m->text) ? NULL : ph_buf_cstr(&m->text);
}

bool metrics_up(const struct metrics *m)
{
    return m->up;
}

struct metrics *metrics_new(const char *data)
{
    struct metrics *m = ph_new0(NULL, sizeof *m);
    if (m) {
        m->data = data;
        ph_buf_init(&m->text, NULL, TEXT_MAX);
    }
    return m;
}

struct metrics *metrics_free(struct metrics *m)
{
    if (m) {
        ph_spool_close(m->spool);
        ph_buf_done(&m->text);
        ph_free(NULL, m, sizeof *m);
    }
    return NULL;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static int print_once(struct metrics *m)
{
    const char *all = metrics_text(m);
    if (!all)
        return admin_fail(EX_OSERR, "out of memory");
    fputs(all, stdout);
    return metrics_up(m) ? 0 : EX_UNAVAILABLE;
}

int admin_metrics(int argc, char **argv)
{
    struct admin_args a;
    const char *listen = NULL;
    const struct admin_option opts[] = {
        {.name = "--listen",
         .value = &listen,
         .help = "--listen ADDRESS:PORT  serve http://ADDRESS:PORT/metrics until ended"},
        {0}};
    int left =
        admin_options(argc, argv, opts,
                      "What the processes count, in the text format of Prometheus: printed once, "
                      "or with --listen 127.0.0.1:9125 served. Loopback addresses only: what a "
                      "server counts is nobody else's business.\n",
                      0, 0, &a);
    if (left >= 0)
        return left;
    struct metrics *m = metrics_new(a.data);
    if (!m)
        return admin_fail(EX_OSERR, "out of memory");
    int code = listen ? metrics_serve(m, ph_str_c(listen)) : print_once(m);
    metrics_free(m);
    return code;
}
