/* cores.h - how much of the machine a part of the house takes by itself. */
#ifndef PH_CORES_H
#define PH_CORES_H

/* How many processors this process may run on (sched_getaffinity(2)); at least 1. */
unsigned ph_cores(void);

/* One for every `each` of them, but from least to most. */
unsigned ph_cores_share(unsigned each, unsigned least, unsigned most);

#endif
