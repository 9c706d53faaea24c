/* Where to and as whom: options, then the environment, then post.conf, then defaults; the password
 * from where it is safe. */
#include "file.h"
#include "loop.h"
#include "post.h"
#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

enum { PASSWORD_MAX = 4096 };

void post_login_options(struct post_login *l, struct post_option *rows)
{
    const struct post_option all[POST_LOGIN_ROWS] = {
        {"--server", "HOST", .value = &l->server, .help = "name or address of the server"},
        {"--port", "N", .value = &l->port, .help = "its port (587, 465, 110, 995, 143 or 993)"},
        {"--tls", "MODE", .value = &l->tls, .help = "starttls, tls (from the first byte) or none"},
        {"--insecure", NULL, .flag = &l->insecure, .help = "do not check the server's certificate"},
        {"--ca", "FILE", .value = &l->ca,
         .help = "trust the certificates in this file instead of the system's"},
        {"--user", "NAME", .value = &l->user, .help = "log in as"},
        {"--password-file", "FILE", .value = &l->password_file,
         .help = "the password is the file's first line"},
        {"--password-env", "NAME", .value = &l->password_env,
         .help = "the password is in this environment variable"},
        {"--password-command", "COMMAND", .value = &l->password_command,
         .help = "the password is the first line this prints"},
        {"--password", "PASSWORD", .value = &l->password,
         .help = "the password itself: everyone on this machine can see it"},
        {"--debug", NULL, .flag = &l->debug,
         .help = "show the dialogue with the server, secrets masked"},
        {0}};
    memcpy(rows, all, sizeof all);
}

/* ---- post.conf ----------------------------------------------------------------------------- */

static const char *keep(struct post_login *l, const char *s)
{
    if (!s || !*s || l->owned_n == sizeof l->owned / sizeof l->owned[0])
        return NULL;
    char *copy = strdup(s);
    if (copy)
        l->owned[l->owned_n++] = copy;
    return copy;
}

static const char *config_path(char *buf, size_t n)
{
    const char *named = getenv("POST_CONFIG"), *xdg = getenv("XDG_CONFIG_HOME"),
               *home = getenv("HOME");
    if (named)
        snprintf(buf, n, "%s", named);
    else if (xdg && *xdg)
        snprintf(buf, n, "%s/posthouse/post.conf", xdg);
    else
        snprintf(buf, n, "%s/.config/posthouse/post.conf", home ? home : "");
    return buf;
}

static void complain(cfg_t *cfg, const char *fmt, va_list ap) PH_PRINTF(2, 0);
static void complain(cfg_t *cfg, const char *fmt, va_list ap)
{
    char text[512];
    vsnprintf(text, sizeof text, fmt, ap);
    post_fail(EX_CONFIG, "%s:%d: %s", cfg && cfg->filename ? cfg->filename : "post.conf",
              cfg ? cfg->line : 0, text);
}

static int read_config(struct post_login *l, enum post_protocol protocol)
{
    static const char *const port_names[] = {"smtp_port", "pop3_port", "imap_port"};
    char path[4096];
    cfg_opt_t opts[] = {CFG_STR("server", NULL, CFGF_NONE),
                        CFG_INT("smtp_port", 0, CFGF_NONE),
                        CFG_INT("pop3_port", 0, CFGF_NONE),
                        CFG_INT("imap_port", 0, CFGF_NONE),
                        CFG_STR("tls", NULL, CFGF_NONE),
                        CFG_BOOL("insecure", cfg_false, CFGF_NONE),
                        CFG_STR("ca", NULL, CFGF_NONE),
                        CFG_STR("user", NULL, CFGF_NONE),
                        CFG_STR("password_file", NULL, CFGF_NONE),
                        CFG_STR("password_command", NULL, CFGF_NONE),
                        CFG_STR("from", NULL, CFGF_NONE),
                        CFG_END()};
    if (access(config_path(path, sizeof path), F_OK) < 0)
        return 0;
    cfg_t *cfg = cfg_init(opts, CFGF_NONE);
    if (!cfg)
        return post_fail(EX_OSERR, "out of memory");
    cfg_set_error_function(cfg, complain);
    int rc = cfg_parse(cfg, path);
    if (rc != CFG_SUCCESS) {
        cfg_free(cfg);
        return rc == CFG_FILE_ERROR
                   ? post_fail(EX_CONFIG, "cannot read %s: %s", path, strerror(errno))
                   : EX_CONFIG;
    }
    const struct {
        const char **to;
        const char *name;
    } row[] = {{&l->server, "server"},
               {&l->tls, "tls"},
               {&l->ca, "ca"},
               {&l->user, "user"},
               {&l->from, "from"}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (!*row[i].to)
            *row[i].to = keep(l, cfg_getstr(cfg, row[i].name));
    bool has_password = l->password || l->password_file || l->password_env || l->password_command;
    if (!has_password) {
        l->password_file = keep(l, cfg_getstr(cfg, "password_file"));
        l->password_command = keep(l, cfg_getstr(cfg, "password_command"));
    }
    char port[32];
    snprintf(port, sizeof port, "%ld", cfg_getint(cfg, port_names[protocol]));
    if (!l->port && strcmp(port, "0") != 0)
        l->port = keep(l, port);
    l->insecure = l->insecure || cfg_getbool(cfg, "insecure");
    cfg_free(cfg);
    return 0;
}

static void read_environment(struct post_login *l)
{
    const struct {
        const char **to;
        const char *name;
    } row[] = {{&l->server, "POST_SERVER"}, {&l->port, "POST_PORT"}, {&l->tls, "POST_TLS"},
               {&l->ca, "POST_CA"},         {&l->user, "POST_USER"}, {&l->from, "POST_FROM"}};
    const char *insecure = getenv("POST_INSECURE");
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const char *value = getenv(row[i].name);
        if (!*row[i].to && value && *value)
            *row[i].to = value;
    }
    l->insecure = l->insecure || (insecure && *insecure && strcmp(insecure, "0") != 0);
    if (!l->password && !l->password_file && !l->password_env && !l->password_command &&
        getenv("POST_PASSWORD"))
        l->password_env = "POST_PASSWORD";
}

