/* collected_table.h: the table of table.h in collected memory: a collected map whose keys' bytes are collected objects.
 *
 * The slots are as large as there, and hold the same. Nothing is freed by hand: a delete leaves the key's block to the
 * collector. One table per process, held by static data, so that no stack keeps it.
 */
#ifndef NEAP_LAB_COLLECTED_TABLE_H
#define NEAP_LAB_COLLECTED_TABLE_H

#include "lab/keys.h"
#include "neap/observe.h"

/* An empty table instead of the one before; ends the program when memory is refused, as all below. */
void collected_create(void);
/* Nothing leads to it any more. */
void collected_drop(void);
void collected_put(struct neap_str key, const struct file_facts *facts);
bool collected_delete(struct neap_str key);
void collected_clear(void);
/* Copies what is left into a new map; nothing leads to the old one. */
void collected_rebuild(void);

/* All 0 when there is no table. */
size_t collected_len(void);
size_t collected_bytes(void); /* of the map itself */
size_t collected_slots(void);
/* Bytes of objects in the collected heap, garbage included that was not found yet. */
size_t collected_heap(void);

enum { COLLECTED_SOURCES = 3 };
void collected_sources(struct neap_source ret[COLLECTED_SOURCES]);

#endif
