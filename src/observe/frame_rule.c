/* frame_rule.c: reading .eh_frame, the tables from which exceptions unwind (System V ABI for x86-64, DWARF 5, 6.4).
 *
 *     CIE   what many functions have in common: factors, encodings, first instructions
 *     FDE   one function: its CIE, its addresses, instructions that say how its frame changes from address to address
 *
 * The instructions are run up to the address in question. Of the registers only rsp and rbp are followed, and the
 * return address; a frame that needs more than these (an expression, a signal's frame, another register as its
 * base) is HARD. The compilers' unwinder finds the FDE.
 */
#include "observe/frame_rule.h"

#if NEAP__FRAME_RULES

#	include <string.h>

struct dwarf_eh_bases {
	void *text, *data, *function;
};
/* libgcc's and LLVM's; in no header that is installed. */
const void *_Unwind_Find_FDE(const void *pc, struct dwarf_eh_bases *bases);

/* ---- Numbers ---- */

struct cursor {
	const uint8_t *at, *end;
	bool bad; /* past the end, or something unknown */
};

static uint64_t get_fixed(struct cursor *from, unsigned bytes)
{
	uint64_t value = 0; /* little-endian, as is the machine */
	if ((size_t)(from->end - from->at) < bytes) {
		from->bad = true;
		return 0;
	}
	memcpy(&value, from->at, bytes);
	from->at += bytes;
	return value;
}

static uint64_t get_uleb(struct cursor *from)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint64_t byte = get_fixed(from, 1);
		value |= (byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return value;
	}
	from->bad = true;
	return 0;
}

static int64_t get_sleb(struct cursor *from)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint64_t byte = get_fixed(from, 1);
		value |= (byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return (int64_t)(shift < 57 && (byte & 0x40) != 0
						 ? value | ~UINT64_C(0) << (shift + 7)
						 : value);
	}
	from->bad = true;
	return 0;
}

/* Bytes of a pointer in that encoding (DW_EH_PE_*), 0: not known. */
static unsigned pointer_bytes(uint8_t encoding)
{
	static const uint8_t bytes[8] = {8, 0, 2, 4, 8, 0, 0, 0};
	return (encoding & 0x70) == 0x50 /* aligned */ ? 0 : bytes[encoding & 7];
}

/* ---- Entries ---- */

/* The bytes of a CIE or FDE behind its length. */
static struct cursor open_entry(const uint8_t *entry)
{
	uint32_t length;
	memcpy(&length, entry, sizeof length);
	bool bad = length == UINT32_MAX; /* the 64-bit form, which nobody writes */
	return (struct cursor){entry + 4, entry + 4 + (bad ? 0 : length), bad};
}

struct common {
	uint64_t code_factor;
	int64_t data_factor;
	uint8_t encoding; /* of the addresses in an FDE */
	bool augmented;	  /* the FDE has more data, behind its length */
	struct cursor instructions;
};

enum { RBP = 6, RSP = 7, RETURN_ADDRESS = 16 };

static bool read_augmentation(struct cursor *from, const char *letters, struct common *ret)
{
	uint64_t size = get_uleb(from);
	if (from->bad || size > (uint64_t)(from->end - from->at))
		return false;
	struct cursor data = {from->at, from->at + size, false};
	from->at += size;
	for (; *letters != '\0' && !data.bad; letters++) {
		uint8_t encoding = *letters == 'R' || *letters == 'P' || *letters == 'L'
					   ? (uint8_t)get_fixed(&data, 1)
					   : 0;
		if (*letters == 'R')
			ret->encoding = encoding;
		else if (*letters == 'P')
			(void)get_fixed(&data, pointer_bytes(encoding));
		else if (*letters != 'L')
			return false; /* S: a signal's frame, whose address is no call's */
	}
	return !data.bad;
}

