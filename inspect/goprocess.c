/* goprocess.c: see goprocess.h. */
#include "goprocess.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "freeze.h"

enum { ATTEMPTS = 4 };

static int load(struct go_process *process, struct problem *problem)
{
	process->program = program_open(process->target, problem);
	if (process->program == NULL ||
	    program_go_version(process->program, &process->version, problem) != 0 ||
	    go_layout_choose(process->program, &process->version, &process->layout, &process->layout_source,
			     problem) != 0)
		return -1;
	process->residence = residence_take(process->target);
	process->torn += process->target->cut;
	process->image = image_create(process->target);
	if (process->target->mode == TARGET_STOPPED && process->target->live &&
	    image_copy_still(process->target, &process->image, &process->residence, problem) != 0)
		return -1;
	if (go_module_find(process, problem) != 0)
		return -1;
	go_types_load(process);
	if (go_heap_load(process, problem) != 0 || go_stacks_load(process, problem) != 0)
		return -1;
	/* every program has a goroutine: without any, what stacks hold would be told as garbage */
	if (process->layout_source == GO_LAYOUT_INTERPOLATED && process->stacks.count == 0)
		return problem_set(problem, PROBLEM_FEATURE,
				   "%s: the goroutines do not have the layout of a neighbouring version",
				   process->version.text);
	return 0;
}

struct go_process *go_process_from(struct target *target, struct problem *problem)
{
	struct go_process *process = take(1, sizeof *process);
	process->target = target;
	if (load(process, problem) == 0)
		return process;
	if (target->gone) {
		problem->kind = 0;
		problem_set(problem, PROBLEM_NO_TARGET, "process %d ended while it was read", target->pid);
	}
	if (target->cut) {
		size_t used = strlen(problem->text);
		snprintf(problem->text + used, sizeof problem->text - used,
			 "; the core is cut short, and what is missing lay behind the cut");
	}
	go_process_close(process);
	return NULL;
}

struct go_process *go_process_open(const char *name, const char *program, enum target_mode mode,
				   struct problem *problem)
{
	for (int attempt = 1;; attempt++) {
		struct target *target = target_open(name, program, mode, problem);
		if (target == NULL)
			return NULL;
		bool live = target->live && mode != TARGET_CLONED;
		struct go_process *process = go_process_from(target, problem);
		if (process != NULL || !live || problem->kind != PROBLEM_FEATURE || attempt == ATTEMPTS)
			return process;
		/* its heap grew after its mappings were listed, or its tables moved: look again from the start */
		*problem = (struct problem){0};
	}
}

void go_process_close(struct go_process *process)
{
	if (process == NULL)
		return;
	go_stacks_free(&process->stacks);
	go_statics_free(&process->statics);
	go_heap_free(&process->heap);
	go_types_free(&process->types);
	image_destroy(process->image);
	residence_free(process->residence);
	program_close(process->program);
	target_close(process->target);
	free(process);
}
