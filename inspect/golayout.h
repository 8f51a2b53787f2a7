/* golayout.h: where the Go runtime keeps what the inspector reads, per version: one table.
 *
 * A row was taken from the DWARF of programs built by that version (amd64), and a test compares every row
 * whose toolchain is at hand with real DWARF again. All offsets are in bytes. 0 in a field marked
 * "or none" means that the version has no such field.
 */
#ifndef NEAP_INSPECT_GOLAYOUT_H
#define NEAP_INSPECT_GOLAYOUT_H

#include "program.h"

enum go_map_kind {
	GO_MAP_CLASSIC, /* hmap and bmap: buckets of eight with a tophash each (to 1.23) */
	GO_MAP_SWISS,	/* maps.Map: groups of eight with a control byte each (from 1.24) */
};

/* Where the heap says which words are pointers. */
enum go_pointer_bits {
	GO_BITS_TWO,	 /* two bits a word, per arena (1.19) */
	GO_BITS_ONE,	 /* one bit a word, per arena (1.20, 1.21) */
	GO_BITS_IN_SPAN, /* objects to 512 bytes: a bitmap at the end of the span; larger: a type word (1.22) */
	GO_BITS_BEFORE_MARKS, /* the same, with 128 bytes of mark bits after the bitmap in one-page spans (1.26) */
};

/* X(field, DWARF struct names, DWARF member names): alternatives are separated by '|', "" as member means
   the size of the struct. */
#define GO_LAYOUT_FIELDS(X)                                                                \
	X(mspan_size, "runtime.mspan", "")                                                 \
	X(mspan_base, "runtime.mspan", "startAddr")                                        \
	X(mspan_pages, "runtime.mspan", "npages")                                          \
	X(mspan_freeindex, "runtime.mspan", "freeindex")                                   \
	X(mspan_nelems, "runtime.mspan", "nelems")                                         \
	X(mspan_alloc_bits, "runtime.mspan", "allocBits")                                  \
	X(mspan_class, "runtime.mspan", "spanclass")                                       \
	X(mspan_state, "runtime.mspan", "state")                                           \
	X(mspan_elem_size, "runtime.mspan", "elemsize")                                    \
	X(mspan_large_type, "runtime.mspan", "largeType") /* or none */                    \
	X(mspan_specials, "runtime.mspan", "specials")                                     \
	X(special_fn, "runtime.specialfinalizer", "fn")                                    \
	X(cleanup_id, "runtime.specialCleanup", "id") /* or none: to 1.23 */               \
	X(mheap_allspans, "runtime.mheap", "allspans")                                     \
	X(mheap_arenas, "runtime.mheap", "arenas")                                         \
	X(arena_spans, "runtime.heapArena", "spans")                                       \
	X(module_size, "runtime.moduledata", "")                                           \
	X(module_pc_header, "runtime.moduledata", "pcHeader")                              \
	X(module_func_names, "runtime.moduledata", "funcnametab")                          \
	X(module_pc_tab, "runtime.moduledata", "pctab")                                    \
	X(module_pcln, "runtime.moduledata", "pclntable")                                  \
	X(module_ftab, "runtime.moduledata", "ftab")                                       \
	X(module_minpc, "runtime.moduledata", "minpc")                                     \
	X(module_maxpc, "runtime.moduledata", "maxpc")                                     \
	X(module_text, "runtime.moduledata", "text")                                       \
	X(module_etext, "runtime.moduledata", "etext")                                     \
	X(module_noptrdata, "runtime.moduledata", "noptrdata")                             \
	X(module_data, "runtime.moduledata", "data")                                       \
	X(module_edata, "runtime.moduledata", "edata")                                     \
	X(module_bss, "runtime.moduledata", "bss")                                         \
	X(module_ebss, "runtime.moduledata", "ebss")                                       \
	X(module_enoptrbss, "runtime.moduledata", "enoptrbss")                             \
	X(module_types, "runtime.moduledata", "types")                                     \
	X(module_etypes, "runtime.moduledata", "etypes")                                   \
	X(module_data_mask, "runtime.moduledata", "gcdatamask")                            \
	X(module_bss_mask, "runtime.moduledata", "gcbssmask")                              \
	X(func_size, "runtime._func", "")                                                  \
	X(func_name, "runtime._func", "nameoff|nameOff")                                   \
	X(func_pcsp, "runtime._func", "pcsp")                                              \
	X(g_size, "runtime.g", "")                                                         \
	X(g_stack, "runtime.g", "stack")                                                   \
	X(g_sched, "runtime.g", "sched")                                                   \
	X(g_syscall_sp, "runtime.g", "syscallsp")                                          \
	X(g_syscall_pc, "runtime.g", "syscallpc")                                          \
	X(g_status, "runtime.g", "atomicstatus")                                           \
	X(g_id, "runtime.g", "goid")                                                       \
	X(gobuf_g, "runtime.gobuf", "g")                                                   \
	X(type_size, "runtime._type|internal/abi.Type", "size|Size_")                      \
	X(type_pointer_bytes, "runtime._type|internal/abi.Type", "ptrdata|PtrBytes")       \
	X(type_hash, "runtime._type|internal/abi.Type", "hash|Hash")                       \
	X(type_flags, "runtime._type|internal/abi.Type", "tflag|TFlag")                    \
	X(type_align, "runtime._type|internal/abi.Type", "align|Align_")                   \
	X(type_kind, "runtime._type|internal/abi.Type", "kind|Kind_")                      \
	X(type_pointer_mask, "runtime._type|internal/abi.Type", "gcdata|GCData")           \
	X(type_name, "runtime._type|internal/abi.Type", "str|Str")                         \
	X(hmap_size, "runtime.hmap", "")		 /* classic */                     \
	X(hmap_buckets, "runtime.hmap", "buckets")	 /* classic */                     \
	X(hmap_oldbuckets, "runtime.hmap", "oldbuckets") /* classic */                     \
	X(hmap_nevacuate, "runtime.hmap", "nevacuate")	 /* classic */                     \
	X(hmap_extra, "runtime.hmap", "extra")		 /* classic */                     \
	X(maptype_key, MAPTYPES, "key|Key")                                                \
	X(maptype_elem, MAPTYPES, "elem|Elem")                                             \
	X(maptype_group, MAPTYPES, "bucket|Bucket|Group")                                  \
	X(maptype_group_size, MAPTYPES, "bucketsize|BucketSize|GroupSize")                 \
	X(maptype_flags, MAPTYPES, "flags|Flags")                                          \
	X(maptype_slot_size, MAPTYPES, "SlotSize")	       /* or none: 1.24 to 1.26 */ \
	X(maptype_elem_off, MAPTYPES, "ElemOff")	       /* or none: Swiss */        \
	X(maptype_keys_off, MAPTYPES, "KeysOff")	       /* or none: from 1.27 on */ \
	X(maptype_key_stride, MAPTYPES, "KeyStride")	       /* or none */               \
	X(maptype_elems_off, MAPTYPES, "ElemsOff")	       /* or none */               \
	X(maptype_elem_stride, MAPTYPES, "ElemStride")	       /* or none */               \
	X(swiss_size, "internal/runtime/maps.Map", "")	       /* or none */               \
	X(swiss_table_size, "internal/runtime/maps.table", "") /* or none */

