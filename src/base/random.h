/* random.h: seeds and random starts. Not for secrets beyond the seed of a hash table. */
#ifndef NEAP_SRC_BASE_RANDOM_H
#define NEAP_SRC_BASE_RANDOM_H

#include <stdint.h>

/* A seed from the operating system: one system call. */
uint64_t neap__random_seed(void);

/* A cheap pseudo-random number, per thread (wyrand); different in every thread and process. */
uint64_t neap__random_next(void);

#endif
