/* The verb table, --help, and the options that all verbs read in the same way. */
#include "describe.h"
#include <string.h>
#include <sysexits.h>

const struct post_verb post_verbs[] = {
#define V(name, function, synopsis, line) {name, function, synopsis, line},
#include "verbs.def"
#undef V
};
const size_t post_verb_count = sizeof post_verbs / sizeof post_verbs[0];

static const struct post_verb *find(const char *name)
{
    for (size_t i = 0; i < post_verb_count; i++)
        if (strcmp(post_verbs[i].name, name) == 0)
            return &post_verbs[i];
    return NULL;
}

/* Letters to change, add or remove to make one word of the other (Levenshtein); words above the
 * limit are far apart. */
static size_t distance(const char *a, const char *b)
{
    enum { WORD = 24 };
    size_t row[WORD + 1], n = strlen(a), m = strlen(b);
    if (n > WORD || m > WORD)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[m];
}

static int no_such_verb(const char *name)
{
    const char *near = NULL;
    size_t least = 3;
    for (size_t i = 0; i < post_verb_count; i++) {
        size_t d = distance(name, post_verbs[i].name);
        if (d < least) {
            least = d;
            near = post_verbs[i].name;
        }
    }
    return post_fail(EX_USAGE, "there is no verb %s; %s%s%s", name,
                     near ? "did you mean " : "try post --help", near ? near : "", near ? "?" : "");
}

/* Prints prose in lines of at most LINE bytes; lines that begin with two spaces stay as they
 * are. */
static void fold(FILE *to, const char *text)
{
    enum { LINE = 100 };
    ph_str rest = ph_str_c(text), line, word;
    while (ph_str_token(&rest, '\n', &line)) {
        bool example = ph_str_has_prefix(line, PH_STR("  "));
        if (example)
            fprintf(to, "%.*s", PH_FMT(line));
        for (size_t at = 0; !example && ph_str_token(&line, ' ', &word); at += word.n + 1) {
            bool turn = at > 0 && at + word.n > LINE;
            fprintf(to, "%s%.*s", turn ? "\n" : at ? " " : "", PH_FMT(word));
            at = turn ? 0 : at;
        }
        fputc('\n', to);
    }
}

static void usage(FILE *to, const char *name, const struct post_option *const *tables,
                  const char *details)
{
    const struct post_verb *v = find(name);
    fprintf(to, "usage: post %s %s\n  %s\n\n", name, v ? v->synopsis : "", v ? v->line : "");
    for (const struct post_option *const *first = tables; *tables; tables++) {
        if (tables != first && !tables[1]) /* the login's options stand apart */
            fputc('\n', to);
        for (const struct post_option *o = *tables; o->name; o++) {
            char left[64];
            snprintf(left, sizeof left, "%s%s%s", o->name, o->value_name ? " " : "",
                     o->value_name ? o->value_name : "");
            fprintf(to, "  %-26s %s\n", left, o->help);
        }
    }
    fprintf(to, "  %-26s this text\n", "--help");
    if (details) {
        fputc('\n', to);
        fold(to, details);
    }
}

/* The row that `arg` names, with "--name=value" cut at the sign. */
static const struct post_option *row_of(const struct post_option *const *tables, const char *arg,
                                        const char **ret_value)
{
    const char *sign = strchr(arg, '=');
    size_t n = sign ? (size_t)(sign - arg) : strlen(arg);
    *ret_value = sign ? sign + 1 : NULL;
    for (; *tables; tables++)
        for (const struct post_option *o = *tables; o->name; o++)
            if (strlen(o->name) == n && strncmp(o->name, arg, n) == 0)
                return o;
    return NULL;
}

