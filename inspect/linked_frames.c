/* linked_frames.c: see linked_frames.h.
 *
 * The tables give for each pc: the frame's end, "CFA", as a register plus a number, or as an expression; and where the
 * caller's registers were saved, as places relative to the CFA. libdw reads them and hands out DWARF expressions; the few
 * kinds that compilers write are computed here, and a frame with another one ends the walk.
 */
#include "linked_frames.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#include "program_state.h"

enum { FRAMES_LIMIT = 1000, REGISTERS = 17, RSP = 7, RETURN_ADDRESS = 16, STACK_ROOM = 16 };

/* By their numbers in DWARF. */
struct cursor {
	uint64_t values[REGISTERS];
	bool known[REGISTERS];
};

struct machine {
	struct linked_process *process;
	const struct cursor *cursor;
	uint64_t cfa;
	uint64_t stack[STACK_ROOM];
	size_t depth;
};

static bool push(struct machine *machine, uint64_t value)
{
	if (machine->depth == STACK_ROOM)
		return false;
	machine->stack[machine->depth++] = value;
	return true;
}

static bool push_register(struct machine *machine, unsigned number, uint64_t offset)
{
	return number < REGISTERS && machine->cursor->known[number] &&
	       push(machine, machine->cursor->values[number] + offset);
}

/* Two operands become one. */
static bool combine(struct machine *machine, unsigned operation)
{
	if (machine->depth < 2)
		return false;
	uint64_t right = machine->stack[--machine->depth], *left = &machine->stack[machine->depth - 1];
	switch (operation) {
	case DW_OP_plus: *left += right; return true;
	case DW_OP_minus: *left -= right; return true;
	case DW_OP_and: *left &= right; return true;
	case DW_OP_shl: *left = right < 64 ? *left << right : 0; return true;
	case DW_OP_ge: *left = (int64_t)*left >= (int64_t)right; return true;
	default: return false;
	}
}

static bool step(struct machine *machine, const Dwarf_Op *op)
{
	const unsigned atom = op->atom;
	if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31)
		return push_register(machine, atom - DW_OP_breg0, op->number);
	if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31)
		return push(machine, atom - DW_OP_lit0);
	switch (atom) {
	case DW_OP_bregx: return push_register(machine, (unsigned)op->number, op->number2);
	case DW_OP_call_frame_cfa: return push(machine, machine->cfa);
	case DW_OP_const1u:
	case DW_OP_const2u:
	case DW_OP_const4u:
	case DW_OP_const8u:
	case DW_OP_constu:
	case DW_OP_const1s:
	case DW_OP_const2s:
	case DW_OP_const4s:
	case DW_OP_const8s:
	case DW_OP_consts: return push(machine, op->number);
	case DW_OP_plus_uconst:
		if (machine->depth == 0)
			return false;
		machine->stack[machine->depth - 1] += op->number;
		return true;
	case DW_OP_deref:
		return machine->depth > 0 &&
		       image_word(machine->process->image, machine->stack[machine->depth - 1],
				  &machine->stack[machine->depth - 1]);
	case DW_OP_nop: return true;
	default: return combine(machine, atom);
	}
}

static bool compute(struct machine *machine, const Dwarf_Op *ops, size_t count, uint64_t *ret)
{
	machine->depth = 0;
	for (size_t i = 0; i < count; i++)
		if (!step(machine, &ops[i]))
			return false;
	if (machine->depth == 0)
		return false;
	*ret = machine->stack[machine->depth - 1];
	return true;
}

/* Where the caller has a register: unchanged, in memory, or (a "stack value") as a number. */
static void restore(struct machine *machine, Dwarf_Frame *frame, int number, struct cursor *caller)
{
	Dwarf_Op memory[3], *ops;
	size_t count;
	uint64_t value;
	caller->known[number] = false;
	if (dwarf_frame_register(frame, number, memory, &ops, &count) != 0)
		return;
	if (count == 0) { /* the same value; NULL instead of a list says that it is lost */
		caller->known[number] = ops != NULL && machine->cursor->known[number];
		caller->values[number] = machine->cursor->values[number];
		return;
	}
	bool is_value = ops[count - 1].atom == DW_OP_stack_value;
	if (!compute(machine, ops, is_value ? count - 1 : count, &value))
		return;
	caller->known[number] = is_value || image_word(machine->process->image, value, &value);
	caller->values[number] = value;
}

/* From a frame to its caller's. */
static bool unwind(struct linked_names *names, struct linked_process *process, struct cursor *cursor,
		   bool innermost, uint64_t *cfa)
{
	const struct linked_object *object;
	/* a call at the end of a function returns to the next one */
	uint64_t pc = cursor->values[RETURN_ADDRESS] - (innermost ? 0 : 1);
	struct program *file = linked_file_at(names, pc, &object);
	if (file == NULL)
		return false;
	if (file->frames == NULL)
		file->frames = dwarf_getcfi_elf(file->elf);
	Dwarf_Frame *frame = NULL;
	if (file->frames == NULL || dwarf_cfi_addrframe(file->frames, pc - object->bias, &frame) != 0)
		return false;
	struct machine machine = {.process = process, .cursor = cursor};
	struct cursor caller = {0};
	Dwarf_Op *ops;
	size_t count;
	bool good = dwarf_frame_cfa(frame, &ops, &count) == 0 && compute(&machine, ops, count, &machine.cfa);
	for (int i = 0; i < REGISTERS && good; i++)
		restore(&machine, frame, i, &caller);
	free(frame);
	caller.values[RSP] = machine.cfa;
	caller.known[RSP] = true;
	good = good && caller.known[RETURN_ADDRESS] && machine.cfa > cursor->values[RSP];
	*cursor = caller;
	*cfa = machine.cfa;
	return good;
}

static void walk_frames(struct linked_names *names, struct linked_process *process,
			const struct target_thread *thread, struct linked_frames *frames)
{
	const struct user_regs_struct *registers = &thread->registers;
	const uint64_t values[REGISTERS] = {registers->rax, registers->rdx, registers->rcx, registers->rbx,
					    registers->rsi, registers->rdi, registers->rbp, registers->rsp,
					    registers->r8,  registers->r9,  registers->r10, registers->r11,
					    registers->r12, registers->r13, registers->r14, registers->r15,
					    registers->rip};
	struct cursor cursor;
	memcpy(cursor.values, values, sizeof values);
	memset(cursor.known, thread->known ? 1 : 0, sizeof cursor.known);
	for (unsigned i = 0; thread->known && i < FRAMES_LIMIT; i++) {
		struct linked_frame frame = {.pc = cursor.values[RETURN_ADDRESS] - (i > 0)};
		if (!unwind(names, process, &cursor, i == 0, &frame.end))
			return;
		frames->list =
			make_room(frames->list, frames->count, &frames->capacity, sizeof *frames->list);
		frames->list[frames->count++] = frame;
	}
}

const char *linked_frame_function(struct linked_names *names, struct linked_graph *graph, int thread,
				  struct linked_frames *frames, uint64_t slot)
{
	const struct linked_object *object;
	uint64_t offset;
	if (!frames->done)
		walk_frames(names, graph->process, &graph->process->target->threads[thread], frames);
	frames->done = true;
	for (size_t i = 0; i < frames->count; i++) {
		if (slot >= frames->list[i].end)
			continue;
		const struct program *file = linked_file_at(names, frames->list[i].pc, &object);
		return file == NULL ? NULL : program_symbol_at(file, frames->list[i].pc, &offset);
	}
	return NULL;
}
