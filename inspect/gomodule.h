/* gomodule.h: the code side of a Go program: moduledata, function names, frame sizes. None of it needs
 * symbols: the table of functions (pclntab) survives -s -w and strip, because the runtime itself unwinds
 * with it. Only the first module is read: a program that loads plugins has more. */
#ifndef NEAP_INSPECT_GOMODULE_H
#define NEAP_INSPECT_GOMODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "problem.h"

struct go_process;

struct go_table {
	uint64_t address, count; /* as a Go slice has them; count in elements */
};

struct go_module {
	uint64_t address;     /* of runtime.firstmoduledata */
	const char *found_by; /* "symbol", ".go.module", "scan" */
	uint64_t pc_header;
	uint64_t minpc, maxpc, text, etext;
	uint64_t data, edata, bss, ebss;
	uint64_t globals, globals_end; /* every global variable; linkers order the sections differently */
	uint64_t types, etypes;	       /* type descriptors */
	struct go_table data_mask, bss_mask; /* one bit a word of data and of bss: is it a pointer */
	struct go_table func_names, pc_tab, pcln, ftab;
};

int go_module_find(struct go_process *process, struct problem *problem);

/* The name of the function that holds `pc`, or NULL. Valid until the image is destroyed. */
const char *go_function_name(struct go_process *process, uint64_t pc);

/* Where a function begins, by its name; 0 when there is none. Looks at every function. */
uint64_t go_function_entry(struct go_process *process, const char *name);

/* How far above sp the return address stands when execution is at `pc`. False when it is not known. */
bool go_function_frame(struct go_process *process, uint64_t pc, uint64_t *ret);

#endif
