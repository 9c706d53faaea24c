/* os/cores: counts what this process may use, not what the machine has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>

#include "cores.h"

static void only_those_that_are_allowed(void **state)
{
    (void)state;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    assert_int_equal(ph_cores(), CPU_COUNT(&all));
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(ph_cores(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

static void a_share_has_two_ends(void **state)
{
    (void)state;
    unsigned all = ph_cores();
    assert_int_equal(ph_cores_share(1, 1, all), all);
    assert_int_equal(ph_cores_share(all, 1, 8), 1);
    assert_int_equal(ph_cores_share(2 * all, 2, 8), 2);
    assert_int_equal(ph_cores_share(1, 1, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_those_that_are_allowed),
                                       cmocka_unit_test(a_share_has_two_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
