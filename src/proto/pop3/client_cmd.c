/* The POP3 client engine: what each verb writes. */
#include "b64.h"
#include "client_int.h"

#include <string.h>

static bool is_clean(ph_str s)
{
    return !memchr(s.n ? s.p : "", '\r', s.n) && !memchr(s.n ? s.p : "", '\n', s.n) &&
           !memchr(s.n ? s.p : "", '\0', s.n);
}

/* Queues what is in `text`, and empties it. */
static int64_t queue(struct ph_pop3_client *c, enum ph_pop3_verb verb, struct ph_buf *text,
                     size_t answer_at, bool all)
{
    int64_t r = ph_buf_err(text);
    struct pop3_command *cmd = NULL;
    if (r == 0 && (c->over || c->quit))
        r = -PH_ECLOSED;
    if (r == 0 && c->waiting == POP3_CLIENT_WAITING)
        r = -PH_ELIMIT;
    if (r == 0 && !(cmd = ph_new0(c->al, sizeof *cmd + text->n)))
        r = -PH_ENOMEM;
    if (cmd) {
        if (++c->ids == 0)
            c->ids = 1;
        cmd->verb = verb;
        cmd->id = c->ids;
        cmd->all = all;
        cmd->answer_at = answer_at;
        cmd->secret = verb == PH_POP3_PASS || verb == PH_POP3_AUTH;
        cmd->n = text->n;
        memcpy(cmd->text, text->p, text->n);
        *c->end = cmd;
        c->end = &cmd->next;
        if (!c->unsent)
            c->unsent = cmd;
        c->waiting++;
        c->quit = verb == PH_POP3_QUIT;
        r = c->ids;
        ph__pop3_client_write(c);
    }
    if (text->p)
        ph_wipe(text->p, text->cap);
    ph_buf_done(text);
    return r;
}

/* "VERB argument CRLF"; an argument with p NULL is none. */
static int64_t plain(struct ph_pop3_client *c, enum ph_pop3_verb verb, ph_str argument, bool all)
{
    struct ph_buf text;
    if (!is_clean(argument))
        return -PH_EINVAL;
    ph_buf_init(&text, c->al, POP3_LINE_MAX);
    ph_buf_reserve(&text, argument.n + 16); /* in one piece: nothing to wipe is left behind */
    ph_buf_add(&text, ph_str_c(ph_pop3_verb_name(verb)));
    if (argument.p) {
        ph_buf_addc(&text, ' ');
        ph_buf_add(&text, argument);
    }
    ph_buf_add(&text, PH_STR("\r\n"));
    return queue(c, verb, &text, 0, all);
}

static int64_t numbered(struct ph_pop3_client *c, enum ph_pop3_verb verb, uint32_t number,
                        bool may_be_none)
{
    struct ph_buf text;
    if (number == 0)
        return may_be_none ? plain(c, verb, (ph_str){0}, true) : -PH_EINVAL;
    ph_buf_init(&text, c->al, 64);
    ph_buf_addf(&text, "%s %u\r\n", ph_pop3_verb_name(verb), (unsigned)number);
    return queue(c, verb, &text, 0, false);
}

static bool may_tell(const struct ph_pop3_client *c)
{
    return c->tls || c->opt.plaintext;
}

int64_t ph_pop3_client_capa(struct ph_pop3_client *c)
{
    return plain(c, PH_POP3_CAPA, (ph_str){0}, true);
}

int64_t ph_pop3_client_stls(struct ph_pop3_client *c)
{
    return plain(c, PH_POP3_STLS, (ph_str){0}, false);
}

int64_t ph_pop3_client_user(struct ph_pop3_client *c, ph_str user)
{
    return user.n ? plain(c, PH_POP3_USER, user, false) : -PH_EINVAL;
}

int64_t ph_pop3_client_pass(struct ph_pop3_client *c, ph_str password)
{
    if (!may_tell(c))
        return -PH_EDENIED;
    return password.n ? plain(c, PH_POP3_PASS, password, false) : -PH_EINVAL;
}

