/* test_guard.c: references that know when they are stale, the quarantine, guard pages, the gate. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "neap/gate.h"
#include "neap/guard.h"
#include "support/child.h"
#include "support/failing_alloc.h"

#define NEAP_MAP_NAME  sessions
#define NEAP_MAP_KEY   uint64_t
#define NEAP_MAP_VALUE uint64_t
#include "neap/map_typed.h"

enum { N = 1000 };

/* ---- References ---- */

static struct neap_map *filled(void)
{
	struct neap_map *map = sessions_create(&(struct neap_map_options){.name = "sessions"});
	for (uint64_t i = 0; i < N; i++)
		assert_int_equal(sessions_put(map, i, i + 1), NEAP_OK);
	return map;
}

static void do_nothing(struct neap_map *map)
{
	(void)sessions_get(map, 3);
	neap_map_each (it, map)
		(void)it.key;
}

static void do_overwrite(struct neap_map *map)
{
	(void)sessions_put(map, 3, 9);
}

static void do_insert(struct neap_map *map)
{
	(void)sessions_put(map, N + 1, 9);
}

static void do_insert_erased(struct neap_map *map)
{
	(void)neap_map_put(map, &(uint64_t){N + 2}, &(uint64_t){9});
}

static void do_delete(struct neap_map *map)
{
	(void)sessions_delete(map, 3);
}

static void do_take(struct neap_map *map)
{
	(void)sessions_take(map, 3, NULL, NULL);
}

static void do_clear(struct neap_map *map)
{
	neap_map_clear(map);
}

static void do_clear_keep(struct neap_map *map)
{
	neap_map_clear_keep(map);
}

static void do_reserve(struct neap_map *map)
{
	(void)neap_map_reserve(map, 100 * N);
}

static bool is_three(const void *key, void *value, void *ctx)
{
	(void)value, (void)ctx;
	return *(const uint64_t *)key == 3;
}

static void do_delete_if(struct neap_map *map)
{
	(void)neap_map_delete_if(map, is_three, NULL);
}

static void a_reference_is_stale_after_every_change_and_no_sooner(void **state)
{
	(void)state;
	static const struct {
		void (*change)(struct neap_map *map);
		bool stale;
	} cases[] = {{do_nothing, false}, {do_overwrite, false},    {do_insert, true},
		     {do_delete, true},	  {do_insert_erased, true}, {do_take, true},
		     {do_clear, true},	  {do_clear_keep, true},    {do_reserve, true},
		     {do_delete_if, true}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct neap_map *map = filled();
		struct neap_ref ref = neap_ref_of(map, sessions_get(map, 3));
		assert_true(neap_ref_valid(&ref));
		assert_int_equal(*(uint64_t *)neap_ref_get(&ref), 4);
		cases[i].change(map);
		if (neap_ref_valid(&ref) == cases[i].stale)
			fail_msg("case %zu", i);
		neap_map_destroy(map);
	}
	struct neap_ref nothing = neap_ref_of(NULL, NULL);
	assert_true(neap_ref_valid(&nothing));
	assert_null(neap_ref_get(&nothing));
}

static void use_stale(void)
{
	struct neap_map *map = filled();
	struct neap_ref ref = neap_ref_of(map, sessions_get(map, 3));
	do_delete(map);
	*(volatile uint64_t *)neap_ref_get(&ref) = 5;
}

static void a_stale_reference_stops_the_program(void **state)
{
	(void)state;
	struct ending ending = child_run(use_stale, 10);
	if (!child_was_stopped(&ending, "stale value pointer", "sessions", "neap_ref_get,"))
		fail_msg("signal %d, wrote: %s", ending.signal, ending.text);
}

/* A destroyed map in a quarantine: the reference is found stale all the same. */
static void use_after_destroy(void)
{
	struct neap_quarantine *quarantine = neap_quarantine_create(NULL, 1 << 20);
	struct neap_map *map = sessions_create(
		&(struct neap_map_options){.allocator = neap_quarantine_allocator(quarantine)});
	(void)sessions_put(map, 1, 1);
	struct neap_ref ref = neap_ref_of(map, sessions_get(map, 1));
	neap_map_destroy(map);
	(void)neap_ref_get(&ref);
}