static bool read_common(const uint8_t *entry, struct common *ret)
{
	struct cursor from = open_entry(entry);
	(void)get_fixed(&from, 4);
	uint64_t version = get_fixed(&from, 1);
	const char *letters = (const char *)from.at;
	while (get_fixed(&from, 1) != 0)
		;
	*ret = (struct common){
		.code_factor = get_uleb(&from), .data_factor = get_sleb(&from), .augmented = *letters == 'z'};
	uint64_t return_column = version == 1 ? get_fixed(&from, 1) : get_uleb(&from);
	if (from.bad || return_column != RETURN_ADDRESS || (*letters != 'z' && *letters != '\0') ||
	    (ret->augmented && !read_augmentation(&from, letters + 1, ret)))
		return false;
	ret->instructions = from;
	return !from.bad;
}

/* ---- Instructions ---- */

enum place_kind { IN_REGISTER, IN_FRAME, NOWHERE, SOMEWHERE_ELSE };

struct place {
	enum place_kind kind;
	int64_t offset; /* IN_FRAME: from its end */
};

struct frame_state {
	uint64_t base; /* a register */
	int64_t offset;
	bool hard;
	struct place rbp, back; /* the caller's rbp, the return address */
};

enum { REMEMBERED_MOST = 4 };

struct machine {
	const struct common *common;
	uint64_t location, pc;
	struct frame_state now, first; /* first: after the CIE's instructions */
	struct frame_state remembered[REMEMBERED_MOST];
	unsigned depth;
};

static void set_place(struct frame_state *state, uint64_t reg, enum place_kind kind, int64_t offset)
{
	if (reg == RBP)
		state->rbp = (struct place){kind, offset};
	else if (reg == RETURN_ADDRESS)
		state->back = (struct place){kind, offset};
	else if (reg == RSP)
		state->hard = true;
}

static void restore_place(struct machine *machine, uint64_t reg)
{
	if (reg == RBP)
		machine->now.rbp = machine->first.rbp;
	else if (reg == RETURN_ADDRESS)
		machine->now.back = machine->first.back;
}

static void skip_block(struct cursor *from)
{
	uint64_t size = get_uleb(from);
	if (from->bad || size > (uint64_t)(from->end - from->at))
		from->bad = true;
	else
		from->at += size;
}

static void advance_by(struct machine *machine, uint64_t units)
{
	machine->location += units * machine->common->code_factor;
}

static void define_base(struct frame_state *state, uint64_t reg, int64_t offset)
{
	state->base = reg;
	state->offset = offset;
	state->hard = false;
}

/* The instructions whose first byte says all. Order of evaluation: each reads its operands one by one. */
static void step_extended(struct machine *machine, struct cursor *from, uint8_t opcode)
{
	struct frame_state *now = &machine->now;
	int64_t factor = machine->common->data_factor;
	uint64_t reg;
	switch (opcode) {
	case 0x00: /* nop */ break;
	case 0x02: advance_by(machine, get_fixed(from, 1)); break;
	case 0x03: advance_by(machine, get_fixed(from, 2)); break;
	case 0x04: advance_by(machine, get_fixed(from, 4)); break;
	case 0x05: /* offset_extended */
		reg = get_uleb(from);
		set_place(now, reg, IN_FRAME, (int64_t)get_uleb(from) * factor);
		break;
	case 0x06: restore_place(machine, get_uleb(from)); break;
	case 0x07: set_place(now, get_uleb(from), NOWHERE, 0); break;
	case 0x08: set_place(now, get_uleb(from), IN_REGISTER, 0); break;
	case 0x09: /* register */
		set_place(now, get_uleb(from), SOMEWHERE_ELSE, 0);
		(void)get_uleb(from);
		break;
	case 0x0a: /* remember_state */
		if (machine->depth == REMEMBERED_MOST)
			from->bad = true;
		else
			machine->remembered[machine->depth++] = *now;
		break;
	case 0x0b: /* restore_state */
		if (machine->depth == 0)
			from->bad = true;
		else
			*now = machine->remembered[--machine->depth];
		break;
	case 0x0c: /* def_cfa */
		reg = get_uleb(from);
		define_base(now, reg, (int64_t)get_uleb(from));
		break;
	case 0x0d: now->base = get_uleb(from); break;
	case 0x0e: now->offset = (int64_t)get_uleb(from); break;
	case 0x0f: /* def_cfa_expression */
		now->hard = true;
		skip_block(from);
		break;
	case 0x10: /* expression */
	case 0x16: /* val_expression */
		set_place(now, get_uleb(from), SOMEWHERE_ELSE, 0);
		skip_block(from);
		break;
	case 0x11: /* offset_extended_sf */
		reg = get_uleb(from);
		set_place(now, reg, IN_FRAME, get_sleb(from) * factor);
		break;
	case 0x12: /* def_cfa_sf */
		reg = get_uleb(from);
		define_base(now, reg, get_sleb(from) * factor);
		break;
	case 0x13: now->offset = get_sleb(from) * factor; break;
	case 0x2e: (void)get_uleb(from); break; /* GNU_args_size */
	default: from->bad = true; break;
	}
}