int64_t ph_pop3_client_auth(struct ph_pop3_client *c, ph_str mechanism, ph_str initial,
                            bool has_initial)
{
    struct ph_buf text;
    size_t coded = (initial.n + 2) / 3 * 4, answer_at = 0;
    if (!mechanism.n || !is_clean(mechanism) || ph_str_chr(mechanism, ' ') != PH_NPOS)
        return -PH_EINVAL;
    ph_buf_init(&text, c->al, POP3_CLIENT_ANSWER_MAX);
    ph_buf_reserve(&text, coded + mechanism.n + 32);
    ph_buf_add(&text, PH_STR("AUTH "));
    ph_buf_add(&text, mechanism);
    if (has_initial) {
        if (coded + mechanism.n + 8 > POP3_CLIENT_INITIAL) {
            ph_buf_add(&text, PH_STR("\r\n"));
            answer_at = text.n;
        } else {
            ph_buf_addc(&text, ' ');
        }
        if (initial.n)
            ph_b64_encode(&text, initial);
        else if (!answer_at)
            ph_buf_addc(&text, '=');
    }
    ph_buf_add(&text, PH_STR("\r\n"));
    return queue(c, PH_POP3_AUTH, &text, answer_at, false);
}

int ph_pop3_client_auth_data(struct ph_pop3_client *c, ph_str answer, bool cancel)
{
    if (!c->first || !c->first->asked)
        return -PH_EORDER;
    if (cancel)
        ph_buf_addc(&c->out, '*');
    else
        ph_b64_encode(&c->out, answer);
    ph_buf_add(&c->out, PH_STR("\r\n"));
    c->first->asked = false;
    c->active = c->now;
    ph__pop3_client_tell(c, 'C', cancel ? PH_STR("*") : PH_STR("****"));
    return ph_buf_err(&c->out);
}

int64_t ph_pop3_client_apop(struct ph_pop3_client *c, ph_str user, ph_str digest)
{
    struct ph_buf text;
    if (!user.n || !digest.n || !is_clean(user) || !is_clean(digest))
        return -PH_EINVAL;
    ph_buf_init(&text, c->al, POP3_LINE_MAX);
    ph_buf_add(&text, PH_STR("APOP "));
    ph_buf_add(&text, user);
    ph_buf_addc(&text, ' ');
    ph_buf_add(&text, digest);
    ph_buf_add(&text, PH_STR("\r\n"));
    return queue(c, PH_POP3_AUTH, &text, 0, false);
}

int64_t ph_pop3_client_command(struct ph_pop3_client *c, ph_str line)
{
    struct ph_buf text;
    if (!line.n || !is_clean(line))
        return -PH_EINVAL;
    ph_buf_init(&text, c->al, POP3_LINE_MAX);
    ph_buf_add(&text, line);
    ph_buf_add(&text, PH_STR("\r\n"));
    return queue(c, PH_POP3_NOOP, &text, 0, false);
}

int64_t ph_pop3_client_stat(struct ph_pop3_client *c)
{
    return plain(c, PH_POP3_STAT, (ph_str){0}, false);
}

int64_t ph_pop3_client_list(struct ph_pop3_client *c, uint32_t number)
{
    return numbered(c, PH_POP3_LIST, number, true);
}

int64_t ph_pop3_client_uidl(struct ph_pop3_client *c, uint32_t number)
{
    return numbered(c, PH_POP3_UIDL, number, true);
}

int64_t ph_pop3_client_retr(struct ph_pop3_client *c, uint32_t number)
{
    return numbered(c, PH_POP3_RETR, number, false);
}

int64_t ph_pop3_client_top(struct ph_pop3_client *c, uint32_t number, uint32_t lines)
{
    struct ph_buf text;
    if (number == 0)
        return -PH_EINVAL;
    ph_buf_init(&text, c->al, 64);
    ph_buf_addf(&text, "TOP %u %u\r\n", (unsigned)number, (unsigned)lines);
    return queue(c, PH_POP3_TOP, &text, 0, false);
}

int64_t ph_pop3_client_dele(struct ph_pop3_client *c, uint32_t number)
{
    return numbered(c, PH_POP3_DELE, number, false);
}

int64_t ph_pop3_client_rset(struct ph_pop3_client *c)
{
    return plain(c, PH_POP3_RSET, (ph_str){0}, false);
}

int64_t ph_pop3_client_noop(struct ph_pop3_client *c)
{
    return plain(c, PH_POP3_NOOP, (ph_str){0}, false);
}

int64_t ph_pop3_client_quit(struct ph_pop3_client *c)
{
    return plain(c, PH_POP3_QUIT, (ph_str){0}, false);
}
