/* registry.c: an intrusive list in shards.
 *
 *     shard 0   first -> map -> map -> bookmark -> map -> NULL
 *     shard 1   first -> NULL
 *     ...                                    each with its own lock
 *
 * A thread adds to the shard that its own address picks, so threads that make maps rarely meet; the object keeps
 * the number, because another thread may free it. Adding and removing are a lock, four stores and an unlock.
 *
 * Enumeration beside the owners. The enumerating thread holds a shard's lock while it visits, which keeps every
 * object of the shard from being freed. After BATCH visits it links a bookmark behind the last one, opens the
 * lock for those who wait, and goes on from the bookmark: whatever was freed meanwhile has unlinked itself
 * around it. New objects go to the front, which the enumeration has behind it, so it ends.
 *
 * Steps. A visit that is long opens the lock in the middle, with the bookmark in front of its object. Nothing new is ever
 * linked between the two, so the object behind the bookmark is either still the same or was freed: a new one at the same
 * address would stand in front.
 *
 *     Law: the objects of a shard == count,  its bookmarks == bookmarks, next and prev agree
 *
 * Fork. All shards are locked over it, so the child's list is whole. The bookmarks of the parent's other threads
 * lie on stacks that the child does not have: they are unlinked there.
 *
 * These locks have no place in the order of locks.h: no thread takes any other lock of the library while it
 * holds one, so none can be part of a circle, and fork may take them before or after the others.
 */
#include "base/registry.h"

#include <string.h>

#include "base/assert.h"
#include "base/os.h"

enum {
	BATCH = 64,  /* visits under one lock: 60 us when each makes three system calls */
	YIELDS = 100 /* times that an enumeration lets others in before it takes the lock again */
};

struct neap__registry neap__registry;

static pthread_once_t registry_once = PTHREAD_ONCE_INIT;

static void shard_enter(struct neap__shard *shard)
{
	if (pthread_mutex_trylock(&shard->lock) == 0)
		return;
	__atomic_fetch_add(&shard->waiting, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&shard->lock);
	__atomic_fetch_sub(&shard->waiting, 1, __ATOMIC_RELAXED);
}

static void shard_leave(struct neap__shard *shard)
{
	pthread_mutex_unlock(&shard->lock);
}

static void link_behind(struct neap__shard *shard, struct neap__link *before, struct neap__link *link)
{
	struct neap__link **from = before == NULL ? &shard->first : &before->next;
	link->prev = before;
	link->next = *from;
	if (link->next != NULL)
		link->next->prev = link;
	*from = link;
}

static void unlink_from(struct neap__shard *shard, struct neap__link *link)
{
	neap__assert((link->prev == NULL ? shard->first : link->prev->next) == link);
	*(link->prev == NULL ? &shard->first : &link->prev->next) = link->next;
	if (link->next != NULL)
		link->next->prev = link->prev;
}

/* ---- Fork ---- */

static void lock_shards(void)
{
	for (uint32_t i = 0; i < NEAP__SHARDS; i++)
		shard_enter(&neap__registry.shard[i]);
}

static void unlock_shards(void)
{
	for (uint32_t i = NEAP__SHARDS; i-- > 0;)
		shard_leave(&neap__registry.shard[i]);
}

static void drop_bookmarks(struct neap__shard *shard)
{
	for (struct neap__link *link = shard->first; link != NULL && shard->bookmarks > 0;
	     link = link->next) {
		if (link->object == NULL) {
			unlink_from(shard, link);
			shard->bookmarks--;
		}
	}
	shard->waiting = 0; /* who waited stayed behind */
}

static void unlock_in_child(void)
{
	for (uint32_t i = 0; i < NEAP__SHARDS; i++)
		drop_bookmarks(&neap__registry.shard[i]);
	unlock_shards();
}

static void list_start(void)
{
	neap__registry.shards = NEAP__SHARDS;
	neap__registry.stride = sizeof(struct neap__shard);
	for (uint32_t i = 0; i < NEAP__SHARDS; i++)
		pthread_mutex_init(&neap__registry.shard[i].lock, NULL);
	pthread_atfork(lock_shards, unlock_shards, unlock_in_child);
}

/* ---- Adding and removing ---- */

/* Threads differ in their addresses, by multiples of their stacks: multiplied, the top bits differ. */
static uint32_t shard_of_thread(void)
{
	uint64_t self = (uint64_t)(uintptr_t)pthread_self();
	return (uint32_t)(self * UINT64_C(0x9e3779b97f4a7c15) >> 60) % NEAP__SHARDS;
}