static void a_quarantine_shows_references_to_destroyed_maps(void **state)
{
	(void)state;
	struct ending ending = child_run(use_after_destroy, 10);
	if (!child_was_stopped(&ending, "stale value pointer", "destroyed", "neap_ref_get,"))
		fail_msg("signal %d, wrote: %s", ending.signal, ending.text);
}

/* ---- Quarantine ---- */

static struct neap_quarantine *quarantine;
static const struct neap_allocator *from;

static unsigned char *get(size_t size)
{
	return from->alloc(from->ctx, size, 16);
}

static void put(void *block, size_t size)
{
	from->free(from->ctx, block, size);
}

static void free_twice(void)
{
	unsigned char *block = get(100);
	put(block, 100);
	put(block, 100);
}

static void free_with_another_size(void)
{
	put(get(100), 99);
}

static void free_what_is_not_ours(void)
{
	static _Alignas(64) unsigned char foreign[256];
	put(foreign + 128, 100);
}

static void write_past_the_end(void)
{
	volatile unsigned char *block = get(100);
	block[100] = 1;
	put((void *)(uintptr_t)block, 100);
}

static void write_after_free(void)
{
	volatile unsigned char *block = get(100);
	put((void *)(uintptr_t)block, 100);
	block[50] = 1;
	for (int i = 0; i < 100; i++) /* pushes it out */
		put(get(100), 100);
}

static void write_after_free_and_check(void)
{
	volatile unsigned char *block = get(100);
	put((void *)(uintptr_t)block, 100);
	neap_quarantine_check(quarantine);
	block[0] = 1;
	neap_quarantine_check(quarantine);
}

static bool was_stopped(void (*mistake)(void), const char *rule, const char *object)
{
	char line[128];
	struct ending ending = child_run(mistake, 10);
	snprintf(line, sizeof line, "neap: fatal: %s: block \"%s\" (0x", rule, object);
	bool clear = ending.signal == SIGABRT && strncmp(ending.text, line, strlen(line)) == 0;
	if (!clear)
		print_message("wanted: %s; signal %d, wrote: %s\n", line, ending.signal, ending.text);
	return clear;
}

static void a_quarantine_sees_misuse(void **state)
{
	(void)state;
	static const struct {
		void (*mistake)(void);
		const char *rule;
	} cases[] = {
		{free_twice, "double free"},
		{free_with_another_size, "free with another size"},
		{free_what_is_not_ours, "foreign pointer"},
		{write_past_the_end, "write past the end"},
		{write_after_free, "write after free"},
		{write_after_free_and_check, "write after free"},
	};
	quarantine = neap_quarantine_create(NULL, 1000);
	from = neap_quarantine_allocator(quarantine);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_true(was_stopped(cases[i].mistake, cases[i].rule, "quarantine"));
	assert_int_equal(neap_quarantine_destroy(quarantine), 0);
}

static void a_quarantine_is_bounded_and_gives_everything_back(void **state)
{
	(void)state;
	struct failing_alloc memory;
	struct neap_allocator below = failing_alloc_init(&memory);
	quarantine = neap_quarantine_create(&below, 10000);
	from = neap_quarantine_allocator(quarantine);
	size_t before = memory.bytes;
	void *kept = get(8);
	for (size_t i = 0; i < 2000; i++) {
		size_t align = (size_t)1 << i % 7, size = i % 300;
		void *block = from->alloc(from->ctx, size, align);
		assert_int_equal((uintptr_t)block % align, 0);
		memset(block, 1, size);
		put(block, size);
		assert_true(memory.bytes - before <= 10000 + 8 + 72 + 72 * (memory.blocks - 1));
	}
	put(get(50000), 50000); /* larger than the bound: through at once, and everything before it */
	assert_true(memory.blocks <= 3);
	memory.fail_at = 1;
	assert_null(get(8));
	neap_quarantine_check(quarantine);
	assert_int_equal(neap_quarantine_destroy(quarantine), 1); /* `kept` */
	assert_int_equal(memory.blocks, 1);
	below.free(below.ctx, (char *)kept - 32, 32 + 8 + 8); /* as it lies below, see neap/guard.h */
	memory.fail_at = 1;
	assert_null(neap_quarantine_create(&below, 1));
}

