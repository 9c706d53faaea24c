/* pop3_owner.h - an owner for the POP3 server engine in tests: one account, a few messages in
 * memory. */
#ifndef POP3_OWNER_H
#define POP3_OWNER_H
#include <posthouse/pop3.h>
#include <posthouse/sasl.h>
#include <stdlib.h>
#include <string.h>

static const ph_str pop3_mails[] = {
    PH_STR_INIT("Subject: one\r\n\r\nfirst\r\n"),
    PH_STR_INIT("Subject: dots\r\nX: y\r\n\r\n.\r\n..two\r\n.three\r\nend\r\n"),
    PH_STR_INIT("Subject: no end\r\n\r\nopen"),
};
enum { POP3_MAILS = sizeof pop3_mails / sizeof *pop3_mails };

struct pop3_owner {
    struct ph_pop3_server *s;
    size_t part;    /* bytes of a message given at a time; 0: all */
    uint32_t extra; /* more messages, as the first */
    uint32_t mail;  /* being read */
    size_t given;
    char *copy; /* of the part given: freed at MORE, so that a late read is seen */
    int expunged, broken;
    bool in_use;
};

static ph_str pop3_owner_mail(uint32_t number)
{
    return number < POP3_MAILS ? pop3_mails[number] : pop3_mails[0];
}

static void pop3_owner_login(struct pop3_owner *o, const struct ph_pop3_server_event *ev)
{
    if (!ph_str_eq(ev->user, PH_STR("alice")) || !ph_str_eq(ev->password, PH_STR("sec ret"))) {
        ph_pop3_server_refuse(o->s, PH_POP3_CODE_AUTH, PH_STR("wrong\r\nname"));
        return;
    }
    if (o->in_use) {
        ph_pop3_server_refuse(o->s, PH_POP3_CODE_IN_USE, PH_STR("in use"));
        return;
    }
    for (uint32_t i = 0; i < POP3_MAILS + o->extra; i++)
        if (ph_pop3_server_message(o->s, pop3_owner_mail(i).n, 100 + i) < 0) {
            ph_pop3_server_refuse(o->s, PH_POP3_CODE_SYS_TEMP, PH_STR("out of memory"));
            return;
        }
    ph_pop3_server_welcome(o->s, 7);
}

/* SASL with PLAIN alone. */
static void pop3_owner_auth(struct pop3_owner *o, const struct ph_pop3_server_event *ev)
{
    ph_str authzid;
    struct ph_pop3_server_event login = {0};
    if (!ev->has_data)
        ph_pop3_server_challenge(o->s, (ph_str){0});
    else if (ph_sasl_plain_decode(ev->data, &authzid, &login.user, &login.password) < 0)
        ph_pop3_server_refuse(o->s, PH_POP3_PLAIN_ERR, PH_STR("that is not a response of PLAIN"));
    else
        pop3_owner_login(o, &login);
}

/* The example of RFC 1939 7: the secret is "tanstaaf". */
#define POP3_STAMP "<1896.697170952@dbc.mtview.ca.us>"

static void pop3_owner_apop(struct pop3_owner *o, const struct ph_pop3_server_event *ev)
{
    struct ph_pop3_server_event login = {.user = PH_STR("alice"), .password = PH_STR("sec ret")};
    if (!ph_str_eq(ev->user, PH_STR("mrose of mtview")) ||
        !ph_str_eq(ev->data, PH_STR("c4c9334bac560ecc979e58001b3e22fb")))
        login.user = PH_STR("nobody");
    pop3_owner_login(o, &login);
}

static void pop3_owner_give(struct pop3_owner *o)
{
    ph_str all = pop3_owner_mail(o->mail), part = ph_str_skip(all, o->given);
    if (o->part)
        part = ph_str_sub(part, 0, o->part);
    free(o->copy);
    o->copy = malloc(part.n + 1);
    memcpy(o->copy, part.p, part.n);
    o->given += part.n;
    ph_pop3_server_body(o->s, (ph_str){o->copy, part.n}, o->given == all.n);
}

/* Answers all that can be answered. */
static void pop3_owner_work(struct pop3_owner *o)
{
    struct ph_pop3_server_event ev;
    for (;;) {
        switch (ph_pop3_server_next(o->s, &ev)) {
        case PH_POP3_S_NEED:
            return;
        case PH_POP3_S_LOGIN:
            pop3_owner_login(o, &ev);
            break;
        case PH_POP3_S_APOP:
            pop3_owner_apop(o, &ev);
            break;
        case PH_POP3_S_AUTH:
        case PH_POP3_S_AUTHDATA:
            pop3_owner_auth(o, &ev);
            break;
        case PH_POP3_S_MAIL:
            o->mail = ev.number;
            o->given = 0;
            pop3_owner_give(o);
            break;
        case PH_POP3_S_MORE:
            free(o->copy);
            o->copy = NULL;
            if (o->given < pop3_owner_mail(o->mail).n)
                pop3_owner_give(o);
            break;
        case PH_POP3_S_UPDATE:
            for (uint32_t i = 0; i < ph_pop3_server_count(o->s); i++)
                o->expunged += ph_pop3_server_is_deleted(o->s, i);
            ph_pop3_server_updated(o->s, o->expunged < 2);
            break;
        case PH_POP3_S_BROKEN:
            o->broken = ev.error.code ? ev.error.code : -1;
            break;
        }
    }
}

#endif
