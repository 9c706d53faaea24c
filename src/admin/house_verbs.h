/* house_verbs.h - what the verbs domain, account and alias share. */
#ifndef PH_HOUSE_VERBS_H
#define PH_HOUSE_VERBS_H
#include "admin.h"
#include "house.h"

#include <jansson.h>

/* One action of such a verb: `posthouse account add ...`. */
struct house_action {
    const char *name;
    int least, most; /* arguments behind the action */
    bool create;     /* makes the database when there is none */
    int (*run)(struct ph_house *h, const struct admin_args *a, void *options);
};

/* Finds a->args[0] among the actions, opens the database, runs it with the arguments behind.
 * Returns the exit code. */
int house_run(const char *verb, const struct house_action *actions, size_t count,
              const struct admin_args *a, void *options);
/* Says what went wrong; the exit code that fits. */
int house_fail(const struct ph_error *e);
/* Prints a JSON value and frees it. EX_OK, or EX_IOERR when stdout can not be written. */
int house_print_json(json_t *value);
json_t *house_json(ph_str s);

/* Where the password of a new account comes from. */
struct password_source {
    const char *file;
    bool generate;
};
/* From --password-file, --generate, the terminal (twice, without echo) or the first line of stdin.
 * `password` has room for PH_PASSWORD_MAX octets and a NUL; wipe it. EX_OK or the exit code after
 * telling why. */
int house_password(const struct password_source *from, const char *address,
                   char password[PH_PASSWORD_MAX + 1]);

/* posthouse account app-password: add ADDRESS NAME | list ADDRESS | remove ADDRESS NAME. */
struct app_options {
    const char *scope, *expires; /* NULL: all, never */
};
int account_app_password(struct ph_house *h, const struct admin_args *a,
                         const struct app_options *o);

#endif
