/* misuse.c: planted misuse of Neap's headers. A line with "gcc: words" or "clang: words" must be warned of by that
 * compiler's analyser with these words, one with "neap: rule" by neap lint; a line without must not.
 * Compiled by tests/analyser/check, never run.
 */
#include <neap/cache.h>
#include <neap/cmap.h>
#include <neap/gate.h>
#include <neap/gc.h>
#include <neap/heap.h>
#include <neap/hmap.h>
#include <neap/pool.h>
#include <neap/scope.h>

#define NEAP_MAP_NAME  sessions
#define NEAP_MAP_KEY   long
#define NEAP_MAP_VALUE long
#include <neap/map_typed.h>

void use_map_after_destroy(const struct neap_map_type *type);
void use_map_after_destroy(const struct neap_map_type *type)
{
	struct neap_map *map = neap_map_create(type, NULL);
	neap_map_destroy(map);
	neap_map_clear(map); /* gcc: used after, clang: Use of memory after, neap: use-after-free */
}

void destroy_map_twice(const struct neap_map_type *type);
void destroy_map_twice(const struct neap_map_type *type)
{
	struct neap_map *map = neap_map_create(type, NULL);
	neap_map_destroy(map);
	neap_map_destroy(map); /* gcc: double-, clang: free released memory, neap: double-free */
}

size_t leak_map(const struct neap_map_type *type);
size_t leak_map(const struct neap_map_type *type)
{
	struct neap_map *map = neap_map_create(type, NULL); /* neap: leak */
	size_t n = neap_map_bytes(map);
	map = NULL;
	return n; /* gcc: leak of */
}

void free_map_with_the_wrong_function(const struct neap_map_type *type);
void free_map_with_the_wrong_function(const struct neap_map_type *type)
{
	struct neap_map *map = neap_map_create(type, NULL);
	__builtin_free(map); /* gcc: deallocated, neap: mismatched-release */
}

void end_transient_twice(struct neap_scopes *scopes);
void end_transient_twice(struct neap_scopes *scopes)
{
	struct neap_transient *table = neap_transient_begin(scopes);
	neap_transient_end(table);
	neap_transient_end(table); /* gcc: double-, clang: free released memory, neap: double-free */
}

void free_heap_block_twice(void);
void free_heap_block_twice(void)
{
	void *block = neap_heap_alloc(16);
	neap_heap_free(block);
	neap_heap_free(block); /* gcc: double-, clang: free released memory, neap: double-free */
}

void destroy_hmap_twice(const struct neap_hmap_type *type);
void destroy_hmap_twice(const struct neap_hmap_type *type)
{
	struct neap_hmap *map = neap_hmap_create(type, NULL);
	neap_hmap_destroy(map);
	neap_hmap_destroy(map); /* gcc: double-, clang: free released memory, neap: double-free */
}

void destroy_cmap_twice(const struct neap_map_type *type);
void destroy_cmap_twice(const struct neap_map_type *type)
{
	struct neap_cmap *map = neap_cmap_create(type, NULL);
	neap_cmap_destroy(map);
	neap_cmap_destroy(map); /* gcc: double-, clang: free released memory, neap: double-free */
}

size_t use_cmap_after_destroy(const struct neap_map_type *type);
size_t use_cmap_after_destroy(const struct neap_map_type *type)
{
	struct neap_cmap *map = neap_cmap_create(type, NULL);
	neap_cmap_destroy(map);
	return neap_cmap_len(map); /* gcc: used after, clang: Use of memory after, neap: use-after-free */
}

void destroy_cache_twice(const struct neap_map_type *type);
void destroy_cache_twice(const struct neap_map_type *type)
{
	struct neap_cache *cache = neap_cache_create(type, NULL);
	neap_cache_destroy(cache);
	neap_cache_destroy(cache); /* gcc: double-, clang: free released memory, neap: double-free */
}

void end_a_cache_as_a_map(const struct neap_map_type *type);
void end_a_cache_as_a_map(const struct neap_map_type *type)
{
	struct neap_cache *cache = neap_cache_create(type, NULL);
	neap_cmap_destroy((struct neap_cmap *)(void *)cache); /* gcc: deallocated, neap: mismatched-release */
}

void delete_without_a_key(struct neap_cache *cache);
void delete_without_a_key(struct neap_cache *cache)
{
	(void)neap_cache_delete(cache, NULL); /* gcc: NULL, clang: Null pointer, neap: null-dereference */
}

void destroy_handle_twice(void *object);
void destroy_handle_twice(void *object)
{
	struct neap_gc_handle *handle = neap_gc_handle_create(object);
	neap_gc_handle_destroy(handle);
	neap_gc_handle_destroy(handle); /* gcc: double-, clang: free released memory, neap: double-free */
}

void drop_a_section(void);
void drop_a_section(void)
{
	neap_cmap_enter(); /* gcc: ignoring, clang: ignoring */
}

void drop_what_is_given(const struct neap_pool_type *type);
void drop_what_is_given(const struct neap_pool_type *type)
{
	neap_pool_create(type, NULL); /* gcc: ignoring, clang: ignoring, neap: leak */
} /* clang: memory leak */

void drop_the_answer_of_the_gate(void);
void drop_the_answer_of_the_gate(void)
{
	neap_init(NULL); /* gcc: ignoring, clang: ignoring */
}

void pass_null_for_a_key(struct neap_map *map);
void pass_null_for_a_key(struct neap_map *map)
{
	(void)neap_map_get(map, NULL); /* gcc: NULL, clang: Null pointer, neap: null-dereference */
}

/* What is right is left alone. */
int all_is_well(const struct neap_map_type *type, struct neap_scopes *scopes);
int all_is_well(const struct neap_map_type *type, struct neap_scopes *scopes)
{
	struct neap_map *map = neap_map_create(type, NULL);
	const long key = 1;
	int error = neap_map_put(map, &key, &key);
	neap_map_destroy(map);
	struct neap_transient *table = neap_transient_begin(scopes);
	error += neap_transient_put(table, &key, &key);
	neap_transient_end(table);
	void *block = neap_heap_alloc(1);
	neap_heap_free(block);
	struct neap_cmap *shared = neap_cmap_create(type, NULL);
	error += neap_cmap_store(shared, &key, &key);
	neap_cmap_destroy(shared);
	struct neap_cache *cache = neap_cache_create(type, NULL);
	error += cache != NULL ? neap_cache_put(cache, &key, &key) : 0;
	neap_cache_destroy(cache);
	neap_gc_handle_destroy(neap_gc_handle_create(NULL));
	struct neap_map *typed = sessions_create(NULL);
	error += sessions_put(typed, 1, 2);
	sessions_destroy(typed);
	return error;
}
