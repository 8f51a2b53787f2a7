/* gomodule.c: see gomodule.h.
 *
 * pclntab in a picture (Go 1.18 on):
 *
 *   ftab:  (entry offset, offset of _func) ...   sorted; offsets count from the start of text
 *   _func: entry offset | name offset | args | deferreturn | pcsp | ...
 *   pcsp:  a run of (value delta, pc delta) varints: the frame's size from each pc on
 */
#include "gomodule.h"

#include <string.h>

#include "goprocess.h"

#define PCLN_MAGIC_20 0xfffffff1u /* Go 1.20 on */
#define PCLN_MAGIC_18 0xfffffff0u /* 1.18, 1.19 */

enum {
	PC_HEADER_SIZE = 72,
	PC_QUANTUM = 1, /* x86-64: instructions of any length */
	NAME_LIMIT = 4096,
};

static bool is_pc_header(const uint8_t *bytes)
{
	uint32_t magic;
	uint64_t functions;
	memcpy(&magic, bytes, sizeof magic);
	memcpy(&functions, bytes + 8, sizeof functions);
	return (magic == PCLN_MAGIC_20 || magic == PCLN_MAGIC_18) && bytes[4] == 0 && bytes[5] == 0 &&
	       bytes[6] == PC_QUANTUM && bytes[7] == sizeof(uint64_t) && functions > 0 &&
	       functions < 1u << 24;
}

/* Calls `match` for each 8-aligned word of the program's readable memory until it says yes. */
static uint64_t scan_program(struct go_process *process, size_t size,
			     bool (*match)(struct go_process *, const uint8_t *))
{
	uint64_t start, end;
	program_extent(process->program, &start, &end);
	for (size_t i = 0; i < process->target->range_count; i++) {
		const struct target_range *range = &process->target->ranges[i];
		if (range->start >= end || range->end <= start || !range->readable)
			continue;
		const uint8_t *bytes = image_at(process->image, range->start, range->end - range->start);
		for (uint64_t at = 0; bytes != NULL && at + size <= range->end - range->start; at += 8)
			if (match(process, bytes + at))
				return range->start + at;
	}
	return 0;
}

static bool match_pc_header(struct go_process *process, const uint8_t *bytes)
{
	(void)process;
	return is_pc_header(bytes);
}

static uint64_t find_pc_header(struct go_process *process)
{
	static const char *const names[] = {".gopclntab", ".data.rel.ro.gopclntab"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct program_section section;
		if (!program_section(process->program, names[i], &section))
			continue;
		const uint8_t *bytes = image_at(process->image, section.address, PC_HEADER_SIZE);
		if (bytes != NULL && is_pc_header(bytes))
			return section.address;
	}
	return scan_program(process, PC_HEADER_SIZE, match_pc_header);
}

static uint64_t word_at(const uint8_t *bytes, uint32_t offset)
{
	uint64_t word;
	memcpy(&word, bytes + offset, sizeof word);
	return word;
}

static struct go_table table_at(const uint8_t *bytes, uint32_t offset)
{
	return (struct go_table){word_at(bytes, offset), word_at(bytes, offset + 8)};
}

/* A moduledata starts with the pc header's address and has its bounds in order. */
static bool match_module(struct go_process *process, const uint8_t *bytes)
{
	const struct go_layout *layout = &process->layout;
	if (word_at(bytes, 0) != process->module.pc_header)
		return false;
	uint64_t minpc = word_at(bytes, layout->module_minpc), maxpc = word_at(bytes, layout->module_maxpc);
	uint64_t text = word_at(bytes, layout->module_text), etext = word_at(bytes, layout->module_etext);
	return text != 0 && text <= minpc && minpc < maxpc && maxpc <= etext + 64;
}

static uint64_t find_module(struct go_process *process)
{
	struct go_module *module = &process->module;
	struct program_section section;
	uint64_t address = program_symbol(process->program, "runtime.firstmoduledata");
	module->found_by = "symbol";
	if (address == 0 && program_section(process->program, ".go.module", &section)) {
		module->found_by = ".go.module";
		address = section.address;
	}
	const uint8_t *bytes = image_at(process->image, address, process->layout.module_size);
	if (address != 0 && bytes != NULL && match_module(process, bytes))
		return address;
	module->found_by = "scan";
	return scan_program(process, process->layout.module_size, match_module);
}

static void take_module(struct go_module *module, const struct go_layout *layout, const uint8_t *bytes)
{
	module->minpc = word_at(bytes, layout->module_minpc);
	module->maxpc = word_at(bytes, layout->module_maxpc);
	module->text = word_at(bytes, layout->module_text);
	module->etext = word_at(bytes, layout->module_etext);
	module->data = word_at(bytes, layout->module_data);
	module->edata = word_at(bytes, layout->module_edata);
	module->bss = word_at(bytes, layout->module_bss);
	module->ebss = word_at(bytes, layout->module_ebss);
	uint64_t noptrdata = word_at(bytes, layout->module_noptrdata);
	uint64_t enoptrbss = word_at(bytes, layout->module_enoptrbss);
	module->globals = (noptrdata < module->data ? noptrdata : module->data) & ~7ull;
	module->globals_end = enoptrbss > module->ebss ? enoptrbss : module->ebss;
	module->types = word_at(bytes, layout->module_types);
	module->etypes = word_at(bytes, layout->module_etypes);
	module->func_names = table_at(bytes, layout->module_func_names);
	module->pc_tab = table_at(bytes, layout->module_pc_tab);
	module->pcln = table_at(bytes, layout->module_pcln);
	module->ftab = table_at(bytes, layout->module_ftab);
	/* a bit vector: an int32 count of bits, then the address of the bytes */
	module->data_mask = table_at(bytes, layout->module_data_mask);
	module->bss_mask = table_at(bytes, layout->module_bss_mask);
	module->data_mask = (struct go_table){module->data_mask.count, (uint32_t)module->data_mask.address};
	module->bss_mask = (struct go_table){module->bss_mask.count, (uint32_t)module->bss_mask.address};
}

