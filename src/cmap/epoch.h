/* epoch.h: when has every reader left? Epochs whose cost is on the side of the one who asks.
 *
 * Nouns
 *   reader    a record per thread: 0, or the number of the epoch in which the thread's section began
 *   section   what a thread does between enter and leave; they nest, and the outermost counts
 *   stamp     the number of the epoch in which something became unreachable
 *   barrier   membarrier(2): every running thread of the process passes a full fence somewhere inside the call
 *
 * enter:   epoch -> record;  (compiler fence)  ;  read pointers
 * ask:     make unreachable;  stamp = epoch++  ;  barrier  ;  scan the records
 *
 * Law: what was stamped s may be freed when every record scanned after the barrier is 0 or above s.
 *
 * Proof. Let a section of thread R hold the thing, that is, have read the pointer to it before it became
 * unreachable in R's view. Let e be what R wrote into its record.
 *   1. e <= s. R read the epoch with acquire. Had it read s + 1 or more, it would have read from the increment that
 *      made the stamp, or from a later one in the same chain of read-modify-writes, and so what happened before the
 *      stamp, the thing becoming unreachable, would have happened before R read the pointer.
 *   2. The scan sees e, or R has left. The barrier puts a full fence into R's instructions. If it came after R's
 *      write of e, the scan reads e or something later: 0, written with release when R left, or the record of a later
 *      section, written with release as well. If it came before, then R's read of the pointer comes after it,
 *      and sees that the thing is unreachable: R does not hold it.
 * So a record that the scan reads as 0 or above s belongs to no section that holds the thing, and what its thread
 * read before happened before the scan.
 *
 * Without membarrier (old kernel, seccomp) the compiler fence in enter becomes a full fence, and so does the barrier:
 * one of the two fences comes first in their single total order, which gives step 2. Which it is, is decided when the
 * first map is made. Should the system refuse the call later, nothing is freed until it allows it again.
 *
 * A record is found through a thread-local pointer, belongs to its thread until that ends (a pthread key's destructor,
 * which also ends a section that the thread left open), and then waits for the next thread. A thread without
 * memory for a record, or past its end, shares one under a lock.
 *
 * Credits: epochs, Fraser (2004); the asymmetric barrier, Dice et al. (2001) and liburcu's "memb" flavour. Written anew.
 */
#ifndef NEAP_SRC_CMAP_EPOCH_H
#define NEAP_SRC_CMAP_EPOCH_H

#include "neap/cmap_core.h"

struct neap__epochs {
	_Atomic bool fences; /* readers fence for themselves */
	_Alignas(128) _Atomic(struct neap__reader *) readers;
	/* Both also in the list: of threads that have no record of their own, and of whoever marks for a collector. */
	struct neap__reader shared, marker;
};

extern struct neap__epochs neap__epochs;
/* neap__reader_plain, also where fences are needed. */
extern _Thread_local struct neap__reader *neap__reader_self __attribute__((tls_model("initial-exec")));

/* Decides between membarrier and fences; the first call counts. */
void neap__epochs_start(void);
/* After fork, in the child: no other reader exists. */
void neap__epochs_forked(void);
/* This thread's record; the shared one, locked, when it has none. */
struct neap__reader *neap__reader_join(void);
void neap__reader_part(struct neap__reader *shared);

static inline struct neap__section neap__enter(void)
{
	struct neap__reader *reader = neap__reader_self;
	if (__builtin_expect(reader == NULL, 0))
		reader = neap__reader_join();
	struct neap__section section = neap__enter_plain(reader);
	if (__builtin_expect(atomic_load_explicit(&neap__epochs.fences, memory_order_relaxed), 0))
		atomic_thread_fence(memory_order_seq_cst);
	return section;
}

static inline void neap__leave(struct neap__section section)
{
	neap__leave_plain(section);
	if (__builtin_expect(section.reader == &neap__epochs.shared, 0))
		neap__reader_part(section.reader);
}

/* Ends the present epoch and returns its number: the stamp of what has become unreachable by now. */
uint64_t neap__epoch_stamp(void);
/* True when no section can hold what was stamped so. One call of membarrier. */
bool neap__epoch_passed(uint64_t stamp);

#endif
