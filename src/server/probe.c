/* posthouse probe: makes a data folder for the time of the probe and lets each role try
 * (probe.h). */
#include "probe.h"

#include "file.h"
#include "roles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum { PROBE_USER = 61100 }; /* as parent/user.c gives them */

static const char *const folders[] = {"queue", "mail", "house"};
static const int owners[] = {ROLE_QUEUE, ROLE_STORE, ROLE_KEEPER};

static bool make(const char *data)
{
    char path[300];
    struct ph_error e;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        uid_t uid = (uid_t)(PROBE_USER + owners[i]);
        snprintf(path, sizeof path, "%s/%s", data, folders[i]);
        if (mkdir(path, 0700) || (geteuid() == 0 && chown(path, uid, uid)))
            return false;
        snprintf(path, sizeof path, "%s/%s/secret", data, folders[i]);
        if (ph_file_write(path, PH_STR("secret"), 0600, &e) ||
            (geteuid() == 0 && chown(path, uid, uid)))
            return false;
    }
    return true;
}

/* Open to everyone, so that only the sandbox can refuse it. */
static bool make_control(const char *data)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%.80s/control.sock", data);
    return fd >= 0 && !bind(fd, (const struct sockaddr *)&at, sizeof at) &&
           !chmod(at.sun_path, 0666) && !listen(fd, 64) && !chmod(data, 0755);
}

static void unmake(const char *data)
{
    char path[300];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s/secret", data, folders[i]);
        unlink(path);
        snprintf(path, sizeof path, "%s/%s", data, folders[i]);
        rmdir(path);
    }
    snprintf(path, sizeof path, "%s/outside", data);
    unlink(path);
    snprintf(path, sizeof path, "%s/control.sock", data);
    unlink(path);
    rmdir(data);
}

static bool is_wanted(int role, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], ipc_role_name(role)))
            return true;
    return argc <= 1;
}

int probe_main(int argc, char **argv)
{
    char data[] = "/tmp/posthouse-probe-XXXXXX", user[16] = "";
    int allowed = 0, tried = 0;
    if (!mkdtemp(data) || !make(data) || !make_control(data)) {
        fprintf(stderr, "posthouse: probe: cannot make a folder below /tmp\n");
        return EX_CANTCREAT;
    }
    for (int role = 0; role < ROLE_COUNT && allowed >= 0; role++) {
        if (!server_roles[role] || !is_wanted(role, argc, argv))
            continue;
        if (geteuid() == 0)
            snprintf(user, sizeof user, "%d", PROBE_USER + role);
        int one = proc_probe(server_roles[role], data, user, stdout);
        allowed = one < 0 ? -1 : allowed + one;
        tried++;
    }
    unmake(data);
    if (!tried) {
        fprintf(stderr, "posthouse: probe: there is no such process\n");
        return EX_USAGE;
    }
    return allowed < 0 ? EX_SOFTWARE : allowed ? EX_NOPERM : EX_OK;
}
