/* any.c: making, sharing and dropping interface values. The nouns are in neap/any.h, the box in box.h. */
#include "neap/any.h"

#include <string.h>

#include "any/box.h"
#include "base/alloc.h"
#include "base/fault.h"

_Static_assert(sizeof(struct neap_any) == 16 && sizeof(struct neap_iface) == 16,
	       "an interface value is two words");
_Static_assert(sizeof(struct neap__box) == 16, "a box costs 16 bytes");

const struct neap_allocator neap__any_collector = {NULL, NULL, NULL};

enum { ANY_VALUE_MOST = 1 << 30, ANY_ALIGN_MOST = 64 };

#define ANY_SCALAR(c_type, of_kind, named)                                                                  \
	{                                                                                                   \
		sizeof(struct neap_any_type), of_kind, sizeof(c_type), _Alignof(c_type), named, NULL, NULL, \
			NULL, NULL, 0                                                                       \
	}

const struct neap_any_type neap_any_type_bool = ANY_SCALAR(bool, NEAP_ANY_BYTES, "bool");
const struct neap_any_type neap_any_type_i64 = ANY_SCALAR(int64_t, NEAP_ANY_BYTES, "int64");
const struct neap_any_type neap_any_type_u64 = ANY_SCALAR(uint64_t, NEAP_ANY_BYTES, "uint64");
const struct neap_any_type neap_any_type_f64 = ANY_SCALAR(double, NEAP_ANY_F64, "float64");
const struct neap_any_type neap_any_type_ptr = ANY_SCALAR(void *, NEAP_ANY_BYTES, "pointer");
const struct neap_any_type neap_any_type_str = ANY_SCALAR(struct neap_str, NEAP_ANY_STR, "string");

static struct neap_any any_in_word(const struct neap_any_type *type, const void *value)
{
	struct neap_any any = {type, 0};
	memcpy(&any.data, value, type->value_size);
	return any;
}

struct neap_any neap_any_of_bool(bool value)
{
	return any_in_word(&neap_any_type_bool, &value);
}

struct neap_any neap_any_of_i64(int64_t value)
{
	return any_in_word(&neap_any_type_i64, &value);
}

struct neap_any neap_any_of_u64(uint64_t value)
{
	return any_in_word(&neap_any_type_u64, &value);
}

struct neap_any neap_any_of_f64(double value)
{
	return any_in_word(&neap_any_type_f64, &value);
}

struct neap_any neap_any_of_ptr(const void *value)
{
	return any_in_word(&neap_any_type_ptr, &value);
}

bool neap__any_type_valid(const struct neap_any_type *type)
{
	static const uint32_t size_of_kind[] = {0, sizeof(float), sizeof(double), sizeof(struct neap_str), 0,
						0};
	uint32_t align = type->value_align;
	if (type->size < sizeof *type || type->kind > NEAP_ANY_NEVER || type->name == NULL)
		return false;
	if (type->value_size > ANY_VALUE_MOST || align == 0 || align > ANY_ALIGN_MOST ||
	    (align & (align - 1)) != 0)
		return false;
	if (size_of_kind[type->kind] != 0 && size_of_kind[type->kind] != type->value_size)
		return false;
	return type->kind != NEAP_ANY_USER || (type->equal != NULL && type->hash != NULL);
}

static size_t box_bytes(const struct neap_any_type *type, uint32_t extra)
{
	return neap__box_offset(type) + type->value_size + extra;
}

static struct neap__box *box_create(const struct neap_allocator *from, const struct neap_any_type *type,
				    uint32_t extra)
{
	if (from == NULL)
		from = &neap__malloc_allocator;
	size_t align = type->value_align > _Alignof(struct neap__box) ? type->value_align
								      : _Alignof(struct neap__box);
	struct neap__box *box = neap__alloc(from, box_bytes(type, extra), align);
	if (box == NULL)
		return NULL;
	box->from = from;
	atomic_init(&box->owners, 1);
	box->extra = extra;
	return box;
}

