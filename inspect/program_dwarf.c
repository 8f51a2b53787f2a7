/* program_dwarf.c: what DWARF adds where a program still has it: the types of global variables, and the
 * layout of the runtime's own structs.
 *
 * Go writes a variable's location as DW_FORM_block1, which dwarf_getlocation refuses, so the one operation
 * that matters is decoded here: DW_OP_addr (the address) or, from Go 1.25 on, DW_OP_addrx (its index in
 * .debug_addr).
 */
#include <dwarf.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "program_state.h"

enum {
	DW_AT_go_kind = 0x2900,
	DW_AT_go_elem = 0x2902,
	DW_AT_go_runtime_type = 0x2904,
	DEFAULT_ADDR_BASE = 8,
	ELEMENTS_MAX = 4096, /* of an array without a descriptor */
	VALUE_DEPTH = 6,     /* of structs without a descriptor in structs without a descriptor */
};

static Dwarf *open_dwarf(const struct program *program)
{
	struct program *cache = (struct program *)program;
	if (!cache->dwarf_tried) {
		cache->dwarf_tried = true;
		cache->dwarf = dwarf_begin_elf(program->elf, DWARF_C_READ, NULL);
	}
	return cache->dwarf;
}

void program_close_dwarf(struct program *program)
{
	if (program->dwarf != NULL)
		dwarf_end(program->dwarf);
}

typedef bool (*die_fn)(void *context, Dwarf_Die *unit, Dwarf_Die *die);

/* Visits the children of every compilation unit until one visit says false. */
static void each_die(const struct program *program, die_fn visit, void *context)
{
	Dwarf *dwarf = open_dwarf(program);
	Dwarf_Off offset = 0, next;
	size_t header;
	while (dwarf != NULL && dwarf_nextcu(dwarf, offset, &next, &header, NULL, NULL, NULL) == 0) {
		Dwarf_Die unit, die;
		if (dwarf_offdie(dwarf, offset + header, &unit) != NULL && dwarf_child(&unit, &die) == 0) {
			do
				if (!visit(context, &unit, &die))
					return;
			while (dwarf_siblingof(&die, &die) == 0);
		}
		offset = next;
	}
}

struct variable_search {
	const struct program *program;
	struct program_variable *found;
	size_t count, capacity;
	const uint8_t *addresses; /* .debug_addr */
	size_t address_bytes;
};

static uint64_t read_uleb(const uint8_t *bytes, size_t size)
{
	uint64_t value = 0;
	for (size_t i = 0; i < size && i < 9; i++) {
		value |= (uint64_t)(bytes[i] & 0x7f) << (7 * i);
		if ((bytes[i] & 0x80) == 0)
			break;
	}
	return value;
}

static uint64_t indexed_address(const struct variable_search *search, Dwarf_Die *unit, uint64_t index)
{
	Dwarf_Attribute attribute;
	Dwarf_Word base = DEFAULT_ADDR_BASE;
	if (dwarf_attr(unit, DW_AT_addr_base, &attribute) != NULL)
		dwarf_formudata(&attribute, &base);
	uint64_t address = 0;
	if (index < search->address_bytes / 8 && base <= search->address_bytes - 8 * index - 8)
		memcpy(&address, search->addresses + base + 8 * index, sizeof address);
	return address;
}

static uint64_t location(const struct variable_search *search, Dwarf_Die *unit, Dwarf_Die *die)
{
	Dwarf_Attribute attribute;
	Dwarf_Block block;
	if (dwarf_attr(die, DW_AT_location, &attribute) == NULL || dwarf_formblock(&attribute, &block) != 0 ||
	    block.length < 2)
		return 0;
	uint64_t address = 0;
	if (block.data[0] == DW_OP_addr && block.length >= 9)
		memcpy(&address, block.data + 1, sizeof address);
	if (block.data[0] == DW_OP_addrx)
		address = indexed_address(search, unit, read_uleb(block.data + 1, block.length - 1));
	return address;
}

static bool number_of(Dwarf_Die *die, unsigned name, Dwarf_Word *ret)
{
	Dwarf_Attribute attribute;
	return dwarf_attr(die, name, &attribute) != NULL && dwarf_formudata(&attribute, ret) == 0;
}

static bool type_of(Dwarf_Die *die, unsigned attribute_name, Dwarf_Die *ret)
{
	Dwarf_Attribute attribute;
	return dwarf_attr(die, attribute_name, &attribute) != NULL &&
	       dwarf_formref_die(&attribute, ret) != NULL;
}

static uint64_t runtime_type(Dwarf_Die *type)
{
	Dwarf_Attribute attribute;
	Dwarf_Addr address;
	Dwarf_Word number;
	if (dwarf_attr(type, DW_AT_go_runtime_type, &attribute) == NULL)
		return 0;
	if (dwarf_formaddr(&attribute, &address) == 0 && address != 0)
		return address;
	return dwarf_formudata(&attribute, &number) == 0 ? number : 0;
}

static void add_variable(struct variable_search *search, const char *name, uint64_t address,
			 enum program_form form, uint64_t type)
{
	search->found = make_room(search->found, search->count, &search->capacity, sizeof *search->found);
	search->found[search->count++] =
		(struct program_variable){name, address + search->program->bias, form, type};
}

