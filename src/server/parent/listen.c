/* Ports: which setting is which service of which process, and binding them all before anything
 * starts. */
#include "parent_int.h"

#include "sock.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { BACKLOG = 1024, PATIENCE_MS = 2000, PATIENCE_STEP_MS = 10 };

static const struct {
    int service;
    int role;
    const char *name;
    size_t offset; /* of its list in struct ph_conf */
} services[] = {
    {IPC_SMTP, ROLE_MX, "smtp", offsetof(struct ph_conf, listen_mx)},
    {IPC_SUBMISSION, ROLE_ACCESS, "submission", offsetof(struct ph_conf, listen_submission)},
    {IPC_SUBMISSIONS, ROLE_ACCESS, "submissions", offsetof(struct ph_conf, listen_submissions)},
    {IPC_POP3, ROLE_ACCESS, "pop3", offsetof(struct ph_conf, listen_pop3)},
    {IPC_POP3S, ROLE_ACCESS, "pop3s", offsetof(struct ph_conf, listen_pop3s)},
    {IPC_IMAP, ROLE_ACCESS, "imap", offsetof(struct ph_conf, listen_imap)},
    {IPC_IMAPS, ROLE_ACCESS, "imaps", offsetof(struct ph_conf, listen_imaps)},
    {IPC_LMTP, ROLE_MX, "lmtp", offsetof(struct ph_conf, listen_lmtp)},
};

enum { SERVICES = sizeof services / sizeof *services };

const char *service_name(int service)
{
    for (size_t i = 0; i < SERVICES; i++)
        if (services[i].service == service)
            return services[i].name;
    return "?";
}

int service_role(int service)
{
    return service == IPC_SMTP || service == IPC_LMTP ? ROLE_MX : ROLE_ACCESS;
}

const ph_conf_list *service_addresses(const struct ph_conf *c, int service)
{
    return (const ph_conf_list *)(const void *)((const char *)c + services[service].offset);
}

/* After a kill -9 the last server's processes may need a moment to notice and let go of their
 * ports. */
static int listen_at(const struct ph_addr *a, int *patience, struct ph_error *reterr)
{
    for (;;) {
        int fd = ph_listen(a, BACKLOG, reterr);
        if (fd != -PH_EINUSE || *patience <= 0)
            return fd;
        struct timespec step = {0, PATIENCE_STEP_MS * 1000000L};
        nanosleep(&step, NULL);
        *patience -= PATIENCE_STEP_MS;
    }
}

static int listen_one(struct parent *p, int service, ph_str address, int *patience)
{
    struct ph_error e = {0};
    struct ph_addr a;
    int fd = p->listener_count < LISTENERS_MAX ? ph_addr_parse(address, &a, &e)
                                               : ph_fail(&e, PH_ELIMIT, 0, "too many addresses");
    if (fd == 0 && service == IPC_LMTP && (!ph_addr_is_loopback(&a) || ph_addr_port(&a) == 25))
        fd = ph_fail(&e, PH_EINVAL, 0,
                     "%.*s: LMTP is for programs of this machine: a loopback address, and not "
                     "port 25 (RFC 2033 5)",
                     PH_FMT(address));
    if (fd == 0)
        fd = listen_at(&a, patience, &e);
    if (fd < 0) {
        fprintf(stderr, "posthouse: %s: %s\n", service_name(service), e.text);
        return fd == -PH_EDENIED ? EX_NOPERM : fd == -PH_EINUSE ? EX_UNAVAILABLE : EX_CONFIG;
    }
    struct listener *l = &p->listeners[p->listener_count++];
    l->service = service;
    l->fd = fd;
    a.len = sizeof a.sa; /* port 0 has become a real one */
    if (getsockname(fd, (struct sockaddr *)&a.sa, &a.len))
        a.len = 0;
    ph_addr_text(&a, l->address, sizeof l->address);
    return 0;
}

int listen_all(struct parent *p, bool patient)
{
    int code = 0, patience = patient ? PATIENCE_MS : 0;
    for (int s = 0; s < SERVICES; s++) {
        const ph_conf_list *l = service_addresses(p->conf, services[s].service);
        for (size_t i = 0; i < l->n; i++) {
            int one = listen_one(p, services[s].service, l->v[i], &patience);
            code = code ? code : one;
        }
    }
    return code;
}
