/* gc_cmap.c: threads pass collected objects to each other through concurrent maps, whose entries are their only home,
 * while collections run; every object that comes out is what it was when it went in.
 *
 * usage: gc_cmap [SECONDS [SEED]]      freed memory is overwritten with NEAP_DEBUG=gccheckmark=1, which the test sets
 *
 * The hostile move: an object is taken out of one key and put under another, which the marker may have passed, or in
 * another map; in between it is in no map, and on the stack of one thread. Maps grow and shrink by whole tables
 * all the time, so that a marker reads tables that are being replaced.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "neap/gc_cmap.h"
#include "support/require.h"

#ifdef NEAP_HOSTILE
enum { STEPS = 200 }; /* a cycle every 64 objects */
#else
enum { STEPS = 2000 };
#endif
enum { THREADS = 4, MAPS = 3, KEYS = 6000 };

struct crate {
	struct crate *inside; /* a second one, of the next number */
	uint64_t number, sum;
};
NEAP_TYPE(crate_type, struct crate, inside);

/* A value of several words; written in two steps, so a reader may meet it half written. */
struct lot {
	struct crate *crate;
	uint64_t number;
};
NEAP_TYPE(lot_type, struct lot, crate);

static const struct neap_map_type types[MAPS] = {
	{.size = sizeof types[0], .key_size = 8, .key_align = 8, .value_size = 8, .value_align = 8},
	{.size = sizeof types[0], .key_size = 8, .key_align = 8, .value_size = 16, .value_align = 8},
	/* too long a value for a slot: nodes */
	{.size = sizeof types[0], .key_size = 8, .key_align = 8, .value_size = 128, .value_align = 8},
};
struct long_lot {
	uint64_t before[14];
	struct lot lot;
};
NEAP_TYPE(long_lot_type, struct long_lot, lot.crate);

union any_lot {
	struct crate *crate;
	struct lot lot;
	struct long_lot long_lot;
};

static struct neap_gc_cmap *maps[MAPS];
static _Atomic bool over;
static _Atomic uint64_t numbers, loads;

static uint64_t mixed(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	return x * UINT64_C(0x94d049bb133111eb);
}

static struct crate *new_crate(void)
{
	struct crate *inner = neap_gc_alloc(&crate_type), *outer = neap_gc_alloc(&crate_type);
	REQUIRE(inner != NULL && outer != NULL);
	outer->number = atomic_fetch_add(&numbers, 1);
	outer->sum = mixed(outer->number);
	inner->number = outer->number + 1;
	inner->sum = mixed(inner->number);
	outer->inside = inner;
	return outer;
}

static void expect_whole(const struct crate *crate)
{
	REQUIRE(crate->sum == mixed(crate->number));
	REQUIRE(crate->inside->number == crate->number + 1 &&
		crate->inside->sum == mixed(crate->inside->number));
}

/* What a value of each map looks like around its crate. */
static union any_lot wrap(unsigned map, struct crate *crate)
{
	union any_lot value = {.long_lot = {{0}, {NULL, 0}}};
	struct lot lot = {crate, crate->number};
	if (map == 0)
		value.crate = crate;
	else if (map == 1)
		value.lot = lot;
	else
		value.long_lot.lot = lot;
	return value;
}

static struct crate *unwrap(unsigned map, const union any_lot *value)
{
	if (map == 0)
		return value->crate;
	const struct lot *lot = map == 1 ? &value->lot : &value->long_lot.lot;
	REQUIRE(lot->crate->number == lot->number);
	return lot->crate;
}

static void act_once(uint64_t random)
{
	unsigned from = (unsigned)(random % MAPS), to = (unsigned)((random >> 8) % MAPS);
	uint64_t key = (random >> 16) % KEYS, other = (random >> 32) % KEYS;
	union any_lot value = {.long_lot = {{0}, {NULL, 0}}}, wrapped;
	switch ((random >> 48) % 8) {
	case 0:
	case 1: /* take out, put elsewhere */
		if (neap_gc_cmap_load_and_delete(maps[from], &key, &value)) {
			wrapped = wrap(to, unwrap(from, &value));
			REQUIRE(neap_gc_cmap_store(maps[to], &other, &wrapped) == NEAP_OK);
		}
		break;
	case 2:
		wrapped = wrap(to, new_crate());
		(void)neap_gc_cmap_load_or_store(maps[to], &key, &wrapped, NULL);
		break;
	case 3: /* exchange, when nobody else has */
		if (neap_gc_cmap_load(maps[to], &key, &value)) {
			wrapped = wrap(to, new_crate());
			if (neap_gc_cmap_compare_and_swap(maps[to], &key, &value, &wrapped) == 1)
				expect_whole(unwrap(to, &value));
		}
		break;
	case 4: (void)neap_gc_cmap_delete(maps[from], &key); break;
	default:
		if (neap_gc_cmap_load(maps[from], &key, &value)) {
			expect_whole(unwrap(from, &value));
			atomic_fetch_add_explicit(&loads, 1, memory_order_relaxed);
		}
	}
}

static bool show_one(const void *key, const void *value, void *ctx)
{
	unsigned map = *(unsigned *)ctx;
	union any_lot copy;
	(void)key;
	memcpy(&copy, value, types[map].value_size);
	expect_whole(unwrap(map, &copy));
	return true;
}

static void *live(void *ctx)
{
	uint64_t random = (uintptr_t)ctx;
	for (unsigned i = 0; i < STEPS && !atomic_load(&over); i++) {
		uint64_t base = mixed(random += UINT64_C(0x9e3779b97f4a7c15));
		/* Long runs of stores and of deletes, so that tables grow and shrink. */
		bool grow = i * 4 / STEPS % 2 == 0;
		for (unsigned k = 0; k < 50; k++) {
			uint64_t now = mixed(base + k);
			act_once((now & ~(UINT64_C(7) << 48)) |
				 (uint64_t)(k % 2 == 0 ? (grow ? 2 : 4) : now % 8) << 48);
		}
		if (i % (STEPS / 3) == 0) {
			unsigned map = (unsigned)(base % MAPS);
			REQUIRE(neap_gc_cmap_range(maps[map], show_one, &map) == NEAP_OK);
		}
	}
	return NULL;
}

static void *collect_until_over(void *unused)
{
	(void)unused;
	while (!atomic_load(&over))
		neap_gc_collect();
	return NULL;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 3;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
	struct neap_gc_type *values[MAPS] = {&neap_gc_pointer, &lot_type, &long_lot_type};
	struct neap_memstats stats = {.size = sizeof stats};
	pthread_t collector, threads[THREADS];
	printf("gc_cmap: seed %llu, %s\n", (unsigned long long)seed,
	       neap_gc_concurrent() ? "concurrent" : "stopping the world");
	for (unsigned i = 0; i < MAPS; i++)
		REQUIRE((maps[i] = neap_gc_cmap_create(&types[i], NULL, values[i], NULL)) != NULL);
	REQUIRE(pthread_create(&collector, NULL, collect_until_over, NULL) == 0);
	struct timespec begin, now;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		for (unsigned i = 0; i < THREADS; i++)
			REQUIRE(pthread_create(&threads[i], NULL, live, (void *)(seed += 1000003)) == 0);
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9 < seconds);
	atomic_store(&over, true);
	pthread_join(collector, NULL);
	REQUIRE(neap_memstats(&stats) == NEAP_OK);
	printf("gc_cmap: %llu crates, %llu loads, %u collections\n", (unsigned long long)numbers,
	       (unsigned long long)loads, stats.NumGC);
	REQUIRE(loads != 0 && stats.NumGC > 2);
	return 0;
}
