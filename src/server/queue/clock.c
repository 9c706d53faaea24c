/*
 * clock.c - the queue's clock: the wall clock without its jumps.
 *
 * An administrator, or the first answer of a time server, sets the wall clock by hours or years;
 * letters have not waited that long. So the wall clock is compared with the one that counts since
 * the machine started. What they differ by changes slowly; when it changes by more than JUMP_US,
 * the wall clock has jumped, and the queue's clock goes on as before: it is the wall clock plus a
 * skew that the spool keeps, as long as anything waits in it.
 */
#include "work.h"

enum { JUMP_US = 10 * 60 * 1000000 }; /* less is no matter for waits that are longer */

/* While the house was down the clock may have gone back: it is not earlier than the last letter. */
void work_clock(struct work *w)
{
    int64_t wall = ph_wall_us(), newest = 0;
    w->clock_off = wall - ph_boot_us();
    int64_t back =
        ph_spool_newest(w->spool, &newest) < 0 ? 0 : newest - (wall + ph_spool_skew(w->spool));
    if (back <= JUMP_US)
        return;
    ph_log(PH_LOG_WARN, (ph_str){0}, "clock-jumped", "seconds=-%lld", (long long)(back / 1000000));
    ph_spool_set_skew(w->spool, ph_spool_skew(w->spool) + back);
}

int64_t work_now(struct work *w)
{
    int64_t wall = ph_wall_us(), off = wall - ph_boot_us(), jump = off - w->clock_off;
    w->clock_off = off;
    if (jump > JUMP_US || jump < -JUMP_US) {
        ph_log(PH_LOG_WARN, (ph_str){0}, "clock-jumped", "seconds=%lld",
               (long long)(jump / 1000000));
        ph_spool_set_skew(w->spool, ph_spool_skew(w->spool) - jump);
    }
    return wall + ph_spool_skew(w->spool);
}

int64_t work_wall(const struct work *w, int64_t time)
{
    return time - ph_spool_skew(w->spool);
}
