/* SMTP transactions: see intake.h. */
#include "intake.h"
#include "heard.h"
#include "id.h"
#include "log.h"
#include "loop.h"
#include "stage.h"
#include <posthouse/mime.h>
#include <posthouse/text.h>
#include <stdio.h>
#include <string.h>

enum {
    EVENTS_MAX = 65536,
    NOTES_MAX = 1024,
    FORWARDED_MAX = 300,
    AUTHORS_MAX = 8192,
    AUTHORS_ARENA = 4 << 20
};

static void reply(struct intake *in, int code, const char *esc, const char *text)
{
    in->refused += code >= 400;
    ph_smtp_server_reply(in->engine, code, esc, "%s", text);
}

static void reply_busy(struct intake *in)
{
    reply(in, 451, "4.3.2", "A part of the server is not available, try again later");
}

/* What a verdict means for an SMTP client, where nothing more special is said. */
static void reply_verdict(struct intake *in, int verdict, ph_str text)
{
    static const struct {
        int code;
        const char *esc, *text;
    } rows[] = {
        [IPC_OK] = {250, "2.0.0", "Ok"},
        [IPC_TEMP] = {451, "4.3.0", "Temporary failure, try again later"},
        [IPC_DENIED] = {550, "5.7.1", "Not permitted"},
        [IPC_NOUSER] = {550, "5.1.1", "No such mailbox here"},
        [IPC_NOENT] = {550, "5.1.2", "No such domain"},
        [IPC_NODATA] = {550, "5.1.2", "No such domain"},
        [IPC_EXISTS] = {250, "2.0.0", "Ok"},
        [IPC_QUOTA] = {452, "4.2.2", "The mailbox is full"},
        [IPC_INUSE] = {450, "4.2.0", "The mailbox is in use"},
        [IPC_LIMIT] = {452, "4.5.3", "Too many recipients"},
        [IPC_FULL] = {452, "4.3.1", "Not enough room, try again later"},
        [IPC_INVALID] = {553, "5.1.3", "The address is not acceptable"},
    };
    size_t i =
        verdict >= 0 && (size_t)verdict < sizeof rows / sizeof rows[0] ? (size_t)verdict : IPC_TEMP;
    in->refused += rows[i].code >= 400;
    if (text.n)
        ph_smtp_server_reply(in->engine, rows[i].code, rows[i].esc, "%.*s", PH_FMT(text));
    else
        ph_smtp_server_reply(in->engine, rows[i].code, rows[i].esc, "%s", rows[i].text);
}

static void reply_error(struct intake *in, int error)
{
    const struct ph_error_info *i = ph_error_info(error);
    if (error == -PH_ENOTIMPL) /* RFC 3030 3 */
        reply(in, 554, "5.6.3", "It is binary where that cannot become text: send it as text");
    else if (i->cls == PH_CLASS_PEER || error == -PH_ELIMIT)
        reply(in, 552, "5.3.4", "The header of the message is too large");
    else if (error == -PH_EFULL)
        reply_verdict(in, IPC_FULL, (ph_str){0});
    else
        ph_smtp_server_reply(in->engine, i->smtp, i->esc, "%s", i->text);
}

ph_str intake_hostname(const struct proc *p)
{
    return p->conf->hostname.n ? p->conf->hostname : PH_STR("localhost");
}

void intake_options(const struct proc *p, struct ph_smtp_server_options *o)
{
    ph_smtp_server_defaults(o);
    o->hostname = intake_hostname(p);
    o->binary = true;     /* it becomes text: letter.h */
    o->smtputf8 = true;   /* relay and reports carry it, or say 5.6.7 */
    o->requiretls = true; /* the same, 5.7.10 and 5.7.30 */
    o->tls_available = p->tls_server != NULL;
    o->keep_bare = ph_str_eq(p->conf->bare_newlines, PH_STR("keep"));
    o->limits.message = (uint64_t)p->conf->max_message_size;
    o->limits.recipients = (unsigned)p->conf->max_recipients;
    o->limits.timeout_ms = p->conf->session_timeout;
}

int intake_setup(struct proc *p, struct ph_error *reterr)
{
    p->charsets = ph_charset_preload();
    return p->charsets ? 0 : ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
}

