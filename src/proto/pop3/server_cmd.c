/* The POP3 server engine: one function a verb, and the answers of the owner. */
#include "ascii.h"
#include "b64.h"
#include "server_int.h"

#include <string.h>

struct arguments {
    ph_str text; /* TEXT; MECHANISM: the initial response */
    ph_str mechanism;
    bool has_initial, has_number;
    uint32_t number; /* from 1 */
    uint32_t lines;
};

uint32_t ph__pop3_kept(const struct ph_pop3_server *s, uint64_t *ret_octets)
{
    uint32_t n = 0;
    *ret_octets = 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (!(s->messages[i].size & POP3_DELETED)) {
            n++;
            *ret_octets += s->messages[i].size;
        }
    return n;
}

static bool may_login(const struct ph_pop3_server *s)
{
    return s->tls || s->opt.plaintext;
}

/* ---- AUTHORIZATION ----------------------------------------------------------------------- */

static void ask_owner(struct ph_pop3_server *s, enum ph_pop3_server_ev what)
{
    s->pending = what;
    s->busy = OWNER;
}

static bool refuse_plaintext(struct ph_pop3_server *s)
{
    if (may_login(s))
        return false;
    ph__pop3_say(s, s->opt.tls_possible ? "-ERR passwords travel under TLS only; send STLS first"
                                        : "-ERR passwords travel under TLS only");
    return true;
}

static void do_user(struct ph_pop3_server *s, const struct arguments *a)
{
    if (refuse_plaintext(s))
        return;
    ph_buf_clear(&s->user);
    ph_buf_add(&s->user, a->text);
    ph__pop3_say(s, "+OK now the password"); /* the same for everybody (RFC 1939 13) */
}

static void do_pass(struct ph_pop3_server *s, const struct arguments *a)
{
    if (refuse_plaintext(s))
        return;
    if (s->user.n == 0) {
        ph__pop3_mistake(s, "USER comes first");
        return;
    }
    size_t n = s->user.n;
    ph_buf_add(&s->secret, ph_buf_str(&s->user));
    ph_buf_add(&s->secret, a->text);
    ph_buf_clear(&s->user);
    if (ph_buf_err(&s->secret)) {
        ph__pop3_end(s, PH_ENOMEM, "out of memory");
        return;
    }
    ph_str both = ph_buf_str(&s->secret);
    s->event = (struct ph_pop3_server_event){.user = ph_str_sub(both, 0, n),
                                             .password = ph_str_skip(both, n)};
    ask_owner(s, PH_POP3_S_LOGIN);
}

