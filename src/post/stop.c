/* post send --stop-after: one step after the other, each with what the server said, up to the one
 * named; no letter is sent. */
#include "stop.h"
#include "handover.h"
#include <string.h>
#include <sysexits.h>

static const char *const steps[] = {"connect", "ehlo", "auth", "mail", "rcpt", "data"};
enum { CONNECT, EHLO, AUTH, MAIL, RCPT, DATA, STEPS };

static void say(const char *step, int code, struct ph_buf *text)
{
    printf("%-7s ", step);
    if (code)
        printf("%d ", code);
    post_print(stdout, ph_str_trim(ph_buf_str(text)));
    putchar('\n');
    ph_buf_clear(text);
}

/* 0, or an exit code when the server said no. */
static int verdict(int code)
{
    return code / 100 == 2 ? 0 : code / 100 == 4 ? EX_TEMPFAIL : EX_UNAVAILABLE;
}

static int64_t no_letter(void *ctx, char *to, size_t max)
{
    (void)to;
    (void)max;
    *(bool *)ctx = true;
    return -1; /* the connection ends here, as DATA cannot be taken back */
}

/* DATA is asked for, and the connection dropped when the server says 354. */
static int try_data(struct ph_smtp_session *s, const struct post_letter *l, struct ph_trouble *t)
{
    bool asked = false;
    const struct ph_smtp_letter letter = {.struct_size = sizeof letter,
                                          .sender = l->sender,
                                          .recipients = l->to,
                                          .count = l->to_n,
                                          .read = no_letter,
                                          .ctx = &asked};
    int rc = ph_smtp_sendmail(s, &letter, t);
    if (!asked)
        return rc < 0 ? post_fail_trouble(t) : EX_SOFTWARE;
    puts("data    354 the server waits for the letter; it gets none");
    return 0;
}

static int transaction(struct ph_smtp_session *s, const struct post_letter *l, int last,
                       struct ph_buf *text, struct ph_trouble *t)
{
    if (last == DATA)
        return try_data(s, l, t);
    int code = ph_smtp_mail(s, l->sender, text, t);
    if (code < 0)
        return post_fail_trouble(t);
    say("mail", code, text);
    int rc = verdict(code);
    for (size_t i = 0; rc == 0 && last >= RCPT && i < l->to_n; i++) {
        code = ph_smtp_rcpt(s, l->to[i], text, t);
        if (code < 0)
            return post_fail_trouble(t);
        say("rcpt", code, text);
        rc = verdict(code);
    }
    return rc;
}

static int opening(struct ph_smtp_session *s, struct post_login *login, int last,
                   struct ph_buf *text, struct ph_trouble *t)
{
    const struct ph_conn_info *info = ph_smtp_session_info(s);
    ph_buf_addf(text, "%s", info->peer);
    say("connect", 0, text);
    if (last == CONNECT)
        return 0;
    if (ph_smtp_ehlo(s, (ph_str){0}, t) < 0 ||
        (login->account.tls == PH_TLS_STARTTLS && ph_smtp_starttls(s, t) < 0))
        return post_fail_trouble(t);
    info = ph_smtp_session_info(s);
    ph_buf_addf(text, "%s%s", info->tls[0] ? info->tls : "no TLS",
                info->tls[0] && !info->verified ? ", certificate not verified" : "");
    say("ehlo", 0, text);
    if (last == EHLO || login->account.user.n == 0)
        return 0;
    if (ph_smtp_login(s, &login->account, t) < 0)
        return post_fail_trouble(t);
    ph_buf_addf(text, "%.*s as %.*s", PH_FMT(ph_smtp_mechanism(s)), PH_FMT(login->account.user));
    say("auth", 0, text);
    return 0;
}

bool post_stop_known(const char *step)
{
    for (size_t i = 0; i < STEPS; i++)
        if (strcmp(steps[i], step) == 0)
            return true;
    return false;
}

int post_stop_after(const char *step, const struct post_letter *l, struct post_login *login)
{
    struct ph_smtp_session *s;
    struct ph_trouble t = {0};
    struct ph_buf text;
    int last = 0;
    while (strcmp(steps[last], step) != 0)
        last++;
    login->account.transcript = post_transcript(login);
    if (ph_smtp_connect(&login->account, &s, &t) < 0)
        return post_fail_trouble(&t);
    ph_buf_init(&text, NULL, 64 * 1024);
    int rc = opening(s, login, last, &text, &t);
    if (rc == 0 && last >= MAIL)
        rc = transaction(s, l, last, &text, &t);
    ph_smtp_close(s);
    ph_buf_done(&text);
    return rc;
}
