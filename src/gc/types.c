/* types.c: from field names to bitmaps.
 *
 * A type is prepared once: its fields become a bit for each word of the object (head) and of an element of its
 * tail. An object without a tail is read as an array, so the tail of a type without one is the type itself:
 *
 *     | head_size bytes, by the head's bits | stride bytes, by the tail's bits | stride bytes | ... end of block
 *
 * What a block has beyond the last element is zero, and reads as no pointer.
 */
#include <string.h>

#include "gc/internal.h"

enum { TYPE_SIZE_MOST = 1 << 30 };

static const struct neap_gc_field pointer_field = {0, 1};
struct neap_gc_type neap_gc_pointer = {"pointer", sizeof(void *), &pointer_field, 1,
				       0,	  NULL,		  sizeof(void *), 0};
/* Its objects are read by map.c. */
struct neap_gc_type neap__gc_map_type = {"map", 2 * sizeof(void *), NULL, 0, 0, NULL, 2 * sizeof(void *), 0};

static bool fields_fit(const struct neap_gc_type *type)
{
	for (uint32_t i = 0; i < type->field_count; i++) {
		const struct neap_gc_field *field = &type->fields[i];
		uint64_t end = field->offset + (uint64_t)field->count * sizeof(void *);
		if (field->offset % sizeof(void *) != 0 || end > type->size)
			return false;
	}
	return type->field_count == 0 || type->size % sizeof(void *) == 0;
}

static bool valid(const struct neap_gc_type *type)
{
	if (type->size == 0 || type->size > TYPE_SIZE_MOST || !fields_fit(type))
		return false;
	const struct neap_gc_type *tail = type->tail;
	return tail == NULL || (tail->tail == NULL && type->tail_offset % sizeof(void *) == 0 &&
				tail->size % sizeof(void *) == 0 && type->tail_offset <= type->size &&
				tail->size > 0 && tail->size <= TYPE_SIZE_MOST && fields_fit(tail));
}

/* True when there was memory. */
static bool draw_bits(const struct neap_gc_type *type, uint64_t **ret)
{
	*ret = NULL;
	if (type->field_count == 0)
		return true;
	uint64_t *bits = neap__meta_alloc((type->size / 8 + 63) / 64 * 8 + 8);
	if (bits == NULL)
		return false;
	for (uint32_t i = 0; i < type->field_count; i++)
		for (uint32_t k = 0; k < type->fields[i].count; k++) {
			uint32_t word = type->fields[i].offset / 8 + k;
			bits[word / 64] |= UINT64_C(1) << word % 64;
		}
	*ret = bits;
	return true;
}

static uint64_t bits_below(uint32_t count)
{
	return count < 64 ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
}

static int fill_type(struct neap_gc_type *type, struct neap__gc_type *ret)
{
	const struct neap_gc_type *tail = type->tail != NULL ? type->tail : type;
	struct neap__gc_type made = {.source = type,
				     .map = type == &neap__gc_map_type,
				     .interface = (type->flags & NEAP_GC_INTERFACE) != 0};
	if (!draw_bits(type, &made.head) || !draw_bits(tail, &made.tail))
		return NEAP_ENOMEM;
	made.head_size = (uint32_t)(type->tail != NULL ? type->tail_offset : type->size);
	made.stride = made.tail != NULL ? (uint32_t)tail->size : 0;
	bool pointers = made.head != NULL || made.tail != NULL || made.map;
	made.flavour = !pointers					    ? NEAP__GC_DATA
		       : made.map || (type->flags & NEAP_GC_BARRIERED) != 0 ? NEAP__GC_BARRIERED_FLAVOUR
									    : NEAP__GC_TRACKED;
	made.kind =
		(uint8_t)(made.flavour * NEAP__GC_CLASSES +
			  (type->size <= NEAP_HEAP_SMALL_MOST ? neap__class_of(type->size) : NEAP__CLASSES));
	if (!made.map && made.head_size <= 64 * sizeof(void *)) {
		made.first = made.head != NULL ? made.head[0] & bits_below(made.head_size / 8) : 0;
		made.single = made.stride != 0 ? made.head_size + made.stride - 1 : UINT32_MAX;
	}
	*ret = made;
	return NEAP_OK;
}

int neap__gc_type_number(struct neap_gc_type *type)
{
	/* Acquire pairs with the release below: whoever has the number may read the row. */
	uint32_t id = __atomic_load_n(&type->neap__id, __ATOMIC_ACQUIRE);
	if (id != 0)
		return (int)id;
	if (!neap__gc_begin())
		return NEAP_ENOMEM;
	if (!valid(type))
		return NEAP_EINVAL;
	int result = NEAP_ETOOBIG;
	neap__lock_take(&neap__gc.tables);
	id = type->neap__id;
	if (id == 0 && neap__gc.type_count < NEAP__GC_TYPES) {
		result = fill_type(type, &neap__gc.types[neap__gc.type_count]);
		if (result == NEAP_OK) {
			id = neap__gc.type_count++;
			__atomic_store_n(&type->neap__id, id, __ATOMIC_RELEASE);
		}
	}
	neap__lock_give(&neap__gc.tables);
	return id != 0 ? (int)id : result;
}

int neap_gc_type_prepare(struct neap_gc_type *type)
{
	int number = neap__gc_type_number(type);
	return number > 0 ? NEAP_OK : number;
}
