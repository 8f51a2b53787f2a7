/* content.c: could these bytes be a value of that type? The question that remains when several map types
 * have groups of the same shape: a string's pointer must lead to as many bytes as its length says, a pointer
 * to an object that is large enough, an interface to a type descriptor.
 *
 * The score counts evidence that chance would not produce. It only ranks candidates against each other.
 */
#include <string.h>

#include "maps.h"

enum {
	SCORE_TYPE_WORD = 4, /* the object pointed to carries exactly this type */
	SCORE_MASK = 3,	     /* its size class and its pointer mask are this type's */
	SCORE_EXACT = 2,
	SCORE_LIKELY = 1,
	DEPTH_LIMIT = 6,
	FIELDS_LIMIT = 200,
	ELEMENTS_LIMIT = 16,
	STEPS_LIMIT = 2000, /* a type that nests in itself would never end */
};

struct judgement {
	int score;
	unsigned left; /* values that may still be looked at */
};

#define LENGTH_LIMIT (1ull << 40)

static bool in_program(const struct go_process *process, uint64_t address)
{
	const struct go_module *module = &process->module;
	return (address >= module->text && address < module->globals_end) ||
	       (address >= module->types && address < module->etypes);
}

/* True for an address outside the heap that a value may point to. */
static bool is_elsewhere(const struct go_process *process, uint64_t address)
{
	return in_program(process, address) || go_stack_at(&process->stacks, address) != NULL;
}

static uint64_t word(const uint8_t *bytes, size_t index)
{
	uint64_t value;
	memcpy(&value, bytes + index * 8, sizeof value);
	return value;
}

/* [address, address + size) lies within one allocated object of the heap. */
static struct go_span *object_with(struct go_process *process, uint64_t address, uint64_t size,
				   uint32_t *index)
{
	struct go_span *span = go_heap_object(&process->heap, address, index);
	if (span == NULL || !go_span_allocated(span, *index))
		return NULL;
	uint64_t left = go_span_object(span, *index) + span->elem_size - address;
	return size <= left ? span : NULL;
}

static bool string_fits(struct go_process *process, const uint8_t *bytes, struct judgement *judgement)
{
	uint64_t address = word(bytes, 0), length = word(bytes, 1);
	uint32_t index;
	if (length == 0)
		return true;
	if (address == 0 || length > LENGTH_LIMIT)
		return false;
	go_heap_fresh(process, address);
	if (go_heap_span(&process->heap, address) == NULL) {
		judgement->score += SCORE_LIKELY;
		return is_elsewhere(process, address);
	}
	const struct go_span *span = object_with(process, address, length, &index);
	judgement->score += span != NULL && span->noscan ? SCORE_EXACT : 0;
	return span != NULL;
}

/* A pointer to the start of an object of small size: do size class and pointer mask agree? */
static int judge_object(struct go_process *process, struct go_span *span, uint32_t index, uint64_t type)
{
	uint64_t mask, words = go_type_size(process, type) / 8,
		       pointers = go_type_pointer_bytes(process, type) / 8;
	if (go_heap_round(process, go_type_size(process, type), pointers != 0) != span->elem_size ||
	    span->noscan != (pointers == 0))
		return -SCORE_LIKELY;
	const uint8_t *want = pointers == 0 ? NULL : go_type_mask(process, type);
	if (pointers == 0)
		return SCORE_LIKELY;
	if (want == NULL || !go_object_mask(process, span, index, &mask))
		return 0;
	for (uint64_t i = 0; i < words && i < 64; i++) {
		bool is = (mask >> i & 1) != 0, should = i < pointers && (want[i / 8] >> (i % 8) & 1) != 0;
		if (is != should)
			return -SCORE_EXACT;
	}
	return SCORE_MASK;
}

static bool pointer_fits(struct go_process *process, uint64_t type, uint64_t address,
			 struct judgement *judgement)
{
	uint64_t elem = go_type_elem(process, type);
	uint32_t index;
	if (address == 0)
		return true;
	if (elem == 0 || address % go_type_align(process, elem) != 0)
		return false;
	go_heap_fresh(process, address);
	if (go_heap_span(&process->heap, address) == NULL)
		return is_elsewhere(process, address);
	struct go_span *span = object_with(process, address, go_type_size(process, elem), &index);
	if (span == NULL || (go_type_pointer_bytes(process, elem) != 0 && span->noscan))
		return false;
	struct go_span *exact;
	uint64_t stored;
	if (go_heap_data(process, address, &exact, &stored) == 0)
		return true; /* into the middle of an object */
	if (stored != 0)
		judgement->score += stored == elem ? SCORE_TYPE_WORD : 0;
	else
		judgement->score += judge_object(process, span, index, elem);
	return true;
}

