/* live.h: which locals and results a block may still read.
 *
 * What no block can read any more keeps two states apart for nothing: a pointer in a variable that is not used again,
 * the life of an object that nothing points to. Before states are compared at a block, both are dropped.
 *
 * A local is *tracked* when its address is used for nothing but loading and storing it. For every block the set of
 * tracked locals and of results from other blocks that it, or a block after it, reads before writing: the textbook
 * analysis, backwards, in bit sets.
 */
#ifndef NEAP_LINT_LIVE_H
#define NEAP_LINT_LIVE_H

#include "code.h"

struct live {
	uint8_t *crosses; /* by instruction: another block needs its result */
	uint32_t *bit_of; /* by instruction: 1 + its bit, for tracked locals and crossing results; 0: none */
	uint64_t *in;	  /* by block, n_words each */
	uint32_t *locals; /* the OP_LOCALs; n_locals of them */
	bool *is_join;	  /* by block: several ways lead here */
	uint32_t n_bits, n_words, n_locals;
};

struct live *lint_live_solve(const struct body *body);
void lint_live_free(struct live *live);

/* The block may read the local, or the result, of the instruction. Untracked locals are always live. */
static inline bool lint_is_live(const struct live *live, uint32_t block, uint32_t insn)
{
	uint32_t bit = live->bit_of[insn];
	return bit == 0 || (live->in[(size_t)block * live->n_words + (bit - 1) / 64] >> (bit - 1) % 64 & 1);
}

#endif
