/* thread.c: attached threads, and stopping them.
 *
 * A stop is ordered by number. Every running thread gets a signal; its handler notes the stack pointer, says
 * "stopped", and sleeps until that number is over. The registers are on the stack, in the signal's frame. A thread
 * inside the collector (busy) only remembers the order and obeys when it leaves: so no lock of the collector is
 * held by a stopped thread, and no object is half made. A parked thread is not disturbed; it is held at unpark.
 *
 * A stopped thread may hold malloc's lock, the loader's or the heap's: who stops the world takes none of them.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "gc/cycle.h"
#include "gc/mark.h"

enum { ACK_PATIENCE_NS = 50 * 1000 * 1000, KILL_AGAIN_NS = 100 * 1000 };

_Thread_local struct neap__gc_thread *neap__gc_self __attribute__((tls_model("initial-exec")));
static pthread_key_t gc_exit_key;

#if defined(__clang__) || !defined(__has_attribute)
#	define NEAP__GC_ALONE __attribute__((noinline))
#else
#	define NEAP__GC_ALONE __attribute__((noipa))
#endif

/* The frame of this function is below everything that its callers hold. */
NEAP__GC_ALONE static void obey(struct neap__gc_thread *thread)
{
	uint32_t stop = atomic_load_explicit(&neap__gc.stop, memory_order_acquire);
	if (atomic_load_explicit(&thread->stopped, memory_order_relaxed) == stop ||
	    (int32_t)(atomic_load_explicit(&neap__gc.resumed, memory_order_acquire) - stop) >= 0)
		return;
	uint64_t begin = neap__os_now();
	char *here = __builtin_frame_address(0);
	stack_t other;
	thread->other_high = NULL;
	if ((here < thread->stack_low || here >= thread->stack_high) && sigaltstack(NULL, &other) == 0 &&
	    here >= (char *)other.ss_sp && here < (char *)other.ss_sp + other.ss_size)
		thread->other_high = (char *)other.ss_sp + other.ss_size;
	atomic_store_explicit(&thread->sp, here, memory_order_relaxed);
	/* Release: the stopper sees everything that this thread did. */
	atomic_store_explicit(&thread->stopped, stop, memory_order_release);
	atomic_fetch_add_explicit(&neap__gc.acks, 1, memory_order_release);
	neap__os_wake(&neap__gc.acks, INT_MAX);
	uint32_t resumed;
	while ((int32_t)((resumed = atomic_load_explicit(&neap__gc.resumed, memory_order_acquire)) - stop) <
	       0)
		neap__os_wait(&neap__gc.resumed, resumed, -1);
	neap__gc_felt(begin);
}

/* The callee-saved registers go into this function's frame. */
NEAP__GC_ALONE void neap__gc_stop_late(struct neap__gc_thread *thread)
{
	__builtin_unwind_init();
	thread->late = false;
	obey(thread);
	__asm__ volatile("" ::: "memory");
}

static void on_stop_signal(int signal)
{
	(void)signal;
	struct neap__gc_thread *thread = neap__gc_self;
	if (thread == NULL)
		return;
	int saved = errno;
	if (thread->busy > 0)
		thread->late = true;
	else
		obey(thread);
	errno = saved;
}

static bool order(struct neap__gc_thread *thread)
{
	uint32_t parked = NEAP__GC_PARKED;
	/* Acquire pairs with park: what the thread did before is seen. */
	if (atomic_compare_exchange_strong_explicit(&thread->state, &parked, NEAP__GC_HELD,
						    memory_order_acq_rel, memory_order_acquire))
		return false;
	/* EAGAIN: the queue of signals is full; somebody will take one out. */
	while (pthread_kill(thread->id, neap__gc.signal) == EAGAIN)
		neap__os_wait(&neap__gc.acks, atomic_load(&neap__gc.acks), KILL_AGAIN_NS);
	return true;
}

