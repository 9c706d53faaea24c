/* The verb table, --help, --version, and what every verb does with its options. */
#include "admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const struct admin_verb verbs[] = {
#define V(name, function, synopsis, line) {name, function, synopsis, line},
#include "verbs.def"
#undef V
};

enum { VERBS = sizeof verbs / sizeof *verbs, ERROR_TEXT = 1024 };

static const char common_help[] =
    "  --data DIR    the data folder (default: $POSTHOUSE_DATA, else ./posthouse-data)\n"
    "  --json        print JSON\n"
    "  --help        this text\n";

const struct admin_verb *admin_verbs(size_t *ret_count)
{
    *ret_count = VERBS;
    return verbs;
}

static const struct admin_verb *find(const char *name)
{
    for (size_t i = 0; i < VERBS; i++)
        if (!strcmp(verbs[i].name, name))
            return &verbs[i];
    return NULL;
}

int admin_fail(int code, const char *fmt, ...)
{
    char text[ERROR_TEXT];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "posthouse: %s\n", text);
    return code;
}

int admin_exit_code(int code)
{
    static const int codes[PH_ERR_COUNT] = {
        [PH_ENOMEM] = EX_OSERR,         [PH_EIO] = EX_IOERR,
        [PH_EFULL] = EX_IOERR,          [PH_EAGAIN] = EX_TEMPFAIL,
        [PH_ECORRUPT] = EX_DATAERR,     [PH_ETLS] = EX_CONFIG,
        [PH_ETIMEOUT] = EX_TEMPFAIL,    [PH_ECLOSED] = EX_UNAVAILABLE,
        [PH_ELIMIT] = EX_DATAERR,       [PH_ESYNTAX] = EX_CONFIG,
        [PH_EORDER] = EX_PROTOCOL,      [PH_EINVAL] = EX_DATAERR,
        [PH_ENOENT] = EX_NOINPUT,       [PH_EEXIST] = EX_CANTCREAT,
        [PH_EDENIED] = EX_NOPERM,       [PH_EAUTH] = EX_NOPERM,
        [PH_EQUOTA] = EX_CANTCREAT,     [PH_EINUSE] = EX_TEMPFAIL,
        [PH_EREFUSED] = EX_UNAVAILABLE, [PH_ENOTIMPL] = EX_UNAVAILABLE,
    };
    if (code < 0)
        code = -code;
    return code > 0 && code < PH_ERR_COUNT ? codes[code] : EX_SOFTWARE;
}

static void usage(FILE *to, const char *verb, const struct admin_option *opts, const char *details)
{
    const struct admin_verb *v = find(verb);
    if (!v)
        return;
    fprintf(to, "usage: posthouse %s %s\n  %s\n\n", v->name, v->synopsis, v->line);
    for (; opts && opts->name; opts++)
        fprintf(to, "  %s\n", opts->help);
    fputs(common_help, to);
    if (details)
        fprintf(to, "\n%s", details);
}

/* 1: `arg` was that option (*at moved past a separate value), 0: it is another, -1: its value is
 * missing. */
static int take(const struct admin_option *o, int argc, char **argv, int *at)
{
    const char *arg = argv[*at];
    size_t n = strlen(o->name);
    if (strncmp(arg, o->name, n) || (arg[n] && arg[n] != '='))
        return 0;
    if (o->flag) {
        if (arg[n])
            return 0;
        *o->flag = true;
        return 1;
    }
    const char *value = arg[n] == '=' ? arg + n + 1 : NULL;
    if (!value && *at + 1 < argc)
        value = argv[++*at];
    if (!value)
        return -1;
    if (o->value)
        *o->value = value;
    else
        o->each(o->ctx, value);
    return 1;
}

static int try_options(const struct admin_option *o, int argc, char **argv, int *at)
{
    for (; o && o->name; o++) {
        int got = take(o, argc, argv, at);
        if (got)
            return got;
    }
    return 0;
}

