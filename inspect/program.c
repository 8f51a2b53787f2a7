/* program.c: see program.h. libelf reads the file; it is built to survive broken files, and every offset
 * that this file uses by itself is measured against the file's size.
 *
 * Load bias: a position-independent executable runs at another address than the one it was linked for. The
 * kernel tells where execution began (AT_ENTRY), so bias = AT_ENTRY - e_entry.
 */
#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program_state.h"

static int compare_symbols(const void *left, const void *right)
{
	const struct symbol *a = left, *b = right;
	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	return a->size < b->size ? -1 : a->size > b->size;
}

static void take_symbols(struct program *program, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	if (data == NULL || header->sh_entsize == 0)
		return;
	size_t count = data->d_size / header->sh_entsize;
	program->symbols = take(count, sizeof *program->symbols);
	for (size_t i = 0; i < count; i++) {
		GElf_Sym symbol;
		if (gelf_getsym(data, (int)i, &symbol) == NULL)
			continue;
		unsigned type = GELF_ST_TYPE(symbol.st_info);
		bool local = type == STT_TLS && symbol.st_shndx != SHN_UNDEF;
		if (!local && (symbol.st_value == 0 || type > STT_FUNC))
			continue;
		const char *name = elf_strptr(program->elf, header->sh_link, symbol.st_name);
		if (name == NULL || *name == '\0')
			continue;
		/* a thread-local variable has its place in its block instead of an address */
		program->symbols[program->symbol_count++] = (struct symbol){
			symbol.st_value + (local ? PROGRAM_LOCAL : program->bias), symbol.st_size, name};
	}
	qsort(program->symbols, program->symbol_count, sizeof *program->symbols, compare_symbols);
}

static bool take_symbol_table(struct program *program, uint32_t kind)
{
	for (Elf_Scn *section = elf_nextscn(program->elf, NULL); section != NULL;
	     section = elf_nextscn(program->elf, section)) {
		GElf_Shdr header;
		if (gelf_getshdr(section, &header) != NULL && header.sh_type == kind) {
			take_symbols(program, section, &header);
			return true;
		}
	}
	return false;
}

static int check_header(const struct program *program, const char *path, GElf_Ehdr *header,
			struct problem *problem)
{
	if (elf_kind(program->elf) != ELF_K_ELF || gelf_getehdr(program->elf, header) == NULL)
		return problem_set(problem, PROBLEM_INPUT, "%s is not an ELF file", path);
	if (header->e_machine != EM_X86_64 || gelf_getclass(program->elf) != ELFCLASS64)
		return problem_set(problem, PROBLEM_FEATURE,
				   "%s is not an x86-64 program; other machines are not supported yet", path);
	return 0;
}

static struct program *open_file(const char *path, GElf_Ehdr *header, struct problem *problem)
{
	struct program *program = take(1, sizeof *program);
	elf_version(EV_CURRENT);
	program->file = open(path, O_RDONLY | O_CLOEXEC);
	if (program->file < 0)
		problem_set(problem, PROBLEM_NO_TARGET, "can't open the program %s: %s", path,
			    strerror(errno));
	else
		program->elf = elf_begin(program->file, ELF_C_READ_MMAP, NULL);
	if (program->file >= 0 && check_header(program, path, header, problem) == 0)
		return program;
	program_close(program);
	return NULL;
}

struct program *program_open(const struct target *target, struct problem *problem)
{
	GElf_Ehdr header;
	struct program *program = open_file(target->program, &header, problem);
	if (program == NULL)
		return NULL;
	if (target->entry != 0 && header.e_type == ET_DYN)
		program->bias = target->entry - header.e_entry;
	(void)take_symbol_table(program, SHT_SYMTAB);
	return program;
}

struct program *program_open_library(const char *path, uint64_t bias, struct problem *problem)
{
	GElf_Ehdr header;
	struct program *program = open_file(path, &header, problem);
	if (program == NULL)
		return NULL;
	program->bias = bias;
	if (!take_symbol_table(program, SHT_SYMTAB))
		(void)take_symbol_table(program, SHT_DYNSYM);
	return program;
}

void program_close(struct program *program)
{
	if (program == NULL)
		return;
	program_close_dwarf(program);
	if (program->frames != NULL)
		dwarf_cfi_end(program->frames);
	if (program->elf != NULL)
		elf_end(program->elf);
	if (program->file >= 0)
		close(program->file);
	free(program->symbols);
	free(program);
}

uint64_t program_bias(const struct program *program)
{
	return program->bias;
}

void program_extent(const struct program *program, uint64_t *start, uint64_t *end)
{
	size_t count;
	*start = UINT64_MAX;
	*end = 0;
	if (elf_getphdrnum(program->elf, &count) != 0)
		return;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr segment;
		if (gelf_getphdr(program->elf, (int)i, &segment) == NULL || segment.p_type != PT_LOAD)
			continue;
		uint64_t low = segment.p_vaddr + program->bias, high = low + segment.p_memsz;
		*start = low < *start ? low : *start;
		*end = high > *end ? high : *end;
	}
}

Elf_Scn *program_find_section(const struct program *program, const char *name, GElf_Shdr *header)
{
	size_t names;
	if (elf_getshdrstrndx(program->elf, &names) != 0)
		return NULL;
	for (Elf_Scn *section = elf_nextscn(program->elf, NULL); section != NULL;
	     section = elf_nextscn(program->elf, section)) {
		const char *found = gelf_getshdr(section, header) == NULL
					    ? NULL
					    : elf_strptr(program->elf, names, header->sh_name);
		if (found != NULL && strcmp(found, name) == 0)
			return section;
	}
	return NULL;
}

bool program_section(const struct program *program, const char *name, struct program_section *ret)
{
	GElf_Shdr header;
	if (program_find_section(program, name, &header) == NULL || header.sh_addr == 0)
		return false;
	*ret = (struct program_section){header.sh_addr + program->bias, header.sh_size};
	return true;
}

uint64_t program_symbol(const struct program *program, const char *name)
{
	for (size_t i = 0; i < program->symbol_count; i++)
		if (strcmp(program->symbols[i].name, name) == 0)
			return program->symbols[i].address;
	return 0;
}

const char *program_symbol_at(const struct program *program, uint64_t address, uint64_t *offset)
{
	size_t low = 0, high = program->symbol_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (program->symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	const struct symbol *symbol = &program->symbols[low - 1];
	*offset = address - symbol->address;
	return *offset < symbol->size ? symbol->name : NULL;
}
