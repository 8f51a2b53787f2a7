/* gotype.c: see gotype.h.
 *
 * The common head of a descriptor is 48 bytes (size, pointer bytes, hash, flags, alignment, kind, equal,
 * mask, name, pointer-to-this); what follows depends on the kind.
 *
 * A name is stored as: flag byte, length as a varint, bytes. A descriptor's name has a leading '*' when its
 * flag EXTRA_STAR is set, which lets a type and its pointer type share one string.
 */
#include "gotype.h"

#include <stdlib.h>
#include <string.h>

#include "goprocess.h"

enum {
	TYPE_HEAD = 48,
	KIND_MASK = 31,
	FLAG_EXTRA_STAR = 2,
	FLAG_DIRECT_26 = 32,  /* Go 1.26 on: in the flags */
	KIND_DIRECT = 32,     /* before: in the kind byte */
	KIND_PROGRAM = 64,    /* to 1.23: the mask is a program */
	FLAG_ON_DEMAND = 16,  /* 1.24 on: the mask is built when it is needed */
	ELEM_AT = 48,	      /* array, chan, pointer, slice: the first word after the head; map: the key */
	ARRAY_LENGTH_AT = 64, /* array: elem, slice, length */
	METHODS_AT = 64,      /* interface: package, then a slice of methods */
	FIELDS_AT = 56,	      /* struct: package, then a slice of fields */
	FIELD_SIZE = 24,      /* name, type, offset */
	NAME_FLAGS = 15,      /* exported, has tag, has package, embedded */
};

static const uint8_t *descriptor(struct go_process *process, uint64_t type, size_t size)
{
	const struct go_module *module = &process->module;
	if (type < module->types || type >= module->etypes || size > module->etypes - type || (type & 7) != 0)
		return NULL;
	if (process->types.bytes != NULL)
		return process->types.bytes + (type - module->types);
	return image_at(process->image, type, size);
}

void go_types_load(struct go_process *process)
{
	const struct go_module *module = &process->module;
	uint64_t size = module->etypes - module->types;
	process->types.bytes = image_at(process->image, module->types, size);
	process->types.judged = take(size / 8 + 1, 1);
}

void go_types_free(struct go_types *types)
{
	free(types->judged);
	go_type_free_masks(types);
}

uint64_t go_type_word(struct go_process *process, uint64_t type, uint32_t offset)
{
	const uint8_t *bytes = descriptor(process, type, offset + sizeof(uint64_t));
	uint64_t word = 0;
	if (bytes != NULL)
		memcpy(&word, bytes + offset, sizeof word);
	return word;
}

static uint8_t byte_at(struct go_process *process, uint64_t type, uint32_t offset)
{
	const uint8_t *bytes = descriptor(process, type, TYPE_HEAD);
	return bytes == NULL ? 0 : bytes[offset];
}

enum go_kind go_type_kind(struct go_process *process, uint64_t type)
{
	return (enum go_kind)(byte_at(process, type, process->layout.type_kind) & KIND_MASK);
}

uint64_t go_type_size(struct go_process *process, uint64_t type)
{
	return go_type_word(process, type, process->layout.type_size);
}

uint64_t go_type_pointer_bytes(struct go_process *process, uint64_t type)
{
	return go_type_word(process, type, process->layout.type_pointer_bytes);
}

unsigned go_type_align(struct go_process *process, uint64_t type)
{
	return byte_at(process, type, process->layout.type_align);
}

uint32_t go_type_hash(struct go_process *process, uint64_t type)
{
	return (uint32_t)go_type_word(process, type, process->layout.type_hash);
}

/* A stored name: its bytes and length. */
static const char *stored_name(struct go_process *process, uint64_t address, size_t *length)
{
	const uint8_t *head = image_at(process->image, address, 4);
	if (head == NULL || head[0] > NAME_FLAGS)
		return NULL;
	size_t varint = (head[1] & 0x80) == 0 ? 1 : 2;
	*length = varint == 1 ? head[1] : (size_t)(head[1] & 0x7f) | (size_t)head[2] << 7;
	if (*length == 0 || (varint == 2 && (head[2] & 0x80) != 0))
		return NULL;
	return image_at(process->image, address + 1 + varint, *length);
}

static const char *type_name_bytes(struct go_process *process, uint64_t type, size_t *length)
{
	const struct go_module *module = &process->module;
	uint32_t offset = (uint32_t)go_type_word(process, type, process->layout.type_name);
	if (offset >= module->etypes - module->types)
		return NULL;
	return stored_name(process, module->types + offset, length);
}

static bool size_fits_kind(enum go_kind kind, uint64_t size)
{
	switch (kind) {
	case GO_KIND_CHAN:
	case GO_KIND_FUNC:
	case GO_KIND_MAP:
	case GO_KIND_POINTER:
	case GO_KIND_UNSAFE: return size == 8;
	case GO_KIND_INTERFACE:
	case GO_KIND_STRING: return size == 16;
	case GO_KIND_SLICE: return size == 24;
	default: return size < 1ull << 40;
	}
}

