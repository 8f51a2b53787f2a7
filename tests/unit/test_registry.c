/* test_registry.c: the list of all maps, and what can be seen of a map through it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "base/registry.h"
#include "neap/hmap.h"
#include "neap/layout.h"
#include "neap/map.h"
#include "neap/map_core.h"

static const struct neap_map_type u64_type = {.size = sizeof(struct neap_map_type),
					      .kind = NEAP_KEY_BYTES,
					      .key_size = 8,
					      .key_align = 8,
					      .value_size = 24,
					      .value_align = 8};
static const struct neap_map_type str_type = {.size = sizeof(struct neap_map_type),
					      .kind = NEAP_KEY_STR,
					      .flags = NEAP_MAP_OWN_KEYS,
					      .key_size = sizeof(struct neap_str),
					      .key_align = 8,
					      .value_size = 200,
					      .value_align = 8};
static const struct neap_hmap_type hmap_type = {.size = sizeof(struct neap_hmap_type),
						.kind = NEAP_HMAP_BYTES,
						.key_size = 8,
						.key_align = 8,
						.value_size = 8,
						.value_align = 8};

/* ---- The list ---- */

struct found {
	const void *object;
	unsigned times, total;
};

static bool find_object(const struct neap__link *link, void *ctx)
{
	struct found *found = ctx;
	found->times += link->object == found->object;
	found->total++;
	return true;
}

/* By address as a number: what is looked for may have been freed. */
static struct found find_address(uintptr_t address)
{
	struct found found = {.object = (const void *)address};
	assert_true(neap__registry_each(find_object, &found));
	return found;
}

static struct found find_map(const void *object)
{
	return find_address((uintptr_t)object);
}

static void a_map_is_listed_while_it_lives(void **state)
{
	(void)state;
	assert_int_equal(neap__registry_count(), 0);
	struct neap_map *map = neap_map_create(&u64_type, NULL);
	struct neap_hmap *hmap = neap_hmap_create(&hmap_type, NULL);
	assert_int_equal(find_map(map).times, 1);
	assert_int_equal(find_map(hmap).times, 1);
	struct neap_map *clone = neap_map_clone(map, NULL, NULL);
	assert_int_equal(find_map(clone).times, 1);
	assert_int_equal(neap__registry_count(), 3);
	volatile uintptr_t gone = (uintptr_t)map; /* not known to the compiler as a freed pointer */
	neap_map_destroy(map);
	assert_int_equal(find_address(gone).times, 0);
	assert_int_equal(neap__registry_count(), 2);
	neap_map_destroy(clone);
	neap_hmap_destroy(hmap);
	assert_int_equal(find_map(NULL).total, 0);
}

static void *no_memory(void *ctx, size_t size, size_t align)
{
	(void)align;
	size_t *left = ctx;
	return (*left)-- > 0 ? malloc(size) : NULL;
}

static void give_back(void *ctx, void *block, size_t size)
{
	(void)ctx, (void)size;
	free(block);
}

static void a_map_that_fails_is_not_listed(void **state)
{
	(void)state;
	size_t left = 1; /* the header, but not the name */
	const struct neap_allocator stingy = {no_memory, give_back, &left};
	assert_null(
		neap_map_create(&u64_type, &(struct neap_map_options){.name = "x", .allocator = &stingy}));
	assert_int_equal(neap__registry_count(), 0);
}

enum { MANY = 1000 }; /* more than a batch */

static void every_map_is_visited_once_and_some_can_go(void **state)
{
	(void)state;
	static struct neap_map *maps[MANY];
	for (int i = 0; i < MANY; i++)
		maps[i] = neap_map_create(&u64_type, NULL);
	assert_int_equal(find_map(maps[MANY / 2]).total, MANY);
	assert_int_equal(find_map(maps[0]).times, 1);
	for (int i = 0; i < MANY; i += 2)
		neap_map_destroy(maps[i]);
	assert_int_equal(find_map(NULL).total, MANY / 2);
	for (int i = 1; i < MANY; i += 2)
		neap_map_destroy(maps[i]);
	assert_int_equal(find_map(NULL).total, 0);
}

static bool stop_at_second(const struct neap__link *link, void *ctx)
{
	(void)link;
	return ++*(int *)ctx < 2;
}

