/* bdwgc.h: the collector of Boehm, Demers and Weiser beside ours; Debian: libgc-dev. */
#ifndef NEAP_BENCH_BDWGC_H
#define NEAP_BENCH_BDWGC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void bdwgc_begin(bool incremental);
void *bdwgc_alloc(size_t size);
void *bdwgc_data(size_t size); /* without pointers; zeroed, as all of ours is */
void bdwgc_tell(uint64_t *ret_collections, uint64_t *ret_longest_ns);

#endif
