/* The password, from where it is safe: a file, the environment, a command, the terminal. */
#include "loop.h"
#include "post.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

/* Starts sh -c with the pipe as its standard output and nothing else of ours open. 0 or errno. */
static int spawn_shell(const char *command, int out, pid_t *ret_pid)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
    posix_spawn_file_actions_t fa;
    int e = posix_spawn_file_actions_init(&fa);
    if (e)
        return e;
    e = posix_spawn_file_actions_adddup2(&fa, out, STDOUT_FILENO);
    if (!e)
        e = posix_spawn_file_actions_addclosefrom_np(&fa, STDERR_FILENO + 1);
    if (!e)
        e = posix_spawn(ret_pid, "/bin/sh", &fa, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    return e;
}

/* All that comes, of which the first `max` - 1 bytes are kept: who writes more must not be
 * stuck. */
static void read_all(int fd, char *to, size_t max)
{
    char rest[256];
    size_t n = 0;
    for (;;) {
        bool full = n == max - 1;
        ssize_t got = full ? read(fd, rest, sizeof rest) : read(fd, to + n, max - 1 - n);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        n += got > 0 && !full ? (size_t)got : 0;
    }
    to[n] = '\0';
    ph_wipe(rest, sizeof rest);
}

static int from_command(struct post_login *l)
{
    char text[POST_PASSWORD_MAX];
    int fds[2], status = 0;
    pid_t pid;
    if (pipe2(fds, O_CLOEXEC))
        return post_fail(EX_OSERR, "cannot run %s: %s", l->password_command, strerror(errno));
    int e = spawn_shell(l->password_command, fds[1], &pid);
    close(fds[1]);
    if (e) {
        close(fds[0]);
        return post_fail(EX_OSERR, "cannot run %s: %s", l->password_command, strerror(e));
    }
    read_all(fds[0], text, sizeof text);
    close(fds[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    ph_str line = ph_str_c(text);
    ph_buf_add(&l->secret, line); /* its first line counts */
    ph_wipe(text, sizeof text);
    if (!line.n || status != 0)
        return post_fail(EX_CONFIG, "%s gave no password (status %d)", l->password_command,
                         WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}

static int from_terminal(struct post_login *l)
{
    struct termios old, quiet;
    char line[POST_PASSWORD_MAX] = "";
    FILE *tty = fopen("/dev/tty", "r+e");
    if (!tty)
        return post_fail(EX_USAGE, "no password: use --password-file, --password-env, "
                                   "--password-command or POST_PASSWORD");
    fprintf(tty, "%s of %s: ", l->oauth ? "Access token" : "Password", l->user);
    fflush(tty);
    bool hidden = tcgetattr(fileno(tty), &old) == 0;
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    if (hidden)
        tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
    bool got = fgets(line, sizeof line, tty) != NULL;
    if (hidden)
        tcsetattr(fileno(tty), TCSAFLUSH, &old);
    fputc('\n', tty);
    fclose(tty);
    ph_buf_add(&l->secret, ph_str_c(line));
    ph_wipe(line, sizeof line);
    return got ? 0 : post_fail(EX_USAGE, "no password was given");
}

int post_login_password(struct post_login *l)
{
    int rc = 0;
    if (l->password) {
        post_fail(
            0, "warning: a password on the command line can be seen by everyone on this machine");
        ph_buf_add(&l->secret, ph_str_c(l->password));
    } else if (l->password_file) {
        rc = post_read_file(l->password_file, &l->secret);
    } else if (l->password_env) {
        const char *value = getenv(l->password_env);
        if (!value)
            return post_fail(EX_USAGE, "the environment variable %s is not set", l->password_env);
        ph_buf_add(&l->secret, ph_str_c(value));
    } else if (l->password_command) {
        rc = from_command(l);
    } else {
        rc = from_terminal(l);
    }
    if (rc)
        return rc;
    ph_str s = ph_buf_str(&l->secret);
    size_t end = ph_str_chr(s, '\n');
    s = ph_str_sub(s, 0, end);
    if (s.n && s.p[s.n - 1] == '\r')
        s.n--;
    if (s.n == 0)
        return post_fail(EX_USAGE, "the password is empty");
    l->account.password = s;
    return 0;
}
