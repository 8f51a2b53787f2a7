/* live.c: a map that is replaced as a whole, while readers finish with the version that they entered.
 *
 *     present   | readers that entered, 56 bits | version, 8 bits |        one word: a reader adds 1 to the upper part
 *     version   balance == entered - left,  entered counted only once the version was replaced
 *
 * Entering is one atomic addition, which names the version and counts the reader at once. Leaving subtracts 1 from the
 * balance of the version; publishing exchanges the word and adds those who entered. The balance of a version becomes
 * 0 exactly once after that: at the publishing, or when the last reader leaves; whoever sees it gives the map back.
 */
#include <pthread.h>

#include "base/os.h"
#include "scope/internal.h"

struct version {
	_Atomic int64_t balance;
	struct neap__map_scope *_Atomic map; /* NULL: the version is free */
};

/* A map from the pool. The map's address leads back to it through the version or the prepared one. */
struct neap__map_scope {
	struct neap__scope scope;
	struct neap_map *map;
	struct neap__map_scope *next_prepared;
};

struct neap_live {
	struct neap_scopes *scopes;
	_Atomic uint64_t present;
	struct version versions[NEAP_LIVE_VERSIONS];
	pthread_mutex_t publishing;	  /* all that follows */
	struct neap__map_scope *prepared; /* maps that neap_live_prepare handed out */
};

enum { VERSION_BITS = 8 };
_Static_assert(NEAP_LIVE_VERSIONS <= 1 << VERSION_BITS, "a version's number fits");

/* ---- Readers ---- */

static void version_give_back(struct version *version)
{
	struct neap__map_scope *map = atomic_load_explicit(&version->map, memory_order_relaxed);
	/* Release: the next owner of this version finds it untouched. */
	atomic_store_explicit(&version->map, NULL, memory_order_release);
	neap__scope_end(&map->scope);
}

const struct neap_map *neap_live_enter(struct neap_live *live, uint32_t *ret_ticket)
{
	/* Acquire: pairs with the publisher's exchange, so that the map is seen as it was filled. */
	uint64_t was = atomic_fetch_add_explicit(&live->present, 1u << VERSION_BITS, memory_order_acquire);
	*ret_ticket = (uint32_t)was & ((1u << VERSION_BITS) - 1);
	return atomic_load_explicit(&live->versions[*ret_ticket].map, memory_order_relaxed)->map;
}

void neap_live_leave(struct neap_live *live, uint32_t ticket)
{
	struct version *version = &live->versions[ticket];
	/* Release: this reader is done with the map; acquire: so is everybody else, if it is the last. */
	if (atomic_fetch_sub_explicit(&version->balance, 1, memory_order_acq_rel) == 1)
		version_give_back(version);
}

/* ---- The publisher ---- */

static uint32_t free_version(struct neap_live *live)
{
	uint32_t number = 0;
	while (number < NEAP_LIVE_VERSIONS &&
	       atomic_load_explicit(&live->versions[number].map, memory_order_acquire) != NULL)
		number++;
	return number;
}

/* Makes `map` the present version and settles with the old one. */
static int version_publish(struct neap_live *live, struct neap__map_scope *map)
{
	uint32_t number = free_version(live);
	if (number == NEAP_LIVE_VERSIONS)
		return NEAP_ETOOBIG;
	atomic_store_explicit(&live->versions[number].balance, 0, memory_order_relaxed);
	atomic_store_explicit(&live->versions[number].map, map, memory_order_relaxed);
	uint64_t was = atomic_exchange_explicit(&live->present, number, memory_order_acq_rel);
	struct version *old = &live->versions[was & ((1u << VERSION_BITS) - 1)];
	neap__scope_starts(&atomic_load_explicit(&old->map, memory_order_relaxed)->scope);
	int64_t entered = (int64_t)(was >> VERSION_BITS);
	if (atomic_fetch_add_explicit(&old->balance, entered, memory_order_acq_rel) + entered == 0)
		version_give_back(old);
	return NEAP_OK;
}

static struct neap__map_scope *unprepare(struct neap_live *live, const struct neap_map *map)
{
	struct neap__map_scope **at = &live->prepared;
	while (*at != NULL && (*at)->map != map)
		at = &(*at)->next_prepared;
	struct neap__map_scope *found = *at;
	if (found != NULL)
		*at = found->next_prepared;
	return found;
}

