/* The data folder: made, locked, given to the processes; the certificate; the sign that all are
 * ready. */
#include "parent_int.h"

#include "file.h"
#include "sock.h"
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const struct {
    const char *name;
    int role; /* whose it is; ROLE_PARENT: ours */
} folders[] = {
    {"queue", ROLE_QUEUE}, {"mail", ROLE_STORE}, {"house", ROLE_KEEPER}, {"tls", ROLE_PARENT}};

static int told(int code, const char *text)
{
    fprintf(stderr, "posthouse: %s\n", text);
    return code;
}

static int make_folder(const char *path)
{
    struct ph_error e;
    if (ph_mkdirs(path, 0700, &e))
        return told(e.sys == EACCES || e.sys == EPERM ? EX_NOPERM : EX_CANTCREAT, e.text);
    return 0;
}

/* Two servers never share a folder: the lock is held as long as the process lives, however it
 * ends. */
static int lock(struct parent *p)
{
    char pid[32] = "", text[160];
    p->lock_fd = openat(p->data_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->lock_fd < 0) {
        fprintf(stderr, "posthouse: %s/lock: %s\n", p->data, strerror(errno));
        return errno == EACCES ? EX_NOPERM : EX_CANTCREAT;
    }
    if (flock(p->lock_fd, LOCK_EX | LOCK_NB)) {
        ssize_t n = pread(p->lock_fd, pid, sizeof pid - 1, 0);
        fprintf(
            stderr,
            "posthouse: already running with pid %.*s in %s; posthouse stop --data %s ends it\n",
            n > 0 ? (int)strcspn(pid, "\n") : 1, n > 0 ? pid : "?", p->data, p->data);
        return EX_TEMPFAIL;
    }
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(p->lock_fd, 0) || pwrite(p->lock_fd, text, (size_t)n, 0) != n) {
        fprintf(stderr, "posthouse: %s/lock: %s\n", p->data, strerror(errno));
        return EX_IOERR;
    }
    return 0;
}

static int make_folders(struct parent *p)
{
    int code = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !code; i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s/%s", p->data, folders[i].name);
        code = make_folder(path);
        if (!code && folders[i].role != ROLE_PARENT && user_own(p, folders[i].role, path)) {
            fprintf(stderr, "posthouse: cannot give %s to the %s process: %s\n", path,
                    ipc_role_name(folders[i].role), strerror(errno));
            code = EX_NOPERM;
        }
    }
    return code;
}

int data_open(struct parent *p)
{
    char real[4096];
    snprintf(p->data, sizeof p->data, "%.*s", PH_FMT(p->conf->data));
    int code = make_folder(p->data);
    if (code)
        return code;
    if (p->data[0] != '/') { /* it did not exist when the configuration was read */
        if (!realpath(p->data, real) || ph_conf_set(p->conf, PH_STR("data"), ph_str_c(real), NULL))
            return told(EX_CANTCREAT, "the data folder has no absolute path");
        snprintf(p->data, sizeof p->data, "%s", real);
    }
    p->data_fd = open(p->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->data_fd < 0) {
        fprintf(stderr, "posthouse: %s: %s\n", p->data, strerror(errno));
        return EX_NOPERM;
    }
    code = user_check(p);
    if (!code)
        code = lock(p);
    return code ? code : make_folders(p);
}

/* ---- certificate ---------------------------------------------------------------------------- */

enum { CERT_NAMES = 32 }; /* in a self-signed certificate */

/* The literal addresses that are listened on, besides 127.0.0.1: programs that connect to one check
 * it. */
static size_t add_addresses(const ph_conf_list *listen, ph_str *names, size_t n,
                            char (*texts)[INET6_ADDRSTRLEN])
{
    for (size_t i = 0; i < listen->n && n < CERT_NAMES; i++) {
        struct ph_addr a;
        if (ph_addr_parse(listen->v[i], &a, NULL) < 0)
            continue;
        ph_str ip = ph_str_c(ph_addr_ip(&a, texts[n], sizeof texts[n]));
        bool known = ph_str_eq(ip, PH_STR("::")) || ph_str_eq(ip, PH_STR("0.0.0.0"));
        for (size_t k = 0; k < n; k++)
            known |= ph_str_eq(names[k], ip);
        if (!known)
            names[n++] = ip;
    }
    return n;
}

