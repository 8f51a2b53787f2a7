/* neap/scope.h: maps by how long they live, each kind from a pool of its own, cleared when it is given back.
 *
 *     transient     under 10 ms   a table for one request: O(1) to clear, so a large one may be reused for little
 *     transaction   under 2 s     changes to a map that can be undone, up to a savepoint or altogether
 *     long-lived    over 2 s      a map that is replaced as a whole; readers finish with the version they entered
 *
 * A struct neap_scopes makes all three for one type of entry. Whatever is out for longer than its class allows is
 * reported (neap_scopes_late, and when it comes back), with the address that took it out: the map that was meant for a
 * request and is kept in a global is found by its age.
 *
 * Threads: a struct neap_scopes may be used by any thread at once; a transient table, a transaction and its map by one
 * thread at a time; a struct neap_live by any number of readers and one publisher at a time. neap_live_enter never
 * waits; neap_live_leave and the begin and end of everything else wait at most for short locks of a pool. Nothing here
 * runs a collection or starts a thread.
 *
 * Not for: maps that live as long as the program and change in place (struct neap_map), data shared by threads that
 * write (a concurrent map), undo across more than one map (a transaction knows one).
 */
#ifndef NEAP_SCOPE_H
#define NEAP_SCOPE_H

#include "neap/map.h"
#include "neap/safe.h"

