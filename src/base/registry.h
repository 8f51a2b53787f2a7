/* registry.h: the list of all maps of the process, for those who look at them from beside or from outside.
 *
 * Whoever makes a map adds it when it is complete and removes it before anything of it is freed. So an object in
 * the list is whole enough to be read, and stays so while its shard is locked.
 */
#ifndef NEAP_SRC_BASE_REGISTRY_H
#define NEAP_SRC_BASE_REGISTRY_H

#include <pthread.h>

#include "neap/base.h"
#include "neap/layout.h"

enum { NEAP__SHARDS = 16 };

/* What an object in the list is; part of the layout that tools read. */
enum neap__kind {
	NEAP__KIND_BOOKMARK = 0, /* no object: the place of an enumeration */
	NEAP__KIND_MAP = 1,	 /* struct neap_map */
	NEAP__KIND_HMAP = 2	 /* struct neap_hmap */
};

/* What a look at another thread's map finds. Bytes but for the first three.
 *     live + tombstone + empty + free_held + metadata == total
 */
struct neap__glance {
	size_t len, slots, tombstone_slots;
	size_t live, tombstone, empty, free_held, metadata, total;
	size_t from_system; /* of total: whole pages that did not come from the allocator */
	struct neap_allocator allocator;
	char name[64];
	bool exact; /* false: the owner changed the map meanwhile, or slots were sampled; the law holds anyway */
};

/* What the list knows of a kind. */
struct neap__survey;
struct neap__species {
	const char *noun;		  /* "map", "hmap": the word in metrics and tables */
	const struct neap_beacon *beacon; /* keeps it in every program that has such objects */
	/* Looks at an object whose owner may be changing it. May read /proc, does not allocate, takes time
	 * proportional to the object's segments.
	 */
	void (*glance)(const void *object, struct neap__glance *ret);
	/* One step of a look at all its slots (survey.h). */
	void (*survey)(const void *object, struct neap__survey *survey);
};

struct neap__shard {
	pthread_mutex_t lock; /* a leaf: who holds it takes no lock and allocates nothing */
	struct neap__link *first;
	size_t count;	    /* of objects, without bookmarks */
	unsigned waiting;   /* threads that want the lock; atomic, relaxed: a hint to let them in */
	uint32_t bookmarks; /* in this shard */
};

/* Exported, so that a debugger finds it by name. A shard's list ends in NULL. */
struct neap__registry {
	uint32_t shards; /* NEAP__SHARDS */
	uint32_t stride; /* bytes from shard to shard */
	struct neap__shard shard[NEAP__SHARDS];
};

/* Adds `object`, whose header holds `link`, all zero. About 30 ns, as is removing. Never fails. */
void neap__registry_add(struct neap__link *link, const struct neap__species *species, enum neap__kind kind,
			void *object);
/* Removes it; nothing when it was not added. Waits for an enumeration of its shard for at most one batch. */
void neap__registry_remove(struct neap__link *link);
/* Visits every object that is in the list from the beginning to the end of the call, once; one that is added
 * meanwhile not at all, one that is removed meanwhile perhaps. The visitor runs under the lock of a shard: it
 * must not add, remove or fork, and should be brief. False when it returned false, which ends the enumeration.
 */
bool neap__registry_each(bool (*visit)(const struct neap__link *link, void *ctx), void *ctx);
/* The same in steps, for visits that are long: calls `step` for an object under the lock until it returns false, and after
 * each call `between` with the lock open, which may take its time but must not fork, and must return; the object may be
 * freed meanwhile, and then the next call is for another one. `again` tells: the object is that of the call before. False
 * when `between` returned false, which ends it.
 */
bool neap__registry_steps(bool (*step)(const struct neap__link *link, bool again, void *ctx),
			  bool (*between)(void *ctx), void *ctx);
/* Objects in the list. */
size_t neap__registry_count(void);

#endif
