/*
 * parent.h - the parent process: `posthouse serve`. Reads the configuration, makes the data folder,
 * binds ports, starts the other processes, joins them by channels, and starts anew whichever dies.
 */
#ifndef PH_PARENT_H
#define PH_PARENT_H
#include <posthouse/base.h>

struct parent_options {
    const char *data; /* the folder; used when data_given or the configuration names none */
    bool data_given;
    const char *config;      /* file, or NULL: DATA/posthouse.conf when that exists */
    const char *const *sets; /* "name=value", over the file; NULL-terminated */
    /* "ready\n" is written there and it is closed, when all processes serve; -1: none */
    int ready_fd;
};

/* Serves until SIGTERM, SIGINT or `posthouse stop`. Returns a sysexits code; what went wrong was
 * told on stderr. */
int parent_serve(const struct parent_options *opt);

/* The effective configuration, as `serve` and `config` read it. Mistakes are told on stderr. 0 or a
 * sysexits code; *ret_conf is yours, free with ph_conf_free; its data is an absolute path when the
 * folder exists. */
struct ph_conf;
PH_MUST_CHECK int parent_conf(const struct parent_options *opt, struct ph_conf **ret_conf);

/* The files that it names: certificate and key, authorities, keys; their contents but for
 * oauth_keys, which is the keeper's to read. 0; negative: reterr names the setting or the file.
 * Makes nothing. */
PH_MUST_CHECK int parent_check_files(const struct ph_conf *conf, struct ph_error *reterr);

/* argv[0] of a child, "posthouse: mx", "posthouse: access 2", and back: false when it is none. */
void parent_title(int role, unsigned instance, char *ret_title, size_t n);
bool parent_title_parse(const char *title, int *ret_role, unsigned *ret_instance);

#endif