static size_t certificate_names(const struct ph_conf *conf, ph_str *names,
                                char (*texts)[INET6_ADDRSTRLEN])
{
    size_t n = 0;
    names[n++] = conf->hostname;
    if (!ph_str_eq(conf->hostname, PH_STR("localhost")))
        names[n++] = PH_STR("localhost");
    names[n++] = PH_STR("127.0.0.1");
    const ph_conf_list *const lists[] = {&conf->listen_mx,          &conf->listen_submission,
                                         &conf->listen_submissions, &conf->listen_pop3,
                                         &conf->listen_pop3s,       &conf->listen_imap,
                                         &conf->listen_imaps,       &conf->listen_lmtp};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        n = add_addresses(lists[i], names, n, texts);
    return n;
}

static int make_certificate(const struct ph_conf *conf, const char *cert_path, const char *key_path,
                            struct ph_error *reterr)
{
    ph_str names[CERT_NAMES];
    char texts[CERT_NAMES][INET6_ADDRSTRLEN];
    struct ph_buf cert, key;
    ph_buf_init(&cert, NULL, CERT_MAX);
    ph_buf_init(&key, NULL, KEY_MAX);
    int r = ph_tls_self_signed(names, certificate_names(conf, names, texts), &cert, &key, reterr);
    if (!r)
        r = ph_file_write(key_path, ph_buf_str(&key), 0600, reterr);
    if (!r)
        r = ph_file_write(cert_path, ph_buf_str(&cert), 0644, reterr);
    if (key.n)
        ph_wipe(key.p, key.n);
    ph_buf_done(&cert);
    ph_buf_done(&key);
    return r;
}

/* That the two fit is best said here, where both file names are known. */
static int check_pair(const struct ph_buf *cert, const struct ph_buf *key, const char *cert_path,
                      const char *key_path, struct ph_error *reterr)
{
    struct ph_error e = {0};
    struct ph_tls_ctx *ctx = ph_tls_server_ctx(reterr);
    if (!ctx)
        return -PH_ETLS;
    int r = ph_tls_add_cert(ctx, (ph_str){0}, ph_buf_str(cert), ph_buf_str(key), NULL, &e);
    ph_tls_ctx_free(ctx);
    return r < 0 ? ph_fail(reterr, PH_ETLS, 0, "certificate %s, key %s: %s", cert_path, key_path,
                           e.text)
                 : 0;
}

int data_certificate(struct parent *p, const struct ph_conf *conf, struct ph_error *reterr)
{
    char cert_path[4200], key_path[4200];
    struct ph_buf cert, key;
    bool own = !conf->tls_certificate.n && !conf->tls_key.n;
    if (!own && (!conf->tls_certificate.n || !conf->tls_key.n))
        return ph_fail(reterr, PH_EINVAL, 0,
                       "tls_certificate and tls_key belong together: set both, or neither");
    snprintf(cert_path, sizeof cert_path, "%s/tls/cert.pem", p->data);
    snprintf(key_path, sizeof key_path, "%s/tls/key.pem", p->data);
    if (!own) {
        snprintf(cert_path, sizeof cert_path, "%.*s", PH_FMT(conf->tls_certificate));
        snprintf(key_path, sizeof key_path, "%.*s", PH_FMT(conf->tls_key));
    }
    int r = 0;
    if (own && (!ph_file_exists(cert_path) || !ph_file_exists(key_path)))
        r = make_certificate(conf, cert_path, key_path, reterr);
    ph_buf_init(&cert, NULL, CERT_MAX);
    ph_buf_init(&key, NULL, KEY_MAX);
    if (!r)
        r = ph_file_read(cert_path, &cert, reterr);
    if (!r)
        r = ph_file_read(key_path, &key, reterr);
    if (!r)
        r = check_pair(&cert, &key, cert_path, key_path, reterr);
    struct ph_buf *old_cert = r ? &cert : &p->cert, *old_key = r ? &key : &p->key;
    if (old_key->n)
        ph_wipe(old_key->p, old_key->n);
    ph_buf_done(old_cert);
    ph_buf_done(old_key);
    if (!r) {
        p->cert = cert;
        p->key = key;
    }
    return r;
}

/* ---- trust ------------------------------------------------------------------------------- */

static int read_trust(const char *setting, ph_str file, struct ph_buf *text,
                      struct ph_error *reterr)
{
    char path[4200];
    struct ph_error e = {0};
    ph_buf_init(text, NULL, CERT_MAX);
    if (!file.n)
        return 0;
    snprintf(path, sizeof path, "%.*s", PH_FMT(file));
    if (ph_file_read(path, text, &e) < 0)
        return ph_fail(reterr, PH_EINVAL, 0, "%s: %s", setting, e.text);
    return text->n ? 0 : ph_fail(reterr, PH_EINVAL, 0, "%s: %s is empty", setting, path);
}

