/* locks.c: mutexes that know their place. See locks.h for the law. */
#include "base/locks.h"

#include "base/assert.h"

#if NEAP_CHECK >= 2
static _Thread_local uint32_t highest_held;

static void climb(struct neap__lock *lock)
{
	neap__assert_internal(lock->place > highest_held);
	lock->covered = highest_held;
	highest_held = lock->place;
}

static void descend(struct neap__lock *lock)
{
	neap__assert_internal(lock->place == highest_held);
	highest_held = lock->covered;
}
#else
static void climb(struct neap__lock *lock)
{
	(void)lock;
}

static void descend(struct neap__lock *lock)
{
	(void)lock;
}
#endif

void neap__lock_init(struct neap__lock *lock, enum neap__lock_rank rank, unsigned order)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->place = (uint32_t)rank << 16 | order;
	lock->covered = 0;
}

void neap__lock_deinit(struct neap__lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

void neap__lock_take(struct neap__lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
	climb(lock);
}

void neap__lock_give(struct neap__lock *lock)
{
	descend(lock);
	pthread_mutex_unlock(&lock->mutex);
}
