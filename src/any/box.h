/* box.h: where a value lies that does not fit into the data word.
 *
 *     data -> | from | owners, extra | padding to the alignment | value | extra bytes |
 *
 * Law: a type is inline iff value_size <= 8 and it has no `drop`. What owns something needs the count of its owners.
 *
 * data is the address of the block, not of the value, so that a collector finds the block without looking inside.
 */
#ifndef NEAP_SRC_ANY_BOX_H
#define NEAP_SRC_ANY_BOX_H

#include <stdatomic.h>

#include "neap/any.h"

struct neap__box {
	const struct neap_allocator *from; /* &neap__any_collector: a collected object */
	_Atomic uint32_t owners;
	uint32_t extra; /* bytes behind the value: those of a string */
};

extern const struct neap_allocator neap__any_collector; /* its address is all that it says */
bool neap__any_type_valid(const struct neap_any_type *type);

static inline bool neap__any_inline(const struct neap_any_type *type)
{
	return type->value_size <= sizeof(uint64_t) && type->drop == NULL;
}

static inline size_t neap__box_offset(const struct neap_any_type *type)
{
	return type->value_align > sizeof(struct neap__box) ? type->value_align : sizeof(struct neap__box);
}

static inline struct neap__box *neap__any_box(struct neap_any value)
{
	return (struct neap__box *)(uintptr_t)value.data;
}

#endif