/* Runs to the end or past machine->pc, whichever comes first. */
static bool run(struct machine *machine, struct cursor from)
{
	while (from.at < from.end && !from.bad && machine->location <= machine->pc) {
		uint8_t opcode = (uint8_t)get_fixed(&from, 1), low = opcode & 63;
		switch (opcode >> 6) {
		case 1: advance_by(machine, low); break;
		case 2:
			set_place(&machine->now, low, IN_FRAME,
				  (int64_t)get_uleb(&from) * machine->common->data_factor);
			break;
		case 3: restore_place(machine, low); break;
		default: step_extended(machine, &from, opcode); break;
		}
	}
	return !from.bad;
}

static struct neap__frame_rule rule_from(const struct frame_state *state)
{
	struct neap__frame_rule rule = {.kind = NEAP__FRAME_HARD, .on_rbp = state->base == RBP};
	if (state->back.kind == NOWHERE) {
		rule.kind = NEAP__FRAME_LAST;
		return rule;
	}
	bool saved = state->rbp.kind == IN_FRAME;
	bool plain = !state->hard && (state->base == RSP || state->base == RBP) && state->offset >= 8 &&
		     state->offset <= NEAP__FRAME_SIZE_MOST && state->offset % 8 == 0 &&
		     state->back.kind == IN_FRAME && state->back.offset == -8 &&
		     (saved ? state->rbp.offset <= -16 && state->rbp.offset >= -NEAP__SAVED_RBP_MOST &&
				      state->rbp.offset % 8 == 0
			    : state->rbp.kind == IN_REGISTER);
	if (plain) {
		rule.kind = NEAP__FRAME_PLAIN;
		rule.size = (uint32_t)state->offset;
		rule.saved_rbp = saved ? (uint32_t)-state->rbp.offset : 0;
	}
	return rule;
}

struct neap__frame_rule neap__frame_rule_of(uintptr_t pc)
{
	struct neap__frame_rule rule = {.kind = NEAP__FRAME_UNKNOWN};
	struct dwarf_eh_bases bases = {0};
	const uint8_t *function = _Unwind_Find_FDE((const void *)pc, &bases);
	if (function == NULL)
		return rule;
	rule.kind = NEAP__FRAME_HARD;
	struct cursor from = open_entry(function);
	const uint8_t *place = from.at;
	uint64_t back = get_fixed(&from, 4); /* from its own place to the CIE */
	struct common common;
	if (from.bad || !read_common(place - back, &common))
		return rule;
	unsigned bytes = pointer_bytes(common.encoding);
	(void)get_fixed(&from, bytes);
	(void)get_fixed(&from, bytes);
	if (common.augmented)
		skip_block(&from);
	struct machine machine = {.common = &common, .location = (uintptr_t)bases.function, .pc = pc};
	if (bytes == 0 || from.bad || !run(&machine, common.instructions))
		return rule;
	machine.first = machine.now;
	return run(&machine, from) ? rule_from(&machine.now) : rule;
}

#else
typedef int neap__frame_rules_are_for_x86_64; /* C wants a declaration in every file */
#endif
