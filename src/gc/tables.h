/* tables.h: what the collector keeps about objects apart from them, by their addresses: finalizers, weak references, maps.
 *
 * What a cycle and the other parts want of each; what is in them is their own.
 */
#ifndef NEAP_SRC_GC_TABLES_H
#define NEAP_SRC_GC_TABLES_H

#include "gc/mark.h"

/* table.c: rows by the address of an object; under the lock of rows, or with the world stopped */
enum { NEAP__GC_SHARDS = 64 };
struct neap__gc_row {
	uintptr_t object; /* 0: free; 1: removed */
	void *what, *ctx;
};
struct neap__gc_table {
	unsigned number; /* enum neap__gc_table_number */
	struct neap__gc_shard {
		struct neap__gc_row *rows;
		size_t room; /* a power of two, or 0 */
		size_t count, removed;
	} shards[NEAP__GC_SHARDS];
};
struct neap__gc_row *neap__gc_table_find(struct neap__gc_table *table, uintptr_t object);
struct neap__gc_row *neap__gc_table_add(struct neap__gc_table *table, uintptr_t object); /* NULL: no memory */
void neap__gc_table_remove(struct neap__gc_table *table, struct neap__gc_row *row);
/* Until `each` returns something, which is returned. */
typedef const char *neap__gc_row_fn(uintptr_t object, void *ctx);
const char *neap__gc_table_each(const struct neap__gc_table *table, neap__gc_row_fn *each, void *ctx);

/* final.c */
bool neap__gc_final_start(void);
/* Reads what white objects with finalizers hold, of one span from unit *at on, which moves on. False: there was none. */
bool neap__gc_final_read(uint32_t *at);
bool neap__gc_final_due(uintptr_t object); /* it dies: true when it stays for its finalizer; lock of rows */
void neap__gc_final_roots(neap__gc_range_fn *each, void *ctx);
void neap__gc_final_run(void);		      /* all is swept: lets the thread run what is due */
void neap__gc_final_forget(uintptr_t object); /* lock of rows */
void neap__gc_final_forked(void);
const char *neap__gc_final_each(neap__gc_row_fn *each, void *ctx);

/* weak.c */
void neap__gc_weak_forget(uintptr_t object); /* it dies, or is freed by hand; lock of rows */
const char *neap__gc_weak_each(neap__gc_row_fn *each, void *ctx);

/* map.c */
struct neap_gc_map;
void neap__gc_map_words(const void *proxy, neap__gc_word_fn *each, void *ctx); /* world stopped */
bool neap__gc_map_piece(const void *proxy, bool first);			       /* false: read to its end */
void neap__gc_map_select(void);	 /* world stopped, all marked: takes maps whose objects are white */
void neap__gc_map_release(void); /* destroys them */
bool neap__gc_map_alive(const void *proxy);
void neap__gc_maps_lock(bool take); /* all of them; the lock of tables is held */

/* weak_map.c */
void neap__gc_weak_maps_start(void);
void neap__gc_weak_map_select(
	void); /* world stopped, all marked: entries and maps that nothing leads to die */
void neap__gc_weak_map_purge(void); /* removes them; the cycle lock is held */
void neap__gc_weak_map_forget(uintptr_t object);
void neap__gc_weak_maps_lock(bool take);
void neap__gc_weak_maps_forked(void);

/* ephemeron.c */
void neap__gc_ephemerons_beside(void (*drain)(void));
void neap__gc_ephemerons_stopped(void); /* marks the values that map and key keep, and what these lead to */
/* Entries whose map and key live. */
typedef bool neap__gc_lives_fn(uintptr_t address, void *ctx);
typedef void neap__gc_entry_fn(uintptr_t key, uintptr_t value, void *ctx);
void neap__gc_ephemerons_each(neap__gc_lives_fn *lives, neap__gc_entry_fn *each, void *ctx);
bool neap__gc_is_black(uintptr_t address, void *unused);

#endif
