/*
 * log.h - structured log lines of a process: for a person on a terminal, JSON otherwise.
 *
 * A line has a level, the process, a short event name, and key=value pairs; `letter` is the message
 * id that joins all lines of one letter. Never log secrets or message content.
 */
#ifndef PH_LOG_H
#define PH_LOG_H
#include <posthouse/base.h>

enum ph_log_level { PH_LOG_DEBUG, PH_LOG_INFO, PH_LOG_WARN, PH_LOG_ERROR };
enum ph_log_style { PH_LOG_AUTO, PH_LOG_HUMAN, PH_LOG_JSON };

/* process: "mx", "queue"... kept by reference. fd: normally 2, which must stay open. */
void ph_log_init(const char *process, unsigned instance, int fd, enum ph_log_style style,
                 enum ph_log_level least);
bool ph_log_wants(enum ph_log_level level);

/* ph_log(PH_LOG_INFO, letter, "delivered", "mailbox=%.*s took_ms=%d", PH_FMT(name), ms): `fmt` is a
 * list of key=conversion separated by single spaces; each key=value becomes a field of its own,
 * whatever the value holds (the format is split at its spaces before the values go in). Empty
 * format: no fields. Control characters are escaped, a value is cut at 1 KiB. One write(2) a line.
 * Keeps errno. */
void ph_log(enum ph_log_level level, ph_str letter, const char *event, const char *fmt, ...)
    PH_PRINTF(4, 5);

#endif
