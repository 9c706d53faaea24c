/*
 * admin.h - the administration verbs: the table, and what they share.
 *
 * How to add a verb: a row in verbs.def, a file with the function, its name in meson.build.
 */
#ifndef PH_ADMIN_H
#define PH_ADMIN_H
#include <posthouse/base.h>

struct admin_verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *synopsis; /* what follows the name: "[--json] ID" */
    const char *line;     /* one line for --help */
};

#define V(name, function, synopsis, line) int function(int argc, char **argv);
#include "verbs.def"
#undef V

const struct admin_verb *admin_verbs(size_t *ret_count);

/* Runs the verb argv[1] and returns the exit code of the program. */
int admin_main(int argc, char **argv);

/* ---- options ------------------------------------------------------------------------------ */

/* An option of a verb's own, beside the common ones. Exactly one of the targets is set. */
struct admin_option {
    const char *name;   /* "--since" */
    bool *flag;         /* set to true when present */
    const char **value; /* takes "--since VALUE" and "--since=VALUE"; borrowed from argv */
    void (*each)(void *ctx, const char *value); /* may be given many times */
    void *ctx;
    const char *help; /* "--since DATE  only newer ones" */
};

struct admin_args {
    const char *data; /* the data folder: --data, else $POSTHOUSE_DATA, else "posthouse-data" */
    bool data_given;
    bool json;
    char **args; /* what is not an option, in order; NULL-terminated; borrowed from argv */
    int count;
};

/* Sorts argv into options and arguments ("--" ends the options). verb: its row's name, for the
 * usage text. details: paragraphs for --help, may be NULL. opts: ends with a row whose name is
 * NULL; may be NULL. Returns -1 to go on; otherwise the exit code to leave with (help was printed:
 * 0, misuse: EX_USAGE). */
PH_MUST_CHECK int admin_options(int argc, char **argv, const struct admin_option *opts,
                                const char *details, int least, int most,
                                struct admin_args *ret_args);

/* Writes what came from outside to stdout: control characters (also U+0080 to U+009F) become
 * spaces, so that a letter cannot speak to the terminal. `before` goes in front, and nothing at all
 * when s is empty. */
void admin_print(const char *before, ph_str s);

/* "posthouse: " and the text on stderr; returns `code`, so that `return admin_fail(EX_DATAERR,
 * ...)`. */
int admin_fail(int code, const char *fmt, ...) PH_PRINTF(2, 3);
/* The sysexits code that fits an error. */
int admin_exit_code(int ph_error_code);
#endif