/* The calling thread is parked, or not attached. */
void neap__gc_stop_world(void)
{
	neap__lock_take(&neap__gc.threads_lock);
	uint32_t stop = atomic_fetch_add_explicit(&neap__gc.stop, 1, memory_order_acq_rel) + 1;
	for (struct neap__gc_thread *thread = neap__gc.threads; thread != NULL; thread = thread->next)
		if (!order(thread))
			atomic_store_explicit(&thread->stopped, stop, memory_order_relaxed);
	for (struct neap__gc_thread *thread = neap__gc.threads; thread != NULL; thread = thread->next)
		for (;;) {
			uint32_t acks = atomic_load_explicit(&neap__gc.acks, memory_order_acquire);
			if (atomic_load_explicit(&thread->stopped, memory_order_acquire) == stop)
				break;
			neap__os_wait(&neap__gc.acks, acks, ACK_PATIENCE_NS);
		}
}

void neap__gc_start_world(void)
{
	atomic_store_explicit(&neap__gc.resumed, atomic_load_explicit(&neap__gc.stop, memory_order_relaxed),
			      memory_order_release);
	neap__os_wake(&neap__gc.resumed, INT_MAX);
	for (struct neap__gc_thread *thread = neap__gc.threads; thread != NULL; thread = thread->next)
		if (atomic_load_explicit(&thread->state, memory_order_relaxed) == NEAP__GC_HELD) {
			atomic_store_explicit(&thread->state, NEAP__GC_PARKED, memory_order_release);
			neap__os_wake(&thread->state, INT_MAX);
		}
	neap__lock_give(&neap__gc.threads_lock);
}

/* Keeps the registers that the caller spilled: what lies between this frame and `top`. */
NEAP__GC_ALONE static void save_spilled(struct neap__gc_thread *thread, char *top)
{
	char *here = __builtin_frame_address(0);
	size_t words = (size_t)(top - here) / sizeof(uintptr_t);
	neap__assert(words <= sizeof thread->saved / sizeof *thread->saved);
	memcpy(thread->saved, here, words * sizeof(uintptr_t));
	thread->saved_count = (unsigned)words;
	thread->other_high = NULL;
	atomic_store_explicit(&thread->sp, top, memory_order_relaxed);
}

NEAP__GC_ALONE static void park(struct neap__gc_thread *thread)
{
	__builtin_unwind_init();
	save_spilled(thread, __builtin_frame_address(0));
	atomic_store_explicit(&thread->state, NEAP__GC_PARKED, memory_order_release);
}

static void unpark(struct neap__gc_thread *thread)
{
	uint32_t parked = NEAP__GC_PARKED;
	uint64_t begin = 0;
	while (!atomic_compare_exchange_strong_explicit(&thread->state, &parked, NEAP__GC_RUNNING,
							memory_order_acq_rel, memory_order_acquire)) {
		begin = begin != 0 ? begin : neap__os_now();
		neap__os_wait(&thread->state, parked, -1);
		parked = NEAP__GC_PARKED;
	}
	if (begin != 0)
		neap__gc_felt(begin);
}

void neap_park(void)
{
	struct neap__gc_thread *thread = neap__gc_self;
	if (thread != NULL && thread->parks++ == 0)
		park(thread);
}

void neap_unpark(void)
{
	struct neap__gc_thread *thread = neap__gc_self;
	if (thread == NULL)
		return;
	if (thread->parks == 0)
		neap__gc_fault("unpark without park", thread, "neap_unpark");
	if (--thread->parks == 0)
		unpark(thread);
}

NEAP__GC_ALONE void neap__gc_aside(void (*work)(void *ctx), void *ctx)
{
	neap_park();
	work(ctx);
	neap_unpark();
	__asm__ volatile("" ::: "memory");
}

/* Attaching. */

static bool find_stack(struct neap__gc_thread *thread)
{
	pthread_attr_t attr;
	void *low;
	size_t size;
	if (neap__os_refuses("pthread_getattr_np") || pthread_getattr_np(pthread_self(), &attr) != 0)
		return false;
	bool found = pthread_attr_getstack(&attr, &low, &size) == 0;
	pthread_attr_destroy(&attr);
	thread->stack_low = low;
	thread->stack_high = (char *)low + size;
	return found;
}

static void allow_stop_signal(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, neap__gc.signal);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void thread_give_back(struct neap__gc_thread *thread)
{
	neap__lock_take(&neap__gc.threads_lock);
	thread->next = neap__gc.spare_threads;
	neap__gc.spare_threads = thread;
	neap__lock_give(&neap__gc.threads_lock);
}

