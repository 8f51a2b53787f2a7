/* scopes.c: the pools of the three classes, and who is out for how long. */
#include "base/os.h"
#include "scope/internal.h"

static const uint64_t most_ns_default[NEAP_SCOPES] = {10 * UINT64_C(1000000), 2 * UINT64_C(1000000000),
						      2 * UINT64_C(1000000000)};
enum { SCOPE_OBJECT_MOST = 1 << 20 };

/* ---- In and out ---- */

void neap__scope_enlist(struct neap__scope *scope, struct neap_scopes *scopes,
			enum neap_scope_class scope_class)
{
	scope->scopes = scopes;
	scope->scope_class = scope_class;
	scope->before = NULL;
	neap__lock_take(&scopes->lock);
	scope->next = scopes->all;
	if (scopes->all != NULL)
		scopes->all->before = scope;
	scopes->all = scope;
	neap__lock_give(&scopes->lock);
}

void neap__scope_delist(struct neap__scope *scope)
{
	struct neap_scopes *scopes = scope->scopes;
	neap__lock_take(&scopes->lock);
	if (scope->next != NULL)
		scope->next->before = scope->before;
	if (scope->before != NULL)
		scope->before->next = scope->next;
	else
		scopes->all = scope->next;
	neap__lock_give(&scopes->lock);
}

void neap__scope_starts(struct neap__scope *scope)
{
	atomic_store_explicit(&scope->since, neap__os_now(), memory_order_relaxed);
}

void *neap__scope_begin(struct neap_scopes *scopes, enum neap_scope_class scope_class, const void *caller)
{
	struct neap__scope *scope = neap_pool_get(scopes->pools[scope_class]);
	if (scope == NULL)
		return NULL;
	atomic_store_explicit(&scope->caller, caller, memory_order_relaxed);
	if (scope_class != NEAP_SCOPE_LIVE)
		neap__scope_starts(scope);
	return scope;
}

static bool is_late(const struct neap__scope *scope, uint64_t now, struct neap_scope_late *ret)
{
	uint64_t since = atomic_load_explicit(&scope->since, memory_order_relaxed);
	*ret = (struct neap_scope_late){
		.scope_class = scope->scope_class,
		.age_ns = since != 0 && now > since ? now - since : 0,
		.object = scope,
		.caller = atomic_load_explicit(&scope->caller, memory_order_relaxed),
	};
	return ret->age_ns > scope->scopes->options.most_ns[scope->scope_class];
}

void neap__scope_end(struct neap__scope *scope)
{
	struct neap_scopes *scopes = scope->scopes;
	uint32_t scope_class = scope->scope_class;
	struct neap_scope_late late;
	if (is_late(scope, neap__os_now(), &late)) {
		atomic_fetch_add_explicit(&scopes->late[scope_class], 1, memory_order_relaxed);
		late.returned = true;
		if (scopes->options.late != NULL)
			scopes->options.late(&late, scopes->options.late_ctx);
	}
	atomic_store_explicit(&scope->since, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&scopes->ended[scope_class], 1, memory_order_relaxed);
	neap_pool_put(scopes->pools[scope_class], scope);
}

size_t neap_scopes_late(struct neap_scopes *scopes, neap_scope_late_fn *each, void *ctx)
{
	size_t n = 0;
	uint64_t now = neap__os_now();
	neap__lock_take(&scopes->lock);
	for (const struct neap__scope *scope = scopes->all; scope != NULL; scope = scope->next) {
		struct neap_scope_late late;
		if (!is_late(scope, now, &late))
			continue;
		n++;
		if (each != NULL)
			each(&late, ctx);
	}
	neap__lock_give(&scopes->lock);
	return n;
}

void neap_scopes_stats(struct neap_scopes *scopes, enum neap_scope_class scope_class,
		       struct neap_scopes_stats *ret)
{
	struct neap_pool_stats pool = {.size = sizeof pool};
	neap_pool_stats(scopes->pools[scope_class], &pool);
	struct neap_scopes_stats stats = {
		.size = ret->size,
		.begun = pool.hits + pool.misses,
		.reused = pool.hits,
		.made = pool.misses,
		.ended = atomic_load_explicit(&scopes->ended[scope_class], memory_order_relaxed),
		.late = atomic_load_explicit(&scopes->late[scope_class], memory_order_relaxed),
		.out = pool.out,
		.idle_bytes = pool.idle_bytes,
	};
	memcpy(ret, &stats, stats.size < sizeof stats ? stats.size : sizeof stats);
}

/* ---- Create and destroy ---- */

size_t neap_scopes_destroy(struct neap_scopes *scopes)
{
	if (scopes == NULL)
		return 0;
	size_t out = 0;
	for (int i = 0; i < NEAP_SCOPES; i++)
		out += neap_pool_destroy(scopes->pools[i]);
	struct neap_allocator allocator = scopes->allocator;
	neap__lock_deinit(&scopes->lock);
	neap__free(&allocator, scopes, sizeof *scopes);
	return out;
}

static bool fits_transients(const struct neap_map_type *type)
{
	return (type->kind == NEAP_KEY_BYTES || type->kind == NEAP_KEY_STR) &&
	       (type->flags & NEAP_MAP_OWN_KEYS) == 0 && type->release == NULL &&
	       type->key_size <= NEAP_MAP_INLINE_MAX && type->value_size <= NEAP_MAP_INLINE_MAX;
}

/* Whether the map takes this type: by making one. */
static bool scope_type_is_good(const struct neap_map_type *type, const struct neap_allocator *allocator)
{
	struct neap_map *map = neap_map_create(type, &(struct neap_map_options){.allocator = allocator});
	neap_map_destroy(map);
	return map != NULL;
}

struct neap_scopes *neap_scopes_create(const struct neap_map_type *type,
				       const struct neap_scopes_options *options)
{
	static const struct neap_scopes_options defaults;
	if (options == NULL)
		options = &defaults;
	const struct neap_allocator *allocator =
		options->allocator != NULL ? options->allocator : &neap__malloc_allocator;
	if (!scope_type_is_good(type, allocator))
		return NULL;
	struct neap_scopes *scopes = neap__alloc(allocator, sizeof *scopes, _Alignof(struct neap_scopes));
	if (scopes == NULL)
		return NULL;
	*scopes = (struct neap_scopes){.type = type,
				       .options = *options,
				       .allocator = *allocator,
				       .transients = fits_transients(type)};
	neap__lock_init(&scopes->lock, NEAP__RANK_SCOPES, 0);
	static const struct neap_pool_type *const types[NEAP_SCOPES] = {&neap__transient_pool, &neap__tx_pool,
									&neap__live_pool};
	bool complete = true;
	for (int i = 0; i < NEAP_SCOPES; i++) {
		if (scopes->options.most_ns[i] == 0)
			scopes->options.most_ns[i] = most_ns_default[i];
		struct neap_pool_type pool_type = *types[i];
		pool_type.ctx = scopes;
		scopes->pools[i] = neap_pool_create(
			&pool_type, &(struct neap_pool_options){.name = options->name,
								.allocator = allocator,
								.byte_cap = options->byte_cap,
								.object_most = options->object_most != 0
										       ? options->object_most
										       : SCOPE_OBJECT_MOST});
		complete &= scopes->pools[i] != NULL;
	}
	if (complete)
		return scopes;
	(void)neap_scopes_destroy(scopes);
	return NULL;
}
