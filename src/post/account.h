/*
 * account.h - accounts on disk: one file an account in $XDG_CONFIG_HOME/post/, NAME.conf, read with
 * libconfuse:
 *
 *     from = "Me <me@here.test>"
 *     user = "me@here.test"
 *     password_file = "/home/me/.config/post/me@here.test.password"    (or password_command, password_env)
 *     server = "mail.here.test"      tls = "starttls"      for all protocols, or for one:
 *     smtp_server, smtp_port, smtp_tls, pop3_..., imap_...
 *     protocol = "imap"              what is read with; or "pop3"
 *     ca = "FILE"                    insecure = true
 *     oauth = true                   the password is an access token
 *     auth = "SCRAM-SHA-256 PLAIN"   cert = "FILE"      key = "FILE"
 *     proxy = "socks5://host:port"   timeout = "20"     plaintext = true
 *
 * `default` beside them is a link to the one that is meant when none is named; a lone account is it
 * anyway.
 */
#ifndef PH_POST_ACCOUNT_H
#define PH_POST_ACCOUNT_H
#include "post.h"

enum { POST_PATH = 4096, POST_ACCOUNT_NAME = 200 };

/* The folder, without a slash at its end. */
const char *post_config_dir(char buf[POST_PATH]);
/* May `name` name an account: no slash, no leading dot, not too long? */
bool post_account_name_ok(const char *name);

/* Opens the file of l->account_name, or of POST_CONFIG, or of the default account; none of them:
 * there is nothing to open, and that is well. Strings are borrowed from l until post_account_close.
 * 0, or an exit code with the mistake told. */
int post_account_open(struct post_login *l);
void post_account_close(struct post_login *l);
/* The value of a key, NULL when it is not set; "tls" and the like are looked for as "smtp_tls"
 * first when prefix is "smtp". */
const char *post_account_get(const struct post_login *l, const char *prefix, const char *key);
bool post_account_is(const struct post_login *l, const char *key);

/* Writes NAME.conf (mode 0600), and makes it the default when it is the first. 0, or an exit
 * code. */
int post_account_write(const char *name, ph_str content);
#endif
