/* How many processors there are for us. */
#include "cores.h"

#include <sched.h>
#include <unistd.h>

unsigned ph_cores(void)
{
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

unsigned ph_cores_share(unsigned each, unsigned least, unsigned most)
{
    unsigned n = ph_cores() / each;
    return n < least ? least : n > most ? most : n;
}
