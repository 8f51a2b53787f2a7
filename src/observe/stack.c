/* stack.c: walking the stack of the running thread.
 *
 * The compilers' own unwinder (libgcc, part of every C program that is not linked by hand) reads the tables that
 * describe each frame, so programs without frame pointers, which is most of them, have stacks as well. From glibc
 * 2.35 on it finds those tables without a lock and without memory, and may run in a signal handler and within malloc.
 * It reads them anew for every frame of every walk, 0.3 us each.
 *
 * So what a frame's table says is kept, by the address in the code that it depends on alone (frame_rule.h):
 *
 *     rules   | tag, kind, rsp or rbp, size, place of rbp | ...     one word each, replaced by whoever comes next
 *
 * and a walk is two loads a frame. Whatever a rule does not cover (a signal's frame, a stack realigned by hand, code
 * without tables) sends the whole walk back to the unwinder.
 *
 * Trust. A rule is right as long as the code it was read from is there. A file that is unloaded and another loaded in
 * its place could leave one behind that is wrong; the walk therefore reads nothing outside of
 *     [the stack pointer, the highest frame that the unwinder has seen on this thread)
 * and may then name wrong callers until other rules replace it.
 */
#include <stdatomic.h>
#include <unwind.h>

#include "observe/frame_rule.h"
#include "observe/sites.h"

/* End of the outermost frame that was seen. */
static _Thread_local uintptr_t stack_top __attribute__((tls_model("initial-exec")));

_Atomic uint64_t neap__unwinder_walks;

/* ---- By the compilers' unwinder ---- */

struct walk {
	uintptr_t *frames;
	unsigned depth, room, skip;
};

static _Unwind_Reason_Code walk_frame(struct _Unwind_Context *context, void *ctx)
{
	struct walk *walk = ctx;
	int before_call = 0;
	uintptr_t address = _Unwind_GetIPInfo(context, &before_call), frame = _Unwind_GetCFA(context);
	if (address == 0 || walk->depth == walk->room)
		return _URC_END_OF_STACK;
	stack_top = frame > stack_top ? frame : stack_top;
	if (walk->skip > 0)
		walk->skip--;
	else
		walk->frames[walk->depth++] = before_call ? address : address - 1;
	return _URC_NO_REASON;
}

/* In the frame of its caller, which is the first one that the unwinder shows. */
static inline __attribute__((always_inline)) unsigned walk_by_unwinder(struct walk walk)
{
	walk.skip++;
	atomic_fetch_add_explicit(&neap__unwinder_walks, 1, memory_order_relaxed);
	(void)_Unwind_Backtrace(walk_frame, &walk);
	return walk.depth;
}

/* ---- By rules ---- */

#if NEAP__FRAME_RULES

enum {
	RULES = 4096, /* 32 KB */
	RULE_BITS = 12,
	/* Of a rule's word, from the lowest: kind 2, on_rbp 1, size / 8 13, saved_rbp / 8 8; the rest is the tag. */
	RBP_SHIFT = 2,
	SIZE_SHIFT = 3,
	SAVED_SHIFT = 16,
	TAG_SHIFT = 24
};
_Static_assert(NEAP__FRAME_SIZE_MOST / 8 < 1 << (SAVED_SHIFT - SIZE_SHIFT) &&
		       NEAP__SAVED_RBP_MOST / 8 < 1 << (TAG_SHIFT - SAVED_SHIFT),
	       "a rule fits into its word");

/* Index and tag tell an address apart from all others: the index is its low bits, mixed with those that the tag has. */
static _Atomic uint64_t rules[RULES];

static uint64_t pack_rule(struct neap__frame_rule rule, uintptr_t pc)
{
	return (uint64_t)(pc >> RULE_BITS) << TAG_SHIFT | (uint64_t)(rule.saved_rbp / 8) << SAVED_SHIFT |
	       (uint64_t)(rule.size / 8) << SIZE_SHIFT | (uint64_t)rule.on_rbp << RBP_SHIFT |
	       (uint64_t)rule.kind;
}

static struct neap__frame_rule unpack_rule(uint64_t word)
{
	return (struct neap__frame_rule){
		.kind = (enum neap__frame_kind)(word & 3),
		.on_rbp = (word >> RBP_SHIFT & 1) != 0,
		.size = (uint32_t)(word >> SIZE_SHIFT & ((1 << (SAVED_SHIFT - SIZE_SHIFT)) - 1)) * 8,
		.saved_rbp = (uint32_t)(word >> SAVED_SHIFT & ((1 << (TAG_SHIFT - SAVED_SHIFT)) - 1)) * 8};
}

static inline struct neap__frame_rule rule_at(uintptr_t pc)
{
	_Atomic uint64_t *at = &rules[(pc ^ pc >> RULE_BITS) % RULES];
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
	if (__builtin_expect(word >> TAG_SHIFT == pc >> RULE_BITS && (word & 3) != NEAP__FRAME_UNKNOWN, 1))
		return unpack_rule(word);
	struct neap__frame_rule rule = neap__frame_rule_of(pc);
	atomic_store_explicit(at, pack_rule(rule, pc), memory_order_relaxed);
	return rule;
}

/* Words of other functions' frames: no sanitizer knows of them. */
#	define UNWATCHED __attribute__((no_sanitize_address, no_sanitize_thread))

UNWATCHED static uintptr_t stack_word(uintptr_t address)
{
	return *(const uintptr_t *)address;
}

/* Frames above the one whose registers these are; 0: a rule is missing. */
UNWATCHED static unsigned walk_by_rules(uintptr_t pc, uintptr_t rsp, uintptr_t rbp, struct walk walk)
{
	while (walk.depth < walk.room) {
		struct neap__frame_rule rule = rule_at(pc);
		if (rule.kind == NEAP__FRAME_LAST)
			break;
		uintptr_t end = (rule.on_rbp ? rbp : rsp) + rule.size;
		if (rule.kind != NEAP__FRAME_PLAIN || end <= rsp || end > stack_top || end % 8 != 0)
			return 0;
		if (rule.saved_rbp != 0)
			rbp = stack_word(end - rule.saved_rbp);
		rsp = end;
		pc = stack_word(end - 8) - 1;
		if (pc == UINTPTR_MAX)
			break;
		if (walk.skip > 0)
			walk.skip--;
		else
			walk.frames[walk.depth++] = pc;
	}
	return walk.depth;
}

/* 0: it takes more than rules. In its caller's frame as well. */
static inline __attribute__((always_inline)) unsigned walk_fast(struct walk walk)
{
	uintptr_t pc, rsp, rbp;
	__asm__ volatile("mov %%rbp, %2\n\tmov %%rsp, %1\n\tlea 0(%%rip), %0"
			 : "=&r"(pc), "=&r"(rsp), "=&r"(rbp));
	return walk_by_rules(pc, rsp, rbp, walk);
}

#else
static unsigned walk_fast(struct walk walk)
{
	return walk.depth;
}
#endif

__attribute__((noinline)) unsigned neap__stack_walk(uintptr_t *ret, unsigned room, unsigned skip)
{
	const struct walk walk = {ret, 0, room, skip};
	unsigned depth = walk_fast(walk);
	return depth > 0 ? depth : walk_by_unwinder(walk);
}
