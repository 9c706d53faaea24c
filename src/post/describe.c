/*
 * post completion, post manual: printed from the same tables that --help and the parsing of options
 * use, so that they cannot tell anything else. A verb's options are known to its function alone: it
 * is run with --describe=FORMAT, and post_options prints.
 */
#include "describe.h"
#include <ctype.h>
#include <string.h>
#include <sysexits.h>

/* ---- shells ------------------------------------------------------------------------------ */

static const struct {
    const char *name, *head, *middle, *tail;
} shells[] = {
    {"bash",
     "# post(1): completion for bash, printed by `post completion bash`\n_post() {\n    local "
     "cur=${COMP_WORDS[COMP_CWORD]} words=\n"
     "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W \"",
     "\" -- \"$cur\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n",
     "    esac\n    case $cur in\n    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n    "
     "*) COMPREPLY=($(compgen -f -- "
     "\"$cur\")) ;;\n    esac\n}\ncomplete -o filenames -F _post post\n"},
    {"zsh",
     "#compdef post\n# post(1): completion for zsh, printed by `post completion zsh`\nif (( "
     "CURRENT == 2 )); then\n    compadd -- ",
     "\n    return\nfi\nshift words\n(( CURRENT-- ))\ncase $words[1] in\n", "esac\n"},
    {"fish", "# post(1): completion for fish, printed by `post completion fish`\nset -l verbs ",
     "\ncomplete -c post -n \"not __fish_seen_subcommand_from $verbs\" -f -a \"$verbs\"\n", ""},
};

/* Text in single quotes; what a shell or _arguments would take as its own is left out. */
static void quoted(const char *text)
{
    putchar('\'');
    for (; *text; text++)
        if (*text == '\'')
            fputs("'\\''", stdout);
        else if (!strchr("[]:\\", *text))
            putchar(*text);
    putchar('\'');
}

static void option_in(const char *format, const char *verb, const struct post_option *o)
{
    if (strcmp(format, "bash") == 0) {
        printf("%s ", o->name);
    } else if (strcmp(format, "zsh") == 0) {
        printf(" \\\n        '%s%s['", o->each ? "*" : "", o->name);
        quoted(o->help);
        printf("']%s'", o->value_name ? ":value:_files" : "");
    } else {
        printf("complete -c post -n '__fish_seen_subcommand_from %s' -l %s%s -d ", verb,
               o->name + 2, o->value_name ? " -r" : "");
        quoted(o->help);
        putchar('\n');
    }
}

static void options_in(const char *format, const struct post_verb *v,
                       const struct post_option *const *tables)
{
    bool bash = strcmp(format, "bash") == 0, zsh = strcmp(format, "zsh") == 0;
    if (bash)
        printf("    %s) words=\"", v->name);
    else if (zsh)
        printf("%s)\n    _arguments", v->name);
    for (; *tables; tables++)
        for (const struct post_option *o = *tables; o->name; o++)
            option_in(format, v->name, o);
    if (bash)
        puts("--help\" ;;");
    else if (zsh)
        puts(" \\\n        '*:file:_files' ;;");
}

static int describe_verb(const struct post_verb *v, const char *format)
{
    char name[32], word[48];
    snprintf(name, sizeof name, "%s", v->name);
    snprintf(word, sizeof word, POST_DESCRIBE "%s", format);
    char *argv[] = {name, word, NULL};
    return v->run(2, argv);
}

static bool has_options(const struct post_verb *v)
{
    return v->run != post_help && v->run != post_completion && v->run != post_manual;
}

int post_completion(int argc, char **argv)
{
    const struct post_option *const none[] = {NULL};
    int rc = post_options(argc, argv, none,
                          "SHELL is bash, zsh or fish.\n\n  . <(post completion bash)\n", 1, 1);
    size_t k = 0, n = sizeof shells / sizeof shells[0];
    if (rc < 0)
        return -1 - rc;
    while (k < n && strcmp(shells[k].name, argv[1]) != 0)
        k++;
    if (k == n)
        return post_fail(EX_USAGE, "there is completion for bash, zsh and fish, not for \"%s\"",
                         argv[1]);
    fputs(shells[k].head, stdout);
    for (size_t i = 0; i < post_verb_count; i++)
        printf("%s%s", i ? " " : "", post_verbs[i].name);
    fputs(shells[k].middle, stdout);
    for (size_t i = 0; i < post_verb_count; i++)
        if (has_options(&post_verbs[i]))
            (void)describe_verb(&post_verbs[i], shells[k].name);
    fputs(shells[k].tail, stdout);
    return EX_OK;
}

