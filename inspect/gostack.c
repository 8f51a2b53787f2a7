/* gostack.c: see gostack.h.
 *
 * The table of all goroutines (allgs) is a slice of pointers to g. Without a symbol it is found by its
 * elements: a g whose scheduler record names itself (g.sched.g == g) is hard to imitate.
 *
 * A goroutine that waits has its sp and pc in g.sched, one in a system call in g.syscallsp and syscallpc.
 * One that runs has them only in the registers of its thread: a core has those; of a live process the kernel
 * tells them when the thread happens to wait; otherwise its whole stack counts as in use.
 */
#include "gostack.h"

#include <stdlib.h>
#include <string.h>

#include "goprocess.h"

enum {
	STATUS_IDLE = 0,
	STATUS_RUNNING = 2,
	STATUS_SYSCALL = 3,
	STATUS_DEAD = 6,
	STATUS_LAST = 11,
	STATUS_SCAN = 0x1000, /* or-ed in while the collector scans the stack */
	FRAME_LIMIT = 10000,
};

#define GOROUTINE_LIMIT	 (1ull << 24)
#define ID_LIMIT	 (1ull << 38) /* fewer than were ever started, and less than any heap address */
#define STACK_SIZE_LIMIT (1ull << 30) /* the runtime's own limit on 64-bit machines */

static uint64_t field(const uint8_t *bytes, uint32_t offset)
{
	uint64_t word;
	memcpy(&word, bytes + offset, sizeof word);
	return word;
}

static const uint8_t *g_record(struct go_process *process, uint64_t table, uint64_t index, uint64_t *g)
{
	if (!image_word(process->image, table + 8 * index, g) || *g < TARGET_PAGE || (*g & 7) != 0)
		return NULL;
	return image_at(process->image, *g, process->layout.g_size);
}

static bool is_g(const struct go_layout *layout, const uint8_t *record, uint64_t g)
{
	uint64_t low = field(record, layout->g_stack), high = field(record, layout->g_stack + 8);
	uint64_t self = field(record, layout->g_sched + layout->gobuf_g);
	return low <= high && high - low <= STACK_SIZE_LIMIT && (self == g || self == 0);
}

static bool is_g_table(struct go_process *process, const uint64_t slice[3])
{
	if (slice[0] < TARGET_PAGE || slice[1] < 2 || slice[1] > slice[2] || slice[2] > GOROUTINE_LIMIT)
		return false;
	for (uint64_t i = 0; i < 4; i++) {
		uint64_t g;
		const uint8_t *record = g_record(process, slice[0], (slice[1] - 1) * i / 3, &g);
		if (record == NULL || !is_g(&process->layout, record, g))
			return false;
		if (i == 0 && field(record, process->layout.g_sched + process->layout.gobuf_g) != g)
			return false;
	}
	return true;
}

static uint64_t find_table(struct go_process *process)
{
	uint64_t best = 0, most = 0, symbol = program_symbol(process->program, "runtime.allgs");
	process->stacks.found_by = "symbol";
	if (symbol != 0)
		return symbol;
	process->stacks.found_by = "scan";
	const struct go_module *module = &process->module;
	uint64_t size = module->globals_end - module->globals;
	const uint8_t *globals = image_at(process->image, module->globals, size);
	for (uint64_t at = 0; globals != NULL && at + 24 <= size; at += 8) {
		uint64_t slice[3];
		memcpy(slice, globals + at, sizeof slice);
		if (slice[1] > most && is_g_table(process, slice)) { /* allgs is the longest of its kind */
			best = module->globals + at;
			most = slice[1];
		}
	}
	return best;
}

/* Where execution stands in a goroutine that runs: the thread whose sp lies on its stack knows. */
static void take_registers(const struct target *target, struct go_stack *stack)
{
	stack->sp = stack->low;
	stack->pc = 0;
	for (size_t i = 0; i < target->thread_count; i++)
		if (target->threads[i].sp >= stack->low && target->threads[i].sp < stack->high) {
			stack->sp = target->threads[i].sp;
			stack->pc = target->threads[i].pc;
		}
}

