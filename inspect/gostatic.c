/* gostatic.c: see gostatic.h. */
#include "gostatic.h"

#include <stdlib.h>
#include <string.h>

#include "goprocess.h"

enum { STATIC_MAX = 65536 }; /* a variable larger than this is an array, not an initializer */

static int compare_statics(const void *left, const void *right)
{
	const struct go_static *a = left, *b = right;
	if (a->target != b->target)
		return a->target < b->target ? -1 : 1;
	return a->holder < b->holder ? -1 : a->holder > b->holder;
}

static void list_statics(struct go_process *process)
{
	const struct go_module *module = &process->module;
	struct go_statics *statics = &process->statics;
	uint64_t size = module->globals_end - module->globals;
	const uint8_t *globals = image_at(process->image, module->globals, size);
	statics->listed = true;
	for (uint64_t at = 0; globals != NULL && at + 8 <= size; at += 8) {
		uint64_t target;
		memcpy(&target, globals + at, sizeof target);
		if (target < module->globals || target >= module->globals_end)
			continue;
		statics->list =
			make_room(statics->list, statics->count, &statics->capacity, sizeof *statics->list);
		statics->list[statics->count++] = (struct go_static){target, module->globals + at};
	}
	if (statics->count > 0)
		qsort(statics->list, statics->count, sizeof *statics->list, compare_statics);
}

uint64_t go_static_holder(struct go_process *process, uint64_t address, uint64_t *distance)
{
	struct go_statics *statics = &process->statics;
	if (!statics->listed)
		list_statics(process);
	size_t low = 0, high = statics->count;
	while (low < high) { /* the first one that points behind `address` */
		size_t middle = low + (high - low) / 2;
		if (statics->list[middle].target <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || address - statics->list[low - 1].target >= STATIC_MAX)
		return 0;
	*distance = address - statics->list[low - 1].target;
	return statics->list[low - 1].holder;
}

void go_statics_free(struct go_statics *statics)
{
	free(statics->list);
}