/* ---- manual pages ------------------------------------------------------------------------ */

/* Text for mdoc: no backslash, no dot or quote at a line's start is a request. A new sentence
 * begins a new line. */
static void roff(ph_str text, bool sentences)
{
    if (text.n && (text.p[0] == '.' || text.p[0] == '\''))
        fputs("\\&", stdout);
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '\\')
            fputs("\\e", stdout);
        else if (sentences && text.p[i] == ' ' && i && strchr(".:?", text.p[i - 1]))
            putchar('\n');
        else
            putchar(text.p[i]);
    putchar('\n');
}

/* Paragraphs; lines that begin with two spaces are examples. */
static void paragraphs(const char *details)
{
    ph_str rest = ph_str_c(details), line;
    bool literal = false, broken = true;
    while (ph_str_token(&rest, '\n', &line)) {
        bool example = ph_str_has_prefix(line, PH_STR("  "));
        if (literal && !example)
            puts(".Ed");
        else if (example && !literal)
            puts(".Bd -literal -offset indent");
        else if (!example && line.n && broken)
            puts(".Pp");
        broken = line.n == 0;
        literal = example;
        if (line.n)
            roff(example ? ph_str_skip(line, 2) : line, !example);
    }
    if (literal)
        puts(".Ed");
}

static void page(const struct post_verb *v, const struct post_option *const *tables,
                 const char *details)
{
    printf(".\\\" Printed by `post manual %s` from the tables of the program.\n.Dd November 23, "
           "2026\n.Dt POST-",
           v->name);
    for (const char *c = v->name; *c; c++)
        putchar(toupper((unsigned char)*c));
    printf(" 1\n.Os\n.Sh NAME\n.Nm post-%s\n.Nd %s\n.Sh SYNOPSIS\n.Nm post\n.Cm %s\n", v->name,
           v->line, v->name);
    if (v->synopsis[0])
        roff(ph_str_c(v->synopsis), false);
    puts(".Sh DESCRIPTION");
    printf("This verb of\n.Xr post 1\nis there to %s.\n", v->line);
    if (details)
        paragraphs(details);
    if (*tables) {
        puts(".Pp\nThe options are:\n.Bl -tag -width Ds");
        for (; *tables; tables++)
            for (const struct post_option *o = *tables; o->name; o++) {
                printf(".It Fl -%s", o->name + 2);
                if (o->value_name)
                    printf(" Ar %s", o->value_name);
                putchar('\n');
                roff(ph_str_c(o->help), true);
            }
        puts(".It Fl -help\nShow all this in short.\n.El");
    }
    puts(".Sh EXIT STATUS\n0, or a code of\n.In sysexits.h ;\n.Xr post 1\nlists them.\n.Sh SEE "
         "ALSO\n.Xr post 1");
}

int post_manual(int argc, char **argv)
{
    const struct post_option *const none[] = {NULL};
    int rc =
        post_options(argc, argv, none, "The page is mdoc: post manual send | man -l -\n", 1, 1);
    if (rc < 0)
        return -1 - rc;
    for (size_t i = 0; i < post_verb_count; i++)
        if (strcmp(post_verbs[i].name, argv[1]) == 0)
            return has_options(&post_verbs[i]) ? describe_verb(&post_verbs[i], "man")
                                               : (page(&post_verbs[i], none, NULL), EX_OK);
    return post_fail(EX_USAGE, "there is no verb %s; try post --help", argv[1]);
}

void post_describe(const char *format, const struct post_verb *v,
                   const struct post_option *const *tables, const char *details)
{
    if (strcmp(format, "man") == 0)
        page(v, tables, details);
    else
        options_in(format, v, tables);
}