static bool map_fits(struct go_process *process, uint64_t address, struct judgement *judgement)
{
	uint32_t index;
	if (address == 0)
		return true;
	const struct go_span *span = go_heap_object(&process->heap, address, &index);
	if (span == NULL)
		return is_elsewhere(process, address);
	judgement->score += SCORE_EXACT;
	return address == go_span_object(span, index) && !span->noscan &&
	       span->elem_size == go_heap_round(process,
						process->layout.maps == GO_MAP_CLASSIC
							? process->layout.hmap_size
							: process->layout.swiss_size,
						true);
}

static bool slice_fits(struct go_process *process, uint64_t type, const uint8_t *bytes,
		       struct judgement *judgement)
{
	uint64_t address = word(bytes, 0), length = word(bytes, 1), capacity = word(bytes, 2);
	uint64_t elem = go_type_elem(process, type);
	uint32_t index;
	if (length > capacity || capacity > LENGTH_LIMIT || elem == 0 || (capacity != 0 && address == 0))
		return false;
	uint64_t size = go_type_size(process, elem);
	if (capacity == 0 || size == 0)
		return true;
	if (size > LENGTH_LIMIT / capacity)
		return false;
	go_heap_fresh(process, address);
	if (go_heap_span(&process->heap, address) == NULL)
		return is_elsewhere(process, address);
	const struct go_span *span = object_with(process, address, capacity * size, &index);
	bool pointers = go_type_pointer_bytes(process, elem) != 0;
	if (span == NULL || (pointers && span->noscan))
		return false;
	judgement->score += span->noscan == !pointers ? SCORE_LIKELY : 0;
	return true;
}

static bool interface_fits(struct go_process *process, uint64_t type, const uint8_t *bytes,
			   struct judgement *judgement)
{
	uint64_t first = word(bytes, 0);
	if (first == 0)
		return word(bytes, 1) == 0;
	bool fits = go_type_methods(process, type) == 0 ? go_type_valid(process, first)
							: go_itab_type(process, first) != 0;
	judgement->score += fits ? SCORE_EXACT : 0;
	return fits;
}

static bool fits_within(struct go_process *process, uint64_t type, const uint8_t *bytes,
			struct judgement *judgement, int depth);

static bool struct_fits(struct go_process *process, uint64_t type, const uint8_t *bytes,
			struct judgement *judgement, int depth)
{
	struct go_field field;
	for (size_t i = 0; i < FIELDS_LIMIT && go_type_field(process, type, i, &field); i++)
		if (!fits_within(process, field.type, bytes + field.offset, judgement, depth + 1))
			return false;
	return true;
}

static bool array_fits(struct go_process *process, uint64_t type, const uint8_t *bytes,
		       struct judgement *judgement, int depth)
{
	uint64_t elem = go_type_elem(process, type), length = go_type_length(process, type);
	if (elem == 0)
		return false;
	uint64_t size = go_type_size(process, elem);
	for (uint64_t i = 0;
	     i < length && i < ELEMENTS_LIMIT && (i + 1) * size <= go_type_size(process, type); i++)
		if (!fits_within(process, elem, bytes + i * size, judgement, depth + 1))
			return false;
	return true;
}

static bool fits_within(struct go_process *process, uint64_t type, const uint8_t *bytes,
			struct judgement *judgement, int depth)
{
	if (depth > DEPTH_LIMIT || judgement->left == 0)
		return true;
	judgement->left--;
	switch (go_type_kind(process, type)) {
	case GO_KIND_BOOL: return bytes[0] <= 1;
	case GO_KIND_STRING: return string_fits(process, bytes, judgement);
	case GO_KIND_POINTER: return pointer_fits(process, type, word(bytes, 0), judgement);
	case GO_KIND_MAP: return map_fits(process, word(bytes, 0), judgement);
	case GO_KIND_SLICE: return slice_fits(process, type, bytes, judgement);
	case GO_KIND_INTERFACE: return interface_fits(process, type, bytes, judgement);
	case GO_KIND_STRUCT: return struct_fits(process, type, bytes, judgement, depth);
	case GO_KIND_ARRAY: return array_fits(process, type, bytes, judgement, depth);
	case GO_KIND_CHAN:
	case GO_KIND_FUNC: {
		uint64_t address = word(bytes, 0);
		return address == 0 ||
		       ((address & 7) == 0 &&
			(go_heap_span(&process->heap, address) != NULL || is_elsewhere(process, address)));
	}
	default: return true;
	}
}

bool go_content_fits(struct go_process *process, uint64_t type, const uint8_t *bytes, int *score)
{
	struct judgement judgement = {0, STEPS_LIMIT};
	bool fits = fits_within(process, type, bytes, &judgement, 0);
	*score += judgement.score;
	return fits;
}