/* Takes a goroutine's stack if it has one; false when the record can't be a goroutine's. */
static bool take_stack(struct go_process *process, const uint8_t *record)
{
	const struct go_layout *layout = &process->layout;
	struct go_stacks *stacks = &process->stacks;
	uint32_t status;
	memcpy(&status, record + layout->g_status, sizeof status);
	status &= ~(uint32_t)STATUS_SCAN;
	struct go_stack stack = {.id = field(record, layout->g_id),
				 .low = field(record, layout->g_stack),
				 .high = field(record, layout->g_stack + 8),
				 .sp = field(record, layout->g_sched),
				 .pc = field(record, layout->g_sched + 8)};
	if (status > STATUS_LAST || stack.id >= ID_LIMIT)
		return false;
	if (status == STATUS_IDLE || status == STATUS_DEAD || stack.low == 0 || stack.low >= stack.high ||
	    stack.high - stack.low > STACK_SIZE_LIMIT)
		return true;
	if (status == STATUS_SYSCALL && field(record, layout->g_syscall_sp) != 0) {
		stack.sp = field(record, layout->g_syscall_sp);
		stack.pc = field(record, layout->g_syscall_pc);
	} else if (status == STATUS_RUNNING) {
		take_registers(process->target, &stack);
	}
	if (stack.sp < stack.low || stack.sp > stack.high)
		stack.sp = stack.low;
	stack.sp &= ~7ull;
	stack.memory = image_at(process->image, stack.sp, stack.high - stack.sp);
	if (stack.memory == NULL) {
		process->torn++;
		return true;
	}
	stacks->list = make_room(stacks->list, stacks->count, &stacks->capacity, sizeof *stacks->list);
	stacks->list[stacks->count++] = stack;
	return true;
}

static int compare_stacks(const void *left, const void *right)
{
	const struct go_stack *a = left, *b = right;
	return a->low < b->low ? -1 : a->low > b->low;
}

int go_stacks_load(struct go_process *process, struct problem *problem)
{
	uint64_t table = find_table(process), slice[3], misfits = 0;
	const void *bytes = table == 0 ? NULL : image_at(process->image, table, sizeof slice);
	if (bytes == NULL) {
		process->stacks.found_by = NULL;
		return problem_set(problem, PROBLEM_FEATURE, "%s: the table of goroutines was not found",
				   process->version.text);
	}
	memcpy(slice, bytes, sizeof slice);
	for (uint64_t i = 0; i < slice[1] && slice[1] <= GOROUTINE_LIMIT; i++) {
		uint64_t g;
		const uint8_t *record = g_record(process, slice[0], i, &g);
		if (record == NULL || !is_g(&process->layout, record, g) || !take_stack(process, record))
			misfits++;
	}
	process->torn += misfits;
	/* a few change while they are read; a wrong layout fails on nearly all */
	if (misfits > slice[1] / 20 + 2)
		return problem_set(
			problem, PROBLEM_FEATURE,
			"%s: the goroutines do not have the layout that this version is believed to have: "
			"%llu of %llu contradict it",
			process->version.text, (unsigned long long)misfits, (unsigned long long)slice[1]);
	if (process->stacks.count > 0)
		qsort(process->stacks.list, process->stacks.count, sizeof *process->stacks.list,
		      compare_stacks);
	return 0;
}

void go_stacks_free(struct go_stacks *stacks)
{
	free(stacks->list);
}

const struct go_stack *go_stack_at(const struct go_stacks *stacks, uint64_t address)
{
	size_t low = 0, high = stacks->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (stacks->list[middle].high <= address)
			low = middle + 1;
		else
			high = middle;
	}
	const struct go_stack *stack = low < stacks->count ? &stacks->list[low] : NULL;
	return stack != NULL && address >= stack->sp ? stack : NULL;
}

const char *go_stack_frame(struct go_process *process, const struct go_stack *stack, uint64_t address)
{
	uint64_t sp = stack->sp, pc = stack->pc, frame;
	for (unsigned depth = 0; depth < FRAME_LIMIT; depth++) {
		/* a return address belongs to the call before it */
		uint64_t at = depth == 0 ? pc : pc - 1;
		if (!go_function_frame(process, at, &frame) || frame > stack->high - sp ||
		    stack->high - sp - frame < 8)
			return NULL;
		uint64_t return_at = sp + frame;
		if (address < return_at + 8)
			return go_function_name(process, at);
		memcpy(&pc, stack->memory + (return_at - stack->sp), sizeof pc);
		sp = return_at + 8;
	}
	return NULL;
}