int data_trust(struct parent *p, const struct ph_conf *conf, struct ph_error *reterr)
{
    struct ph_buf ca, keys = {0};
    if (conf->oauth_keys.n && (!conf->oauth_issuer.n || !conf->oauth_audience.n))
        return ph_fail(reterr, PH_EINVAL, 0,
                       "oauth_keys needs oauth_issuer and oauth_audience: without them a token for "
                       "any other program would open mailboxes");
    int r = read_trust("tls_client_ca", conf->tls_client_ca, &ca, reterr);
    if (!r)
        r = read_trust("oauth_keys", conf->oauth_keys, &keys, reterr);
    ph_buf_done(r ? &ca : &p->client_ca);
    ph_buf_done(r ? &keys : &p->oauth_keys);
    if (!r) {
        p->client_ca = ca;
        p->oauth_keys = keys;
    }
    return r;
}

/* ---- without a server -------------------------------------------------------------------- */

static int check_authorities(const char *setting, ph_str pem, struct ph_error *reterr)
{
    struct ph_error e = {0};
    struct ph_tls_ctx *ctx = pem.n ? ph_tls_server_ctx(reterr) : NULL;
    if (!ctx)
        return pem.n ? -PH_ETLS : 0;
    int r = ph_tls_client_authorities(ctx, pem, &e);
    ph_tls_ctx_free(ctx);
    return r < 0 ? ph_fail(reterr, PH_EINVAL, 0, "%s: %s", setting, e.text) : 0;
}

int parent_check_files(const struct ph_conf *conf, struct ph_error *reterr)
{
    struct parent *p = calloc(1, sizeof *p);
    struct ph_buf ca = {0};
    if (!p)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    int r = conf->tls_certificate.n || conf->tls_key.n ? data_certificate(p, conf, reterr) : 0;
    if (!r)
        r = data_trust(p, conf, reterr);
    if (!r)
        r = check_authorities("tls_client_ca", ph_buf_str(&p->client_ca), reterr);
    if (!r)
        r = read_trust("relay_ca", conf->relay_ca, &ca, reterr);
    if (!r)
        r = check_authorities("relay_ca", ph_buf_str(&ca), reterr);
    if (p->key.n)
        ph_wipe(p->key.p, p->key.n);
    struct ph_buf *const all[] = {&p->cert, &p->key, &p->client_ca, &p->oauth_keys, &ca};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ph_buf_done(all[i]);
    free(p);
    return r;
}

/* ---- ready ---------------------------------------------------------------------------------- */

void data_ready(struct parent *p)
{
    struct ph_buf text;
    struct ph_error e;
    char path[4200];
    ph_buf_init(&text, NULL, 65536);
    ph_buf_addf(&text, "posthouse %ld is ready in %lld ms, data in %s\n", (long)getpid(),
                (long long)(ph_mono_us() / 1000 - p->started), p->data);
    for (size_t i = 0; i < p->listener_count; i++)
        ph_buf_addf(&text, "  %-12s %s\n", service_name(p->listeners[i].service),
                    p->listeners[i].address);
    snprintf(path, sizeof path, "%s/ready", p->data);
    if (ph_file_write(path, ph_buf_str(&text), 0600, &e))
        ph_log(PH_LOG_WARN, (ph_str){0}, "no-ready-file", "why=%s", e.text);
    printf("%s", ph_buf_cstr(&text));
    fflush(stdout);
    ph_buf_done(&text);
    if (p->opt->ready_fd < 0)
        return;
    if (write(p->opt->ready_fd, "ready\n", 6) < 0)
        ph_log(PH_LOG_WARN, (ph_str){0}, "ready-fd", "why=%s", strerror(errno));
    close(p->opt->ready_fd);
}

void data_close(struct parent *p)
{
    if (p->data_fd < 0)
        return;
    if (p->lock_fd >= 0 && p->phase != STARTING)
        unlinkat(p->data_fd, "ready", 0);
    close(p->data_fd);
    if (p->lock_fd >= 0)
        close(p->lock_fd);
    if (p->key.n)
        ph_wipe(p->key.p, p->key.n);
    ph_buf_done(&p->cert);
    ph_buf_done(&p->client_ca);
    ph_buf_done(&p->oauth_keys);
    ph_buf_done(&p->key);
}