#ifdef __cplusplus
extern "C" {
#endif

enum neap_scope_class {
	NEAP_SCOPE_TRANSIENT = 0,
	NEAP_SCOPE_TRANSACTION = 1,
	NEAP_SCOPE_LIVE = 2,
	NEAP_SCOPES = 3
};

/* Something that is out for longer than its class allows. Lives only during the call. */
struct neap_scope_late {
	uint32_t scope_class; /* enum neap_scope_class */
	bool returned;	      /* it comes back just now; else it is still out */
	uint64_t age_ns;
	const void *object; /* the table, transaction or map */
	const void *caller; /* the address in the program that the begin returned to */
};
typedef void neap_scope_late_fn(const struct neap_scope_late *late, void *ctx);

struct neap_scopes;

/* All zero means the defaults. */
struct neap_scopes_options {
	const char *name;
	const struct neap_allocator *allocator; /* NULL: malloc; must serve all threads at once */
	uint64_t most_ns[NEAP_SCOPES]; /* 0: 10 ms, 2 s; for a long-lived map: 2 s after it was replaced */
	size_t object_most;	       /* bytes; what has grown beyond is not kept for reuse; 0: 1 MB */
	size_t byte_cap;	       /* of each class's pool; 0: 16 MB */
	neap_scope_late_fn
		*late; /* called by the thread that gives something back late; NULL: only counted */
	void *late_ctx;
};

/* Frees everything idle. Nothing may be out: returns how many objects are, which then leak. NULL is allowed. */
NEAP_API NEAP_FREES(1) size_t neap_scopes_destroy(NEAP_TAKEN struct neap_scopes *scopes);
/* NULL: no memory, or a type that neap_map_create refuses. `type` must outlive it. `options` may be NULL. */
NEAP_API NEAP_GIVES(neap_scopes_destroy) struct neap_scopes *neap_scopes_create(
	const struct neap_map_type *type, NEAP_LENT const struct neap_scopes_options *options);

/* Calls `each` (may be NULL) for everything that is out for too long; returns how many. Nothing that it names may be
 * given back by another thread meanwhile if `each` looks at it.
 */
NEAP_API NEAP_NONNULL(1) size_t
	neap_scopes_late(struct neap_scopes *scopes, neap_scope_late_fn *each, void *ctx);

/*     begun == reused + made;   out == begun - ended */
struct neap_scopes_stats {
	size_t size; /* sizeof(struct neap_scopes_stats): set it before the call */
	uint64_t begun, reused, made;
	uint64_t ended;
	uint64_t late; /* of the ended: given back too late */
	size_t out;
	size_t idle_bytes;
};
NEAP_API NEAP_NONNULL(1, 3) void neap_scopes_stats(struct neap_scopes *scopes,
						   enum neap_scope_class scope_class,
						   struct neap_scopes_stats *ret);

/* ---- Transient: a table whose slots carry the generation in which they were written ---- */

struct neap_transient;

/* NULL is allowed. Clears and gives back; keys and values are bytes, nothing is released. */
NEAP_API NEAP_FREES(1) void neap_transient_end(NEAP_TAKEN struct neap_transient *table);
/* An empty table, or NULL: no memory, or the type is not NEAP_KEY_BYTES or NEAP_KEY_STR, owns strings, has a release
 * callback, or keys or values over NEAP_MAP_INLINE_MAX bytes.
 */
NEAP_API NEAP_NONNULL(1) NEAP_GIVES(neap_transient_end) struct neap_transient *neap_transient_begin(
	struct neap_scopes *scopes);
/* As the function of the same name in neap/map.h. Pointers stay valid until the next put, slot, delete or clear. */
NEAP_API void *neap_transient_get(const struct neap_transient *table, const void *key);
NEAP_API NEAP_CHECKED int neap_transient_put(struct neap_transient *table, const void *key,
					     const void *value);
NEAP_API void *neap_transient_slot(struct neap_transient *table, const void *key, bool *ret_inserted);
NEAP_API bool neap_transient_delete(struct neap_transient *table, const void *key);
NEAP_API size_t neap_transient_len(const struct neap_transient *table);
/* Empties the table in constant time. */
NEAP_API void neap_transient_clear(struct neap_transient *table);

/* ---- Transactions: changes with an undo log ---- */

struct neap_tx;

/* A transaction on `map`, which must have the scopes' type, or, when it is NULL, on an empty map of its own. NULL: no
 * memory, another type, or keys that are floats, which NaN makes impossible to find again. Until it ends, only the
 * transaction may change the map. The bytes of string keys that the map does not own must stay until then too, those
 * of deleted entries included.
 */
NEAP_API NEAP_CHECKED NEAP_NONNULL(1) struct neap_tx *neap_tx_begin(struct neap_scopes *scopes,
								    struct neap_map *map);
/* The map: to be read. */
NEAP_API struct neap_map *neap_tx_map(struct neap_tx *tx);
/* As neap_map_put and neap_map_delete. 0 (*ret_deleted, which may be NULL, says whether), NEAP_ENOMEM or NEAP_EVETO,
 * with map and log as they were. On a map with a release callback a hook's veto reads as NEAP_ENOMEM.
 */
NEAP_API NEAP_NONNULL(1, 2) NEAP_CHECKED
	int neap_tx_put(struct neap_tx *tx, const void *key, const void *value);
NEAP_API NEAP_NONNULL(1, 2) NEAP_CHECKED
	int neap_tx_delete(struct neap_tx *tx, const void *key, bool *ret_deleted);
/* The present state, for neap_tx_rollback_to. Savepoints nest; going back to one makes later ones invalid. */
NEAP_API size_t neap_tx_savepoint(const struct neap_tx *tx);
/* Undoes what came after the savepoint. 0; or NEAP_EINVAL for a savepoint that lies ahead; or NEAP_ENOMEM or NEAP_EVETO
 * when an entry could not be put back: what is not yet undone stays in the log, and the call can be repeated.
 */
NEAP_API NEAP_CHECKED int neap_tx_rollback_to(struct neap_tx *tx, size_t savepoint);
/* Undoes everything and ends the transaction; on failure (see above) it stays open. */
NEAP_API NEAP_NONNULL(1) NEAP_CHECKED int neap_tx_rollback(struct neap_tx *tx);
/* Keeps the changes and ends the transaction: replaced and deleted values are released now. Its own map, if it has one,
 * is cleared.
 */
NEAP_API NEAP_NONNULL(1) void neap_tx_commit(struct neap_tx *tx);

/* ---- Long-lived: versions of a whole map ---- */

struct neap_live;

/* No reader may be in it. NULL is allowed. */
NEAP_API NEAP_FREES(1) void neap_live_destroy(NEAP_TAKEN struct neap_live *live);
/* Begins with an empty version. NULL: no memory. */
NEAP_API NEAP_NONNULL(1)
	NEAP_GIVES(neap_live_destroy) struct neap_live *neap_live_create(struct neap_scopes *scopes);

/* The present version and a ticket for neap_live_leave; never NULL. The map may be read, by many, until then. */
NEAP_API NEAP_CHECKED NEAP_NONNULL(1, 2) const
	struct neap_map *neap_live_enter(struct neap_live *live, uint32_t *ret_ticket);
/* The last one to leave a version that was replaced clears it and gives it back, on its own time. */
NEAP_API NEAP_NONNULL(1) void neap_live_leave(struct neap_live *live, uint32_t ticket);

/* An empty map to fill for the next version; NULL: no memory. It goes to neap_live_publish or neap_live_discard. */
NEAP_API NEAP_CHECKED struct neap_map *neap_live_prepare(struct neap_live *live);
NEAP_API void neap_live_discard(struct neap_live *live, NEAP_TAKEN struct neap_map *map);
/* Makes `map` the present version. 0, or NEAP_ETOOBIG when readers still hold the last NEAP_LIVE_VERSIONS versions: the
 * map then still belongs to the caller. Otherwise it is the scopes', and nobody may change it any more.
 */
#define NEAP_LIVE_VERSIONS 16
NEAP_API NEAP_NONNULL(1) NEAP_CHECKED int neap_live_publish(struct neap_live *live, struct neap_map *map);

#ifdef __cplusplus
}
#endif

#endif
