/* peer.h: what a concurrent map must be able to do to be measured. Keys and values are 64-bit numbers. */
#ifndef BENCH_CONCURRENT_PEER_H
#define BENCH_CONCURRENT_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct concurrent_peer {
	const char *name, *what;
	void *(*make)(void);
	void (*destroy)(void *map);
	/* Around the work of a thread; may be NULL. */
	void (*thread_in)(void), (*thread_out)(void);
	/* Called by every thread between operations, every few hundred of them; may be NULL. */
	void (*rest)(void);
	bool (*load)(void *map, uint64_t key, uint64_t *ret);
	void (*store)(void *map, uint64_t key, uint64_t value);
	void (*erase)(void *map, uint64_t key);
};

/* NULL where a library is not there. */
extern const struct concurrent_peer peer_cmap, peer_mutex, peer_rwlock, peer_urcu, peer_ck, peer_tbb;

/* A number that looks random and differs for every i (the finaliser of SplitMix64). */
static inline uint64_t concurrent_mix(uint64_t i)
{
	i = (i ^ i >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	i = (i ^ i >> 27) * UINT64_C(0x94d049bb133111eb);
	return i ^ i >> 31;
}

#ifdef __cplusplus
}
#endif

#endif
