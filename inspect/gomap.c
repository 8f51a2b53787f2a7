/* gomap.c: map types, and the choice between the two map readers. See gomap.h.
 *
 * Map types are found by looking at every aligned word of the types section: from 1.27 on there is no list
 * of types, and before that the list has only those that reflection can reach.
 */
#include "gomap.h"

#include <stdlib.h>
#include <string.h>

#include "goprocess.h"

enum {
	CLASSIC_KEY_INDIRECT = 1,
	CLASSIC_ELEM_INDIRECT = 2,
	SWISS_KEY_INDIRECT = 4,
	SWISS_ELEM_INDIRECT = 8,
	CONTROL_BYTES = 8,
};

static uint32_t half(struct go_process *process, uint64_t type, uint32_t offset)
{
	return (uint32_t)go_type_word(process, type, offset);
}

static void lay_classic(struct go_process *process, struct go_map_type *map)
{
	map->group_size = (uint16_t)half(process, map->type, process->layout.maptype_group_size);
	map->keys_at = CONTROL_BYTES;
	map->key_stride = map->key_size;
	map->elems_at = CONTROL_BYTES + GO_GROUP_SLOTS * map->key_size;
	map->elem_stride = map->elem_size;
}

static void lay_swiss(struct go_process *process, struct go_map_type *map)
{
	const struct go_layout *layout = &process->layout;
	map->group_size = half(process, map->type, layout->maptype_group_size);
	if (layout->maptype_keys_off != 0) {
		map->keys_at = half(process, map->type, layout->maptype_keys_off);
		map->key_stride = half(process, map->type, layout->maptype_key_stride);
		map->elems_at = half(process, map->type, layout->maptype_elems_off);
		map->elem_stride = half(process, map->type, layout->maptype_elem_stride);
		return;
	}
	map->keys_at = CONTROL_BYTES;
	map->key_stride = map->elem_stride = half(process, map->type, layout->maptype_slot_size);
	map->elems_at = CONTROL_BYTES + half(process, map->type, layout->maptype_elem_off);
}

/* Every key and value lies within the group. */
static bool slots_fit(const struct go_map_type *map)
{
	uint64_t last_key = map->keys_at + 7ull * map->key_stride + map->key_size;
	uint64_t last_elem = map->elems_at + 7ull * map->elem_stride + map->elem_size;
	return map->group_size >= CONTROL_BYTES && last_key <= map->group_size &&
	       last_elem <= map->group_size;
}

static bool take_map_type(struct go_process *process, uint64_t type, struct go_map_type *ret)
{
	const struct go_layout *layout = &process->layout;
	if (go_type_kind(process, type) != GO_KIND_MAP || !go_type_valid(process, type))
		return false;
	*ret = (struct go_map_type){.type = type,
				    .key = go_type_word(process, type, layout->maptype_key),
				    .elem = go_type_word(process, type, layout->maptype_elem),
				    .group = go_type_word(process, type, layout->maptype_group)};
	if (!go_type_valid(process, ret->key) || !go_type_valid(process, ret->elem) ||
	    !go_type_valid(process, ret->group))
		return false;
	bool classic = layout->maps == GO_MAP_CLASSIC;
	uint32_t flags = half(process, type, layout->maptype_flags);
	ret->key_indirect = (flags & (classic ? CLASSIC_KEY_INDIRECT : SWISS_KEY_INDIRECT)) != 0;
	ret->elem_indirect = (flags & (classic ? CLASSIC_ELEM_INDIRECT : SWISS_ELEM_INDIRECT)) != 0;
	uint64_t key_size = ret->key_indirect ? 8 : go_type_size(process, ret->key);
	uint64_t elem_size = ret->elem_indirect ? 8 : go_type_size(process, ret->elem);
	if (key_size > 128 || elem_size > 128) /* larger ones are held by pointer */
		return false;
	ret->key_size = (uint32_t)key_size;
	ret->elem_size = (uint32_t)elem_size;
	ret->pointers = go_type_pointer_bytes(process, ret->group) != 0;
	if (classic)
		lay_classic(process, ret);
	else
		lay_swiss(process, ret);
	return ret->group_size == go_type_size(process, ret->group) && slots_fit(ret);
}

static int compare_layouts(const struct go_map_type *a, const struct go_map_type *b)
{
	const uint32_t left[] = {a->group_size, a->pointers,   a->key_size, a->elem_size,
				 a->keys_at,	a->key_stride, a->elems_at, a->elem_stride};
	const uint32_t right[] = {b->group_size, b->pointers,	b->key_size, b->elem_size,
				  b->keys_at,	 b->key_stride, b->elems_at, b->elem_stride};
	for (size_t i = 0; i < sizeof left / sizeof *left; i++)
		if (left[i] != right[i])
			return left[i] < right[i] ? -1 : 1;
	return 0;
}

static int compare_map_types(const void *left, const void *right)
{
	const struct go_map_type *a = left, *b = right;
	int layouts = compare_layouts(a, b);
	return layouts != 0 ? layouts : a->type < b->type ? -1 : a->type > b->type;
}

bool go_map_type_same_layout(const struct go_map_type *left, const struct go_map_type *right)
{
	return compare_layouts(left, right) == 0;
}

void go_map_types_load(struct go_process *process, struct go_map_types *ret)
{
	const struct go_module *module = &process->module;
	*ret = (struct go_map_types){0};
	for (uint64_t type = (module->types + 7) & ~7ull; type + 88 <= module->etypes; type += 8) {
		struct go_map_type map;
		if (!take_map_type(process, type, &map))
			continue;
		ret->list = make_room(ret->list, ret->count, &ret->capacity, sizeof *ret->list);
		ret->list[ret->count++] = map;
	}
	if (ret->count > 0)
		qsort(ret->list, ret->count, sizeof *ret->list, compare_map_types);
}

void go_map_types_free(struct go_map_types *types)
{
	free(types->list);
}

const struct go_map_type *go_map_types_find(const struct go_map_types *types, uint64_t type)
{
	for (size_t i = 0; i < types->count; i++)
		if (types->list[i].type == type)
			return &types->list[i];
	return NULL;
}

bool go_map_header(struct go_process *process, uint64_t address, struct go_map_header *ret)
{
	bool classic = process->layout.maps == GO_MAP_CLASSIC;
	const uint8_t *bytes = image_at(process->image, address,
					classic ? process->layout.hmap_size : process->layout.swiss_size);
	*ret = (struct go_map_header){.address = address};
	if (bytes == NULL)
		return false;
	return classic ? go_classic_header(process, bytes, ret) : go_swiss_header(process, bytes, ret);
}

bool go_map_walk(struct go_process *process, const struct go_map_header *header,
		 const struct go_map_type *type, const struct go_map_visitor *visitor)
{
	if (process->layout.maps == GO_MAP_CLASSIC)
		return go_classic_walk(process, header, type, visitor);
	return go_swiss_walk(process, header, type, visitor);
}

uint64_t go_map_rebuilt_bytes(struct go_process *process, const struct go_map_type *type, uint64_t count)
{
	if (process->layout.maps == GO_MAP_CLASSIC)
		return go_classic_rebuilt(process, type, count);
	return go_swiss_rebuilt(process, type, count);
}

uint64_t go_map_first_groups(struct go_process *process, const struct go_map_header *header)
{
	if (process->layout.maps == GO_MAP_CLASSIC)
		return header->buckets;
	uint64_t table, groups;
	if (header->directory_length == 0)
		return header->directory;
	if (!image_word(process->image, header->directory, &table) ||
	    !image_word(process->image, table + 16, &groups))
		return 0;
	return groups;
}