int admin_options(int argc, char **argv, const struct admin_option *opts, const char *details,
                  int least, int most, struct admin_args *ret_args)
{
    bool help = false, json = false;
    const char *data = NULL;
    const struct admin_option common[] = {{.name = "--data", .value = &data},
                                          {.name = "--json", .flag = &json},
                                          {.name = "--help", .flag = &help},
                                          {0}};
    int count = 0;
    char **args = argv + 1; /* sorted in place: arguments move to the front */
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--")) {
            while (++i < argc)
                args[count++] = argv[i];
            break;
        }
        if (argv[i][0] != '-' || !argv[i][1]) {
            args[count++] = argv[i];
            continue;
        }
        const char *arg = argv[i];
        int got = try_options(opts, argc, argv, &i);
        if (!got)
            got = try_options(common, argc, argv, &i);
        if (got <= 0)
            return admin_fail(EX_USAGE,
                              got ? "%s: option %s needs a value; try posthouse %s --help"
                                  : "%s: unknown option %s; try posthouse %s --help",
                              argv[0], arg, argv[0]);
    }
    if (help) {
        usage(stdout, argv[0], opts, details);
        return EX_OK;
    }
    if (count < least || (most >= 0 && count > most)) {
        usage(stderr, argv[0], opts, NULL);
        return EX_USAGE;
    }
    args[count] = NULL;
    const char *env = getenv("POSTHOUSE_DATA");
    *ret_args = (struct admin_args){.data = data          ? data
                                            : env && *env ? env
                                                          : "posthouse-data",
                                    .data_given = data != NULL,
                                    .json = json,
                                    .args = args,
                                    .count = count};
    return -1;
}

static void help(FILE *to)
{
    fputs("usage: posthouse VERB [OPTIONS]\n\nThe server of Posthouse, a complete mail system, and "
          "its administration.\n\n",
          to);
    for (size_t i = 0; i < VERBS; i++)
        fprintf(to, "  %-14s %s\n", verbs[i].name, verbs[i].line);
    fputs("\nposthouse VERB --help tells more. Common options:\n", to);
    fputs(common_help, to);
    fputs("\nA first house:  posthouse serve --data /tmp/house\n"
          "Manual pages:   posthouse(8), posthouse.conf(5)\n",
          to);
}

int admin_help(int argc, char **argv)
{
    const struct admin_verb *v = argc > 1 ? find(argv[1]) : NULL;
    if (argc > 1 && !v)
        return admin_fail(EX_USAGE, "there is no verb %s; try posthouse --help", argv[1]);
    if (!v || v->run == admin_help) {
        help(stdout);
        return EX_OK;
    }
    char name[32], flag[] = "--help";
    snprintf(name, sizeof name, "%s", v->name);
    char *args[] = {name, flag, NULL};
    return v->run(2, args);
}

int admin_version(int argc, char **argv)
{
    struct admin_args a;
    int left = admin_options(argc, argv, NULL, NULL, 0, 0, &a);
    if (left < 0) {
        puts("posthouse " PH_VERSION);
        left = EX_OK;
    }
    return left;
}

int admin_main(int argc, char **argv)
{
    if (argc < 2) {
        help(stderr);
        return EX_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return admin_help(1, argv);
    if (!strcmp(argv[1], "--version"))
        return admin_version(1, argv);
    const struct admin_verb *v = find(argv[1]);
    if (!v)
        return admin_fail(EX_USAGE, "there is no verb %s; try posthouse --help", argv[1]);
    return v->run(argc - 1, argv + 1);
}

/* ---- output -------------------------------------------------------------------------------- */

void admin_print(const char *before, ph_str s)
{
    if (!s.n)
        return;
    fputs(before, stdout);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool c1 = c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0;
        putchar(c < 32 || c == 127 || c1 ? ' ' : c);
        i += c1;
    }
}
