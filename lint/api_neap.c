/* api_neap.c: what Neap's own functions do to pointers; the words are those of effects.h.
 *
 * The rows restate the contracts of include/neap/: who owns what, and until when a pointer into a map holds
 * ("until the next insert, delete, clear, reserve or compact of that map"). A test compares the names with the
 * headers, so that a function that is added there is missed here.
 */
#include "effects.h"

#include <stddef.h>

const struct effect_row lint_neap_rows[] = {
	/* neap/base.h */
	{"neap_strerror", "never-null"},
	{"neap_version", "never-null"},
	{"neap_on_fault", "heap:1"},

	/* neap/map.h. A put copies the bytes of key and value: what they point to is kept, they are not. */
	{"neap_map_create", "new:neap_map maybe-null into:0:1 reads:0 null-ok:1"},
	{"neap_map_destroy", "free:0:neap_map null-ok:0"},
	{"neap_map_len", "reads:0 null-ok:0"},
	{"neap_map_name", "borrow:0 never-null null-ok:0"},
	{"neap_map_type_of", "result:0:1 reads:0"},
	{"neap_map_get", "reads:0 null-ok:0 reads:1 borrow:0 maybe-null"},
	{"neap_map_get_many", "reads:0 null-ok:0 reads:1 writes:3"},
	{"neap_map_put", "insert:0 null-ok:0 reads:1 reads:2 null-ok:2 into:1:0:1 into:2:0:1"},
	{"neap_map_slot", "insert:0 null-ok:0 reads:1 into:1:0:1 borrow:0 maybe-null writes:2 null-ok:2"},
	{"neap_map_delete", "delete:0 null-ok:0 reads:1"},
	{"neap_map_take", "delete:0 null-ok:0 reads:1 into:0:2:1 into:0:3:1 null-ok:2 null-ok:3"},
	{"neap_map_free_key", "reads:0 reads:1"},
	{"neap_map_delete_if", "delete:0 null-ok:0"},
	{"neap_map_clear_keep", "clear:0 null-ok:0"},
	{"neap_map_clear", "clear:0 null-ok:0"},
	{"neap_map_reserve", "insert:0 null-ok:0"},
	{"neap_map_compact", "insert:0 null-ok:0"},
	{"neap_map_clone", "new:neap_map maybe-null reads:0 null-ok:0"},
	{"neap_map_equal", "reads:0 reads:1 null-ok:0 null-ok:1"},
	{"neap_map_iter_init", "writes:0 iter:0:1 null-ok:1"},
	{"neap_map_iter_next", "reads:0 writes:0 next:0"},
	{"neap_map_scan", "writes:0 scan:0:1 null-ok:1"},
	{"neap_map_scan_next", "reads:0 writes:0 next:0"},
	{"neap_map_set_hook", "reads:0 null-ok:0 into:2:0"},
	{"neap_map_stats", "reads:0 null-ok:0 writes:1"},
	{"neap_map_bytes", "reads:0 null-ok:0"},
	{"neap_map_move_bound", "reads:0 null-ok:0"},

	/* neap/hmap.h: the classic Go map, under the same rules. */
	{"neap_hmap_create", "new:neap_hmap maybe-null into:0:1 reads:0 null-ok:1"},
	{"neap_hmap_destroy", "free:0:neap_hmap null-ok:0"},
	{"neap_hmap_len", "reads:0 null-ok:0"},
	{"neap_hmap_name", "borrow:0 never-null null-ok:0"},
	{"neap_hmap_type_of", "result:0:1 reads:0"},
	{"neap_hmap_get", "reads:0 null-ok:0 reads:1 borrow:0 maybe-null"},
	{"neap_hmap_put", "insert:0 null-ok:0 reads:1 reads:2 null-ok:2 into:1:0:1 into:2:0:1"},
	{"neap_hmap_slot", "insert:0 null-ok:0 reads:1 into:1:0:1 borrow:0 maybe-null writes:2 null-ok:2"},
	{"neap_hmap_delete", "delete:0 null-ok:0 reads:1"},
	{"neap_hmap_clear", "clear:0 null-ok:0"},
	{"neap_hmap_iter_init", "writes:0 iter:0:1 null-ok:1"},
	{"neap_hmap_iter_next", "reads:0 writes:0 next:0"},
	{"neap_hmap_iter_deinit", "writes:0"},
	{"neap_hmap_header", "borrow:0 reads:0"},
	{"neap_hmap_each_bucket", "reads:0 null-ok:2"},
	{"neap_hmap_stats", "reads:0 null-ok:0 writes:1"},

	/* neap/cmap.h: a map that threads share; values are copied in and out, so nothing points into it. */
	{"neap_cmap_create", "new:neap_cmap maybe-null reads:0 null-ok:1"},
	{"neap_cmap_destroy", "free:0:neap_cmap null-ok:0"},
	{"neap_cmap_load", "reads:0 null-ok:0 reads:1 into:0:2:1 null-ok:2"},
	{"neap_cmap_store", "reads:0 null-ok:0 reads:1 reads:2 null-ok:2 into:1:0:1 into:2:0:1"},
	{"neap_cmap_load_or_store",
	 "reads:0 null-ok:0 reads:1 reads:2 null-ok:2 into:1:0:1 into:2:0:1 into:0:3:1 null-ok:3"},
	{"neap_cmap_delete", "reads:0 null-ok:0 reads:1"},
	{"neap_cmap_load_and_delete", "reads:0 null-ok:0 reads:1 into:0:2:1 null-ok:2"},
	{"neap_cmap_compare_and_swap", "reads:0 null-ok:0 reads:1 reads:2 reads:3 null-ok:3 into:3:0:1"},
	{"neap_cmap_compare_and_delete", "reads:0 null-ok:0 reads:1 reads:2"},
	{"neap_cmap_range", "reads:0 null-ok:0 writes:2 null-ok:2"},
	{"neap_cmap_clear", "reads:0 null-ok:0"},
	{"neap_cmap_len", "reads:0 null-ok:0"},
	{"neap_cmap_name", "borrow:0 never-null null-ok:0"},
	{"neap_cmap_reclaim", "reads:0 null-ok:0"},
	{"neap_cmap_stats", "reads:0 null-ok:0 writes:1"},
	{"neap_cmap_move_bound", "reads:0 null-ok:0"},

	/* neap/cache.h: likewise. */
	{"neap_cache_create", "new:neap_cache maybe-null reads:0 null-ok:1"},
	{"neap_cache_destroy", "free:0:neap_cache null-ok:0"},
	{"neap_cache_get", "reads:0 reads:1 into:0:2:1 null-ok:2"},
	{"neap_cache_put", "reads:0 reads:1 reads:2 into:1:0:1 into:2:0:1"},
	{"neap_cache_put_for", "reads:0 reads:1 reads:2 into:1:0:1 into:2:0:1"},
	{"neap_cache_delete", "reads:0 reads:1"},
	{"neap_cache_load", "reads:0 reads:1 writes:3 null-ok:3 writes:4 into:0:4:1 writes:5 null-ok:5"},
	{"neap_cache_expire", "reads:0"},
	{"neap_cache_clear", "reads:0"},
	{"neap_cache_len", "reads:0"},
	{"neap_cache_stats", "reads:0 writes:1"},

	/* neap/any_map.h: a struct neap_any is two arguments. */
	{"neap_any_map_put", "insert:0 null-ok:0"},
	{"neap_any_map_get", "reads:0 null-ok:0 borrow:0 maybe-null"},
	{"neap_any_map_delete", "delete:0 null-ok:0"},

	/* neap/heap.h: alloc and free say it in the header. To ask where an address lies is no use of it. */
	{"neap_heap_realloc", "new:neap_heap_free maybe-null free:0:neap_heap_free null-ok:0"},
	{"neap_heap_usable", "reads:0 null-ok:0"},
	{"neap_heap_owns", ""},
	{"neap_heap_allocator", "never-null"},
	{"neap_heap_stats", "writes:0"},
	{"neap_heap_classes", "writes:0 null-ok:0"},
	{"neap_heap_find", "writes:1"},

	/* neap/pool.h: what a get gave has to be put, once, and is not touched after that. */
	{"neap_pool_create", "new:neap_pool maybe-null pool-type:0 reads:0 reads:1 null-ok:1"},
	{"neap_pool_destroy", "free:0:neap_pool null-ok:0"},
	{"neap_pool_get", "new:neap_pool_get maybe-null reads:0"},
	{"neap_pool_put", "reads:0 put:1:0 null-ok:1 pool-resets"},
	{"neap_pool_collect", "reads:0 null-ok:0"},
	{"neap_pool_stats", "reads:0 writes:1"},

	/* neap/gc.h: objects that nobody has to release. */
	{"neap_gc_alloc", "new:neap_gc maybe-null collected typed:0"},
	{"neap_gc_alloc_array", "new:neap_gc maybe-null collected typed:0"},
	{"neap_gc_alloc_tail", "new:neap_gc maybe-null collected typed:0"},
	{"neap_gc_alloc_data", "new:neap_gc maybe-null collected"},
	{"neap_gc_alloc_words", "new:neap_gc maybe-null collected"},
	{"neap_gc_free", "free:0:neap_gc null-ok:0"},
	{"neap_gc_usable", "reads:0 null-ok:0"},
	{"neap_gc_base", "result:0 maybe-null"},
	{"neap_gc_start", "reads:0 null-ok:0"},
	{"neap_gc_type_prepare", "reads:0 heap:0"},
	{"neap_gc_root_add", "heap:0"},
	{"neap_gc_root_remove", ""},
	{"neap_gc_handle_create", "new:neap_gc_handle maybe-null heap:0"},
	{"neap_gc_handle_destroy", "free:0:neap_gc_handle null-ok:0"},
	{"neap_gc_handle_get", "reads:0 result:0:1"},
	{"neap_gc_handle_set", "reads:0 heap:1"},
	{"neap_gc_finalizer", "reads:0 heap:2"},
	{"neap_weak_create", "new:neap_weak maybe-null"},
	{"neap_weak_get", "reads:0"},
	{"neap_weak_destroy", "free:0:neap_weak null-ok:0"},
	{"neap_memstats", "writes:0"},
	{"neap_store", "barrier writes:0 into:1:0"},

	/* neap/gc_map.h: the handle is a collected object. */
	{"neap_gc_map_create", "new:neap_gc_map maybe-null collected reads:0 null-ok:1 null-ok:2 null-ok:3"},
	{"neap_gc_map_destroy", "free:0:neap_gc_map null-ok:0"},
	{"neap_gc_map_put", "insert:0 reads:1 reads:2 into:1:0:1 into:2:0:1"},
	{"neap_gc_map_get", "reads:0 reads:1 borrow:0 maybe-null"},
	{"neap_gc_map_delete", "delete:0 reads:1"},
	{"neap_gc_map_clear", "clear:0"},
	{"neap_gc_map_len", "reads:0"},
	{"neap_gc_map_of", "reads:0 result:0:1"},

	/* neap/any_gc.h: the same on collected boxes. */
	{"neap_any_make_collected", "reads:1 reads:2 writes:3"},
	{"neap_any_make_str_collected", "writes:2"},
	{"neap_any_collected", ""},
	{"neap_any_free_collected", ""},
	{"neap_any_gc_map_create", "new:neap_gc_map maybe-null collected reads:0 null-ok:0"},
	{"neap_any_gc_map_put", "insert:0"},
	{"neap_any_gc_map_get", "reads:0 null-ok:0 writes:3 null-ok:3"},
	{"neap_any_gc_map_delete", "delete:0"},

	/* neap/weak_map.h: neither keys nor values are the map's. */
	{"neap_weak_map_create", "new:neap_weak_map maybe-null collected reads:0 null-ok:0"},
	{"neap_weak_map_destroy", "free:0:neap_weak_map null-ok:0"},
	{"neap_weak_map_put", "reads:0"},
	{"neap_weak_map_get", "reads:0 maybe-null"},
	{"neap_weak_map_delete", "reads:0"},
	{"neap_weak_map_clear", "reads:0"},
	{"neap_weak_map_len", "reads:0 null-ok:0"},
	{"neap_weak_map_bytes", "reads:0 null-ok:0"},
	{"neap_weak_map_iter_init", "writes:0 reads:1"},
	{"neap_weak_map_iter_next", "writes:0"},
	{NULL, NULL},
};
