/* internal.h: what the three classes of maps share.
 *
 *   scopes.c      the pools of the classes, and who is out for how long
 *   transient.c   tables with generations
 *   tx.c          transactions
 *   live.c        versions
 *
 * Every object that a pool of ours hands out begins with a struct neap__scope (neap/transient_core.h). It is in the list of its scopes from its
 * creation to its destruction, idle or not; `since` says whether it is out. So taking out and giving back touch
 * nothing shared but the pool.
 */
#ifndef NEAP_SRC_SCOPE_INTERNAL_H
#define NEAP_SRC_SCOPE_INTERNAL_H

#include "base/alloc.h"
#include "base/assert.h"
#include "base/locks.h"
#include "neap/pool.h"
#include "neap/transient_core.h"

struct neap_scopes {
	const struct neap_map_type *type;
	struct neap_scopes_options options;
	struct neap_allocator allocator;
	struct neap_pool *pools[NEAP_SCOPES];
	_Atomic uint64_t ended[NEAP_SCOPES], late[NEAP_SCOPES];
	bool transients; /* the type is one that a transient table can hold */
	struct neap__lock lock;
	struct neap__scope *all;
};

/* An object of a class from its pool, marked as out, or NULL. */
void *neap__scope_begin(struct neap_scopes *scopes, enum neap_scope_class scope_class, const void *caller);
/* Gives it back; reports it when it is late. */
void neap__scope_end(struct neap__scope *scope);
/* Its age begins now. */
void neap__scope_starts(struct neap__scope *scope);

/* What the pools call; ctx is the struct neap_scopes. `enlist` and `delist` are for `create` and `destroy`. */
void neap__scope_enlist(struct neap__scope *scope, struct neap_scopes *scopes,
			enum neap_scope_class scope_class);
void neap__scope_delist(struct neap__scope *scope);
extern const struct neap_pool_type neap__transient_pool, neap__tx_pool, neap__live_pool;

#endif
