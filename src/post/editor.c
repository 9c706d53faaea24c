/* $EDITOR, and the drafts that are kept when sending fails. */
#include "editor.h"
#include "file.h"
#include "random.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { SHOWN_RECIPIENTS = 100 };

/* ---- the editor -------------------------------------------------------------------------- */

/* The shell runs it, as $EDITOR may hold options; the path is an argument of its own. */
static int run_editor(const char *path)
{
    const char *editor = getenv("VISUAL");
    char command[1100];
    int status = 0;
    pid_t pid;
    if (!editor || !*editor)
        editor = getenv("EDITOR");
    snprintf(command, sizeof command, "%s \"$1\"", editor && *editor ? editor : "vi");
    char *argv[] = {(char *)"sh", (char *)"-c", command, (char *)"sh", (char *)path, NULL};
    int e = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);
    while (e == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (e)
        return post_fail(EX_OSERR, "cannot run the editor: %s", strerror(e));
    return status ? post_fail(EX_TEMPFAIL, "the editor failed; nothing was sent") : 0;
}

int post_edit(ph_str start, struct ph_buf *out)
{
    char path[300];
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%.200s/post-XXXXXX.txt", tmp && *tmp ? tmp : "/tmp");
    int fd = mkostemps(path, 4, O_CLOEXEC);
    if (fd < 0)
        return post_fail(EX_CANTCREAT, "cannot make %s: %s", path, strerror(errno));
    int rc = ph_memfile_add(fd, start) < 0 ? post_fail(EX_IOERR, "cannot write %s", path) : 0;
    close(fd);
    if (rc == 0)
        rc = run_editor(path);
    size_t before = out->n;
    if (rc == 0)
        rc = post_read_file(path, out);
    unlink(path);
    ph_str text = ph_str_skip(ph_buf_str(out), before);
    if (rc == 0 && ph_str_eq(ph_str_trim(text), ph_str_trim(start)))
        rc = post_fail(EX_USAGE, "nothing was written, so nothing is sent");
    return rc;
}

/* ---- drafts ------------------------------------------------------------------------------ */

static const char *drafts_dir(char buf[4096])
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (xdg && *xdg)
        snprintf(buf, 4096, "%s/post/drafts", xdg);
    else
        snprintf(buf, 4096, "%s/.local/state/post/drafts", home ? home : "");
    return buf;
}

/* A word for the shell: quoted, unless it needs no quotes. */
static void shell_word(struct ph_buf *out, ph_str word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.,/:@%=";
    size_t i = 0;
    while (i < word.n && word.p[i] && strchr(plain, word.p[i]))
        i++;
    ph_buf_addc(out, ' ');
    if (word.n && i == word.n) {
        ph_buf_add(out, word);
        return;
    }
    ph_buf_addc(out, '\'');
    for (i = 0; i < word.n; i++)
        if (word.p[i] == '\'')
            ph_buf_add(out, PH_STR("'\\''"));
        else
            ph_buf_addc(out, word.p[i]);
    ph_buf_addc(out, '\'');
}

static void option(struct ph_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    ph_buf_addf(out, " %s", name);
    shell_word(out, ph_str_c(value));
}

void post_drop_draft(const char *path)
{
    char dir[4096];
    size_t n = strlen(drafts_dir(dir));
    if (strncmp(path, dir, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/'))
        unlink(path);
}

void post_keep_draft(struct post_letter *l, const struct post_login *login)
{
    char dir[4096], path[4200], random[9];
    struct ph_error e;
    struct ph_buf command;
    time_t now = time(NULL);
    snprintf(path, sizeof path, "%s/%lld-%s.eml", drafts_dir(dir), (long long)now,
             ph_random_text(random, 8));
    if (ph_mkdirs(dir, 0700, &e) < 0) {
        post_fail(0, "the letter could not be kept: %s", e.text);
        return;
    }
    if (post_body_write(&l->body, path) != 0) {
        unlink(path);
        return;
    }
    ph_buf_init(&command, NULL, 1024 * 1024);
    ph_buf_add(&command, PH_STR("post send"));
    option(&command, "--account", login->account_name);
    option(&command, "--server", login->server);
    option(&command, "--port", login->port);
    option(&command, "--tls", login->tls);
    option(&command, "--ca", login->ca);
    option(&command, "--user", login->user);
    option(&command, "--password-file", login->password_file);
    option(&command, "--password-env", login->password_env);
    option(&command, "--password-command", login->password_command);
    option(&command, "--auth", login->auth);
    option(&command, "--cert", login->cert);
    option(&command, "--key", login->key);
    option(&command, "--proxy", login->proxy);
    option(&command, "--timeout", login->timeout);
    const struct {
        bool is;
        const char *words;
    } flags[] = {{login->oauth, " --oauth"},
                 {login->plaintext, " --plaintext"},
                 {login->insecure, " --insecure"}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (flags[i].is)
            ph_buf_add(&command, ph_str_c(flags[i].words));
    ph_buf_add(&command, PH_STR(" --from"));
    shell_word(&command, l->sender);
    for (size_t i = 0; i < l->to_n && i < SHOWN_RECIPIENTS; i++) {
        ph_buf_add(&command, PH_STR(" --to"));
        shell_word(&command, l->to[i]);
    }
    ph_buf_add(&command, PH_STR(" --raw"));
    shell_word(&command, ph_str_c(path));
    fputs("post: the letter is kept; this sends it again:\n  ", stderr);
    post_print(stderr, ph_buf_str(&command));
    fputc('\n', stderr);
    if (l->to_n > SHOWN_RECIPIENTS)
        post_fail(0, "only the first %d of %zu recipients stand in it", SHOWN_RECIPIENTS, l->to_n);
    ph_buf_done(&command);
}
