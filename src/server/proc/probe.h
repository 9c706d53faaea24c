/*
 * probe.h - a process tries what it must not do. Each attempt is made in a process of its own that
 * has entered the real sandbox of the role, so that one that kills is seen like one that refuses.
 */
#ifndef PH_PROBE_H
#define PH_PROBE_H
#include "proc.h"

#include <stdio.h>

/* Tries everything as that role, below `data` (which has the folders queue, mail and house), as
 * `user` when root ("" to stay). One line an attempt: role, attempt, "refused" or "ALLOWED".
 * Returns how many were allowed, -1 when the probe itself failed. */
int proc_probe(const struct proc_def *def, const char *data, const char *user, FILE *out);

#endif