#define MAPTYPES "runtime.maptype|internal/abi.MapType|internal/abi.OldMapType|internal/abi.SwissMapType"

struct go_layout {
	int minor; /* 24 for go1.24 */
	enum go_map_kind maps;
	enum go_pointer_bits pointer_bits;
#define GO_LAYOUT_MEMBER(field, type, member) uint32_t field;
	GO_LAYOUT_FIELDS(GO_LAYOUT_MEMBER)
#undef GO_LAYOUT_MEMBER
};

/* The fields by name, for whatever compares a row with the truth. Ended by a NULL name. */
struct go_layout_field {
	const char *name;
	size_t offset; /* in struct go_layout; a uint32_t */
	const char *types, *members;
};
extern const struct go_layout_field go_layout_fields[];

enum go_layout_source {
	GO_LAYOUT_VERIFIED,	/* the table has this version */
	GO_LAYOUT_DWARF,	/* read from the program's own DWARF */
	GO_LAYOUT_INTERPOLATED, /* the row of a neighbour, to be believed only if the self-check passes */
};

/* Chooses the layout for a version and its experiments. -1 and a problem when there is none. */
int go_layout_choose(const struct program *program, const struct go_version *version, struct go_layout *ret,
		     enum go_layout_source *source, struct problem *problem);

/* The row of the table for go1.MINOR, NULL when there is none. */
const struct go_layout *go_layout_row(int minor);

/* Overwrites the fields that the program's DWARF knows; returns how many it knew. */
size_t go_layout_from_dwarf(const struct program *program, struct go_layout *layout);

/* "1.19, 1.21 to 1.24, ..." for messages. */
const char *go_layout_versions(void);

#endif
