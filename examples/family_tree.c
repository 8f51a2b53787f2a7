/* family_tree.c: a linked structure with cycles, parents that know their children and children that know their
 * parents, stored with plain assignments and never freed; and a cache that does not keep what it knows.
 */
#include <stdio.h>
#include <stdlib.h>

#include <neap/gc.h>

struct person {
	struct person *mother, *first_child, *next_sibling;
	unsigned generation;
};
NEAP_TYPE(person_type, struct person, mother, first_child, next_sibling);

static struct person *born_to(struct person *mother)
{
	struct person *child = neap_gc_alloc(&person_type);
	if (child == NULL) {
		fprintf(stderr, "family_tree: no memory\n");
		exit(1);
	}
	child->mother = mother;
	if (mother != NULL) {
		child->generation = mother->generation + 1;
		child->next_sibling = mother->first_child;
		mother->first_child = child;
	}
	return child;
}

static struct person *eldest; /* static data is a root */

/* A function of its own: stacks are read conservatively, and one word of an old ancestor left in a frame that is still
 * in use would keep all who descend from it.
 */
static __attribute__((noinline)) void live(void)
{
	for (unsigned i = 0; i < 100000; i++) {
		struct person *last = eldest;
		for (unsigned child = 0; child < 5; child++)
			last = born_to(last);
		/* The family moves on: nothing leads to its past any more, though the past is full of cycles. */
		if (i % 10 == 9) {
			eldest = last;
			eldest->mother = NULL;
		}
	}
}

static __attribute__((noinline)) struct neap_weak *begin(void)
{
	eldest = born_to(NULL);
	return neap_weak_create(eldest);
}

/* Not in main, whose frame would have a hole of 4 KB for `stats` while the collection reads it. */
static __attribute__((noinline)) int report(const struct neap_weak *founder)
{
	struct neap_memstats stats = {.size = sizeof stats};
	if (neap_memstats(&stats) != NEAP_OK)
		return 1;
	printf("generation %u; born %llu, remembered %llu; the founder is %s\n", eldest->generation,
	       (unsigned long long)stats.Mallocs, (unsigned long long)stats.HeapObjects,
	       neap_weak_get(founder) != NULL ? "remembered" : "forgotten");
	return stats.HeapObjects < 10000 ? 0 : 1;
}

int main(void)
{
	struct neap_weak *founder = begin();
	if (founder == NULL)
		return 1;
	live();
	neap_gc_collect();
	int failed = report(founder);
	neap_weak_destroy(founder);
	return failed;
}
