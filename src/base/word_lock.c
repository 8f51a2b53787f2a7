/* word_lock.c: waiting for a lock that another thread holds. */
#include "base/word_lock.h"

enum { LOCK_TRIES = 100 }; /* about a microsecond: longer than an operation of a map holds its lock */

void neap__word_lock_wait(struct neap__word_lock *lock)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
#if defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#endif
		if (atomic_load_explicit(&lock->state, memory_order_relaxed) == 0 &&
		    neap__word_lock_try(lock))
			return;
	}
	while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0)
		neap__os_wait(&lock->state, 2, -1);
}