void neap__registry_add(struct neap__link *link, const struct neap__species *species, enum neap__kind kind,
			void *object)
{
	pthread_once(&registry_once, list_start);
	link->object = object; /* its site may have been set already */
	link->species = species;
	link->kind = kind;
	link->shard = shard_of_thread();
	struct neap__shard *shard = &neap__registry.shard[link->shard];
	shard_enter(shard);
	link_behind(shard, NULL, link);
	shard->count++;
	shard_leave(shard);
}

void neap__registry_remove(struct neap__link *link)
{
	if (link->object == NULL)
		return;
	struct neap__shard *shard = &neap__registry.shard[link->shard];
	shard_enter(shard);
	unlink_from(shard, link);
	shard->count--;
	shard_leave(shard);
	memset(link, 0, sizeof *link);
}

/* ---- Enumeration ---- */

/* Opens the lock behind `at` for those who wait; returns where to go on. */
static struct neap__link *let_others_in(struct neap__shard *shard, struct neap__link *at)
{
	struct neap__link bookmark = {0}; /* neap-lint: allow dangling-stack: unlinked below */
	link_behind(shard, at, &bookmark);
	shard->bookmarks++;
	shard_leave(shard);
	for (int i = 0; i < YIELDS && __atomic_load_n(&shard->waiting, __ATOMIC_RELAXED) != 0; i++)
		neap__os_yield();
	shard_enter(shard);
	unlink_from(shard, &bookmark);
	shard->bookmarks--;
	return bookmark.next;
}

static bool visit_shard(struct neap__shard *shard, bool (*visit)(const struct neap__link *link, void *ctx),
			void *ctx)
{
	bool more = true;
	unsigned visits = 0;
	shard_enter(shard);
	for (struct neap__link *link = shard->first; link != NULL && more;) {
		if (link->object != NULL) {
			more = visit(link, ctx);
			visits++;
		}
		bool pause = visits == BATCH && more;
		visits = pause ? 0 : visits;
		link = pause ? let_others_in(shard, link) : link->next;
	}
	shard_leave(shard);
	return more;
}

bool neap__registry_each(bool (*visit)(const struct neap__link *link, void *ctx), void *ctx)
{
	pthread_once(&registry_once, list_start);
	for (uint32_t i = 0; i < NEAP__SHARDS; i++)
		if (!visit_shard(&neap__registry.shard[i], visit, ctx))
			return false;
	return true;
}

static struct neap__link *object_from(struct neap__link *link)
{
	while (link != NULL && link->object == NULL)
		link = link->next;
	return link;
}

/* Opens the lock in front of `link` for as long as `between` takes; returns the object behind that place then. */
static struct neap__link *open_before(struct neap__shard *shard, struct neap__link *link,
				      bool (*between)(void *ctx), void *ctx, bool *ret_more)
{
	struct neap__link bookmark = {0}; /* neap-lint: allow dangling-stack: unlinked below */
	link_behind(shard, link->prev, &bookmark);
	shard->bookmarks++;
	shard_leave(shard);
	*ret_more = between(ctx);
	shard_enter(shard);
	unlink_from(shard, &bookmark);
	shard->bookmarks--;
	return object_from(bookmark.next);
}

static bool step_shard(struct neap__shard *shard,
		       bool (*step)(const struct neap__link *link, bool again, void *ctx),
		       bool (*between)(void *ctx), void *ctx)
{
	bool more = true, again = false;
	shard_enter(shard);
	for (struct neap__link *link = object_from(shard->first); link != NULL && more;) {
		const bool stay = step(link, again, ctx);
		struct neap__link *after = open_before(shard, link, between, ctx, &more);
		again = stay && after == link;
		link = !stay && after == link ? object_from(after->next) : after;
	}
	shard_leave(shard);
	return more;
}

bool neap__registry_steps(bool (*step)(const struct neap__link *link, bool again, void *ctx),
			  bool (*between)(void *ctx), void *ctx)
{
	pthread_once(&registry_once, list_start);
	for (uint32_t i = 0; i < NEAP__SHARDS; i++)
		if (!step_shard(&neap__registry.shard[i], step, between, ctx))
			return false;
	return true;
}

size_t neap__registry_count(void)
{
	size_t count = 0;
	pthread_once(&registry_once, list_start);
	for (uint32_t i = 0; i < NEAP__SHARDS; i++) {
		shard_enter(&neap__registry.shard[i]);
		count += neap__registry.shard[i].count;
		shard_leave(&neap__registry.shard[i]);
	}
	return count;
}
