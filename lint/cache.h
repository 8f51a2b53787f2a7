/* cache.h: bitcode by content.
 *
 * An entry is two files in the cache folder, named by the hash of the job's own flags, its path and the
 * analyser's version: NAME.bc, the bitcode, and NAME.deps:
 *
 *     HASH                 of the bitcode
 *     HASH PATH            of each file that it was made of
 *
 * The entry counts only when every one of those still has that hash. Entries that were not used for longest go when the
 * folder has more than CACHE_MAX bytes. Several runs may share a folder.
 */
#ifndef NEAP_LINT_CACHE_H
#define NEAP_LINT_CACHE_H

#include "front.h"

/* 256 MiB: bitcode and debug records of some 600,000 lines. */
#define CACHE_MAX ((uint64_t)256 << 20)

/* $XDG_CACHE_HOME/neap/lint or $HOME/.cache/neap/lint, made when it is not there; NULL when neither can be. In `region`. */
const char *lint_cache_folder(struct region *region);
/* The bitcode of the job, to be freed, or NULL when the cache has none that is still true. Fills job->inputs. */
char *lint_cache_get(const char *folder, struct region *region, struct job *job, size_t *ret_size);
/* Keeps the bitcode of a job whose inputs are known. A cache that cannot be written to is no error. */
void lint_cache_put(const char *folder, const struct job *job, const char *bytes, size_t size);
/* Removes the entries that were not used for longest, until `most` bytes are left. */
void lint_cache_trim(const char *folder, uint64_t most);

#endif
