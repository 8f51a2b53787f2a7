/* gostack.h: the goroutines and their stacks: where references live that no object holds. */
#ifndef NEAP_INSPECT_GOSTACK_H
#define NEAP_INSPECT_GOSTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "problem.h"

struct go_process;

struct go_stack {
	uint64_t id;	       /* goroutine number */
	uint64_t low, high;    /* its memory */
	uint64_t sp, pc;       /* [sp, high) is in use; pc 0 when the goroutine was running and isn't known */
	const uint8_t *memory; /* local copy of [sp, high) */
};

struct go_stacks {
	struct go_stack *list;
	size_t count, capacity;
	const char *found_by; /* "symbol", "scan", or NULL when the table was not found */
};

/* -1 and a problem when the goroutines contradict the layout. */
int go_stacks_load(struct go_process *process, struct problem *problem);
void go_stacks_free(struct go_stacks *stacks);

/* The stack in whose used part `address` lies, or NULL. */
const struct go_stack *go_stack_at(const struct go_stacks *stacks, uint64_t address);

/* The function in whose frame `address` lies, found by unwinding; NULL when it can't be told. */
const char *go_stack_frame(struct go_process *process, const struct go_stack *stack, uint64_t address);

#endif