static void version_prepare(struct neap_live *live, struct neap__map_scope *map)
{
	map->next_prepared = live->prepared;
	live->prepared = map;
}

struct neap_map *neap_live_prepare(struct neap_live *live)
{
	struct neap__map_scope *map =
		neap__scope_begin(live->scopes, NEAP_SCOPE_LIVE, __builtin_return_address(0));
	if (map == NULL)
		return NULL;
	pthread_mutex_lock(&live->publishing);
	version_prepare(live, map);
	pthread_mutex_unlock(&live->publishing);
	return map->map;
}

/* neap-lint: allow contract-broken: the map goes back to its pool within the object that unprepare finds */
void neap_live_discard(struct neap_live *live, struct neap_map *map)
{
	pthread_mutex_lock(&live->publishing);
	struct neap__map_scope *found = unprepare(live, map);
	pthread_mutex_unlock(&live->publishing);
	if (found != NULL)
		neap__scope_end(&found->scope);
}

int neap_live_publish(struct neap_live *live, struct neap_map *map)
{
	pthread_mutex_lock(&live->publishing);
	struct neap__map_scope *found = unprepare(live, map);
	int error = found != NULL ? version_publish(live, found) : NEAP_EINVAL;
	if (error != NEAP_OK && found != NULL)
		version_prepare(live, found);
	pthread_mutex_unlock(&live->publishing);
	return error;
}

/* ---- Create and destroy ---- */

struct neap_live *neap_live_create(struct neap_scopes *scopes)
{
	struct neap_live *live = neap__alloc(&scopes->allocator, sizeof *live, _Alignof(struct neap_live));
	if (live == NULL)
		return NULL;
	struct neap__map_scope *first =
		neap__scope_begin(scopes, NEAP_SCOPE_LIVE, __builtin_return_address(0));
	if (first == NULL) {
		neap__free(&scopes->allocator, live, sizeof *live);
		return NULL;
	}
	*live = (struct neap_live){.scopes = scopes, .versions[0] = {.map = first}};
	pthread_mutex_init(&live->publishing, NULL);
	return live;
}

void neap_live_destroy(struct neap_live *live)
{
	if (live == NULL)
		return;
	for (uint32_t i = 0; i < NEAP_LIVE_VERSIONS; i++)
		if (live->versions[i].map != NULL)
			version_give_back(&live->versions[i]);
	while (live->prepared != NULL)
		/* neap-lint: allow double-free: each call takes another map off the list */
		neap_live_discard(live, live->prepared->map);
	pthread_mutex_destroy(&live->publishing);
	struct neap_allocator allocator = live->scopes->allocator;
	neap__free(&allocator, live, sizeof *live);
}

/* ---- The pool ---- */

static void *version_create(void *ctx)
{
	struct neap_scopes *scopes = ctx;
	struct neap__map_scope *map =
		neap__alloc(&scopes->allocator, sizeof *map, _Alignof(struct neap__map_scope));
	if (map == NULL)
		return NULL;
	*map = (struct neap__map_scope){
		.map = neap_map_create(
			scopes->type,
			&(struct neap_map_options){.allocator = &scopes->allocator, .name = "version"})};
	if (map->map == NULL) {
		neap__free(&scopes->allocator, map, sizeof *map);
		return NULL;
	}
	neap__scope_enlist(&map->scope, scopes, NEAP_SCOPE_LIVE);
	return map;
}

static void version_destroy(void *object, void *ctx)
{
	struct neap_scopes *scopes = ctx;
	struct neap__map_scope *map = object;
	neap__scope_delist(&map->scope);
	neap_map_destroy(map->map);
	neap__free(&scopes->allocator, map, sizeof *map);
}

static void version_reset(void *object, void *ctx)
{
	(void)ctx;
	neap_map_clear_keep(((struct neap__map_scope *)object)->map);
}

static bool version_clean(const void *object, void *ctx)
{
	(void)ctx;
	return neap_map_len(((const struct neap__map_scope *)object)->map) == 0;
}

static size_t version_bytes(const void *object, void *ctx)
{
	(void)ctx;
	const struct neap__map_scope *map = object;
	return sizeof *map + neap_map_bytes(map->map);
}

const struct neap_pool_type neap__live_pool = {.size = sizeof(struct neap_pool_type),
					       .create = version_create,
					       .destroy = version_destroy,
					       .reset = version_reset,
					       .clean = version_clean,
					       .bytes = version_bytes};
