/* share_any.c: threads that share boxes and make the same itabs at the same time.
 *
 * Every pair of interface and type must have one itab, whichever thread made it; every box must be dropped once,
 * by whichever thread was last. The race for a pair is also run with its outcome fixed: the methods of an interface
 * lie on a page that nobody may read, so the thread that looks at them first is held up by the fault in the middle
 * of its itab until another one has made the pair's.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/any_types.h"

enum { THREADS = 2, INTERFACES = 4000, ROUNDS = 20000, BOXES = 16 };

static struct neap_interface interfaces[INTERFACES];
static struct neap_iface seen[THREADS][INTERFACES];
static struct neap_any boxes[BOXES];
static _Atomic unsigned dropped;
static pthread_barrier_t together;
static _Atomic unsigned arrived; /* at any interface; THREADS for each */

static void count_drop(void *value)
{
	(void)value;
	atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
}

static const struct neap_any_type counted = {.size = sizeof(struct neap_any_type),
					     .value_size = 8,
					     .value_align = 8,
					     .name = "counted",
					     .drop = count_drop};

static _Noreturn void wrong(const char *what)
{
	fprintf(stderr, "share_any: %s\n", what);
	abort();
}

static void *work(void *of)
{
	size_t number = (size_t)(struct neap_iface(*)[INTERFACES])of - (size_t)seen;
	number /= sizeof seen[0];
	const double side = 2;
	struct neap_any square;
	if (neap_any_make(NULL, &any_type_square, &side, &square) != NEAP_OK)
		wrong("no square");
	pthread_barrier_wait(&together);
	for (unsigned i = 0; i < INTERFACES; i++) {
		/* All at once, and not one after the other by the grace of a lock. */
		atomic_fetch_add(&arrived, 1);
		for (unsigned spins = 0; atomic_load(&arrived) < (i + 1) * THREADS; spins++)
			if (spins % 4096 == 4095)
				sched_yield();
		if (neap_iface_of(&interfaces[i], square, &seen[number][i]) != NEAP_OK ||
		    neap_iface_call(&seen[number][i], any_area_fn, 0)(neap_iface_self(&seen[number][i])) != 4)
			wrong("a method is wrong");
	}
	pthread_barrier_wait(&together);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct neap_any mine = neap_any_copy(boxes[(i + number) % BOXES]);
		if (*(const uint64_t *)neap_any_as(&mine, &counted) != (i + number) % BOXES)
			wrong("a box changed");
		neap_any_drop(mine);
	}
	for (unsigned i = 0; i < BOXES; i++) /* each thread has one copy to give up */
		neap_any_drop(boxes[i]);
	return NULL;
}

static struct neap_interface held_up; /* its methods are on the page */
static struct neap_method *hidden;
static sem_t slow_is_held, fast_is_through;
static size_t page;

static void hold_up(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_addr < (void *)hidden || info->si_addr >= (void *)((char *)hidden + page))
		_exit(70);
	mprotect(hidden, page, PROT_READ);
	sem_post(&slow_is_held);
	while (sem_wait(&fast_is_through) != 0)
		;
}

static void *make_held_up(void *ret)
{
	const double side = 3;
	struct neap_any square;
	if (neap_any_make(NULL, &any_type_square, &side, &square) != NEAP_OK ||
	    neap_iface_of(&held_up, square, ret) != NEAP_OK)
		wrong("no square held up");
	return NULL;
}

static void the_slower_thread_takes_the_itab_of_the_faster(void)
{
	struct neap_iface slow, fast;
	struct sigaction on_fault = {.sa_sigaction = hold_up, .sa_flags = SA_SIGINFO}, before;
	pthread_t slower;
	page = (size_t)sysconf(_SC_PAGESIZE);
	hidden = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (hidden == MAP_FAILED)
		wrong("no page");
	memcpy(hidden, any_shape.methods, any_shape.methods_n * sizeof *hidden);
	held_up = any_shape;
	held_up.methods = hidden;
	sem_init(&slow_is_held, 0, 0);
	sem_init(&fast_is_through, 0, 0);
	mprotect(hidden, page, PROT_NONE);
	sigaction(SIGSEGV, &on_fault, &before);
	if (pthread_create(&slower, NULL, make_held_up, &slow) != 0)
		wrong("no thread");
	while (sem_wait(&slow_is_held) != 0)
		;
	(void)make_held_up(&fast);
	sem_post(&fast_is_through);
	pthread_join(slower, NULL);
	sigaction(SIGSEGV, &before, NULL);
	if (slow.itab != fast.itab)
		wrong("a pair has two itabs");
}

int main(void)
{
	pthread_t threads[THREADS];
	the_slower_thread_takes_the_itab_of_the_faster();
	for (unsigned i = 0; i < INTERFACES; i++)
		interfaces[i] = any_shape;
	for (uint64_t i = 0; i < BOXES; i++) {
		if (neap_any_make(NULL, &counted, &i, &boxes[i]) != NEAP_OK)
			wrong("no box");
		for (unsigned thread = 1; thread < THREADS; thread++)
			(void)neap_any_copy(boxes[i]);
	}
	pthread_barrier_init(&together, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, &seen[i]) != 0)
			wrong("no thread");
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < INTERFACES; i++)
		for (unsigned thread = 1; thread < THREADS; thread++)
			if (seen[thread][i].itab != seen[0][i].itab)
				wrong("a pair has two itabs");
	if (dropped != BOXES)
		wrong("a box was not dropped once");
	return 0;
}