void intake_room(const struct proc *p, struct letter_room *room)
{
    uint64_t least = 2 * (uint64_t)p->conf->max_message_size,
             most = (uint64_t)p->conf->max_letters_memory;
    room->most = most > least ? most : least;
    if (!room->packer)
        room->packer = ph_packer_new(); /* without memory for it letters stay as they are */
}

void intake_init(struct intake *in)
{
    letter_init(&in->letter, in->room);
    ph_buf_init(&in->authors, NULL, AUTHORS_MAX);
    ph_buf_init(&in->notes, NULL, NOTES_MAX);
    ph_buf_init(&in->heard, NULL, EVENTS_MAX / 2);
    ph_buf_init(&in->forwarded, NULL, FORWARDED_MAX);
}

void intake_done(struct intake *in)
{
    letter_clear(&in->letter);
    ph_buf_done(&in->authors);
    ph_buf_done(&in->notes);
    ph_buf_done(&in->heard);
    ph_buf_done(&in->forwarded);
}

struct guard_who intake_who(const struct intake *in)
{
    struct guard_who who = front_who(in->peer);
    if (*in->user) /* many of them may sit behind one address */
        who = (struct guard_who){
            {[GUARD_ACCOUNT] = in->peer->exempt ? (ph_str){0} : ph_str_c(in->user)}};
    return who;
}

void intake_count(struct intake *in)
{
    struct ph_smtp_server_info info;
    struct guard_who who = front_who(in->peer);
    ph_smtp_server_info(in->engine, &info);
    unsigned more = info.errors - in->errors;
    in->errors = info.errors;
    if (more && guard_note(in->guard, ph_loop_now(in->proc->loop), GUARD_ERROR, &who, more))
        ph_log(PH_LOG_WARN, (ph_str){0}, "banned", "session=%s peer=%s reason=%s", in->peer->id,
               in->peer->text, "too many errors");
}

/* True: no hook minds. */
static bool pass(struct intake *in, enum stage at, const struct ph_smtp_server_event *ev)
{
    struct stage_verdict v = stage_run(in, at, ev);
    if (v.act < STAGE_DEFER)
        return true;
    reply(in, v.code, v.esc, v.reply);
    return false;
}

static void on_helo(struct intake *in)
{
    struct stage_verdict v = stage_run(in, STAGE_HELO, NULL);
    in->standing = (struct intake_standing){0};
    if (v.act < STAGE_DEFER)
        return;
    in->standing.code = v.code;
    snprintf(in->standing.esc, sizeof in->standing.esc, "%s", v.esc);
    snprintf(in->standing.text, sizeof in->standing.text, "%s", v.reply);
}

static uint64_t ask(struct intake *in, int role, enum ipc_type answer, enum intake_pending pending,
                    struct ipc_chan **ret_chan)
{
    *ret_chan = proc_peer(in->proc, role);
    uint64_t req = *ret_chan ? in->host->ask(in->owner, role, answer) : 0;
    in->pending = req ? pending : INTAKE_NOTHING;
    if (!req)
        reply_busy(in);
    return req;
}

static void not_sent(struct intake *in, uint64_t req)
{
    in->host->unask(in->owner, req);
    in->pending = INTAKE_NOTHING;
    reply_busy(in);
}

/* ---- envelope ----------------------------------------------------------------------------- */

static uint32_t flags_of(const struct ph_smtp_params *p)
{
    return (p->body == PH_SMTP_7BIT ? 0u : IPC_8BITMIME) | (p->smtputf8 ? IPC_SMTPUTF8 : 0u) |
           (p->requiretls ? IPC_REQUIRETLS : 0u) |
           (p->ret == PH_SMTP_RET_FULL   ? IPC_RET_FULL
            : p->ret == PH_SMTP_RET_HDRS ? IPC_RET_HDRS
                                         : 0u);
}

