/* frame_rule.h: how to get from a frame of the stack to its caller's. x86-64 with 64-bit pointers. */
#ifndef NEAP_SRC_OBSERVE_FRAME_RULE_H
#define NEAP_SRC_OBSERVE_FRAME_RULE_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__LP64__)
#	define NEAP__FRAME_RULES 1
#else
#	define NEAP__FRAME_RULES 0
#endif

enum neap__frame_kind {
	NEAP__FRAME_UNKNOWN, /* no file describes this address */
	NEAP__FRAME_PLAIN,   /* the other fields hold */
	NEAP__FRAME_LAST,    /* it has no caller */
	NEAP__FRAME_HARD     /* described, but not by what follows */
};

/* The frame ends (DWARF's CFA) `size` bytes above rsp, or above rbp. The address that it returns to is in the word
 * below its end; the caller's rbp in the one `saved_rbp` bytes below its end, 0: it is still in the register.
 */
struct neap__frame_rule {
	enum neap__frame_kind kind;
	bool on_rbp;
	uint32_t size;	    /* bytes: a multiple of 8, 8 or more */
	uint32_t saved_rbp; /* bytes: a multiple of 8 */
};

enum { NEAP__FRAME_SIZE_MOST = 65528, NEAP__SAVED_RBP_MOST = 2040 }; /* larger ones are HARD */

/* For an address inside the instruction that was running, a call for all but the innermost frame. Takes no lock and
 * no memory (from glibc 2.35 on). Some 0.3 us.
 */
struct neap__frame_rule neap__frame_rule_of(uintptr_t pc);

#endif
