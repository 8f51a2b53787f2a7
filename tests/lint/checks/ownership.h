/* Ownership stated in a header, of functions some of which have no source here. */
#ifndef OWNERSHIP_H
#define OWNERSHIP_H

#include "neap/safe.h"

struct box {
	int n;
	struct box *next;
};

void box_close(NEAP_TAKEN struct box *box);
/* A comment with a ; and the word NEAP_TAKEN in it. */
NEAP_GIVES(box_close) struct box *box_open(NEAP_LENT const char *name, int flags);
NEAP_GIVES(free) char *box_label(NEAP_LENT struct box *box);
void box_queue(int priority, NEAP_TAKEN struct box *box);
NEAP_FREES(2) void box_drop(int priority, struct box *box);
int box_look(NEAP_LENT const struct box *box);

/* These have their bodies in ownership.c. */
void bad_take(NEAP_TAKEN struct box *box);
void good_take(NEAP_TAKEN struct box *box);
void good_take_and_keep(NEAP_TAKEN struct box *box);
void bad_lend(NEAP_LENT struct box *box);
void good_lend(NEAP_LENT struct box *box);
void bad_lend_and_drop(NEAP_LENT struct box *box);
void good_lend_and_read(int *to, NEAP_LENT struct box *box);
NEAP_GIVES(free) struct box *bad_give(struct box *box);
NEAP_GIVES(free) struct box *good_give(struct box *box);
NEAP_FREES(1) void bad_free_promise(struct box *box);
NEAP_FREES(1) void good_free_promise(struct box *box);

#endif
