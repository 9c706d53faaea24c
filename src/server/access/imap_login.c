/* Logging in: LOGIN, AUTHENTICATE, UNAUTHENTICATE. */
#include "imap_session.h"

enum { FAILURES_MAX = 3 };

static void refuse(struct imap *im, int verdict)
{
    static const struct {
        enum ph_imap_code_kind code;
        const char *text;
    } rows[] = {
        [IPC_TEMP] = {PH_IMAP_CODE_UNAVAILABLE,
                      "Logging in is not possible for the moment; try again."},
        [IPC_DENIED] = {PH_IMAP_CODE_AUTHENTICATIONFAILED, "Wrong user name or password."},
        [IPC_NOUSER] = {PH_IMAP_CODE_AUTHORIZATIONFAILED, "You cannot act for another user."},
        [IPC_NOENT] = {PH_IMAP_CODE_CANNOT, "This mechanism is not offered."},
        [IPC_LIMIT] = {PH_IMAP_CODE_LIMIT, "Too many sessions of this account; end one first."},
    };
    size_t i = verdict > 0 && (size_t)verdict < sizeof rows / sizeof rows[0] && rows[verdict].text
                   ? (size_t)verdict
                   : IPC_TEMP;
    if (verdict == IPC_INVALID)
        imap_finish(im, PH_IMAP_BAD, NULL, "The response does not fit the mechanism.");
    else
        imap_finish_kind(im, PH_IMAP_NO, rows[i].code, rows[i].text);
}

/* What could not even be asked. */
static void check(struct imap *im, int r)
{
    if (r < 0)
        refuse(im, r == -PH_EINVAL ? IPC_DENIED : r == -PH_ENOTIMPL ? IPC_NOENT : IPC_TEMP);
}

void imap_offer_mechanisms(struct imap *im)
{
    struct ph_buf mechanisms;
    ph_buf_init(&mechanisms, NULL, 256);
    session_mechanisms(im->s, &mechanisms);
    (void)ph_imap_server_mechanisms(im->e, ph_buf_str(&mechanisms));
    ph_buf_done(&mechanisms);
}

void imap_on_challenge(struct session *s, ph_str raw)
{
    struct imap *im = s->state;
    if (im->cmd)
        ph_imap_server_challenge(im->e, raw);
}

void imap_on_login(struct session *s, int verdict)
{
    struct imap *im = s->state;
    if (!im->cmd)
        return;
    if (verdict == IPC_OK) {
        imap_finish(im, PH_IMAP_OK, NULL, "Logged in.");
        return;
    }
    bool last = verdict == IPC_DENIED && ++im->failures >= FAILURES_MAX;
    refuse(im, verdict);
    if (last)
        ph_imap_server_bye(im->e, PH_IMAP_CODE_NONE, "Too many wrong passwords.");
}

void imap_run_login(struct imap *im)
{
    check(im, session_login(im->s, "PLAIN", im->cmd->login.user, im->cmd->login.password));
}

void imap_run_authenticate(struct imap *im)
{
    const struct ph_imap_command *c = im->cmd;
    check(im, session_auth(im->s, c->auth.mechanism, c->auth.initial, c->auth.has_initial));
}

void imap_run_response(struct imap *im, ph_str data)
{
    check(im, session_auth_more(im->s, data));
}

/* RFC 8437 3: as a new connection, but for TLS and compression. */
void imap_run_unauthenticate(struct imap *im)
{
    imap_close_view(im);
    session_logout(im->s);
    im->failures = 0;
    imap_finish(im, PH_IMAP_OK, NULL, "Logged out.");
}
