/* peer_loops.h: the measured loops. Included at the end of an adapter, which has defined
 *
 *     PEER_NAME, PEER_ABOUT, PEER_RANK
 *     struct map                                                    whatever it needs
 *     static inline struct map *map_make(size_t reserve)
 *     static inline void map_destroy(struct map *)
 *     static inline void map_put(struct map *, bench_key)           inserts key and value_of(key)
 *     static inline const bench_value *map_get(struct map *, bench_key)     NULL: absent
 *     static inline bool map_erase(struct map *, bench_key)
 *     static inline uint64_t map_iterate(struct map *)              the sum of word_of over all values
 *
 * and, where the peer has them, map_get_batch, map_get_miss, map_bytes and map_shrink together with
 * PEER_HAS_BATCH, PEER_HAS_MISS, PEER_HAS_BYTES and PEER_HAS_SHRINK.
 */
#include "op_clock.h"

static void *loop_make(size_t reserve)
{
	return map_make(reserve);
}

static void loop_destroy(void *map)
{
	map_destroy((struct map *)map);
}

static void loop_put(void *opaque, const void *array, size_t n)
{
	struct map *map = (struct map *)opaque;
	const bench_key *keys = (const bench_key *)array;
	for (size_t i = 0; i < n; i++)
		map_put(map, keys[i]);
}

static uint64_t loop_get(void *opaque, const void *array, size_t n)
{
	struct map *map = (struct map *)opaque;
	const bench_key *keys = (const bench_key *)array;
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i++) {
		const bench_value *value = map_get(map, keys[i]);
		if (value)
			sum += word_of(value);
	}
	return sum;
}

static uint64_t loop_get_chain(void *opaque, const void *array, size_t n, uint64_t zero)
{
	struct map *map = (struct map *)opaque;
	const bench_key *keys = (const bench_key *)array;
	uint64_t sum = 0, word = 0;
	for (size_t i = 0; i < n; i++) {
		const bench_value *value = map_get(map, keys[i + (word & zero)]);
		word = value ? word_of(value) : 0;
		sum += word;
	}
	return sum;
}

static void loop_churn(void *opaque, const void *gone_array, const void *come_array, size_t n)
{
	struct map *map = (struct map *)opaque;
	const bench_key *gone = (const bench_key *)gone_array, *come = (const bench_key *)come_array;
	for (size_t i = 0; i < n; i++) {
		map_erase(map, gone[i]);
		map_put(map, come[i]);
	}
}

static size_t loop_erase(void *opaque, const void *array, size_t n)
{
	struct map *map = (struct map *)opaque;
	const bench_key *keys = (const bench_key *)array;
	size_t erased = 0;
	for (size_t i = 0; i < n; i++)
		erased += map_erase(map, keys[i]);
	return erased;
}

static uint64_t loop_iterate(void *map)
{
	return map_iterate((struct map *)map);
}

#ifdef PEER_HAS_RANGE
static uint64_t loop_range(void *map)
{
	return map_range((struct map *)map);
}
#else
#	define loop_range NULL
#endif

static void loop_put_timed(void *opaque, const void *array, size_t n, struct op_clock *clock)
{
	struct map *map = (struct map *)opaque;
	const bench_key *keys = (const bench_key *)array;
	op_clock_start(clock);
	for (size_t i = 0; i < n; i++) {
		map_put(map, keys[i]);
		op_clock_lap(clock, i);
	}
}

static void loop_erase_timed(void *opaque, const void *array, size_t n, struct op_clock *clock)
{
	struct map *map = (struct map *)opaque;
	const bench_key *keys = (const bench_key *)array;
	op_clock_start(clock);
	for (size_t i = 0; i < n; i++) {
		map_erase(map, keys[i]);
		op_clock_lap(clock, i);
	}
}

#ifdef PEER_HAS_BATCH
static uint64_t loop_get_batch(void *opaque, const void *array, size_t n)
{
	struct map *map = (struct map *)opaque;
	const bench_key *keys = (const bench_key *)array;
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i += BATCH)
		sum += map_get_batch(map, keys + i, n - i < BATCH ? n - i : BATCH);
	return sum;
}
#else
#	define loop_get_batch loop_get
#endif

#ifdef PEER_HAS_MISS
static uint64_t loop_get_miss(void *opaque, const void *array, size_t n)
{
	return map_get_miss((struct map *)opaque, (const bench_key *)array, n);
}
#else
#	define loop_get_miss loop_get
#endif

#ifdef PEER_HAS_BYTES
static size_t loop_bytes(void *map)
{
	return map_bytes((struct map *)map);
}
#else
#	define loop_bytes NULL
#endif

#ifdef PEER_HAS_SHRINK
static void loop_shrink(void *map)
{
	map_shrink((struct map *)map);
}
#else
#	define loop_shrink NULL
#endif

static const struct peer this_peer = {
	PEER_NAME,    PEER_ABOUT, BENCH_SHAPE,	  PEER_RANK,	    NULL,	    loop_make,	 loop_destroy,
	loop_put,     loop_get,	  loop_get_miss,  loop_get_batch,   loop_get_chain, loop_churn,	 loop_erase,
	loop_iterate, loop_range, loop_put_timed, loop_erase_timed, loop_bytes,	    loop_shrink,
};

__attribute__((constructor)) static void register_this_peer(void)
{
	bench_register(&this_peer);
}