static void *box_value(struct neap__box *box, const struct neap_any_type *type)
{
	return (char *)box + neap__box_offset(type);
}

int neap_any_make(const struct neap_allocator *from, const struct neap_any_type *type, const void *value,
		  struct neap_any *ret)
{
	*ret = (struct neap_any){NULL, 0};
	if (type == NULL || !neap__any_type_valid(type))
		return NEAP_EINVAL;
	if (neap__any_inline(type)) {
		*ret = any_in_word(type, value);
		return NEAP_OK;
	}
	struct neap__box *box = box_create(from, type, 0);
	if (box == NULL)
		return NEAP_ENOMEM;
	memcpy(box_value(box, type), value, type->value_size);
	*ret = (struct neap_any){type, (uintptr_t)box};
	return NEAP_OK;
}

int neap_any_make_str(const struct neap_allocator *from, struct neap_str str, struct neap_any *ret)
{
	const struct neap_any_type *type = &neap_any_type_str;
	*ret = (struct neap_any){NULL, 0};
	struct neap__box *box = box_create(from, type, str.len);
	if (box == NULL)
		return NEAP_ENOMEM;
	char *bytes = (char *)box_value(box, type) + sizeof str;
	if (str.len > 0)
		memcpy(bytes, str.ptr, str.len);
	memcpy(box_value(box, type), &(struct neap_str){bytes, str.len, 0}, sizeof str);
	*ret = (struct neap_any){type, (uintptr_t)box};
	return NEAP_OK;
}

/* A count that came from 2^32 - 1 copies would wrap to a box freed in use: stop long before. */
enum { ANY_OWNERS_MOST = 1 << 30 };

struct neap_any neap_any_copy(struct neap_any value)
{
	if (value.type == NULL || neap__any_inline(value.type))
		return value;
	struct neap__box *box = neap__any_box(value);
	if (box->from == &neap__any_collector)
		return value;
	/* Relaxed: who copies is an owner already. */
	if (atomic_fetch_add_explicit(&box->owners, 1, memory_order_relaxed) >= ANY_OWNERS_MOST)
		neap__fault((struct neap_fault){.rule = "too many copies of one value",
						.object = value.type->name,
						.address = box,
						.operation = "neap_any_copy",
						.kind = "type"});
	return value;
}

void neap_any_drop(struct neap_any value)
{
	if (value.type == NULL || neap__any_inline(value.type))
		return;
	struct neap__box *box = neap__any_box(value);
	if (box->from == &neap__any_collector)
		return;
	/* Release: what this owner read, it read before. Acquire: the last one frees after all of them. */
	if (atomic_fetch_sub_explicit(&box->owners, 1, memory_order_acq_rel) > 1)
		return;
	if (value.type->drop != NULL)
		value.type->drop(box_value(box, value.type));
	neap__free(box->from, box, box_bytes(value.type, box->extra));
}

uint32_t neap_any_owners(struct neap_any value)
{
	if (value.type == NULL || neap__any_inline(value.type))
		return 0;
	return atomic_load_explicit(&neap__any_box(value)->owners, memory_order_relaxed);
}

static const void *any_value_of(const struct neap_any_type *type, const uint64_t *data)
{
	if (neap__any_inline(type))
		return data;
	return box_value((struct neap__box *)(uintptr_t)*data, type);
}

const void *neap_any_value(const struct neap_any *value)
{
	return value->type != NULL ? any_value_of(value->type, &value->data) : NULL;
}

const void *neap_any_as(const struct neap_any *value, const struct neap_any_type *type)
{
	return value->type == type ? neap_any_value(value) : NULL;
}

const void *neap_iface_self(const struct neap_iface *value)
{
	return value->itab != NULL ? any_value_of(value->itab->type, &value->data) : NULL;
}
