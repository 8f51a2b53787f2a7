/* table.h: the two maps that experiments compare, behind one set of verbs: string key to struct file_facts.
 *
 * Each key is copied into a malloc block that the map's release callback frees: what a C program does that
 * keeps strings in a map. Both maps ask malloc for the same blocks in the same order, have slots of the same 48
 * bytes, and so differ in their tables only.
 */
#ifndef NEAP_LAB_TABLE_H
#define NEAP_LAB_TABLE_H

#include "lab/keys.h"
#include "neap/observe.h"

enum table_kind { TABLE_CLASSIC, TABLE_NEAP, TABLE_KINDS };
extern const char *const table_names[TABLE_KINDS]; /* "classic", "neap": in figures */

struct table;

/* An empty table with room for `reserve` entries; ends the program when memory is refused, as all below. */
struct table *table_create(enum table_kind kind, size_t reserve);
void table_destroy(struct table *table);

/* False when the key was there: its value is overwritten. */
bool table_put(struct table *table, struct neap_str key, const struct file_facts *facts);
bool table_delete(struct table *table, struct neap_str key);
size_t table_len(const struct table *table);
/* Deletes all; the slots stay for the next entries. */
void table_clear_keep(struct table *table);
/* Deletes all and gives back what the map's own call for that gives back. In the classic map: the same. */
void table_clear(struct table *table);
/* Copies what is left into a new map and drops the old one. */
void table_rebuild(struct table *table);

/* Bytes of the map itself, without the keys. */
size_t table_bytes(const struct table *table);
/* Slots that could hold an entry. */
size_t table_slots(const struct table *table);
/* The most entries that one operation moved, and may move; 0 for the classic map, which does not count. */
void table_moves(const struct table *table, size_t *ret_most, size_t *ret_bound);
/* The sources of an account: valid as long as the table. */
enum { TABLE_SOURCES = 3 };
void table_sources(const struct table *table, struct neap_source ret[TABLE_SOURCES]);

/* neap_parts_of_map's counterpart for a struct neap_hmap: what an unfinished growth or an iterator holds
 * counts as free_held.
 */
void parts_of_hmap(const void *map, struct neap_parts *ret);

#endif
