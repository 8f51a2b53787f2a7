/* gostatic.h: variables without a symbol: what an initializer of a global points to. All words of the globals that point
 * into the globals are sorted once, by where they point to.
 */
#ifndef NEAP_INSPECT_GOSTATIC_H
#define NEAP_INSPECT_GOSTATIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct go_process;

struct go_static {
	uint64_t target, holder; /* addresses: where the word points to, and where it lies */
};

struct go_statics {
	struct go_static *list; /* sorted by target, then holder */
	size_t count, capacity;
	bool listed;
};

/* The global word that points nearest before `address`, 0 when none does within 64 KiB; *distance from there. */
uint64_t go_static_holder(struct go_process *process, uint64_t address, uint64_t *distance);
void go_statics_free(struct go_statics *statics);

#endif
