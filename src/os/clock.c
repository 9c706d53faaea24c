/* The clocks of loop.h, in a file of their own: the library reads them without an event loop. */
#include "loop.h"
#include <time.h>

static int64_t read_us(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t ph_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t ph_boot_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

int64_t ph_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}
