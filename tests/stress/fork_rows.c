/* fork_rows.c: finalizers and weak references across forks at any moment of a cycle.
 *
 * usage: fork_rows FORKS
 *
 * One thread collects all the time; the other makes objects with a weak reference and a finalizer each, keeps half of
 * them, and forks. The child is in no cycle, though its parent may have been between the last stop and the sweeping of
 * any span: its references say what they should, its finalizers find their objects whole, and the heap is lawful.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gc/internal.h"
#include "neap/gc.h"

enum { OBJECTS = 2000, CHILD_SECONDS = 60 };

struct holder {
	struct holder *held;
	uintptr_t number;
};
NEAP_TYPE(holder_type, struct holder, held);

static struct holder *kept[OBJECTS];
static struct neap_weak *references[OBJECTS];
static _Atomic bool over;
static _Atomic unsigned finalized, wrong;

static void finalize(void *object, void *ctx)
{
	const struct holder *holder = object;
	(void)ctx;
	wrong += holder->held == NULL || holder->held->number != holder->number + OBJECTS;
	finalized++;
}

static void check_reference(unsigned i)
{
	const struct holder *holder = references[i] != NULL ? neap_weak_get(references[i]) : NULL;
	wrong += kept[i] != NULL && holder != kept[i];
	wrong += holder != NULL && holder->number != i;
}

/* Looks at all, and makes half of them anew; a quarter is dropped at once. */
static __attribute__((noinline)) void turn_over(unsigned round)
{
	for (unsigned i = 0; i < OBJECTS; i++) {
		check_reference(i);
		if ((i + round) % 2 == 0)
			continue;
		struct holder *holder = neap_gc_alloc(&holder_type), *held = neap_gc_alloc(&holder_type);
		if (holder == NULL || held == NULL)
			abort();
		holder->number = i;
		held->number = i + OBJECTS;
		holder->held = held;
		neap_weak_destroy(references[i]);
		references[i] = neap_weak_create(holder);
		if (references[i] == NULL || neap_gc_finalizer(holder, finalize, NULL) != NEAP_OK)
			abort();
		kept[i] = i % 4 < 2 ? holder : NULL;
	}
}

static void *collect_always(void *unused)
{
	(void)unused;
	while (!over)
		neap_gc_collect();
	return NULL;
}

static int child(unsigned fork_number)
{
	alarm(CHILD_SECONDS);
	finalized = 0;
	for (unsigned round = 0; round < 3; round++) {
		turn_over(fork_number + round);
		neap_gc_collect();
		neap_gc_finalizers_wait();
	}
	const char *broken = neap__gc_check();
	if (broken != NULL)
		fprintf(stderr, "fork_rows: in the child: %s\n", broken);
	return broken != NULL ? 2 : wrong != 0 ? 3 : finalized == 0 ? 4 : 0;
}

int main(int argc, char **argv)
{
	unsigned forks = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20;
	pthread_t collector;
	turn_over(0);
	neap__gc.clobber = true; /* what is freed shows */
	if (pthread_create(&collector, NULL, collect_always, NULL) != 0)
		return 1;
	for (unsigned i = 0; i < forks; i++) {
		turn_over(i);
		pid_t pid = fork();
		if (pid == 0)
			_exit(child(i));
		int status = -1;
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
			fprintf(stderr, "fork_rows: child %u ended with %x\n", i, (unsigned)status);
			return 1;
		}
	}
	over = true;
	pthread_join(collector, NULL);
	printf("fork_rows: %u forks, %u finalized, %u cycles\n", forks, finalized, neap__gc.epoch);
	return wrong != 0 || finalized == 0;
}