static bool judge_type(struct go_process *process, uint64_t type)
{
	const struct go_layout *layout = &process->layout;
	const uint8_t *bytes = descriptor(process, type, TYPE_HEAD);
	if (bytes == NULL)
		return false;
	uint64_t size, pointers;
	memcpy(&size, bytes + layout->type_size, sizeof size);
	memcpy(&pointers, bytes + layout->type_pointer_bytes, sizeof pointers);
	enum go_kind kind = (enum go_kind)(bytes[layout->type_kind] & KIND_MASK);
	uint8_t align = bytes[layout->type_align];
	size_t length;
	return kind >= GO_KIND_BOOL && kind <= GO_KIND_LAST && pointers <= size && (pointers & 7) == 0 &&
	       size_fits_kind(kind, size) && align >= 1 && align <= 16 && (align & (align - 1)) == 0 &&
	       align == bytes[layout->type_align + 1] && type_name_bytes(process, type, &length) != NULL;
}

bool go_type_valid(struct go_process *process, uint64_t type)
{
	const struct go_module *module = &process->module;
	if (type < module->types || type >= module->etypes || (type & 7) != 0 ||
	    process->types.judged == NULL)
		return false;
	uint8_t *judged = &process->types.judged[(type - module->types) / 8];
	if (*judged == 0)
		*judged = judge_type(process, type) ? 1 : 2;
	return *judged == 1;
}

uint64_t go_type_elem(struct go_process *process, uint64_t type)
{
	uint64_t elem = go_type_word(process, type, ELEM_AT);
	return go_type_valid(process, elem) ? elem : 0;
}

uint64_t go_type_length(struct go_process *process, uint64_t type)
{
	return go_type_word(process, type, ARRAY_LENGTH_AT);
}

uint64_t go_type_methods(struct go_process *process, uint64_t type)
{
	return go_type_word(process, type, METHODS_AT);
}

bool go_type_field(struct go_process *process, uint64_t type, size_t index, struct go_field *ret)
{
	uint64_t fields = go_type_word(process, type, FIELDS_AT), words[3];
	if (index >= go_type_word(process, type, FIELDS_AT + 8))
		return false;
	const void *bytes = image_at(process->image, fields + index * FIELD_SIZE, FIELD_SIZE);
	if (bytes == NULL)
		return false;
	memcpy(words, bytes, sizeof words);
	*ret = (struct go_field){.type = words[1], .offset = words[2]};
	ret->name = stored_name(process, words[0], &ret->name_length);
	uint64_t size = go_type_size(process, type);
	return ret->name != NULL && go_type_valid(process, ret->type) && ret->offset <= size &&
	       go_type_size(process, ret->type) <= size - ret->offset;
}

bool go_type_is_direct(struct go_process *process, uint64_t type)
{
	if (process->version.minor >= 26)
		return (byte_at(process, type, process->layout.type_flags) & FLAG_DIRECT_26) != 0;
	return (byte_at(process, type, process->layout.type_kind) & KIND_DIRECT) != 0;
}

void go_type_name(struct go_process *process, uint64_t type, char *name, size_t size)
{
	size_t length = 0;
	const char *bytes = type_name_bytes(process, type, &length);
	if (bytes == NULL) {
		bytes = "?";
		length = 1;
	} else if (length > 1 &&
		   (byte_at(process, type, process->layout.type_flags) & FLAG_EXTRA_STAR) != 0) {
		bytes++;
		length--;
	}
	if (length >= size)
		length = size - 1;
	memcpy(name, bytes, length);
	name[length] = '\0';
	for (size_t i = 0; i < length; i++) /* the target may lie: nothing that a terminal acts upon */
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
			name[i] = '?';
}

static bool has_no_mask(struct go_process *process, uint64_t type)
{
	if (process->version.minor >= 24)
		return (byte_at(process, type, process->layout.type_flags) & FLAG_ON_DEMAND) != 0;
	return (byte_at(process, type, process->layout.type_kind) & KIND_PROGRAM) != 0;
}

const uint8_t *go_type_mask(struct go_process *process, uint64_t type)
{
	uint64_t words = go_type_pointer_bytes(process, type) / 8;
	if (words == 0 || words > 1u << 24)
		return NULL;
	if (has_no_mask(process, type))
		return go_type_build_mask(process, type, words);
	return image_at(process->image, go_type_word(process, type, process->layout.type_pointer_mask),
			(words + 7) / 8);
}

/* itab: interface type, dynamic type, a copy of the dynamic type's hash. */
uint64_t go_itab_type(struct go_process *process, uint64_t itab)
{
	uint64_t words[3];
	if ((itab & 7) != 0 || itab < TARGET_PAGE || go_heap_span(&process->heap, itab) != NULL)
		return 0;
	const void *bytes = image_at(process->image, itab, sizeof words);
	if (bytes == NULL)
		return 0;
	memcpy(words, bytes, sizeof words);
	if (!go_type_valid(process, words[0]) || go_type_kind(process, words[0]) != GO_KIND_INTERFACE ||
	    !go_type_valid(process, words[1]) || (uint32_t)words[2] != go_type_hash(process, words[1]))
		return 0;
	return words[1];
}
