/* program_state.h: what the parts of program.h share: ELF (program.c), Go's version (program_version.c), DWARF
 * (program_dwarf.c). */
#ifndef NEAP_INSPECT_PROGRAM_STATE_H
#define NEAP_INSPECT_PROGRAM_STATE_H

#include <elfutils/libdw.h>
#include <gelf.h>
#include <libelf.h>

#include "program.h"

struct symbol {
	uint64_t address, size;
	const char *name;
};

struct program {
	int file;
	Elf *elf;
	uint64_t bias;
	struct symbol *symbols; /* sorted by address */
	size_t symbol_count;
	Dwarf *dwarf; /* opened when first asked for */
	bool dwarf_tried;
	Dwarf_CFI *frames; /* linked_frames.c; NULL until asked for */
};

void program_close_dwarf(struct program *program);
/* NULL when the file has no such section. */
Elf_Scn *program_find_section(const struct program *program, const char *name, GElf_Shdr *header);

#endif