static void a_visitor_can_stop(void **state)
{
	(void)state;
	struct neap_map *a = neap_map_create(&u64_type, NULL), *b = neap_map_create(&u64_type, NULL),
			*c = neap_map_create(&u64_type, NULL);
	int visits = 0;
	assert_false(neap__registry_each(stop_at_second, &visits));
	assert_int_equal(visits, 2);
	neap_map_destroy(b);
	neap_map_destroy(a);
	neap_map_destroy(c);
}

static void a_child_has_the_same_list(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&u64_type, NULL);
	pid_t child = fork();
	if (child == 0) {
		struct neap_map *own = neap_map_create(&u64_type, NULL);
		bool right = find_map(map).times == 1 && find_map(own).times == 1;
		neap_map_destroy(map);
		_exit(right && find_map(NULL).total == 1 ? 0 : 1);
	}
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	neap_map_destroy(map);
}

/* As a debugger does: through the exported symbols and the offsets alone. */
static uint64_t layout_of(const struct neap_layout *table, const char *name)
{
	for (; table->name != NULL; table++)
		if (strcmp(table->name, name) == 0)
			return table->value;
	fail_msg("%s is not in the layout", name);
	return 0;
}

static void the_layout_leads_to_every_map(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&u64_type, NULL);
	struct neap_hmap *hmap = neap_hmap_create(&hmap_type, NULL);
	const char *at = (const char *)&neap__registry;
	unsigned maps = 0, hmaps = 0;
	uint32_t stride =
		*(const uint32_t *)(const void *)(at + layout_of(neap_layout, "neap__registry.stride"));
	for (uint64_t shard = 0; shard < *(const uint32_t *)(const void *)at; shard++) {
		const char *link =
			*(const char *const *)(const void *)(at +
							     layout_of(neap_layout, "neap__registry.shard") +
							     shard * stride +
							     layout_of(neap_layout, "neap__shard.first"));
		while (link != NULL) {
			uint64_t kind =
				*(const uint32_t *)(const void *)(link +
								  layout_of(neap_layout, "neap__link.kind"));
			const char *object =
				*(const char *const *)(const void *)(link + layout_of(neap_layout,
										      "neap__link.object"));
			if (kind == layout_of(neap_layout, "kind_map") && object == (const char *)map)
				maps += link == object + layout_of(neap_layout, "neap_map.listed");
			if (kind == layout_of(neap_layout, "kind_hmap") && object == (const char *)hmap)
				hmaps += link == object + layout_of(neap_hmap_layout, "neap_hmap.listed");
			link = *(const char *const *)(const void *)(link + layout_of(neap_layout,
										     "neap__link.next"));
		}
	}
	assert_int_equal(maps, 1);
	assert_int_equal(hmaps, 1);
	neap_map_destroy(map);
	neap_hmap_destroy(hmap);
}

/* ---- Glances ---- */

static void glance_at(const struct neap__link *link, struct neap__glance *ret)
{
	link->species->glance(link->object, ret);
	assert_int_equal(ret->live + ret->tombstone + ret->empty + ret->free_held + ret->metadata,
			 ret->total);
}

static void same_as_stats(const struct neap_map *map)
{
	struct neap_map_stats stats = {.size = sizeof stats};
	struct neap__glance glance;
	neap_map_stats(map, &stats);
	glance_at(&map->listed, &glance);
	assert_true(glance.exact);
	assert_string_equal(glance.name, neap_map_name(map));
	assert_int_equal(glance.len, stats.len);
	assert_int_equal(glance.slots, stats.slots);
	assert_int_equal(glance.tombstone_slots, stats.tombstone_slots);
	assert_int_equal(glance.total, stats.total);
	assert_int_equal(glance.free_held, stats.free_held);
	assert_int_equal(glance.tombstone, stats.tombstone);
	assert_int_equal(glance.empty, stats.empty);
	assert_int_equal(glance.metadata, stats.metadata);
	assert_int_equal(glance.live, stats.live);
}

