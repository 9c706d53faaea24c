/* Logging in: LOGIN, AUTHENTICATE, UNAUTHENTICATE. */
#include "imap_session.h"
#include <stdlib.h>

enum { FAILURES_MAX = 3 };

static void start_login(struct imap *im, const char *mechanism, ph_str user, ph_str password)
{
    int r = session_login(im->s, mechanism, user, password);
    if (r == -PH_EINVAL)
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_AUTHENTICATIONFAILED,
                         "Wrong user name or password.");
    else if (r < 0)
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_UNAVAILABLE,
                         "Logging in is not possible for the moment; try again.");
}

void imap_on_login(struct session *s, int verdict)
{
    struct imap *im = s->state;
    if (!im->cmd)
        return;
    if (verdict == IPC_OK) {
        imap_finish(im, PH_IMAP_OK, NULL, "Logged in.");
    } else if (verdict == IPC_DENIED) {
        bool last = ++im->failures >= FAILURES_MAX;
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_AUTHENTICATIONFAILED,
                         "Wrong user name or password.");
        if (last)
            ph_imap_server_bye(im->e, PH_IMAP_CODE_NONE, "Too many wrong passwords.");
    } else {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_UNAVAILABLE,
                         "Logging in is not possible for the moment; try again.");
    }
}

void imap_run_login(struct imap *im)
{
    start_login(im, "PLAIN", im->cmd->login.user, im->cmd->login.password);
}

void imap_sasl_step(struct imap *im, ph_str given, bool has)
{
    int r = ph_sasl_server_step(im->sasl, given, has);
    if (r == PH_SASL_MORE)
        ph_imap_server_challenge(im->e, im->sasl->challenge);
    else if (r == PH_SASL_DONE)
        start_login(im, "PLAIN", im->sasl->user, im->sasl->password);
    else if (r == -PH_EDENIED)
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_AUTHORIZATIONFAILED,
                         "You cannot act for another user.");
    else
        imap_finish(im, PH_IMAP_BAD, NULL, "The response does not fit the mechanism.");
}

void imap_run_authenticate(struct imap *im)
{
    const struct ph_imap_command *c = im->cmd;
    bool plain = ph_str_ieq(c->auth.mechanism, PH_STR("PLAIN")); /* the one that is offered */
    im->sasl = plain ? calloc(1, sizeof *im->sasl) : NULL;
    if (!plain ||
        (im->sasl && ph_sasl_server_init(im->sasl, c->auth.mechanism, PH_SASL_PASSWORD, NULL) < 0))
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_CANNOT, "This mechanism is not offered.");
    else if (!im->sasl)
        imap_no_memory(im);
    else
        imap_sasl_step(im, c->auth.initial, c->auth.has_initial);
}

/* RFC 8437 3: as a new connection, but for TLS and compression. */
void imap_run_unauthenticate(struct imap *im)
{
    imap_close_view(im);
    session_logout(im->s);
    im->failures = 0;
    imap_finish(im, PH_IMAP_OK, NULL, "Logged out.");
}
