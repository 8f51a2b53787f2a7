/* map_model.h: bytes become commands on a map and on a naive table, and the two are compared.
 *
 * The same file serves the model test (random bytes from a printed seed), the fuzzer (its bytes) and the replay
 * of the fuzzer's findings.
 */
#ifndef NEAP_TESTS_MAP_MODEL_H
#define NEAP_TESTS_MAP_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "neap/base.h"

/* Where the maps' memory comes from, counted on the way; malloc unless it is changed before the first run. */
extern const struct neap_allocator *model_memory;

/* Number of kinds of map that the model knows (key and value types, options). */
extern const unsigned model_kinds;
const char *model_kind_name(unsigned kind);

/* Runs the commands in `bytes` on an empty map of one kind; compares after each, checks the whole structure
 * every `check_every` commands. Aborts with a message when the map is wrong.
 */
void model_run(unsigned kind, const uint8_t *bytes, size_t size, unsigned check_every);

#endif
