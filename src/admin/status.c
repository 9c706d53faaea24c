/* posthouse status, stop, reload: the running server. */
#include "admin.h"
#include "control.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { STOP_MS = 15000 };

static void print_duration(int64_t ms, char *ret_text, size_t n)
{
    int64_t s = ms / 1000;
    if (s >= 86400)
        snprintf(ret_text, n, "%" PRId64 "d%02" PRId64 "h", s / 86400, s / 3600 % 24);
    else if (s >= 3600)
        snprintf(ret_text, n, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(ret_text, n, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else
        snprintf(ret_text, n, "%" PRId64 ".%01" PRId64 "s", s, ms / 100 % 10);
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

/* Those that have no column. */
static void print_counters(json_t *counters)
{
    static const char *const columns[] = {"uptime_ms", "memory_kib", "cpu_ms", "messages_in",
                                          "messages_out"};
    const char *name;
    json_t *value;
    json_object_foreach(counters, name, value)
    {
        bool shown = json_integer_value(value) == 0;
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
            shown = shown || !strcmp(name, columns[i]);
        if (!shown)
            printf(" %s=%" JSON_INTEGER_FORMAT, name, json_integer_value(value));
    }
}

static void print_process(const json_t *p)
{
    char name[64], uptime[32], pid[24] = "-"; /* one that is down has none */
    json_t *counters = json_object_get(p, "counters");
    if (number(p, "instance"))
        snprintf(name, sizeof name, "%s %" JSON_INTEGER_FORMAT, text(p, "process"),
                 number(p, "instance") + 1);
    else
        snprintf(name, sizeof name, "%s", text(p, "process"));
    if (number(p, "pid"))
        snprintf(pid, sizeof pid, "%" JSON_INTEGER_FORMAT, number(p, "pid"));
    print_duration(number(p, "uptime_ms"), uptime, sizeof uptime);
    printf("%-10s %8s  %-8s %8s %7.1f MB %8" JSON_INTEGER_FORMAT " ms %3" JSON_INTEGER_FORMAT
           " %10" JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT " ",
           name, pid, text(p, "state"), uptime, (double)number(counters, "memory_kib") / 1024,
           number(counters, "cpu_ms"), number(p, "restarts"), number(counters, "messages_in"),
           number(counters, "messages_out"));
    print_counters(counters);
    putchar('\n');
}

static void print_status(const json_t *s)
{
    char uptime[32];
    size_t i;
    json_t *one;
    print_duration(number(s, "uptime_ms"), uptime, sizeof uptime);
    printf("%s, pid %" JSON_INTEGER_FORMAT ", %s, up %s, data in %s\n", text(s, "hostname"),
           number(s, "pid"), text(s, "state"), uptime, text(s, "data"));
    json_array_foreach(json_object_get(s, "listen"), i, one)
        printf("  %-12s %s\n", text(one, "service"), text(one, "address"));
    printf("\n%-10s %8s  %-8s %8s %10s %11s %3s %10s %10s  %s\n", "process", "pid", "state", "up",
           "memory", "cpu", "re", "in", "out", "counters");
    json_array_foreach(json_object_get(s, "processes"), i, one) print_process(one);
}

int admin_status(int argc, char **argv)
{
    struct admin_args a;
    struct admin_control c;
    int left = admin_options(argc, argv, NULL,
                             "Each process: pid, state, uptime, memory (PSS), processor time, "
                             "restarts, messages, counters.\n",
                             0, 0, &a);
    if (left >= 0)
        return left;
    int code = admin_control_ask(&c, a.data, "status", "", ADMIN_ANSWER_MS);
    if (!code && a.json) {
        printf("%.*s\n", PH_FMT(c.text));
    } else if (!code) {
        json_t *s = json_loadb(c.text.p, c.text.n, 0, NULL);
        if (s)
            print_status(s);
        else
            code = admin_fail(EX_PROTOCOL, "the server's answer is not understood");
        json_decref(s);
    }
    admin_control_close(&c);
    return code;
}

int admin_stop(int argc, char **argv)
{
    struct admin_args a;
    struct admin_control c;
    int left = admin_options(
        argc, argv, NULL, "Work under way is finished first; returns when the server has ended.\n",
        0, 0, &a);
    if (left >= 0)
        return left;
    int code = admin_control_ask(&c, a.data, "stop", "", ADMIN_ANSWER_MS);
    if (!code && !admin_control_wait_end(&c, STOP_MS))
        code = admin_fail(EX_TEMPFAIL, "the server still runs after %d s", STOP_MS / 1000);
    admin_control_close(&c);
    return code;
}

int admin_reload(int argc, char **argv)
{
    struct admin_args a;
    struct admin_control c;
    int left = admin_options(argc, argv, NULL,
                             "No connection is dropped. With mistakes in the configuration the "
                             "server keeps the one it has.\n",
                             0, 0, &a);
    if (left >= 0)
        return left;
    int code = admin_control_ask(&c, a.data, "reload", "", ADMIN_ANSWER_MS);
    if (!code)
        printf("%.*s\n", PH_FMT(c.text));
    admin_control_close(&c);
    return code;
}