static struct neap__gc_thread *thread_obtain(void)
{
	neap__lock_take(&neap__gc.threads_lock);
	struct neap__gc_thread *thread = neap__gc.spare_threads;
	if (thread != NULL)
		neap__gc.spare_threads = thread->next;
	neap__lock_give(&neap__gc.threads_lock);
	if (thread == NULL)
		return neap__meta_alloc(sizeof *thread);
	memset(thread, 0, sizeof *thread);
	return thread;
}

struct neap__gc_thread *neap__gc_attached(void)
{
	if (NEAP__GC_LIKELY(neap__gc_self != NULL))
		return neap__gc_self;
	if (!neap__gc_begin())
		return NULL;
	struct neap__gc_thread *thread = thread_obtain();
	if (thread == NULL)
		return NULL;
	thread->id = pthread_self();
	thread->pointer = neap__os_thread_pointer();
	if (!find_stack(thread) || pthread_setspecific(gc_exit_key, thread) != 0) {
		thread_give_back(thread);
		return NULL;
	}
	neap__lock_take(&neap__gc.threads_lock);
	neap__gc_self = thread;
	thread->stopped = neap__gc.stop;
	thread->next = neap__gc.threads;
	neap__gc.threads = thread;
	neap__lock_give(&neap__gc.threads_lock);
	allow_stop_signal();
	return thread;
}

static void unlink_thread(struct neap__gc_thread *thread)
{
	struct neap__gc_thread **at = &neap__gc.threads;
	while (*at != thread)
		at = &(*at)->next;
	*at = thread->next;
	thread->next = neap__gc.spare_threads;
	neap__gc.spare_threads = thread;
}

static void return_slots(struct neap__gc_thread *thread)
{
	size_t given = 0;
	for (unsigned kind = 0; kind < NEAP__GC_KINDS; kind++) {
		struct neap__gc_slot *slot = &thread->slots[kind];
		if (slot->head == 0)
			continue;
		neap__gc_enter(thread);
		neap__lock_take(&neap__gc.central[kind].lock);
		neap__gc_slot_empty(slot, kind);
		if (slot->head != 0)
			given += neap__gc_span_settle(slot->head);
		slot->head = 0;
		neap__lock_give(&neap__gc.central[kind].lock);
		neap__gc_leave(thread);
	}
	if (given > 0)
		neap__returner_nudge(given);
}

static void detach(void *of_thread)
{
	struct neap__gc_thread *thread = of_thread;
	if (thread->parks > 0) {
		thread->parks = 0;
		unpark(thread);
	}
	return_slots(thread);
	neap__lock_take(&neap__gc.threads_lock);
	/* Under the lock, so that no cycle ends in between. */
	neap__gc_shades_flush(thread);
	unlink_thread(thread);
	neap__gc_self = NULL;
	neap__lock_give(&neap__gc.threads_lock);
}

int neap_thread_attach(void)
{
	return neap__gc_attached() != NULL ? NEAP_OK : NEAP_ENOMEM;
}

void neap_thread_detach(void)
{
	if (neap__gc_self == NULL)
		return;
	pthread_setspecific(gc_exit_key, NULL);
	detach(neap__gc_self);
}

bool neap__gc_threads_start(int number)
{
	static bool key_made;
	struct sigaction action = {.sa_handler = on_stop_signal, .sa_flags = SA_RESTART};
	sigfillset(&action.sa_mask);
	key_made = key_made || pthread_key_create(&gc_exit_key, detach) == 0;
	neap__gc.signal = number;
	return key_made && !neap__os_refuses("sigaction") && sigaction(number, &action, NULL) == 0;
}

/* In the child of a fork only the thread that forked exists; what the others had claimed is free again. */
void neap__gc_threads_forked(void)
{
	for (struct neap__gc_thread *thread = neap__gc.threads, *next; thread != NULL; thread = next) {
		next = thread->next;
		thread->shades = 0;
		if (thread == neap__gc_self)
			continue;
		for (unsigned kind = 0; kind < NEAP__GC_KINDS; kind++)
			if (thread->slots[kind].head != 0) {
				neap__gc_slot_empty(&thread->slots[kind], kind);
				(void)neap__gc_span_settle(thread->slots[kind].head);
			}
		unlink_thread(thread);
	}
}