static bool is_hex(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(ph_is_digit(s.p[i]) || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return true;
}

/* RFC 1939 7: a name, and 32 hexadecimal digits in lower case. */
static void do_apop(struct ph_pop3_server *s, const struct arguments *a)
{
    enum { DIGEST = 32 };
    size_t space = ph_str_rchr(a->text, ' ');
    if (!s->apop) {
        ph__pop3_mistake(s, "APOP is not offered here; CAPA tells what is");
        return;
    }
    if (space == PH_NPOS || space == 0 || a->text.n - space - 1 != DIGEST ||
        !is_hex(ph_str_skip(a->text, space + 1))) {
        ph__pop3_mistake(s, "the arguments are a name and 32 hexadecimal digits");
        return;
    }
    ph_buf_add(&s->secret, a->text);
    ph_str both = ph_buf_str(&s->secret);
    if (ph_buf_err(&s->secret)) {
        ph__pop3_end(s, PH_ENOMEM, "out of memory");
        return;
    }
    s->event = (struct ph_pop3_server_event){
        .user = ph_str_sub(both, 0, space), .data = ph_str_skip(both, space + 1), .has_data = true};
    ask_owner(s, PH_POP3_S_APOP);
}

/* A response goes behind what `secret` holds already. */
static void take_response(struct ph_pop3_server *s, ph_str b64, enum ph_pop3_server_ev what)
{
    size_t n = s->secret.n;
    if (ph_b64_decode(&s->secret, b64) < 0 || ph_buf_err(&s->secret)) {
        ph__pop3_forget(s);
        ph__pop3_mistake(s, "that is not base64");
        return;
    }
    ph_str all = ph_buf_str(&s->secret);
    s->event = (struct ph_pop3_server_event){
        .mechanism = ph_str_sub(all, 0, n), .data = ph_str_skip(all, n), .has_data = true};
    ask_owner(s, what);
}

void ph__pop3_response(struct ph_pop3_server *s, ph_str line)
{
    s->busy = IDLE;
    if (ph_str_eq(line, PH_STR("*")))
        ph__pop3_say(s, "-ERR cancelled"); /* who asked finds out at the next AUTH */
    else
        take_response(s, line, PH_POP3_S_AUTHDATA);
}

static bool offers(const struct ph_pop3_server *s, ph_str mechanism)
{
    ph_str word, rest = ph_buf_str(&s->mechanisms);
    while (ph_str_token(&rest, ' ', &word))
        if (ph_str_ieq(word, mechanism))
            return true;
    return false;
}

static void do_auth(struct ph_pop3_server *s, const struct arguments *a)
{
    if (!offers(s, a->mechanism)) {
        ph__pop3_mistake(s, "this mechanism is not offered; CAPA tells which are");
        return;
    }
    if (refuse_plaintext(s))
        return;
    ph_buf_add(&s->secret, a->mechanism);
    if (a->has_initial) {
        take_response(s, ph_str_eq(a->text, PH_STR("=")) ? (ph_str){0} : a->text, PH_POP3_S_AUTH);
        return;
    }
    s->event = (struct ph_pop3_server_event){.mechanism = ph_buf_str(&s->secret)};
    ask_owner(s, PH_POP3_S_AUTH);
}

void ph_pop3_server_challenge(struct ph_pop3_server *s, ph_str raw)
{
    if (s->busy != OWNER || s->state != POP3_AUTHORIZATION)
        return;
    ph_buf_add(&s->out, PH_STR("+ "));
    ph_b64_encode(&s->out, raw);
    ph_buf_add(&s->out, PH_STR("\r\n"));
    ph__pop3_forget(s);
    s->busy = RESPONSE;
}

int ph_pop3_server_mechanisms(struct ph_pop3_server *s, ph_str mechanisms)
{
    ph_buf_clear(&s->mechanisms);
    ph_buf_add(&s->mechanisms, mechanisms);
    return ph_buf_err(&s->mechanisms);
}

static void do_stls(struct ph_pop3_server *s, const struct arguments *a)
{
    (void)a;
    if (s->tls || !s->opt.tls_possible || s->utf8) {
        ph__pop3_mistake(s, s->tls                ? "TLS is there already"
                            : s->opt.tls_possible ? "STLS comes before UTF8"
                                                  : "there is no TLS here");
        return;
    }
    if (ph_inbuf_rest(&s->in).n) {
        ph__pop3_say(s, "-ERR nothing may follow STLS before the handshake");
        ph__pop3_end(s, PH_ESYNTAX, "there was input between STLS and the handshake");
        return;
    }
    ph__pop3_say(s, "+OK begin TLS");
    s->busy = TLS;
}

/* What a row brings is said when the row can be used now, or after STLS alone (RFC 2595 4). */
static bool is_offered(const struct ph_pop3_server *s, enum ph_pop3_verb verb)
{
    if (!*ph__pop3_rows[verb].capability)
        return false;
    if (verb == PH_POP3_STLS)
        return s->opt.tls_possible && !s->tls && s->state == POP3_AUTHORIZATION;
    return (verb != PH_POP3_USER && verb != PH_POP3_AUTH) || may_login(s);
}

static void do_capa(struct ph_pop3_server *s, const struct arguments *a)
{
    /* Properties of the engine rather than of a verb. RFC 2449 6.8, 6.4, 3206 6, 2449 6.7, 6.9 */
    static const char *const always[] = {"PIPELINING", "RESP-CODES", "AUTH-RESP-CODE",
                                         "EXPIRE NEVER", "IMPLEMENTATION Posthouse"};
    (void)a;
    ph__pop3_say(s, "+OK");
    for (unsigned v = 0; v < PH_POP3_VERB_COUNT; v++)
        if (is_offered(s, (enum ph_pop3_verb)v))
            ph__pop3_say(s, "%s%s%.*s", ph__pop3_rows[v].capability, v == PH_POP3_AUTH ? " " : "",
                         v == PH_POP3_AUTH ? (int)s->mechanisms.n : 0, s->mechanisms.p);
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        ph__pop3_say(s, "%s", always[i]);
    ph__pop3_say(s, ".");
}

static void do_utf8(struct ph_pop3_server *s, const struct arguments *a)
{
    (void)a;
    s->utf8 = true;
    ph__pop3_say(s, "+OK headers may hold UTF-8 from now on");
}

/* RFC 6856 3.2: there is one language. */
static void do_lang(struct ph_pop3_server *s, const struct arguments *a)
{
    if (!a->text.n)
        ph__pop3_say(s, "+OK the languages are\r\nen English\r\n.");
    else if (ph_str_eq(a->text, PH_STR("*")) || ph_str_ieq(a->text, PH_STR("en")))
        ph__pop3_say(s, "+OK en This is English");
    else
        ph__pop3_say(s, "-ERR this language is not there; LANG tells which are");
}

bool ph_pop3_server_utf8(const struct ph_pop3_server *s)
{
    return s->utf8;
}

/* ---- TRANSACTION ------------------------------------------------------------------------- */

/* The message meant, or NULL after saying that there is none. */
static struct pop3_message *message_of(struct ph_pop3_server *s, const struct arguments *a)
{
    struct pop3_message *m = a->number <= s->count ? &s->messages[a->number - 1] : NULL;
    if (m && !(m->size & POP3_DELETED))
        return m;
    if (m)
        ph__pop3_say(s, "-ERR message %u is marked as deleted", (unsigned)a->number);
    else
        ph__pop3_say(s, "-ERR there is no message %u; there are %u", (unsigned)a->number,
                     (unsigned)s->count);
    return NULL;
}

static void do_stat(struct ph_pop3_server *s, const struct arguments *a)
{
    uint64_t octets;
    uint32_t n = ph__pop3_kept(s, &octets);
    (void)a;
    ph__pop3_say(s, "+OK %u %llu", (unsigned)n, (unsigned long long)octets);
}

static void begin_list(struct ph_pop3_server *s, enum ph_pop3_verb verb)
{
    uint64_t octets;
    uint32_t n = ph__pop3_kept(s, &octets);
    ph__pop3_say(s, "+OK %u messages, %llu octets", (unsigned)n, (unsigned long long)octets);
    s->busy = LISTING;
    s->listing = verb;
    s->listed = 0;
}

static void do_list(struct ph_pop3_server *s, const struct arguments *a)
{
    const struct pop3_message *m;
    if (!a->has_number)
        begin_list(s, PH_POP3_LIST);
    else if ((m = message_of(s, a)))
        ph__pop3_say(s, "+OK %u %llu", (unsigned)a->number, (unsigned long long)m->size);
}

static void do_uidl(struct ph_pop3_server *s, const struct arguments *a)
{
    const struct pop3_message *m;
    if (!a->has_number)
        begin_list(s, PH_POP3_UIDL);
    else if ((m = message_of(s, a)))
        ph__pop3_say_uid(s, "+OK ", (uint32_t)a->number, m);
}

static void ask_for_mail(struct ph_pop3_server *s, const struct arguments *a, uint32_t lines)
{
    if (!message_of(s, a))
        return;
    s->event = (struct ph_pop3_server_event){.number = a->number - 1, .lines = lines};
    s->lines = lines;
    s->began = false;
    ask_owner(s, PH_POP3_S_MAIL);
}

static void do_retr(struct ph_pop3_server *s, const struct arguments *a)
{
    ask_for_mail(s, a, PH_POP3_WHOLE);
}

static void do_top(struct ph_pop3_server *s, const struct arguments *a)
{
    ask_for_mail(s, a, a->lines);
}

static void do_dele(struct ph_pop3_server *s, const struct arguments *a)
{
    struct pop3_message *m = message_of(s, a);
    if (!m)
        return;
    m->size |= POP3_DELETED;
    ph__pop3_say(s, "+OK message %u is marked as deleted", (unsigned)a->number);
}

static void do_rset(struct ph_pop3_server *s, const struct arguments *a)
{
    (void)a;
    for (uint32_t i = 0; i < s->count; i++)
        s->messages[i].size &= ~POP3_DELETED;
    ph__pop3_say(s, "+OK");
}

static void do_noop(struct ph_pop3_server *s, const struct arguments *a)
{
    (void)a;
    ph__pop3_say(s, "+OK");
}

static void do_quit(struct ph_pop3_server *s, const struct arguments *a)
{
    (void)a;
    if (s->state == POP3_TRANSACTION) {
        ask_owner(s, PH_POP3_S_UPDATE);
        return;
    }
    ph__pop3_say(s, "+OK");
    ph__pop3_end(s, 0, "");
}

/* ---- one line ---------------------------------------------------------------------------- */

static void (*const functions[PH_POP3_VERB_COUNT])(struct ph_pop3_server *,
                                                   const struct arguments *) = {
    [PH_POP3_USER] = do_user, [PH_POP3_PASS] = do_pass, [PH_POP3_AUTH] = do_auth,
    [PH_POP3_STLS] = do_stls, [PH_POP3_CAPA] = do_capa, [PH_POP3_STAT] = do_stat,
    [PH_POP3_LIST] = do_list, [PH_POP3_UIDL] = do_uidl, [PH_POP3_RETR] = do_retr,
    [PH_POP3_TOP] = do_top,   [PH_POP3_DELE] = do_dele, [PH_POP3_RSET] = do_rset,
    [PH_POP3_NOOP] = do_noop, [PH_POP3_QUIT] = do_quit, [PH_POP3_UTF8] = do_utf8,
    [PH_POP3_LANG] = do_lang, [PH_POP3_APOP] = do_apop};

/* NULL, or what is wrong. `rest` is what follows the verb and one space. */
static const char *parse(enum pop3_arguments kind, ph_str rest, struct arguments *a)
{
    ph_str first = {0}, words = ph_str_trim(rest);
    uint64_t lines;
    switch (kind) {
    case POP3_NOTHING:
        return words.n ? "this command takes no argument" : NULL;
    case POP3_TEXT:
        a->text = rest;
        return rest.n ? NULL : "an argument is missing";
    case POP3_MAYBE_TEXT:
        a->text = words;
        return NULL;
    case POP3_MECHANISM:
        a->has_initial = ph_str_token(&words, ' ', &a->mechanism) && words.n;
        a->text = words;
        return a->mechanism.n ? NULL : "the name of a mechanism is missing";
    case POP3_MAYBE_NUMBER:
        if (!words.n)
            return NULL;
        /* fallthrough */
    case POP3_NUMBER:
        a->has_number = ph__pop3_number(words, &a->number);
        return a->has_number ? NULL : "the argument is a message number, from 1 on";
    case POP3_NUMBER_LINES:
        ph_str_token(&words, ' ', &first);
        if (!ph__pop3_number(first, &a->number) ||
            !ph_str_u64(ph_str_trim(words), UINT32_MAX - 1, &lines))
            return "the arguments are a message number and a count of lines";
        a->lines = (uint32_t)lines;
        return NULL;
    }
    return "?";
}

void ph__pop3_command(struct ph_pop3_server *s, ph_str line)
{
    ph_str rest = line, word = {0};
    struct arguments a = {0};
    ph_str_token(&rest, ' ', &word);
    enum ph_pop3_verb verb = ph__pop3_verb(word);
    if (verb == PH_POP3_VERB_COUNT) {
        ph__pop3_mistake(s, "there is no such command; CAPA tells what there is");
        return;
    }
    const struct pop3_row *row = &ph__pop3_rows[verb];
    if (!(row->states & s->state)) {
        ph__pop3_mistake(s, s->state == POP3_TRANSACTION ? "you are logged in already"
                                                         : "log in first");
        return;
    }
    const char *wrong = parse(row->arguments, rest, &a);
    if (wrong)
        ph__pop3_mistake(s, wrong);
    else
        functions[verb](s, &a);
}

/* ---- answers of the owner ---------------------------------------------------------------- */

int ph_pop3_server_message(struct ph_pop3_server *s, uint64_t size, uint64_t uid)
{
    if (s->count == s->opt.max_messages)
        return -PH_ELIMIT;
    if (s->count == s->room) {
        uint32_t room = s->room ? s->room * 2 : 64;
        void *p = ph_resize(s->al, s->messages, s->room * sizeof *s->messages,
                            room * sizeof *s->messages);
        if (!p)
            return -PH_ENOMEM;
        s->messages = p;
        s->room = room;
    }
    s->messages[s->count++] = (struct pop3_message){size & ~POP3_DELETED, uid, 0};
    return 0;
}

int ph_pop3_server_uidl(struct ph_pop3_server *s, ph_str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] < 0x21 || name.p[i] > 0x7e)
            return -PH_EINVAL;
    if (name.n == 0 || name.n > POP3_UIDL_MAX || s->count == 0)
        return -PH_EINVAL;
    uint32_t at = (uint32_t)s->names.n + 1;
    ph_buf_add(&s->names, name);
    ph_buf_addc(&s->names, 0);
    if (ph_buf_err(&s->names))
        return ph_buf_err(&s->names);
    s->messages[s->count - 1].name = at;
    return 0;
}

