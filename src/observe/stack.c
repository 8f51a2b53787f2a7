/* stack.c: walking the stack of the running thread.
 *
 * The compilers' own unwinder (libgcc, part of every C program that is not linked by hand) reads the tables that
 * describe each frame, so programs without frame pointers, which is most of them, have stacks as well. From glibc
 * 2.35 on it finds those tables without a lock and without memory, and may run in a signal handler and within malloc.
 * About 0.3 us a frame; one walk per NEAP_PROFILE_RATE bytes.
 */
#include <unwind.h>

#include "observe/sites.h"

struct walk {
	uintptr_t *frames;
	unsigned depth, room, skip;
};

static _Unwind_Reason_Code walk_frame(struct _Unwind_Context *context, void *ctx)
{
	struct walk *walk = ctx;
	int before_call = 0;
	uintptr_t address = _Unwind_GetIPInfo(context, &before_call);
	if (address == 0 || walk->depth == walk->room)
		return _URC_END_OF_STACK;
	if (walk->skip > 0)
		walk->skip--;
	else
		walk->frames[walk->depth++] = before_call ? address : address - 1;
	return _URC_NO_REASON;
}

__attribute__((noinline)) unsigned neap__stack_walk(uintptr_t *ret, unsigned room, unsigned skip)
{
	struct walk walk = {ret, 0, room, skip + 1};
	(void)_Unwind_Backtrace(walk_frame, &walk);
	return walk.depth;
}
