/* storage.h: memory of one run of the analyser.
 *
 * An analysis builds one large graph, reads it, and ends. So nothing in lint/ frees a node: everything comes
 * from a region, and the region goes at once. A command that runs out of memory says so and ends: there is no
 * half result worth saving.
 */
#ifndef NEAP_LINT_STORAGE_H
#define NEAP_LINT_STORAGE_H

#include <stddef.h>
#include <stdint.h>

struct region {
	struct region_block *blocks; /* newest first */
	size_t bytes;		     /* handed out, without slack */
};

/* Zeroed memory that lives until lint_region_clear. */
void *lint_region_alloc(struct region *region, size_t size);
char *lint_region_text(struct region *region, const char *text, size_t len);
char *lint_region_format(struct region *region, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void lint_region_clear(struct region *region);

/* An array of `item` bytes per element with room for at least `need`: `array` again or a larger copy of it
 * with the new part zeroed. Freed with free().
 */
void *lint_grow(void *array, size_t *capacity, size_t need, size_t item);

/* Like calloc; ends the command with a message when memory is refused. */
void *lint_calloc(size_t n, size_t item);

/* Continued from `hash` (start with LINT_HASH_START): for tables and content keys. Words of eight bytes by a multiplication
 * and a fold, what is left as in FNV-1a. Not against an adversary.
 */
#define LINT_HASH_START 0xcbf29ce484222325u
uint64_t lint_hash(uint64_t hash, const void *bytes, size_t n);

#endif