static void on_mail(struct intake *in, const struct ph_smtp_server_event *ev)
{
    struct ipc_chan *keeper;
    letter_clear(&in->letter);
    ph_buf_clear(&in->notes);
    ph_buf_clear(&in->heard);
    if (in->forwarded.n)
        ph_buf_addf(&in->notes, "; forwarded for %.*s", PH_FMT(ph_buf_str(&in->forwarded)));
    ph_buf_clear(&in->forwarded);
    in->quarantine = false;
    if (in->standing.code) {
        reply(in, in->standing.code, in->standing.esc, in->standing.text);
        return;
    }
    if (!pass(in, STAGE_MAIL, ev))
        return;
    if (in->room->used + ev->params.size > in->room->most) {
        reply_verdict(in, IPC_FULL, (ph_str){0});
        return;
    }
    letter_from(&in->letter, ev->mailbox.address, flags_of(&ev->params), ev->params.envid);
    in->letter.binary = ev->params.body == PH_SMTP_BINARYMIME;
    in->began_us = ph_mono_us();
    in->failed = 0;
    if (!in->host->local_users || !ev->mailbox.address.n) {
        reply(in, 250, "2.1.0", "Ok");
        return;
    }
    uint64_t req = ask(in, ROLE_KEEPER, IPC_SENDER_CHECKED, INTAKE_SENDER, &keeper);
    if (req && ipc_send(keeper, SENDER_CHECK, -1, .req = req, .session = in->grant,
                        .address = ev->mailbox.address) < 0)
        not_sent(in, req);
}

static void sender_checked(struct intake *in, const struct ipc_SENDER_CHECKED *m)
{
    if (m->verdict == IPC_OK)
        reply(in, 250, "2.1.0", "Ok");
    else if (m->verdict == IPC_DENIED)
        reply(in, 550, "5.7.1", "You may not send as this address");
    else
        reply_verdict(in, m->verdict, (ph_str){0});
}

static void keep(char *to, size_t max, ph_str from)
{
    snprintf(to, max + 1, "%.*s", PH_FMT(ph_str_sub(from, 0, max)));
}

_Static_assert((int)IPC_NEVER == (int)PH_SMTP_NOTIFY_NEVER &&
                   (int)IPC_SUCCESS == (int)PH_SMTP_NOTIFY_SUCCESS &&
                   (int)IPC_FAILURE == (int)PH_SMTP_NOTIFY_FAILURE &&
                   (int)IPC_DELAY == (int)PH_SMTP_NOTIFY_DELAY,
               "the bits of NOTIFY");

static void on_rcpt(struct intake *in, const struct ph_smtp_server_event *ev)
{
    struct ipc_chan *keeper;
    if (!pass(in, STAGE_RCPT, ev))
        return;
    ph_str address = ph_str_sub(ev->mailbox.address, 0, LETTER_ADDRESS);
    keep(in->given, LETTER_ADDRESS, address);
    keep(in->orcpt, INTAKE_ORCPT, ev->params.orcpt);
    in->notify = (uint8_t)ev->params.notify;
    uint64_t req = ask(in, ROLE_KEEPER, IPC_RCPT_CHECKED, INTAKE_RCPT, &keeper);
    if (req && ipc_send(keeper, RCPT_CHECK, -1, .req = req, .address = address,
                        .local_user = in->host->local_users) < 0)
        not_sent(in, req);
}

static void rcpt_checked(struct intake *in, const struct ipc_RCPT_CHECKED *m)
{
    if (m->verdict == IPC_OK) {
        int r = letter_to(&in->letter, &(struct letter_given){.address = ph_str_c(in->given),
                                                              .targets = m->targets,
                                                              .orcpt = ph_str_c(in->orcpt),
                                                              .notify = in->notify});
        if (r == 0)
            reply(in, 250, "2.1.5", "Ok");
        else
            reply_verdict(in,
                          r == -PH_ELIMIT  ? IPC_LIMIT
                          : r == -PH_EFULL ? IPC_FULL
                                           : IPC_TEMP,
                          (ph_str){0});
    } else {
        if (m->verdict == IPC_DENIED)
            reply(in, 550, "5.7.1", "No mail for this domain is taken here");
        else
            reply_verdict(in, m->verdict, m->verdict == IPC_NOUSER ? (ph_str){0} : m->text);
        ph_log(PH_LOG_INFO, (ph_str){0}, "recipient-refused",
               "session=%s peer=%s sender=%s recipient=%s verdict=%d", in->peer->id, in->peer->text,
               in->letter.sender, in->given, m->verdict);
    }
}

/* ---- the message -------------------------------------------------------------------------- */

static bool is_ascii(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] & 0x80)
            return false;
    return true;
}

/* Who says SMTPUTF8 may not need it: a letter whose sender and header are ASCII can go anywhere
 * (RFC 6531 3.6); recipients are seen to one by one. A header that does not end in sight is not
 * judged. */
