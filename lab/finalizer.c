/* finalizer.c: what a finalizer does, in which order, how often; and what a weak reference says meanwhile.
 *
 * Objects that nothing leads to are made by functions that are over, on stack that was written to since; the roots of a C
 * program are read conservatively all the same, so where a hundred objects are to die, a few may stay.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/lab.h"
#include "neap/gc.h"

enum { FINAL_MANY = 200, FINAL_STRAYS = 10, FINAL_ROUNDS = 4 };

struct owner {
	struct owner *inner;
	uint64_t number;
};
NEAP_TYPE(owner_type, struct owner, inner);

struct final_run {
	unsigned finalized, twice;     /* of FINAL_MANY; more than once */
	unsigned in_order, whole;      /* pairs: the outer one first; its inner one still whole then */
	unsigned pairs;		       /* of which both ran */
	unsigned weak_first;	       /* the weak reference read NULL in the finalizer already */
	unsigned revived, revived_run; /* lived on, whole; finalizers that ran again */
	unsigned cycles;	       /* of owners that lead to themselves: finalizers that ran */
	unsigned after_remove;	       /* finalizers that ran though they were removed */
};

static struct final_run *final_run;
static unsigned char runs_of[FINAL_MANY];
static struct neap_weak *weak_of[FINAL_MANY];
static unsigned turn, inner_turn[FINAL_MANY], outer_turn[FINAL_MANY];
static struct owner *revived[FINAL_MANY];

static void final_must(bool done)
{
	if (!done) {
		fprintf(stderr, "neap: out of memory in finalizer\n");
		exit(1);
	}
}

static __attribute__((noinline)) void clean_stack(void)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
}

/* Collects until what is due has run: what leads to an object goes a cycle before it. */
static void collect_all(void)
{
	for (int i = 0; i < FINAL_ROUNDS; i++) {
		clean_stack();
		neap_gc_collect();
		neap_gc_finalizers_wait();
	}
}

static struct owner *make_owner(uint64_t number, void (*finalize)(void *object, void *ctx))
{
	struct owner *owner = neap_gc_alloc(&owner_type);
	final_must(owner != NULL);
	owner->number = number;
	final_must(finalize == NULL || neap_gc_finalizer(owner, finalize, NULL) == NEAP_OK);
	return owner;
}

static void note_run(void *object, void *ctx)
{
	struct owner *owner = object;
	(void)ctx;
	final_run->twice += ++runs_of[owner->number] > 1;
	final_run->finalized++;
	final_run->weak_first += neap_weak_get(weak_of[owner->number]) == NULL;
}

static void note_inner(void *object, void *ctx)
{
	(void)ctx;
	inner_turn[((struct owner *)object)->number] = ++turn;
}

static void note_outer(void *object, void *ctx)
{
	struct owner *owner = object;
	(void)ctx;
	outer_turn[owner->number] = ++turn;
	final_run->whole += owner->inner->number == owner->number && inner_turn[owner->number] == 0;
}

static void note_revived(void *object, void *ctx)
{
	struct owner *owner = object;
	(void)ctx;
	final_run->revived_run++;
	revived[owner->number] = owner;
}

static void note_cycle(void *object, void *ctx)
{
	(void)object;
	(void)ctx;
	final_run->cycles++;
}

static void note_removed(void *object, void *ctx)
{
	(void)object;
	(void)ctx;
	final_run->after_remove++;
}

static __attribute__((noinline)) void make_all(void)
{
	for (uint64_t i = 0; i < FINAL_MANY; i++) {
		weak_of[i] = neap_weak_create(make_owner(i, note_run));
		final_must(weak_of[i] != NULL);
		struct owner *outer = make_owner(i, note_outer);
		outer->inner = make_owner(i, note_inner);
		(void)make_owner(i, note_revived);
		struct owner *ring = make_owner(i, note_cycle);
		ring->inner = make_owner(i, NULL);
		ring->inner->inner = ring;
		struct owner *removed = make_owner(i, note_removed);
		final_must(neap_gc_finalizer(removed, NULL, NULL) == NEAP_OK);
	}
}

static int finalizer_child(void *ctx)
{
	final_run = ctx;
	make_all();
	collect_all();
	for (unsigned i = 0; i < FINAL_MANY; i++) {
		final_run->pairs += outer_turn[i] != 0 && inner_turn[i] != 0;
		final_run->in_order += outer_turn[i] != 0 && inner_turn[i] > outer_turn[i];
		final_run->revived += revived[i] != NULL && revived[i]->number == i;
		revived[i] = NULL;
	}
	collect_all(); /* the revived die, without a finalizer now */
	return 0;
}

static void run_finalizer(struct lab *lab)
{
	struct final_run *run = lab_share(lab, sizeof *run);
	if (run == NULL || !lab_child(lab, "finalizers", finalizer_child, run))
		return;
	struct result *result = &lab->result;
	enum { LEAST = FINAL_MANY - FINAL_STRAYS };
	result_say(result, "  of %d objects each              RAN", FINAL_MANY);
	result_say(result, "  with a finalizer             %6u   %u of them more than once", run->finalized,
		   run->twice);
	result_say(result, "  pairs, one owning the other  %6u   %u in order, %u whole", run->pairs,
		   run->in_order, run->whole);
	result_say(result, "  that store themselves        %6u   %u live on", run->revived_run, run->revived);
	result_say(result, "  that lead to themselves      %6u", run->cycles);
	result_say(result, "  whose finalizer was removed  %6u", run->after_remove);
	result_check(result, run->finalized >= LEAST && run->twice == 0,
		     "a finalizer runs once: %u of %d, none twice (a stray word on a stack may keep a few)",
		     run->finalized, FINAL_MANY);
	result_check(result, run->pairs >= LEAST && run->in_order == run->pairs && run->whole >= run->pairs,
		     "an owner's finalizer runs before that of what it owns, which is whole then");
	result_check(result, run->weak_first == run->finalized,
		     "a weak reference reads NULL before the finalizer runs");
	result_check(result, run->revived_run >= LEAST && run->revived == run->revived_run,
		     "a finalizer may store its object: it lives on, and has no finalizer any more");
	result_check(result, run->cycles == 0, "an object that leads to itself is never finalized");
	result_check(result, run->after_remove == 0, "a finalizer that was removed does not run");
	result_figure(result, run->finalized, "count", "finalized");
	result_figure(result, run->revived, "count", "revived");
}

const struct experiment experiment_finalizer = {
	.name = "finalizer",
	.claim =
		"A finalizer runs once, owners before what they own, after weak references were cleared; its "
		"object may be brought back, once; a cycle is never finalized.",
	.method =
		"Hundreds of objects of each kind are dropped and collected; finalizers note when they ran.",
	.run = run_finalizer,
};