/* ---- the password ------------------------------------------------------------------------ */

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

/* All that comes, of which the first `max` - 1 bytes are kept: who writes more must not be stuck. */
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
    char text[PASSWORD_MAX];
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
    char line[PASSWORD_MAX] = "";
    FILE *tty = fopen("/dev/tty", "r+e");
    if (!tty)
        return post_fail(EX_USAGE, "no password: use --password-file, --password-env, "
                                   "--password-command or POST_PASSWORD");
    fprintf(tty, "Password of %s: ", l->user);
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

static int find_password(struct post_login *l)
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

/* ---- all of it --------------------------------------------------------------------------- */

static int choose_tls(struct post_login *l, enum post_protocol protocol)
{
    static const char *const names[] = {
        [PH_TLS_STARTTLS] = "starttls", [PH_TLS_ON] = "tls", [PH_TLS_OFF] = "none"};
    static const unsigned ports[][3] = {[POST_SMTP] = {587, 465, 587},
                                        [POST_POP3] = {110, 995, 110},
                                        [POST_IMAP] = {143, 993, 143}};
    uint64_t port = 0;
    l->account.tls = protocol == POST_SMTP ? PH_TLS_STARTTLS : PH_TLS_ON;
    if (l->tls) {
        int mode = 0;
        while (mode < 3 && strcmp(names[mode], l->tls) != 0)
            mode++;
        if (mode == 3)
            return post_fail(EX_USAGE, "--tls is starttls, tls or none, not \"%s\"", l->tls);
        l->account.tls = (enum ph_tls_mode)mode;
    }
    l->account.port = ports[protocol][l->account.tls];
    if (!l->port)
        return 0;
    if (!ph_str_u64(ph_str_c(l->port), 65535, &port) || port == 0)
        return post_fail(EX_USAGE, "--port is a number from 1 to 65535, not \"%s\"", l->port);
    l->account.port = (unsigned)port;
    return 0;
}

int post_login_complete(struct post_login *l, enum post_protocol protocol)
{
    l->begun_us = ph_mono_us();
    ph_buf_init(&l->secret, NULL, PASSWORD_MAX);
    read_environment(l);
    int rc = read_config(l, protocol);
    if (rc == 0)
        rc = choose_tls(l, protocol);
    if (rc)
        return rc;
    if (!l->server)
        return post_fail(EX_USAGE, "which server? Give --server HOST, set POST_SERVER, or write "
                                   "server = \"HOST\" into post.conf");
    l->account.struct_size = sizeof l->account;
    l->account.host = ph_str_c(l->server);
    l->account.ca_file = l->ca;
    l->account.insecure = l->insecure;
    l->account.user = ph_str_c(l->user);
    if (l->user)
        return find_password(l);
    return protocol == POST_SMTP ? 0 : post_fail(EX_USAGE, "whose mailbox? Give --user NAME");
}

void post_login_done(struct post_login *l)
{
    if (l->secret.p)
        ph_wipe(l->secret.p, l->secret.cap);
    ph_buf_done(&l->secret);
    while (l->owned_n)
        free(l->owned[--l->owned_n]);
}

/* ---- the dialogue ------------------------------------------------------------------------ */

void post_dialogue(void *ctx, char who, ph_str line)
{
    const struct post_login *l = ctx;
    if (!l->debug)
        return;
    fprintf(stderr, "%6lld ms %c: ", (long long)((ph_mono_us() - l->begun_us) / 1000), who);
    post_print(stderr, line);
    fputc('\n', stderr);
}

static void on_line(void *ctx, int64_t at_ms, char who, ph_str line)
{
    (void)ctx;
    fprintf(stderr, "%6lld ms %c: ", (long long)at_ms, who);
    post_print(stderr, line);
    fputc('\n', stderr);
}

struct ph_transcript post_transcript(struct post_login *l)
{
    return (struct ph_transcript){l->debug ? 2 : 0, on_line, l};
}

void post_dialogue_tls(struct post_login *l, const struct ph_conn_info *info)
{
    if (!l->debug)
        return;
    fprintf(stderr, "%6lld ms *: %s", (long long)((ph_mono_us() - l->begun_us) / 1000), info->peer);
    fprintf(stderr, ", %s", info->tls[0] ? info->tls : "no TLS");
    if (info->tls[0])
        fprintf(stderr, info->verified ? ", certificate verified" : ", not verified: %s",
                info->why);
    fputc('\n', stderr);
}
