"""Measuring on a machine that is shared: on a virtual one the hypervisor gives its processors to others for seconds at a time, and what was
measured meanwhile says nothing of the programs. What it took is in /proc/stat (steal); on a machine of one's own it is nothing."""
import time

MOST = 0.03  # of the time in which the processors had work
TRIES = 6
PAUSE = 1.0  # seconds before another try


def times():
    """(stolen, all that was wanted) since the start of the machine."""
    user, nice, system, _, _, irq, softirq, steal = (int(word) for word in open("/proc/stat").readline().split()[1:9])
    return steal, user + nice + system + irq + softirq + steal


def calmly(measure):
    """measure(), again while more than MOST was stolen, at most TRIES times: (what the calmest one gave, the share that was stolen from it)."""
    best = None
    for number in range(TRIES):
        time.sleep(PAUSE if number else 0)
        before = times()
        result = measure()
        stolen, wanted = (b - a for a, b in zip(before, times()))
        share = stolen / max(wanted, 1)
        if best is None or share < best[1]:
            best = result, share
        if share <= MOST:
            break
    return best


def note(shares):
    """For the end of a line: nothing where the machine was ours."""
    worst = max(shares)
    return f"  up to {100 * worst:.0f} % stolen" if worst > MOST else ""
