/* parent_int.h - what the files of the parent share. */
#ifndef PH_PARENT_INT_H
#define PH_PARENT_INT_H
#include "conf.h"
#include "ipc.h"
#include "log.h"
#include "loop.h"
#include "parent.h"
#include "tls.h"

#include <sys/types.h>

enum {
    CHILDREN_MAX = 80, /* six of one kind, 32 mx, 32 access */
    LISTENERS_MAX = 512,
    CONTROLS_MAX = 16,
    COUNTERS_MAX = 65536,
    CERT_MAX = 262144,
    KEY_MAX = 65536
};

enum child_state { CHILD_DOWN, CHILD_STARTING, CHILD_READY, CHILD_DRAINING };

struct parent;

struct child {
    struct parent *p;
    int role;
    unsigned instance;
    enum child_state state;
    pid_t pid;                   /* 0: none; set until it was waited for */
    struct ipc_chan *chan;       /* NULL: gone */
    int64_t since;               /* ms: when it was started */
    unsigned restarts, failures; /* in all; without a stable minute between them */
    unsigned lost;               /* roles (of one process each) to which it gets new channels */
    int64_t joined;              /* ms: when it last got some */
    unsigned rejoins;            /* in a row, without a stable minute between them */
    struct ph_timer *rejoin;
    struct ph_timer *again; /* when it is started anew */
    struct ph_buf counters; /* rows of its last STATS */
    bool asked;             /* STATS are being waited for */
};

struct listener {
    int service;
    int fd;
    char address[80];
};

/* A `posthouse` verb that talks to us. */
struct control {
    struct parent *p;
    struct ipc_chan *chan;
    bool status;  /* waits for the counters */
    uint64_t act; /* waits for the queue's QUEUE_ACTED with this req; 0: not */
};

enum phase { STARTING, SERVING, STOPPING };

struct parent {
    const struct parent_options *opt;
    struct ph_conf *conf;
    struct ph_loop *loop;
    char data[4096]; /* absolute */
    int data_fd, lock_fd;
    enum phase phase;
    unsigned stage; /* of stopping */
    int exit_code;
    int64_t started;
    struct child children[CHILDREN_MAX];
    size_t child_count;
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
    struct ph_buf cert, key;                     /* PEM */
    struct ph_buf client_ca, oauth_keys;         /* TRUST for access and for keeper */
    char tickets[ROLE_COUNT][PH_TLS_TICKET_KEY]; /* the secret of each role that has tickets */
    struct ph_timer *ticket_timer;
    struct ph_timer *limit; /* of stopping, of one collection of counters */
    struct ph_timer *stats_limit;
    uint64_t stats_req, act_req;
    int control_fd;
    struct ph_io *control_io;
    struct control controls[CONTROLS_MAX];
};

/* data.c: before anything is started */
int data_open(struct parent *p); /* folders, lock; 0 or a sysexits code, told on stderr */
int data_certificate(struct parent *p, const struct ph_conf *conf,
                     struct ph_error *reterr); /* fills cert and key */
int data_trust(struct parent *p, const struct ph_conf *conf,
               struct ph_error *reterr); /* fills client_ca and oauth_keys */
void data_ready(struct parent *p);       /* writes data/ready, tells ready_fd and stdout */
void data_close(struct parent *p);

/* user.c: what the processes run as. *ret_user: "" to stay, a name or a number. */
int user_check(const struct parent *p);
void user_of_role(const struct parent *p, int role, char *ret_user, size_t n);
int user_own(const struct parent *p, int role, const char *folder);

/* listen.c */
int listen_all(struct parent *p, bool patient);
const char *service_name(int service);
int service_role(int service); /* ROLE_MX or ROLE_ACCESS */
const ph_conf_list *service_addresses(const struct ph_conf *c, int service);

/* child.c */
void child_start(struct child *c);
/* It can be spoken to: its channel may be gone before it was waited for. */
bool child_is_ready(const struct child *c);
void child_kill(struct child *c);
void child_drain(struct child *c);
void child_waited(struct child *c, int status);
void child_join(struct child *a,
                struct child *b); /* a new channel between them, where the matrix has one */
void child_send_conf(struct child *c);
void child_send_certs(struct child *c);
void child_send_trust(struct child *c);   /* after the certificates */
void child_send_tickets(struct child *c); /* after the certificates */

/* house.c: all of them */
void house_start(struct parent *p);
void house_ready(struct parent *p); /* one more is ready */
void house_failed(struct parent *p, struct child *c, int exit_code, ph_str text);
void house_broken(struct parent *p, struct child *by, int role, unsigned instance, ph_str why);
void house_ended(struct child *c); /* waited for, and its channel is gone */
void house_stop(struct parent *p, int exit_code);
int house_reload(struct parent *p); /* negative: mistakes, told; the old settings stay */
struct child *house_find(struct parent *p, int role, unsigned instance);

/* control.c */
int control_open(struct parent *p);
void control_close(struct parent *p);
/* The queue is through with a wish; req 0: it died, all are answered. */
void control_acted(struct parent *p, const struct ipc_QUEUE_ACTED *m);
void control_counted(struct parent *p); /* all counters have come, or time is up */
void status_json(struct parent *p, struct ph_buf *out);

#endif
