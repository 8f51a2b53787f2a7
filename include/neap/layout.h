/* neap/layout.h: the layout of the library's structures, for tools that read a program from outside.
 *
 * A debugger or inspector finds the symbol neap_layout in the program or the shared library and reads from it
 * the offsets and sizes that docs/layout.md names. Nothing in a program has to call anything.
 */
#ifndef NEAP_LAYOUT_H
#define NEAP_LAYOUT_H

#include "neap/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One fact: "neap_map.len" is an offset in bytes, "neap_map" a size in bytes, "version" that of the layout. */
struct neap_layout {
	const char *name;
	uint64_t value;
};

/* Ended by a NULL name. Static, constant. */
NEAP_API extern const struct neap_layout neap_layout[];
/* The same for the classic map. */
NEAP_API extern const struct neap_layout neap_hmap_layout[];

#ifdef __cplusplus
}
#endif

#endif