static bool module_fits(const struct go_process *process)
{
	const struct go_module *module = &process->module;
	return module->data <= module->edata && module->bss <= module->ebss &&
	       module->edata <= module->globals_end && module->globals <= module->bss &&
	       image_covers(process->image, module->globals, module->globals_end - module->globals) &&
	       module->types < module->etypes &&
	       image_covers(process->image, module->types, module->etypes - module->types) &&
	       module->ftab.count > 1 && module->ftab.count < 1u << 24 &&
	       module->data_mask.count <= (module->edata - module->data) / 8 &&
	       module->bss_mask.count <= (module->ebss - module->bss) / 8 + 1;
}

int go_module_find(struct go_process *process, struct problem *problem)
{
	struct go_module *module = &process->module;
	module->pc_header = find_pc_header(process);
	if (module->pc_header == 0)
		return problem_set(problem, PROBLEM_FEATURE,
				   "%s: the runtime's function table (pclntab) was not found",
				   process->version.text);
	module->address = find_module(process);
	const uint8_t *bytes = image_at(process->image, module->address, process->layout.module_size);
	if (module->address == 0 || bytes == NULL)
		return problem_set(problem, PROBLEM_FEATURE, "%s: the runtime's module data was not found",
				   process->version.text);
	take_module(module, &process->layout, bytes);
	if (!module_fits(process))
		return problem_set(problem, PROBLEM_FEATURE,
				   "%s: the module data at 0x%llx does not have the layout of this version",
				   process->version.text, (unsigned long long)module->address);
	return 0;
}

/* The _func record of the function that holds `pc`. */
static const uint8_t *find_function(struct go_process *process, uint64_t pc, uint64_t *entry)
{
	const struct go_module *module = &process->module;
	if (pc < module->minpc || pc >= module->maxpc)
		return NULL;
	const uint8_t *table = image_at(process->image, module->ftab.address, module->ftab.count * 8);
	if (table == NULL)
		return NULL;
	uint64_t low = 0, high = module->ftab.count - 1;
	uint32_t pair[2];
	while (low < high) { /* the last entry whose start is not above pc */
		uint64_t middle = (low + high + 1) / 2;
		memcpy(pair, table + middle * 8, sizeof pair);
		if (pair[0] <= pc - module->text)
			low = middle;
		else
			high = middle - 1;
	}
	memcpy(pair, table + low * 8, sizeof pair);
	*entry = module->text + pair[0];
	if (module->pcln.count < process->layout.func_size ||
	    pair[1] > module->pcln.count - process->layout.func_size)
		return NULL;
	return image_at(process->image, module->pcln.address + pair[1], process->layout.func_size);
}

const char *go_function_name(struct go_process *process, uint64_t pc)
{
	const struct go_table *names = &process->module.func_names;
	uint64_t entry;
	const uint8_t *function = find_function(process, pc, &entry);
	int32_t offset;
	if (function == NULL)
		return NULL;
	memcpy(&offset, function + process->layout.func_name, sizeof offset);
	if (offset < 0 || (uint64_t)offset >= names->count)
		return NULL;
	uint64_t room = names->count - (uint64_t)offset;
	size_t limit = room < NAME_LIMIT ? room : NAME_LIMIT;
	const char *name = image_at(process->image, names->address + (uint64_t)offset, limit);
	return name != NULL && memchr(name, '\0', limit) != NULL ? name : NULL;
}

uint64_t go_function_entry(struct go_process *process, const char *name)
{
	const struct go_module *module = &process->module;
	const uint8_t *table = image_at(process->image, module->ftab.address, module->ftab.count * 8);
	for (uint64_t i = 0; table != NULL && i + 1 < module->ftab.count; i++) {
		uint32_t offset;
		memcpy(&offset, table + i * 8, sizeof offset);
		const char *found = go_function_name(process, module->text + offset);
		if (found != NULL && strcmp(found, name) == 0)
			return module->text + offset;
	}
	return 0;
}

static bool read_varint(const uint8_t **at, const uint8_t *end, uint32_t *ret)
{
	*ret = 0;
	for (unsigned shift = 0; *at < end && shift < 35; shift += 7) {
		uint8_t byte = *(*at)++;
		*ret |= (uint32_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return true;
	}
	return false;
}

bool go_function_frame(struct go_process *process, uint64_t pc, uint64_t *ret)
{
	const struct go_table *table = &process->module.pc_tab;
	uint64_t at_pc;
	const uint8_t *function = find_function(process, pc, &at_pc);
	uint32_t offset;
	if (function == NULL)
		return false;
	memcpy(&offset, function + process->layout.func_pcsp, sizeof offset);
	if (offset == 0 || offset >= table->count)
		return false;
	uint64_t room = table->count - offset;
	size_t limit = room < NAME_LIMIT * 16 ? room : NAME_LIMIT * 16;
	const uint8_t *at = image_at(process->image, table->address + offset, limit), *end = at + limit;
	int32_t value = -1;
	for (bool first = true; at != NULL && at < end; first = false) {
		uint32_t change, step;
		if (!read_varint(&at, end, &change) || (change == 0 && !first) ||
		    !read_varint(&at, end, &step))
			return false;
		/* zig-zag: the low bit is the sign */
		value += (int32_t)((change & 1) != 0 ? ~(change >> 1) : change >> 1);
		at_pc += step * PC_QUANTUM;
		if (pc < at_pc) {
			*ret = (uint64_t)value;
			return value >= 0;
		}
	}
	return false;
}
