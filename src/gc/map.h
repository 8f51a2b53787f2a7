/* map.h: what collected maps of both kinds are to the collector: a handle and a core.
 *
 *     handle (collected, one word) -> core -> struct neap_map or struct neap_cmap (any allocator)
 */
#ifndef NEAP_SRC_GC_MAP_H
#define NEAP_SRC_GC_MAP_H

#include "gc/internal.h"
#include "neap/cmap_core.h"

struct neap__map_core {
	struct neap__lock lock; /* the entries of `map` */
	struct neap_map *map;	/* or NULL, and then there is a cmap */
	struct neap_cmap *cmap;
	uintptr_t handle;	       /* hidden: cores lie where no root is looked for */
	unsigned key, value;	       /* numbers of types; 0: no pointers */
	uint32_t key_size, value_size; /* bytes */
	bool text;		       /* keys are struct neap_str */
	struct neap__map_core *next;
	/* Where the marker is. */
	struct neap_map_iter iter;
	uint64_t at;
};

/* A struct neap_gc_map or neap_gc_cmap. */
struct neap__map_handle {
	struct neap__map_core *_Atomic core; /* NULL: destroyed, or not made yet */
	void *unused;
};

static inline struct neap__map_core *neap__map_core(const void *handle)
{
	return atomic_load_explicit(&((const struct neap__map_handle *)handle)->core, memory_order_acquire);
}

/* An empty core; NULL: no memory. */
struct neap__map_core *neap__map_core_create(void);
/* The handle of a core that has its map by now. NULL: no memory, or a type that does not fit `of`; the core is gone. */
void *neap__map_publish(struct neap__map_core *core, const struct neap_map_type *of, struct neap_gc_type *key,
			struct neap_gc_type *value);
void neap__map_destroy(void *handle, const char *operation);
/* Marks what a key and a value (NULL: none) lead to. The thread is busy, and marking runs. */
void neap__map_shade(struct neap__gc_thread *thread, const struct neap__map_core *core, const void *key,
		     const void *value);

#endif
