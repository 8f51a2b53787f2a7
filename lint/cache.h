/* cache.h: bitcode by content.
 *
 * An entry is two files in the cache folder, named by the hash of the job's own flags, its path and the
 * analyser's version: NAME.bc, the bitcode, and NAME.deps, one line for each file it was made of with the hash of
 * its bytes. The entry counts only when every one of those files still has that hash.
 */
#ifndef NEAP_LINT_CACHE_H
#define NEAP_LINT_CACHE_H

#include "front.h"

/* The bitcode of the job, to be freed, or NULL when the cache has none that is still true. */
char *lint_cache_get(const char *folder, const struct job *job, size_t *ret_size);
/* Keeps the bitcode. `dependencies` is clang's make rule for the file. A cache that cannot be written to is no error. */
void lint_cache_put(const char *folder, const struct job *job, const char *dependencies, const char *bytes,
		    size_t size);

#endif