/* ---- Sampler ---- */

static struct neap_sampler *sampler;

static void touch_freed(void)
{
	volatile unsigned char *block = get(100);
	put((void *)(uintptr_t)block, 100);
	block[0] = 1;
}

static void touch_behind(void)
{
	for (;;) { /* the block is at the end of its page every other time */
		volatile unsigned char *block = get(112);
		if (((uintptr_t)block + 112) % neap__os_page_size() == 0)
			block[112] = 1;
	}
}

static void touch_before(void)
{
	for (;;) {
		volatile unsigned char *block = get(112);
		if ((uintptr_t)block % neap__os_page_size() == 0)
			block[-1] = 1;
	}
}

static void write_slack(void)
{
	unsigned char *block = get(100);
	*(volatile unsigned char *)(block + 100) = 1;
	put(block, 100);
}

static void fault_elsewhere(void)
{
	volatile uintptr_t nowhere = 16; /* volatile: the compiler must not see where it goes */
	*(volatile int *)nowhere = 1;
}

/* In the child, whose parent's handlers child_run has taken away. */
static void (*wrong)(void);

static void with_handler(void)
{
	sampler = neap_sampler_create(&(struct neap_sampler_options){.one_in = 1, .catch_faults = true});
	from = neap_sampler_allocator(sampler);
	wrong();
}

static bool sampler_stopped(void (*mistake)(void), const char *rule)
{
	wrong = mistake;
	return was_stopped(with_handler, rule, "sampler");
}

static void guard_pages_stop_wrong_accesses(void **state)
{
	(void)state;
	assert_true(sampler_stopped(touch_freed, "use after free"));
	assert_true(sampler_stopped(touch_behind, "access out of bounds"));
	assert_true(sampler_stopped(touch_before, "access out of bounds"));
	assert_true(sampler_stopped(write_slack, "write past the end"));
	assert_true(sampler_stopped(free_twice, "double free"));
	assert_true(sampler_stopped(free_with_another_size, "free with another size"));
	wrong = fault_elsewhere;
	struct ending ending = child_run(with_handler, 10);
	assert_int_equal(ending.signal, SIGSEGV);
	assert_null(strstr(ending.text, "\"sampler\""));
	struct neap_sample sample;
	sampler = neap_sampler_create(&(struct neap_sampler_options){.one_in = 1});
	from = neap_sampler_allocator(sampler);
	unsigned char *block = get(10);
	assert_true(neap_sampler_explain(sampler, block + 3, &sample));
	assert_ptr_equal(sample.block, block);
	assert_int_equal(sample.bytes, 10);
	assert_false(sample.freed);
	put(block, 10);
	assert_true(neap_sampler_explain(sampler, block, &sample));
	assert_true(sample.freed);
	assert_false(neap_sampler_explain(sampler, &sample, &sample));
	neap_sampler_destroy(sampler);
}

static bool no_mprotect(const char *call)
{
	return strcmp(call, "mprotect") == 0;
}

static void a_sampler_takes_its_share_and_passes_the_rest_on(void **state)
{
	(void)state;
	enum { BLOCKS = 40000, ONE_IN = 50 };
	struct failing_alloc memory;
	struct neap_allocator below = failing_alloc_init(&memory);
	const struct neap_sampler_options options = {.from = &below, .one_in = ONE_IN, .slots = 16};
	sampler = neap_sampler_create(&options);
	from = neap_sampler_allocator(sampler);
	void *held[100];
	for (size_t i = 0; i < 100; i++)
		memset(held[i] = get(i + 1), 1, i + 1);
	assert_in_range(neap_sampler_count(sampler), 0, 16);
	for (size_t i = 0; i < 100; i++)
		put(held[i], i + 1);
	for (size_t i = 0; i < BLOCKS; i++) {
		size_t size = i % 5000;
		unsigned char *block = get(size);
		memset(block, 1, size);
		put(block, size);
	}
	/* One in fifty, a fifth of them too large; ten standard deviations wide. */
	assert_in_range(neap_sampler_count(sampler), 400, 900);
	neap__os_fail = no_mprotect; /* no page can be opened: all go below */
	uint64_t count = neap_sampler_count(sampler);
	for (size_t i = 0; i < 500; i++)
		put(get(8), 8);
	neap__os_fail = NULL;
	assert_int_equal(neap_sampler_count(sampler), count);
	neap_sampler_destroy(sampler);
	assert_int_equal(memory.blocks, 0);
	memory.fail_at = 1;
	assert_null(neap_sampler_create(&options));
}

