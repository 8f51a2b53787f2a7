/* gotype.h: Go's type descriptors, as the runtime keeps them for garbage collection and reflection.
 *
 * A type is named here by the address of its descriptor. Descriptors lie in [types, etypes) of the module;
 * those that reflect makes at run time lie on the heap and are not known here.
 */
#ifndef NEAP_INSPECT_GOTYPE_H
#define NEAP_INSPECT_GOTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct go_process;

enum go_kind {
	GO_KIND_BOOL = 1,
	GO_KIND_INT = 2,
	GO_KIND_INT64 = 6, /* between them the others with a sign */
	GO_KIND_UINT = 7,
	GO_KIND_UINTPTR = 12, /* and those without */
	GO_KIND_FLOAT32 = 13,
	GO_KIND_FLOAT64 = 14,
	GO_KIND_ARRAY = 17,
	GO_KIND_CHAN = 18,
	GO_KIND_FUNC = 19,
	GO_KIND_INTERFACE = 20,
	GO_KIND_MAP = 21,
	GO_KIND_POINTER = 22,
	GO_KIND_SLICE = 23,
	GO_KIND_STRING = 24,
	GO_KIND_STRUCT = 25,
	GO_KIND_UNSAFE = 26,
	GO_KIND_LAST = 26,
};

struct go_field {
	const char *name; /* not terminated */
	size_t name_length;
	uint64_t type, offset;
};

/* The types section at hand: a local copy, and which of its words are known to begin a descriptor, or not to. */
struct go_types {
	const uint8_t *bytes; /* NULL when part of it can't be read: then each descriptor is read by itself */
	uint8_t *judged;      /* by word: 0 not yet, 1 a descriptor, 2 none */
	struct go_built_mask *built;
	size_t built_count, built_capacity;
};

/* After the module was found. */
void go_types_load(struct go_process *process);
void go_types_free(struct go_types *types);

/* True when a descriptor stands at `type` whose parts agree with each other. Everything below may be called
   only for such an address. */
bool go_type_valid(struct go_process *process, uint64_t type);

enum go_kind go_type_kind(struct go_process *process, uint64_t type);
uint64_t go_type_size(struct go_process *process, uint64_t type);
uint64_t go_type_pointer_bytes(struct go_process *process, uint64_t type); /* 0: holds no pointer */
unsigned go_type_align(struct go_process *process, uint64_t type);
uint32_t go_type_hash(struct go_process *process, uint64_t type);

/* What a pointer, slice, array, map (the key) or channel is of; 0 when that is no valid type. */
uint64_t go_type_elem(struct go_process *process, uint64_t type);
uint64_t go_type_length(struct go_process *process, uint64_t type);  /* of an array */
uint64_t go_type_methods(struct go_process *process, uint64_t type); /* of an interface */

/* The fields of a struct. False past the last one or when it can't be read. */
bool go_type_field(struct go_process *process, uint64_t type, size_t index, struct go_field *ret);

/* True when an interface holds values of this type in its data word itself, not behind a pointer. */
bool go_type_is_direct(struct go_process *process, uint64_t type);

/* Writes the type's name ("map[string]*main.Entry"), cut to `size`. */
void go_type_name(struct go_process *process, uint64_t type, char *name, size_t size);

/* One bit a word for the first go_type_pointer_bytes(type) bytes; NULL when it can't be read or built. Lives as long as
   the process. */
const uint8_t *go_type_mask(struct go_process *process, uint64_t type);

/* For gotype.c: of a type that carries no mask (gotypemask.c). */
const uint8_t *go_type_build_mask(struct go_process *process, uint64_t type, uint64_t words);
void go_type_free_masks(struct go_types *types);

/* The descriptor of the dynamic type that an itab names, when `itab` is one; else 0. */
uint64_t go_itab_type(struct go_process *process, uint64_t itab);

/* A word at an offset of a descriptor; 0 past the end of the types. */
uint64_t go_type_word(struct go_process *process, uint64_t type, uint32_t offset);

#endif