static bool needs_utf8(const struct letter *l)
{
    ph_str head = letter_head(l);
    size_t end = ph_str_find(head, PH_STR("\r\n\r\n"));
    return end == PH_NPOS || !is_ascii(ph_str_sub(head, 0, end)) || !is_ascii(ph_str_c(l->sender));
}

/* RFC 8689 5: the sender would rather have it arrive. More than one such field counts as none
 * (4.1). */
static bool wants_no_tls(ph_str message)
{
    struct ph_field field, second;
    ph_str head = ph_message_head(message);
    return ph_field_find(head, PH_STR("TLS-Required"), 0, &field) &&
           !ph_field_find(head, PH_STR("TLS-Required"), 1, &second) &&
           ph_str_ieq(ph_str_trim(field.value), PH_STR("No"));
}

static bool checks_authors(const struct intake *in)
{
    return in->host->local_users && ph_str_eq(in->proc->conf->sender_policy, PH_STR("header"));
}

/* Who the message says wrote it: to be checked when it is whole. */
static int find_authors(struct intake *in, ph_str head)
{
    static const char *const names[] = {"From", "Sender"};
    struct ph_arena *arena = ph_arena_new(NULL, AUTHORS_ARENA);
    struct ph_address *list;
    struct ph_field field;
    int r = arena ? 0 : -PH_ENOMEM;
    in->author = 0;
    ph_buf_clear(&in->authors);
    for (size_t i = 0; i < 2; i++)
        for (size_t n = 0; r >= 0 && ph_field_find(head, ph_str_c(names[i]), n, &field); n++) {
            r = ph_address_parse(arena, field.value, &list);
            for (; r >= 0 && list; list = list->next)
                if (list->kind == PH_ADDRESS_MAILBOX) {
                    ph_address_write(&in->authors, list->local, list->host);
                    ph_buf_addc(&in->authors, '\n');
                }
        }
    ph_arena_free(arena);
    return r < 0 ? r : ph_buf_err(&in->authors);
}

/* Puts our fields in front: what letter_begin calls back. */
static int prologue(void *ctx, struct letter *l)
{
    struct intake *in = ctx;
    struct ph_smtp_server_info info;
    struct ph_buf fields;
    size_t skip, id_at;
    ph_smtp_server_info(in->engine, &info);
    if (!needs_utf8(l))
        l->flags &= ~(uint32_t)IPC_SMTPUTF8;
    if (!(l->flags & IPC_REQUIRETLS) && wants_no_tls(letter_head(l)))
        l->flags |= IPC_TLS_OPTIONAL;
    ph_buf_init(&fields, NULL, LETTER_ROOM);
    letter_trace_write(l,
                       &(struct letter_trace){.helo = info.helo,
                                              .ip = ph_str_c(in->peer->ip),
                                              .hostname = intake_hostname(in->proc),
                                              .with = info.with,
                                              .tls = ph_str_c(in->tls_text),
                                              .now_us = ph_wall_us()},
                       &fields, &skip, &id_at);
    if (in->proc->conf->journey)
        heard_write(ph_message_head(letter_head(l)), ph_wall_us(), &in->heard);
    int r = in->host->complete ? in->host->complete(l, intake_hostname(in->proc), &fields) : 0;
    if (r == 0 && checks_authors(in))
        r = find_authors(in, ph_message_head(letter_head(l)));
    if (r == 0)
        r = ph_buf_err(&fields);
    if (r == 0)
        r = letter_prologue(l, ph_buf_str(&fields), skip, id_at);
    ph_buf_done(&fields);
    return r;
}

static void on_data(struct intake *in)
{
    if (!proc_peer(in->proc, ROLE_QUEUE)) {
        reply_busy(in);
        return;
    }
    letter_begin(&in->letter, prologue, in);
    reply(in, 354, "", "End with a line that holds a dot alone");
}

static void on_body(struct intake *in, ph_str piece)
{
    if (in->failed < 0)
        return;
    in->failed = letter_add(&in->letter, piece);
    if (in->failed < 0)
        letter_clear(&in->letter); /* what it took is others' at once */
}

