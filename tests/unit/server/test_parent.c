/* parent/house.c alone: what the parent does when one process accuses another. The children are
 * played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "parent_int.h"

#include <string.h>

static int64_t joined_at[32];
static unsigned joins, kills;
static struct child *killed;

void child_join(struct child *a, struct child *b)
{
    assert_int_equal(a->role, ROLE_ACCESS);
    assert_int_equal(b->role, ROLE_STORE);
    joined_at[joins++ % 32] = ph_loop_now(a->p->loop);
    ph_loop_stop(a->p->loop);
}

void child_kill(struct child *c)
{
    kills++;
    killed = c;
}

void child_start(struct child *c)
{
    (void)c;
}

void child_drain(struct child *c)
{
    (void)c;
}

void child_send_conf(struct child *c)
{
    (void)c;
}

void child_send_trust(struct child *c)
{
    (void)c;
}

int data_trust(struct parent *p, const struct ph_conf *conf, struct ph_error *reterr)
{
    (void)p, (void)conf, (void)reterr;
    return 0;
}

void child_send_certs(struct child *c)
{
    (void)c;
}

void child_send_tickets(struct child *c)
{
    (void)c;
}

void control_acted(struct parent *p, const struct ipc_QUEUE_ACTED *m)
{
    (void)p, (void)m;
}

int parent_conf(const struct parent_options *opt, struct ph_conf **ret)
{
    (void)opt, (void)ret;
    return -1;
}

int data_certificate(struct parent *p, const struct ph_conf *conf, struct ph_error *reterr)
{
    (void)p, (void)conf, (void)reterr;
    return -1;
}

void data_ready(struct parent *p)
{
    (void)p;
}

const ph_conf_list *service_addresses(const struct ph_conf *c, int service)
{
    (void)c, (void)service;
    return NULL;
}

static void setup(struct parent *p)
{
    memset(p, 0, sizeof *p);
    joins = kills = 0;
    killed = NULL;
    p->phase = SERVING;
    p->loop = ph_loop_new();
    p->child_count = 3;
    p->children[0] = (struct child){.p = p, .role = ROLE_ACCESS};
    p->children[1] = (struct child){.p = p, .role = ROLE_STORE};
    p->children[2] = (struct child){.p = p, .role = ROLE_QUEUE};
}

static void teardown(struct parent *p)
{
    ph_timer_free(p->children[0].rejoin);
    ph_loop_free(p->loop);
}

/* The network side gets a new channel, at once and then ever later; nobody is ended on its word. */
static void later_and_later(void **state)
{
    static struct parent p;
    (void)state;
    setup(&p);
    for (unsigned i = 0; i < 4; i++) {
        house_broken(&p, &p.children[0], ROLE_STORE, 0, PH_STR("nonsense"));
        house_broken(&p, &p.children[0], ROLE_STORE, 0, PH_STR("and again")); /* not counted */
        assert_int_equal(ph_loop_run(p.loop), 0);
        assert_int_equal(joins, i + 1);
    }
    assert_true(joined_at[1] - joined_at[0] >= 240);
    assert_true(joined_at[2] - joined_at[1] >= 490);
    assert_true(joined_at[3] - joined_at[2] >= 990);
    assert_int_equal(kills, 0);
    p.children[0].joined -= 61000; /* a quiet minute */
    house_broken(&p, &p.children[0], ROLE_STORE, 0, PH_STR("nonsense"));
    assert_int_equal(ph_loop_run(p.loop), 0);
    assert_int_equal(joins, 5);
    assert_int_equal(p.children[0].rejoins, 1);
    teardown(&p);
}

static void who_is_believed(void **state)
{
    static struct parent p;
    (void)state;
    setup(&p);
    house_broken(&p, &p.children[1], ROLE_ACCESS, 0, PH_STR("lies")); /* one inside is */
    assert_ptr_equal(killed, &p.children[0]);
    house_broken(&p, &p.children[1], ROLE_STORE, 0, PH_STR("itself"));
    house_broken(&p, &p.children[1], ROLE_MX, 0, PH_STR("no such peer"));
    house_broken(&p, &p.children[1], ROLE_ACCESS, 7, PH_STR("no such process"));
    assert_int_equal(kills, 1);
    assert_int_equal(joins, 0);
    teardown(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_and_later),
        cmocka_unit_test(who_is_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