/* ---- The gate ---- */

static char refusals[512];
static uint32_t refused;

static void note(const struct neap_gate_refusal *refusal, void *ctx)
{
	(void)ctx;
	refused |= refusal->what;
	size_t used = strlen(refusals);
	snprintf(refusals + used, sizeof refusals - used, "%s: found %s, needs %s; ", refusal->name,
		 refusal->found, refusal->needed);
}

static bool nothing_known(const char *call)
{
	return strcmp(call, "membarrier") == 0 || strcmp(call, "confstr") == 0 || strcmp(call, "uname") == 0;
}

static void the_gate_names_what_it_refuses(void **state)
{
	(void)state;
	struct neap_gate_options options = {.refused = note};
	assert_int_equal(neap_init(&options), NEAP_OK);
	assert_int_equal(neap_init(NULL), NEAP_OK);
	assert_string_equal(refusals, "");

	uint64_t facts[NEAP__GATE_FACTS_COUNT] = NEAP__GATE_FACTS;
	facts[3] += 8;
	assert_int_equal(neap__gate_check(facts, NEAP__GATE_FACTS_COUNT, &options), NEAP_EMISMATCH);
	assert_non_null(strstr(refusals, "sizeof(struct neap_map): found "));
	assert_int_equal(neap__gate_check(facts, 2, &options), NEAP_EMISMATCH);
	facts[3] -= 8;
	facts[NEAP__GATE_FACTS_COUNT - 1] = 0; /* as C++ says it */
	assert_int_equal(neap__gate_check(facts, NEAP__GATE_FACTS_COUNT, &options), NEAP_OK);
	facts[NEAP__GATE_FACTS_COUNT - 1] = 64; /* readers laid out otherwise */
	*refusals = '\0';
	assert_int_equal(neap__gate_check(facts, NEAP__GATE_FACTS_COUNT, &options), NEAP_EMISMATCH);
	assert_non_null(strstr(refusals, "sizeof(struct neap__reader), inlined: found 64, needs "));
	options.override = NEAP_GATE_HEADERS;
	assert_int_equal(neap__gate_check(facts, NEAP__GATE_FACTS_COUNT, &options), NEAP_OK);

	neap__os_fail = nothing_known;
	*refusals = '\0';
	refused = 0;
	assert_int_equal(neap_init(&options), NEAP_EMISMATCH);
	assert_int_equal(refused, NEAP_GATE_LIBC | NEAP_GATE_KERNEL | NEAP_GATE_MEMBARRIER);
	assert_non_null(strstr(refusals, "kernel: found unknown, needs 4.14 or later; "));
	options.override = NEAP_GATE_LIBC | NEAP_GATE_KERNEL | NEAP_GATE_MEMBARRIER;
	assert_int_equal(neap_init(&options), NEAP_OK);
	neap__os_fail = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reference_is_stale_after_every_change_and_no_sooner),
		cmocka_unit_test(a_stale_reference_stops_the_program),
		cmocka_unit_test(a_quarantine_shows_references_to_destroyed_maps),
		cmocka_unit_test(a_quarantine_sees_misuse),
		cmocka_unit_test(a_quarantine_is_bounded_and_gives_everything_back),
		cmocka_unit_test(guard_pages_stop_wrong_accesses),
		cmocka_unit_test(a_sampler_takes_its_share_and_passes_the_rest_on),
		cmocka_unit_test(the_gate_names_what_it_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
