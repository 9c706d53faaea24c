/*
 * post.h - what the verbs of the MUA share: options, accounts, output.
 *
 * How to add a verb: a row in verbs.def, a file with the function, its name in meson.build, a
 * paragraph in post.1.
 */
#ifndef PH_POST_H
#define PH_POST_H
#include <posthouse/net.h>
#include <stdio.h>

enum { POST_LETTER_MAX = 512 * 1024 * 1024 }; /* bytes of one letter in memory */

#define V(name, function, synopsis, line) int function(int argc, char **argv);
#include "verbs.def"
#undef V

int post_main(int argc, char **argv); /* the exit code of the program */

/* ---- options ----------------------------------------------------------------------------- */

/* One option; exactly one of the targets is set. Tables end with a row without a name. */
struct post_option {
    const char *name;       /* "--to" */
    const char *value_name; /* "ADDRESS"; NULL for a flag */
    bool *flag;
    const char **value;                         /* borrowed from argv */
    void (*each)(void *ctx, const char *value); /* may be given many times */
    void *ctx;
    const char *help;
};

/* Sorts argv into options of the tables (NULL-terminated list) and arguments; "--" ends the
 * options. Returns the number of arguments, which are argv[1]... then; or -1 - exit code: leave
 * with it (help was printed, or the mistake told). */
int post_options(int argc, char **argv, const struct post_option *const *tables,
                 const char *details, int least, int most);

/* ---- accounts ---------------------------------------------------------------------------- */

enum post_protocol { POST_SMTP, POST_POP3, POST_IMAP };

/* What the account options, the environment and the account's file say, in this order of weight. */
struct post_login {
    struct ph_account account;
    bool debug;
    const char *from; /* NULL: not said */
    /* As given; for post_login_options. */
    const char *account_name, *server, *port, *tls, *ca, *user, *password, *password_file,
        *password_env, *password_command;
    const char *auth, *cert, *key, *proxy, *timeout;
    bool insecure, plaintext, oauth, completed;
    struct cfg_t *cfg; /* the account's file */
    struct ph_buf secret, cert_pem, key_pem;
};

/* Fills `rows`, of at least POST_LOGIN_ROWS, with the account options. Those from POST_LOGIN_HOW on
 * say how to log in, whatever the server. */
enum { POST_LOGIN_HOW = 4, POST_LOGIN_ROWS = 20, POST_PASSWORD_MAX = 16 * 1024 };
void post_login_options(struct post_login *l, struct post_option *rows);
/* What does not depend on a protocol: user, certificates, proxy, time-out, password. 0, or an exit
 * code with the mistake told. */
int post_login_identify(struct post_login *l);
/* Once for one protocol, again does nothing: completes `l` from environment, file and, for a
 * password, the terminal. 0, or an exit code with the mistake told. */
int post_login_complete(struct post_login *l, enum post_protocol protocol);
/* Finds out l->from alone, for a letter that goes nowhere. */
int post_login_sender(struct post_login *l);
/* "starttls", "tls", "none": the ph_tls_mode and back; -1: none of them. */
int post_tls_mode(const char *word);
const char *post_tls_word(int mode);
int post_login_password(struct post_login *l); /* the part of it that finds the password */
void post_login_done(struct post_login *l);    /* wipes the password */

/* --debug: the dialogue on stderr. Nothing without --debug. */
struct ph_transcript post_transcript(struct post_login *l);

/* ---- output ------------------------------------------------------------------------------ */

int post_fail(int exit_code, const char *fmt, ...)
    PH_PRINTF(2, 3); /* "post: ..." on stderr; returns exit_code */
int post_exit_code(int ph_error_code);
/* post_fail with the text of an error, advice added where there is some. */
int post_fail_error(const struct ph_error *e);
int post_fail_trouble(const struct ph_trouble *t); /* with what it means and what to do */
/* Writes text from outside: control characters other than LF and TAB, and broken UTF-8, are made
 * harmless. */
void post_print(FILE *to, ph_str text);
void post_json_string(FILE *to, ph_str text); /* with quotes */
/* Appends a file, or standard input for "-". 0, or an exit code with the mistake told. */
int post_read_file(const char *path, struct ph_buf *out);
/* Flushes stdout: 0, or an exit code when what was printed could not be written. */
int post_close_output(void);
#endif
