/* any_gc.c: interface values in collected boxes, and maps of them.
 *
 * The box is that of any.c with a mark where its allocator would be: nobody counts its owners. As an object it is a
 * head without pointers and a tail of one element, the value.
 */
#include "neap/any_gc.h"

#include <string.h>

#include "any/box.h"

_Static_assert(NEAP_ANY_BOX_HEAD == sizeof(struct neap__box), "the value follows the head of the box");

static const struct neap_gc_field data_field = {offsetof(struct neap_any, data), 1};
struct neap_gc_type neap_gc_interface = {"interface",
					 sizeof(struct neap_any),
					 &data_field,
					 1,
					 NEAP_GC_INTERFACE,
					 NULL,
					 sizeof(struct neap_any),
					 0};

/* As neap_any_map_type, but for owners: there are none. */
static const struct neap_map_type any_gc_map_type = {.size = sizeof(struct neap_map_type),
						     .kind = NEAP_KEY_USER,
						     .key_size = sizeof(struct neap_any),
						     .key_align = _Alignof(struct neap_any),
						     .value_size = sizeof(struct neap_any),
						     .value_align = _Alignof(struct neap_any),
						     .hash = neap_any_key_hash,
						     .equal = neap_any_key_equal};

static char *collected_box(struct neap_gc_type *type, size_t bytes, uint32_t extra)
{
	struct neap__box *box =
		type != NULL ? neap_gc_alloc_tail(type, 1) : neap_gc_alloc_data(sizeof *box + bytes + extra);
	if (box == NULL)
		return NULL;
	box->from = &neap__any_collector;
	box->extra = extra;
	return (char *)(box + 1);
}

static void run_drop(void *object, void *type)
{
	((const struct neap_any_type *)type)->drop((struct neap__box *)object + 1);
}

int neap_any_make_collected(struct neap_gc_type *box, const struct neap_any_type *type, const void *value,
			    struct neap_any *ret)
{
	*ret = (struct neap_any){NULL, 0};
	if (type == NULL || !neap__any_type_valid(type) || type->value_align > NEAP_ANY_BOX_HEAD ||
	    (box != NULL && (box->tail == NULL || box->tail->size != type->value_size)))
		return NEAP_EINVAL;
	if (neap__any_inline(type)) {
		ret->type = type;
		memcpy(&ret->data, value, type->value_size);
		return NEAP_OK;
	}
	char *at = collected_box(box, type->value_size, 0);
	if (at == NULL)
		return NEAP_ENOMEM;
	memcpy(at, value, type->value_size);
	char *object = at - NEAP_ANY_BOX_HEAD;
	if (type->drop != NULL && neap_gc_finalizer(object, run_drop, (void *)(uintptr_t)type) != NEAP_OK) {
		neap_gc_free(object);
		return NEAP_ENOMEM;
	}
	*ret = (struct neap_any){type, (uintptr_t)object};
	return NEAP_OK;
}

int neap_any_make_str_collected(struct neap_str str, struct neap_any *ret)
{
	*ret = (struct neap_any){NULL, 0};
	char *at = collected_box(NULL, sizeof str, str.len);
	if (at == NULL)
		return NEAP_ENOMEM;
	if (str.len > 0)
		memcpy(at + sizeof str, str.ptr, str.len);
	memcpy(at, &(struct neap_str){at + sizeof str, str.len, 0}, sizeof str);
	*ret = (struct neap_any){&neap_any_type_str, (uintptr_t)(at - NEAP_ANY_BOX_HEAD)};
	return NEAP_OK;
}

bool neap_any_collected(struct neap_any value)
{
	return neap_any_boxed(value) && neap__any_box(value)->from == &neap__any_collector;
}

void neap_any_free_collected(struct neap_any value)
{
	if (neap_any_collected(value))
		neap_gc_free(neap__any_box(value));
}

struct neap_gc_map *neap_any_gc_map_create(const struct neap_map_options *options)
{
	return neap_gc_map_create(&any_gc_map_type, &neap_gc_interface, &neap_gc_interface, options);
}

int neap_any_gc_map_put(struct neap_gc_map *map, struct neap_any key, struct neap_any value)
{
	if (!neap_any_comparable(key) || neap_any_boxed(key) != neap_any_collected(key) ||
	    neap_any_boxed(value) != neap_any_collected(value))
		return map != NULL ? NEAP_EINVAL : NEAP_ENIL;
	return neap_gc_map_put(map, &key, &value);
}

struct neap_any neap_any_gc_map_get(const struct neap_gc_map *map, struct neap_any key, bool *ret_found)
{
	const struct neap_any *value = neap_any_comparable(key) ? neap_gc_map_get(map, &key) : NULL;
	if (ret_found != NULL)
		*ret_found = value != NULL;
	return value != NULL ? *value : (struct neap_any){NULL, 0};
}

bool neap_any_gc_map_delete(struct neap_gc_map *map, struct neap_any key)
{
	return neap_any_comparable(key) && neap_gc_map_delete(map, &key);
}
