/* gotypemask.c: the pointer mask of a type that carries none: of large types, the runtime keeps a program (to Go 1.23) or
 * builds the mask when it first needs one (1.24 on). What a descriptor says of its parts gives the same mask.
 *
 * It matters because the fallback, to take every word for a pointer, keeps alive what is dead: the runtime's own record of
 * a processor holds the last 512 pointers that were written, as numbers.
 */
#include <stdlib.h>
#include <string.h>

#include "goprocess.h"

enum {
	DEPTH_LIMIT = 64,
	STEPS_LIMIT = 1 << 22, /* words and parts of one type */
};

struct go_built_mask {
	uint64_t type;
	uint8_t *bits; /* NULL: it could not be built */
};

struct building {
	struct go_process *process;
	uint8_t *bits;
	uint64_t words;
	unsigned steps_left;
};

static bool build(struct building *building, uint64_t type, uint64_t at, int depth);

static bool mark(struct building *building, uint64_t at)
{
	uint64_t word = at / 8;
	if (at % 8 != 0)
		return false;
	if (word < building->words) /* what follows points outside the heap */
		building->bits[word / 8] |= (uint8_t)(1u << word % 8);
	return true;
}

static bool build_array(struct building *building, uint64_t type, uint64_t at, int depth)
{
	uint64_t elem = go_type_elem(building->process, type),
		 count = go_type_length(building->process, type);
	if (elem == 0)
		return false;
	uint64_t size = go_type_size(building->process, elem);
	if (go_type_pointer_bytes(building->process, elem) == 0)
		return true;
	for (uint64_t i = 0; i < count && at / 8 < building->words; i++, at += size)
		if (!build(building, elem, at, depth + 1))
			return false;
	return true;
}

static bool build_struct(struct building *building, uint64_t type, uint64_t at, int depth)
{
	struct go_field field;
	for (size_t i = 0; go_type_field(building->process, type, i, &field); i++)
		if (!build(building, field.type, at + field.offset, depth + 1))
			return false;
	return true;
}

static bool build(struct building *building, uint64_t type, uint64_t at, int depth)
{
	if (depth > DEPTH_LIMIT || building->steps_left == 0 || !go_type_valid(building->process, type))
		return false;
	building->steps_left--;
	switch (go_type_kind(building->process, type)) {
	case GO_KIND_CHAN:
	case GO_KIND_FUNC:
	case GO_KIND_MAP:
	case GO_KIND_POINTER:
	case GO_KIND_UNSAFE:
	case GO_KIND_STRING:
	case GO_KIND_SLICE: return mark(building, at);
	case GO_KIND_INTERFACE: return mark(building, at) && mark(building, at + 8);
	case GO_KIND_ARRAY: return build_array(building, type, at, depth);
	case GO_KIND_STRUCT: return build_struct(building, type, at, depth);
	default: return true;
	}
}

const uint8_t *go_type_build_mask(struct go_process *process, uint64_t type, uint64_t words)
{
	struct go_types *types = &process->types;
	for (size_t i = 0; i < types->built_count; i++)
		if (types->built[i].type == type)
			return types->built[i].bits;
	struct building building = {process, take(words / 8 + 1, 1), words, STEPS_LIMIT};
	if (!build(&building, type, 0, 0)) {
		free(building.bits);
		building.bits = NULL;
	}
	types->built =
		make_room(types->built, types->built_count, &types->built_capacity, sizeof *types->built);
	types->built[types->built_count++] = (struct go_built_mask){type, building.bits};
	return building.bits;
}

void go_type_free_masks(struct go_types *types)
{
	for (size_t i = 0; i < types->built_count; i++)
		free(types->built[i].bits);
	free(types->built);
}