void ph_pop3_server_welcome(struct ph_pop3_server *s, uint64_t prefix)
{
    uint64_t octets;
    if (s->state != POP3_AUTHORIZATION || s->busy != OWNER)
        return;
    ph__pop3_forget(s);
    s->prefix = prefix;
    s->state = POP3_TRANSACTION;
    s->busy = IDLE;
    uint32_t n = ph__pop3_kept(s, &octets);
    ph__pop3_say(s, "+OK %u messages, %llu octets", (unsigned)n, (unsigned long long)octets);
}

void ph_pop3_server_refuse(struct ph_pop3_server *s, enum ph_pop3_code code, ph_str text)
{
    static const char *const codes[] = {[PH_POP3_PLAIN_ERR] = "",
                                        [PH_POP3_CODE_AUTH] = " [AUTH]",
                                        [PH_POP3_CODE_IN_USE] = " [IN-USE]",
                                        [PH_POP3_CODE_SYS_TEMP] = " [SYS/TEMP]",
                                        [PH_POP3_CODE_SYS_PERM] = " [SYS/PERM]",
                                        [PH_POP3_CODE_LOGIN_DELAY] = " [LOGIN-DELAY]"};
    if (s->busy != OWNER)
        return;
    s->busy = IDLE;
    if (s->state == POP3_AUTHORIZATION)
        s->count = 0; /* a list that was begun */
    text = ph_str_sub(text, 0, POP3_TEXT_MAX);
    ph_buf_addf(&s->out, "-ERR%s ", codes[code]);
    for (size_t i = 0; i < text.n; i++)
        ph_buf_addc(&s->out,
                    (unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i]);
    ph_buf_add(&s->out, PH_STR("\r\n"));
    ph__pop3_forget(s); /* now: text may be a part of it */
    if (s->state == POP3_AUTHORIZATION && code == PH_POP3_PLAIN_ERR &&
        ++s->errors >= s->opt.max_errors)
        ph__pop3_end(s, PH_ELIMIT, "too many commands that were not understood");
    if (code == PH_POP3_CODE_AUTH && ++s->failures >= s->opt.max_failures)
        ph__pop3_end(s, PH_EAUTH, "too many failed logins");
}

void ph_pop3_server_updated(struct ph_pop3_server *s, bool all)
{
    if (s->busy != OWNER)
        return;
    ph__pop3_say(s, all ? "+OK" : "-ERR [SYS/TEMP] some messages were not removed");
    ph__pop3_end(s, 0, "");
}

uint32_t ph_pop3_server_count(const struct ph_pop3_server *s)
{
    return s->count;
}

uint64_t ph_pop3_server_uid(const struct ph_pop3_server *s, uint32_t number)
{
    return number < s->count ? s->messages[number].uid : 0;
}

bool ph_pop3_server_is_deleted(const struct ph_pop3_server *s, uint32_t number)
{
    return number < s->count && s->messages[number].size & POP3_DELETED;
}
