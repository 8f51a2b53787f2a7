/* Ownership as ownership.h states it: what callers may do, and whether bodies keep their word. */
#include "ownership.h"

#include <stdlib.h>

static struct box *kept;

// bad leak: what a NEAP_GIVES function gave
int bad_open(const char *name)
{
	struct box *b = box_open(name, 0);
	return b ? box_look(b) : 0;
}
// good leak: released by the function that the declaration names
int good_open(const char *name)
{
	struct box *b = box_open(name, 0);
	int n = b ? box_look(b) : 0;
	box_close(b);
	return n;
}

// bad mismatched-release: by another one
void bad_close(const char *name)
{
	free(box_open(name, 1));
}
// good mismatched-release: a label is free's
void good_close(struct box *b)
{
	free(box_label(b));
}

// bad unchecked-result: it may be NULL
int bad_unchecked_box(const char *name)
{
	struct box *b = box_open(name, 0);
	int n = b->n;
	box_close(b);
	return n;
}
// good unchecked-result: looked at
int good_unchecked_box(const char *name)
{
	struct box *b = box_open(name, 0);
	int n = b ? b->n : 0;
	box_close(b);
	return n;
}

// bad use-after-free: after it was handed over
int bad_queue(struct box *b)
{
	box_queue(1, b);
	return b->n;
}
// good use-after-free: before
int good_queue(struct box *b)
{
	int n = b->n;
	box_queue(1, b);
	return n;
}

// bad double-free: handed over twice
void bad_queue_twice(struct box *b)
{
	box_queue(1, b);
	box_queue(2, b);
}
// good double-free: lent twice
int good_queue_twice(struct box *b)
{
	return box_look(b) + box_look(b);
}

// bad contract-broken: taken and forgotten
void bad_take(struct box *box)
{
	box->n = 0;
}
// good contract-broken: released
void good_take(struct box *box)
{
	free(box);
}

// bad contract-broken: kept, though only lent
void bad_lend(struct box *box)
{
	kept = box;
}
// good contract-broken: taken, and kept
void good_take_and_keep(struct box *box)
{
	kept = box;
}

// bad contract-broken: released, though only lent
void bad_lend_and_drop(struct box *box)
{
	free(box);
}
// good contract-broken: written to
void good_lend(struct box *box)
{
	box->n++;
}

// bad contract-broken: gives what belongs to its argument
struct box *bad_give(struct box *box)
{
	return box;
}
// good contract-broken: a new one
struct box *good_give(struct box *box)
{
	struct box *b = malloc(sizeof *b);
	if (b)
		*b = *box;
	return b;
}
// bad contract-broken: said to free its argument, and only empties it
void bad_free_promise(struct box *box)
{
	box->next = NULL;
}
// good contract-broken: frees it
void good_free_promise(struct box *box)
{
	free(box);
}
// bad use-after-free: after NEAP_FREES
int bad_drop(const char *name)
{
	struct box *b = box_open(name, 0);
	if (!b)
		return 0;
	box_drop(3, b);
	return b->n;
}
// good use-after-free: before
int good_drop(const char *name)
{
	struct box *b = box_open(name, 0);
	int n = b ? b->n : 0;
	box_drop(3, b);
	return n;
}

// good contract-broken: a part of it is copied out
void good_lend_and_read(int *to, struct box *box)
{
	*to = box->n;
}

/* Deeper than calls are followed: what the last one does is known by its summary. */
static char *turned6(char *p)
{
	char *fresh = calloc(1, 8);
	free(p);
	return fresh;
}
static char *turned5(char *p)
{
	return turned6(p);
}
static char *turned4(char *p)
{
	return turned5(p);
}
static char *turned3(char *p)
{
	return turned4(p);
}
static char *turned2(char *p)
{
	return turned3(p);
}
static char *turned1(char *p)
{
	return turned2(p);
}
// good leak: released by what makes another one, even when that fails
char *good_turned(void)
{
	char *p = malloc(8);
	return turned1(p);
}
// bad leak: what the other one is, nobody keeps
void bad_turned(void)
{
	char *p = malloc(8);
	turned1(p);
}

static void needed6(const void *p)
{
	if (p == 0)
		exit(1);
}
static void needed5(char *p)
{
	needed6(p);
	*p = 1;
}
static void needed4(void)
{
	char *p = malloc(8);
	needed5(p);
	free(p);
}
static void needed3(void)
{
	needed4();
}
static void needed2(void)
{
	needed3();
}
static void needed1(void)
{
	needed2();
}
// good unchecked-result: checked deep down, by a function that ends the process
void good_needed(void)
{
	needed1();
}
// bad unchecked-result: looked at, and used in any case
int bad_needed(void)
{
	char *p = malloc(8);
	int n = p == 0;
	*p = (char)n;
	free(p);
	return n;
}