static void first_event(struct intake *in, int step, const struct ph_smtp_server_info *info,
                        struct ph_buf *rows)
{
    char peer[320], note[512];
    if (!in->proc->conf->journey)
        return;
    snprintf(peer, sizeof peer, "%.*s [%s]", PH_FMT(ph_str_sub(info->helo, 0, 200)),
             in->peer->text);
    snprintf(note, sizeof note, "%s, %u recipient%s, %llu octets%.*s", info->with, in->letter.given,
             in->letter.given == 1 ? "" : "s", (unsigned long long)in->letter.size,
             PH_FMT(ph_str_sub(ph_buf_str(&in->notes), 0, 350)));
    struct ipc_event e = {.time = ph_wall_us(),
                          .kind = (uint8_t)step,
                          .process = ph_str_c(in->host->process),
                          .rcpt = in->letter.given == 1 ? ph_str_c(in->letter.first) : (ph_str){0},
                          .peer = ph_str_c(peer),
                          .tls = ph_str_c(in->tls_text),
                          .auth = ph_str_c(in->auth),
                          .took = (uint64_t)(ph_mono_us() - in->began_us),
                          .note = ph_str_c(note),
                          .host = intake_hostname(in->proc)};
    ipc_add(event, rows, &e);
}

/* The letter is whole: to the queue. */
static void put(struct intake *in, const struct ph_smtp_server_info *info)
{
    struct ipc_chan *queue;
    struct ph_buf events;
    uint64_t req = ask(in, ROLE_QUEUE, IPC_QUEUE_PUT_DONE, INTAKE_PUT, &queue);
    if (!req)
        return;
    ph_buf_init(&events, NULL, EVENTS_MAX);
    ph_buf_add(&events, ph_buf_str(&in->heard));
    first_event(in, in->host->step, info, &events);
    int r = letter_put(&in->letter, queue,
                       &(struct letter_put){.req = req,
                                            .events = ph_buf_str(&events),
                                            .owner = ph_str_c(in->user),
                                            .session = in->grant});
    if (r < 0)
        not_sent(in, req);
    ph_buf_done(&events);
    ph_buf_done(&in->heard);
}

/* The next address of From and Sender is asked for; behind the last the letter goes to the
 * queue. */
static void check_author(struct intake *in)
{
    struct ph_smtp_server_info info;
    struct ipc_chan *keeper;
    ph_str rest = ph_str_skip(ph_buf_str(&in->authors), in->author), address;
    if (!checks_authors(in) || !ph_str_token(&rest, '\n', &address)) {
        ph_smtp_server_info(in->engine, &info);
        put(in, &info);
        return;
    }
    uint64_t req = ask(in, ROLE_KEEPER, IPC_SENDER_CHECKED, INTAKE_AUTHOR, &keeper);
    if (req && ipc_send(keeper, SENDER_CHECK, -1, .req = req, .session = in->grant,
                        .address = ph_str_sub(address, 0, LETTER_ADDRESS)) < 0)
        not_sent(in, req);
}

static void author_checked(struct intake *in, const struct ipc_SENDER_CHECKED *m)
{
    ph_str address = ph_str_skip(ph_buf_str(&in->authors), in->author);
    address = ph_str_sub(address, 0, ph_str_chr(address, '\n'));
    in->author += address.n + 1;
    if (m->verdict == IPC_OK)
        check_author(in);
    else if (m->verdict == IPC_DENIED)
        ph_smtp_server_reply(in->engine, 550, "5.7.1",
                             "You may not write as %.*s, which From or Sender names",
                             PH_FMT(ph_str_sub(address, 0, 300)));
    else
        reply_verdict(in, m->verdict, (ph_str){0});
    if (in->pending == INTAKE_NOTHING)
        letter_clear(&in->letter);
}

/* The whole message was refused for what it is: who looks for it by its Message-ID shall find
 * why. */
static void tell_refused(struct intake *in)
{
    struct ipc_chan *queue = proc_peer(in->proc, ROLE_QUEUE);
    struct ph_smtp_server_info info;
    struct ph_buf events;
    ph_buf_init(&events, NULL, EVENTS_MAX);
    ph_smtp_server_info(in->engine, &info);
    first_event(in, EV_REFUSED, &info, &events);
    if (queue && in->letter.message_id[0] && events.n)
        ipc_send(queue, JOURNAL, -1, .message_id = ph_str_c(in->letter.message_id),
                 .events = ph_buf_str(&events));
    ph_buf_done(&events);
}

