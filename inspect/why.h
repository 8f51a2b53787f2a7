/* why.h: the answer of `neap why`: who holds an object, in words. Whoever looks (a Go program, one linked with libneap, a
 * snapshot) gives the same. */
#ifndef NEAP_INSPECT_WHY_H
#define NEAP_INSPECT_WHY_H

#include "inspection.h"

enum { WHY_NAME_BYTES = 512 };

struct why_step {
	char name[WHY_NAME_BYTES]; /* of a root, or of the type */
	char word[WHY_NAME_BYTES]; /* the place in it that leads on: ".items"; "" for the last step */
	uint64_t address, size;	   /* of an object; 0 for a root */
	bool root;
};

struct why {
	struct why_step *steps; /* from the root to the object; none when nothing holds it */
	size_t count, capacity;
	uint64_t objects, bytes; /* what would become free with it, itself included */
	bool counted;		 /* these two are known */
	bool bounded;		 /* every way to it leads through one object: */
	struct why_step bound;
	uint64_t bound_bytes; /* that would become free with that one */
	uint64_t torn;
	double stopped;	  /* seconds */
	const char *note; /* a sentence about the answer; NULL: none */
};

/* `address` lies in an object, a map or a slot of it. -1 and a problem when it does not, or the look failed. Free with
   why_free, also on failure. */
int why_go(const char *target, const struct inspection_wish *wish, uint64_t address, struct why *ret,
	   struct problem *problem);
/* The same for a program linked with libneap, where `what` may also be a map's name. */
int why_linked(const char *target, const struct inspection_wish *wish, const char *what, struct why *ret,
	       struct problem *problem);
/* The same for a snapshot. What nothing held is in none of them: the answer is no way. */
int why_snapshot(const char *path, const char *what, struct why *ret, struct problem *problem);
/* Of a snapshot with every object; false when `address` lies in none. */
struct snapshot;
bool why_object(const struct snapshot *snapshot, uint64_t address, struct why *ret);
void why_free(struct why *why);

/* For those above: a step more; the steps in the other order. */
struct why_step *why_add(struct why *why);
void why_turn(struct why *why);

#endif
