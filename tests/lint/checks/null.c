/* NULL: where it comes from, where it is used, and tests that come too late. A label stands above each function. */
#include <stdlib.h>

struct node {
	struct node *next;
	int number;
};
struct node *find(int key);

// bad late-null-test: the read before it has decided
int bad_late(struct node *p)
{
	int n = p->number;
	if (p == NULL)
		return 0;
	return n;
}
// good late-null-test: some way comes there without a use
int good_some_way(struct node *p, int c)
{
	int n = 0;
	char *copy = NULL;
	if (c) {
		n = p->number;
		copy = malloc(8);
	}
	if (p == NULL)
		n = -1;
	free(copy);
	return n;
}
// good late-null-test: the test comes first
int good_late(struct node *p)
{
	if (p == NULL)
		return 0;
	return p->number;
}

// bad late-null-test: both ways to the test have used the pointer
int bad_late_join(struct node *p, int c)
{
	int n = c ? p->number : p->next == p;
	return p != NULL ? n : 0;
}
// good late-null-test: one way to the test has not used it
int good_late_join(struct node *p, int c)
{
	int n = c ? p->number : 0;
	return p != NULL ? n : 0;
}

// bad late-null-test: a local that is read in the loop's first round
int bad_late_loop(struct node *p)
{
	int sum = 0;
	do
		sum += p->number;
	while (p != NULL && sum < 9);
	return sum;
}
// good late-null-test: the pointer moves on before it is tested
int good_late_loop(struct node *p)
{
	int sum = 0;
	do {
		sum += p->number;
		p = p->next;
	} while (p != NULL);
	return sum;
}

static int number_at(struct node **place)
{
	struct node *p = *place;
	return p->number;
}
static int number_or_0(struct node **place)
{
	struct node *p = *place;
	return p != NULL ? p->number : 0;
}
// bad null-dereference: the callee reads through what the place holds
int bad_through_place(void)
{
	struct node *p = NULL;
	return number_at(&p);
}
// good null-dereference: the callee looks at what it holds
int good_through_place(void)
{
	struct node *p = NULL;
	return number_or_0(&p);
}
// good null-dereference: the place is set before
int good_place_set(struct node *q)
{
	struct node *p = NULL;
	p = q;
	return number_at(&p);
}

static int number_of(struct node *p)
{
	return p->number;
}
static int no_number(struct node *p)
{
	(void)p;
	return 0;
}
// bad null-dereference: the function that the variable names reads through it
int bad_through_pointer(void)
{
	int (*read)(struct node *) = number_of;
	return read(NULL);
}
// good null-dereference: this one does not
int good_through_pointer(void)
{
	int (*read)(struct node *) = no_number;
	return read(NULL);
}

static int may_read;
static int guarded(struct node *p)
{
	return may_read ? p->number : 0;
}
// bad null-dereference: the switch is on, so the callee has one way only
int bad_switched_on(void)
{
	may_read = 1;
	return guarded(NULL);
}
// good null-dereference: the switch is off
int good_switched_off(void)
{
	may_read = 0;
	return guarded(NULL);
}
// good null-dereference: which way the callee goes is not known here
int good_unknown_switch(int c)
{
	may_read = c;
	return guarded(NULL);
}

static struct node *handed;
static int read_handed(void)
{
	return handed->number;
}
// bad null-dereference: handed over in a global
int bad_in_global(void)
{
	handed = NULL;
	return read_handed();
}
// good null-dereference: the global is set to something
int good_in_global(struct node *p)
{
	if (p == NULL)
		return 0;
	handed = p;
	return read_handed();
}

struct link {
	struct link *previous, *next;
	int count;
};
struct chain {
	struct link *head;
};
// good null-dereference: what two tests of one pointer say is not mixed up (uthash's HASH_DEL)
void good_unlink(struct chain *chain, struct link *link)
{
	if (link->previous == NULL && link->next == NULL) {
		chain->head = NULL;
		return;
	}
	if (link->previous != NULL)
		link->previous->next = link->next;
	else
		chain->head = link->next;
	if (link->next != NULL)
		link->next->previous = link->previous;
	chain->head->count--;
}
// bad null-dereference: the last one leaves, and the head is used
void bad_unlink(struct chain *chain, struct link *link)
{
	if (link->next == NULL)
		chain->head = NULL;
	chain->head->previous = NULL;
}

struct table {
	char *bytes;
	unsigned size;
};
// good null-dereference: NULL only of size 0, of which nothing is written
int good_resize(struct table *table, char *bytes, unsigned size)
{
	int got = 1;
	if (bytes == NULL) {
		if (size > 0)
			return -1;
		got = 0;
	}
	table->bytes = bytes;
	for (unsigned i = table->size; i < size; i++)
		table->bytes[i] = 0;
	return got;
}
// bad null-dereference: NULL of another size goes on
int bad_resize(struct table *table, char *bytes, unsigned size)
{
	int failed = bytes == NULL && size > 0;
	table->bytes = bytes;
	if (bytes == NULL)
		table->size = 0;
	for (unsigned i = table->size; i < size; i++)
		bytes[i] = 0;
	return failed;
}

struct run {
	int pooled;
	int number;
};
struct work {
	struct run *run;
	struct node *live;
};
static void work_on(struct work *work)
{
	work->live->number++;
}
static int child(void *ctx)
{
	struct work work = {ctx, 0};
	if (work.run->pooled)
		work.live = calloc(1, sizeof *work.live);
	if (work.run->pooled && work.live == NULL)
		return 1;
	if (work.run->pooled)
		work_on(&work);
	free(work.live);
	return 0;
}
// good unchecked-result: the callee has looked at it; of which element of the array it was asked is not known
int good_children(int n)
{
	struct run runs[4] = {{0}};
	runs[n & 3].pooled = 1;
	return child(&runs[n >> 1 & 3]);
}