/* True: the letter may go on. */
static bool judge(struct intake *in)
{
    struct guard_who who = intake_who(in);
    uint64_t size = in->letter.size;
    if (size > in->octets_said)
        (void)guard_note(in->guard, ph_loop_now(in->proc->loop), GUARD_OCTETS, &who,
                         size - in->octets_said);
    if (!pass(in, STAGE_DATA, NULL)) {
        tell_refused(in);
        return false;
    }
    if (in->quarantine && letter_quarantine(&in->letter) < 0) {
        reply_verdict(in, IPC_TEMP, (ph_str){0});
        return false;
    }
    return true;
}

static void on_eom(struct intake *in)
{
    if (in->failed == 0)
        in->failed = letter_finish(&in->letter);
    if (in->failed < 0)
        reply_error(in, in->failed);
    else if (in->letter.targets == 0)
        reply(in, 250, "2.0.0", "Ok: all its recipients are addresses whose mail is thrown away");
    else if (judge(in))
        check_author(in);
    if (in->pending == INTAKE_NOTHING)
        letter_clear(&in->letter);
}

/* What another house reports becomes part of the journey of the letter it is about. Nobody who logs
 * in reports. */
static void tell_reported(const struct intake *in)
{
    const struct letter *l = &in->letter;
    struct ipc_chan *queue = proc_peer(in->proc, ROLE_QUEUE);
    if (queue && l->reported.n && !in->user[0])
        ipc_send(queue, REPORTED, -1, .message_id = ph_str_c(l->reported_id),
                 .sender = ph_str_c(l->first), .events = ph_buf_str(&l->reported));
}

static void put_done(struct intake *in, const struct ipc_QUEUE_PUT_DONE *m)
{
    char id[PH_ID_TEXT + 1];
    const struct letter *l = &in->letter;
    if (m->verdict == IPC_OK) {
        in->letters++;
        tell_reported(in);
        ph_id_text(m->qid, id);
        ph_log(PH_LOG_INFO, ph_str_c(l->message_id), "accepted",
               "session=%s qid=%s peer=%s sender=%s recipients=%u size=%llu tls=%s user=%s",
               in->peer->id, id, in->peer->text, l->sender, l->given, (unsigned long long)l->size,
               in->tls_text, in->user);
        ph_smtp_server_reply(in->engine, 250, "2.0.0", "Ok: queued as %s", id);
    } else {
        ph_log(PH_LOG_WARN, ph_str_c(l->message_id), "not-accepted",
               "session=%s peer=%s sender=%s verdict=%d reason=%.*s", in->peer->id, in->peer->text,
               l->sender, m->verdict, PH_FMT(m->text));
        reply_verdict(in, m->verdict, (ph_str){0});
    }
    letter_clear(&in->letter);
}

/* ---- doors -------------------------------------------------------------------------------- */

bool intake_event(struct intake *in, enum ph_smtp_server_ev kind,
                  const struct ph_smtp_server_event *ev)
{
    intake_count(in);
    switch (kind) {
    case PH_SMTP_S_HELO:
        on_helo(in);
        return true;
    case PH_SMTP_S_MAIL:
        on_mail(in, ev);
        return true;
    case PH_SMTP_S_RCPT:
        on_rcpt(in, ev);
        return true;
    case PH_SMTP_S_DATA:
        on_data(in);
        return true;
    case PH_SMTP_S_BODY:
        on_body(in, ev->data);
        return true;
    case PH_SMTP_S_EOM:
        on_eom(in);
        return true;
    case PH_SMTP_S_RESET:
        letter_clear(&in->letter);
        return true;
    default:
        return false;
    }
}

void intake_answer(struct intake *in, struct ipc_msg *msg)
{
    enum intake_pending was = in->pending;
    in->pending = INTAKE_NOTHING;
    if (!msg) {
        reply_busy(in);
        if (was == INTAKE_PUT || was == INTAKE_AUTHOR)
            letter_clear(&in->letter);
    } else if (was == INTAKE_SENDER) {
        sender_checked(in, &msg->SENDER_CHECKED);
    } else if (was == INTAKE_AUTHOR) {
        author_checked(in, &msg->SENDER_CHECKED);
    } else if (was == INTAKE_RCPT) {
        rcpt_checked(in, &msg->RCPT_CHECKED);
    } else if (was == INTAKE_PUT) {
        put_done(in, &msg->QUEUE_PUT_DONE);
    }
}