static void a_glance_of_a_map_at_rest_is_its_stats(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&u64_type, &(struct neap_map_options){.name = "sessions"});
	same_as_stats(map);
	for (uint64_t n = 0; n < 40000; n++) {
		assert_int_equal(neap_map_put(map, &n, NULL), 0);
		if ((n & (n - 1)) == 0 || n % 5000 == 0)
			same_as_stats(map);
	}
	for (uint64_t n = 0; n < 40000; n += 2) {
		assert_true(neap_map_delete(map, &n));
		if (n % 5000 == 0)
			same_as_stats(map);
	}
	neap_map_clear(map);
	same_as_stats(map);
	neap_map_destroy(map);
}

static void blocks_outside_the_slots_are_live(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&str_type, &(struct neap_map_options){.name = "owned"});
	char text[32];
	for (int i = 0; i < 500; i++) {
		struct neap_str key = {text, (uint32_t)snprintf(text, sizeof text, "key %d", i), 0};
		assert_int_equal(neap_map_put(map, &key, NULL), 0);
	}
	same_as_stats(map);
	neap_map_destroy(map);
}

static void a_glance_of_a_classic_map(void **state)
{
	(void)state;
	enum { ENTRIES = 20000 };
	struct neap_hmap *map =
		neap_hmap_create(&hmap_type, &(struct neap_hmap_options){.name = "classic", .hint = ENTRIES});
	for (uint64_t n = 0; n < ENTRIES; n++)
		assert_int_equal(neap_hmap_put(map, &n, NULL), 0);
	for (uint64_t n = 0; n < ENTRIES; n++)
		if (n % 3 != 0)
			neap_hmap_delete(map, &n);
	struct neap_hmap_stats stats = {.size = sizeof stats};
	struct neap__glance glance = {0};
	neap_hmap_stats(map, &stats);
	struct neap__link link = {.object = map};
	link.species = NULL;
	for (uint32_t i = 0; i < NEAP__SHARDS; i++)
		if (neap__registry.shard[i].first != NULL)
			link = *neap__registry.shard[i].first;
	assert_ptr_equal(link.object, map);
	glance_at(&link, &glance);
	assert_string_equal(glance.name, "classic");
	assert_int_equal(glance.len, stats.len);
	assert_int_equal(glance.live, stats.live);
	assert_int_equal(glance.total, stats.total);
	/* 512 of the slots were looked at. */
	double share = (double)glance.tombstone_slots / (double)glance.slots;
	double truth = (double)stats.tombstone_slots / (double)stats.slots;
	assert_true(truth > 0.1);
	assert_true(share > truth - 0.1 && share < truth + 0.1);
	neap_hmap_destroy(map);
}

/* ---- Peeking ---- */

static bool refuse_readv(const char *call)
{
	return strcmp(call, "process_vm_readv") == 0;
}

static bool refuse_both(const char *call)
{
	return refuse_readv(call) || strcmp(call, "open") == 0;
}

static void peeking_needs_no_luck(void **state)
{
	(void)state;
	uint64_t from = 42, to = 0;
	assert_true(neap__os_peek(&to, &from, sizeof to));
	assert_int_equal(to, 42);
	char *page = neap__os_reserve(neap__os_page_size());
	neap__os_release(page, neap__os_page_size());
	assert_false(neap__os_peek(&to, page, sizeof to));
	neap__os_fail = refuse_readv;
	from = 43;
	assert_true(neap__os_peek(&to, &from, sizeof to));
	assert_int_equal(to, 43);
	assert_false(neap__os_peek(&to, page, sizeof to));
	neap__os_fail = refuse_both;
	assert_false(neap__os_peek(&to, &from, sizeof to));
	neap__os_fail = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_is_listed_while_it_lives),
		cmocka_unit_test(a_map_that_fails_is_not_listed),
		cmocka_unit_test(every_map_is_visited_once_and_some_can_go),
		cmocka_unit_test(a_visitor_can_stop),
		cmocka_unit_test(a_child_has_the_same_list),
		cmocka_unit_test(the_layout_leads_to_every_map),
		cmocka_unit_test(a_glance_of_a_map_at_rest_is_its_stats),
		cmocka_unit_test(blocks_outside_the_slots_are_live),
		cmocka_unit_test(a_glance_of_a_classic_map),
		cmocka_unit_test(peeking_needs_no_luck),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