/* 1: taken; else -1 - exit code. */
static int take(const struct post_option *const *tables, int argc, char **argv, int *at)
{
    const char *value;
    const struct post_option *o = row_of(tables, argv[*at], &value);
    if (!o)
        return -1 - post_fail(EX_USAGE, "%s: unknown option %s; try post %s --help", argv[0],
                              argv[*at], argv[0]);
    if (o->flag) {
        if (value)
            return -1 - post_fail(EX_USAGE, "%s: %s takes no value", argv[0], o->name);
        *o->flag = true;
        return 1;
    }
    if (!value && *at + 1 < argc)
        value = argv[++*at];
    if (!value)
        return -1 -
               post_fail(EX_USAGE, "%s: %s needs a value: %s", argv[0], o->name, o->value_name);
    if (o->each)
        o->each(o->ctx, value);
    else
        *o->value = value;
    return 1;
}

int post_options(int argc, char **argv, const struct post_option *const *tables,
                 const char *details, int least, int most)
{
    int count = 0;
    if (argc == 2 && strncmp(argv[1], POST_DESCRIBE, sizeof POST_DESCRIBE - 1) == 0) {
        post_describe(argv[1] + sizeof POST_DESCRIBE - 1, find(argv[0]), tables, details);
        return -1 - EX_OK;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc)
                argv[++count] = argv[i];
            break;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            usage(stdout, argv[0], tables, details);
            return -1 - EX_OK;
        }
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[++count] = argv[i];
            continue;
        }
        int rc = take(tables, argc, argv, &i);
        if (rc < 0)
            return rc;
    }
    if (count < least || (most >= 0 && count > most)) {
        const struct post_verb *v = find(argv[0]);
        return -1 - post_fail(EX_USAGE, "usage: post %s %s; post %s --help tells more", argv[0],
                              v ? v->synopsis : "", argv[0]);
    }
    return count;
}

static void help(FILE *to)
{
    fputs("usage: post VERB [OPTIONS]\n\nThe mail program of Posthouse: writes, sends, fetches and "
          "shows letters.\n\n",
          to);
    for (size_t i = 0; i < post_verb_count; i++)
        fprintf(to, "  %-10s %s\n", post_verbs[i].name, post_verbs[i].line);
    fputs(
        "\npost VERB --help tells more. Server, user and so on come from options, from "
        "POST_SERVER, POST_PORT, POST_TLS,\n"
        "POST_CA, POST_INSECURE, POST_USER, POST_PASSWORD and POST_FROM, or from "
        "the account (post accounts).\n\n"
        "Once and for all:  post setup me@here.test\n"
        "A first letter:    post send --to you@there.test --subject Hello --text 'Are you there?'\n"
        "Without setup:     post send --server localhost --port 2587 --from me@here.test --to "
        "you@there.test \\\n"
        "                       --subject Hello --text 'Are you there?' --debug\n"
        "Manual page:       post(1)\n",
        to);
}

int post_help(int argc, char **argv)
{
    char name[32], flag[] = "--help";
    const struct post_verb *v = argc > 1 ? find(argv[1]) : NULL;
    if (argc > 1 && !v)
        return no_such_verb(argv[1]);
    if (!v || v->run == post_help) {
        help(stdout);
        return EX_OK;
    }
    snprintf(name, sizeof name, "%s", v->name);
    char *args[] = {name, flag, NULL};
    return v->run(2, args);
}

int post_version(int argc, char **argv)
{
    const struct post_option *const none[] = {NULL};
    int rc = post_options(argc, argv, none, NULL, 0, 0);
    if (rc < 0)
        return -1 - rc;
    puts("post " PH_VERSION);
    return EX_OK;
}

int post_main(int argc, char **argv)
{
    if (argc < 2) {
        help(stderr);
        return EX_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return post_help(1, argv);
    if (strcmp(argv[1], "--version") == 0)
        return post_version(1, argv);
    const struct post_verb *v = find(argv[1]);
    if (!v)
        return no_such_verb(argv[1]);
    int rc = v->run(argc - 1, argv + 1), out = post_close_output();
    return rc ? rc : out;
}
