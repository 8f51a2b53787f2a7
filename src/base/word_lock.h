/* word_lock.h: a lock of four bytes, for structures that have thousands of them.
 *
 *   0 free, 1 held, 2 held and somebody may be asleep    (Drepper, "Futexes are tricky", 2011, mutex 2)
 *
 * One atomic exchange to take it and one to give it back when nobody else wants it; a waiter tries for a while, then
 * sleeps in the kernel. Not recursive, and it does not know who holds it.
 */
#ifndef NEAP_SRC_BASE_WORD_LOCK_H
#define NEAP_SRC_BASE_WORD_LOCK_H

#include "base/os.h"

struct neap__word_lock {
	_Atomic uint32_t state;
};

/* The rest of taking a lock that was not free. */
void neap__word_lock_wait(struct neap__word_lock *lock);

static inline bool neap__word_lock_try(struct neap__word_lock *lock)
{
	uint32_t free = 0;
	return atomic_compare_exchange_strong_explicit(&lock->state, &free, 1, memory_order_acquire,
						       memory_order_relaxed);
}

static inline void neap__word_lock_take(struct neap__word_lock *lock)
{
	if (__builtin_expect(!neap__word_lock_try(lock), 0))
		neap__word_lock_wait(lock);
}

static inline void neap__word_lock_give(struct neap__word_lock *lock)
{
	if (__builtin_expect(atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2, 0))
		neap__os_wake(&lock->state, 1);
}

#endif