/* Through a pointer, or two of which the first has no descriptor. */
static void take_pointer(struct variable_search *search, const char *name, uint64_t address,
			 Dwarf_Die *target)
{
	Dwarf_Die inner;
	uint64_t runtime = runtime_type(target);
	if (runtime != 0)
		add_variable(search, name, address, PROGRAM_POINTER, runtime);
	else if (dwarf_tag(target) == DW_TAG_pointer_type && type_of(target, DW_AT_type, &inner) &&
		 (runtime = runtime_type(&inner)) != 0)
		add_variable(search, name, address, PROGRAM_TWICE, runtime);
}

static uint64_t inner_size(Dwarf_Die *type)
{
	Dwarf_Word size;
	if (dwarf_tag(type) == DW_TAG_pointer_type)
		return 8;
	return dwarf_aggregate_size(type, &size) == 0 ? size : 0;
}

static uint64_t element_count(Dwarf_Die *array)
{
	Dwarf_Die range;
	Dwarf_Word count;
	if (dwarf_child(array, &range) != 0 || dwarf_tag(&range) != DW_TAG_subrange_type ||
	    !number_of(&range, DW_AT_count, &count))
		return 0;
	return count;
}

/* The linker drops the descriptor of a type that the program needs no descriptor of, such as a slice type. Then
   the parts of the value still have theirs. */
static void take_value(struct variable_search *search, const char *name, uint64_t address, Dwarf_Die *type,
		       int depth)
{
	Dwarf_Die inner, member;
	Dwarf_Word offset;
	uint64_t runtime = runtime_type(type);
	if (runtime != 0) {
		add_variable(search, name, address, PROGRAM_VALUE, runtime);
	} else if (depth == VALUE_DEPTH) {
		return;
	} else if (dwarf_tag(type) == DW_TAG_typedef && type_of(type, DW_AT_type, &inner)) {
		take_value(search, name, address, &inner, depth + 1);
	} else if (dwarf_tag(type) == DW_TAG_pointer_type && type_of(type, DW_AT_type, &inner)) {
		take_pointer(search, name, address, &inner);
	} else if (dwarf_tag(type) == DW_TAG_structure_type && type_of(type, DW_AT_go_elem, &inner)) {
		if ((runtime = runtime_type(&inner)) != 0 && dwarf_hasattr(type, DW_AT_go_kind))
			add_variable(search, name, address, PROGRAM_SLICE, runtime);
	} else if (dwarf_tag(type) == DW_TAG_array_type && type_of(type, DW_AT_type, &inner)) {
		uint64_t size = inner_size(&inner), count = element_count(type);
		for (uint64_t i = 0; size != 0 && i < count && i < ELEMENTS_MAX; i++)
			take_value(search, name, address + i * size, &inner, depth + 1);
	} else if (dwarf_tag(type) == DW_TAG_structure_type && dwarf_child(type, &member) == 0) {
		do {
			if (type_of(&member, DW_AT_type, &inner) &&
			    number_of(&member, DW_AT_data_member_location, &offset))
				take_value(search, name, address + offset, &inner, depth + 1);
		} while (dwarf_siblingof(&member, &member) == 0);
	}
}

static bool take_variable(void *context, Dwarf_Die *unit, Dwarf_Die *die)
{
	struct variable_search *search = context;
	Dwarf_Die type;
	if (dwarf_tag(die) != DW_TAG_variable)
		return true;
	uint64_t address = location(search, unit, die);
	const char *name = dwarf_diename(die);
	if (address != 0 && name != NULL && type_of(die, DW_AT_type, &type))
		take_value(search, name, address, &type, 0);
	return true;
}

static void find_addresses(struct variable_search *search)
{
	size_t names;
	if (elf_getshdrstrndx(search->program->elf, &names) != 0)
		return;
	for (Elf_Scn *section = elf_nextscn(search->program->elf, NULL); section != NULL;
	     section = elf_nextscn(search->program->elf, section)) {
		GElf_Shdr header;
		const char *name = gelf_getshdr(section, &header) == NULL
					   ? NULL
					   : elf_strptr(search->program->elf, names, header.sh_name);
		if (name == NULL || strcmp(name, ".debug_addr") != 0)
			continue;
		if ((header.sh_flags & SHF_COMPRESSED) != 0)
			elf_compress(section, 0, 0);
		Elf_Data *data = elf_getdata(section, NULL);
		search->addresses = data != NULL ? data->d_buf : NULL;
		search->address_bytes = data != NULL && data->d_buf != NULL ? data->d_size : 0;
	}
}

size_t program_variables(const struct program *program, struct program_variable **ret)
{
	struct variable_search search = {.program = program};
	find_addresses(&search);
	each_die(program, take_variable, &search);
	*ret = search.found;
	return search.count;
}

struct struct_walk {
	program_member_fn visit;
	void *context;
};

static bool walk_struct(void *context, Dwarf_Die *unit, Dwarf_Die *die)
{
	(void)unit;
	const struct struct_walk *walk = context;
	const char *type = dwarf_tag(die) == DW_TAG_structure_type ? dwarf_diename(die) : NULL;
	Dwarf_Word number;
	Dwarf_Die member;
	if (type == NULL || !number_of(die, DW_AT_byte_size, &number))
		return true;
	walk->visit(walk->context, type, NULL, number);
	if (dwarf_child(die, &member) != 0)
		return true;
	do {
		const char *name = dwarf_diename(&member);
		if (name != NULL && number_of(&member, DW_AT_data_member_location, &number))
			walk->visit(walk->context, type, name, number);
	} while (dwarf_siblingof(&member, &member) == 0);
	return true;
}

void program_structs(const struct program *program, program_member_fn visit, void *context)
{
	struct struct_walk walk = {visit, context};
	each_die(program, walk_struct, &walk);
}
