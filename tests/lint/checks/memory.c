/* Memory from malloc: use and release. A label stands above each function: bad or good, the rule, the reason. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
	struct item *next;
	char *name;
	int number;
};
struct holder {
	struct item *item;
};
void unseen(void *);
struct item *global_item;

// bad use-after-free: read after free
int bad_read(void)
{
	struct item *p = calloc(1, sizeof *p);
	if (!p)
		return 0;
	free(p);
	return p->number;
}
// good use-after-free: read before free
int good_read(void)
{
	struct item *p = calloc(1, sizeof *p);
	if (!p)
		return 0;
	int n = p->number;
	free(p);
	return n;
}

// bad use-after-free: write after free on one branch
void bad_branch(struct item *p, int c)
{
	if (c)
		free(p);
	p->number = 1;
}
// good use-after-free: the branch that frees also leaves
void good_branch(struct item *p, int c)
{
	if (c) {
		free(p);
		return;
	}
	p->number = 1;
}

// bad use-after-free: the loop reads the next pointer out of the freed node
void bad_list(struct item *p)
{
	for (; p; p = p->next)
		free(p);
}
// good use-after-free: the next pointer is read first
void good_list(struct item *p)
{
	while (p) {
		struct item *next = p->next;
		free(p);
		p = next;
	}
}

static void release(struct item *p)
{
	free(p->name);
	free(p);
}
// bad use-after-free: a wrapper of one's own releases
int bad_wrapper(struct item *p)
{
	release(p);
	return p->number;
}
// good use-after-free: the wrapper comes last
int good_wrapper(struct item *p)
{
	int n = p->number;
	release(p);
	return n;
}

static void release2(struct item *p)
{
	release(p);
}
static void release3(struct item *p)
{
	if (p)
		release2(p);
}
// bad use-after-free: three wrappers deep
int bad_deep(struct item *p)
{
	if (!p)
		return 0;
	release3(p);
	return p->number;
}
// good use-after-free: the pointer is replaced
int good_deep(struct item *p, struct item *q)
{
	release3(p);
	p = q;
	return p->number;
}

// bad use-after-free: the pointer was copied before
int bad_alias(struct item *p)
{
	struct item *q = p;
	free(p);
	return q->number;
}
// good use-after-free: the copy points elsewhere
int good_alias(struct item *p, struct item *o)
{
	struct item *q = o;
	free(p);
	return q->number;
}

// bad use-after-free: through a field of a struct on the stack
int bad_field(struct item *p)
{
	struct holder h = {p};
	free(h.item);
	return h.item->number;
}
// good use-after-free: the field was set to something else
int good_field(struct item *p, struct item *o)
{
	struct holder h = {p};
	free(h.item);
	h.item = o;
	return h.item->number;
}

// bad use-after-free: through a pointer to the pointer
int bad_indirect(struct item *p)
{
	struct item **pp = &p;
	free(*pp);
	return p->number;
}
// good use-after-free: the pointed-to pointer is set anew
int good_indirect(struct item *p, struct item *o)
{
	struct item **pp = &p;
	free(*pp);
	*pp = o;
	return p->number;
}

// bad use-after-free: handed to code that is not visible
void bad_pass(char *p)
{
	free(p);
	unseen(p);
}
// good use-after-free: handed over first
void good_pass(char *p)
{
	unseen(p);
	free(p);
}

// bad use-after-free: realloc moved the block
int bad_realloc(int *p)
{
	int *q = realloc(p, 100);
	if (!q)
		return 0;
	int n = p[0];
	free(q);
	return n;
}
// good use-after-free: only the new pointer is used
int good_realloc(int *p)
{
	int *q = realloc(p, 100);
	if (!q)
		return p[0];
	int n = q[0];
	free(q);
	return n;
}

// bad use-after-free: a freed pointer is returned
char *bad_return(void)
{
	char *p = malloc(4);
	free(p);
	return p;
}
// good use-after-free: NULL is returned
char *good_return(void)
{
	char *p = malloc(4);
	free(p);
	return 0;
}

// bad use-after-free: freed under a flag that is known to be set
int bad_flag(struct item *p)
{
	int done = 0;
	if (p->number > 3) {
		free(p);
		done = 1;
	}
	return done ? p->number : 0;
}
// good use-after-free: used only when the flag says that it lives
int good_flag(struct item *p)
{
	int done = 0;
	if (p->number > 3) {
		free(p);
		done = 1;
	}
	return done ? 0 : p->number;
}

// bad use-after-free: a stream after fclose
int bad_stream(const char *n)
{
	FILE *f = fopen(n, "r");
	if (!f)
		return 0;
	fclose(f);
	return fgetc(f);
}
// good use-after-free: closed last
int good_stream(const char *n)
{
	FILE *f = fopen(n, "r");
	if (!f)
		return 0;
	int c = fgetc(f);
	fclose(f);
	return c;
}

// bad double-free: twice in a row
void bad_twice(char *p)
{
	free(p);
	free(p);
}
// good double-free: set to NULL in between
void good_twice(char *p)
{
	free(p);
	p = 0;
	free(p);
}

// bad double-free: on the way out after an error
int bad_goto(int c)
{
	char *p = malloc(4);
	int r = -1;
	if (!p)
		return r;
	if (c) {
		free(p);
		goto out;
	}
	r = 0;
out:
	free(p);
	return r;
}
// good double-free: one release for both ways
int good_goto(int c)
{
	char *p = malloc(4);
	int r = -1;
	if (!p)
		return r;
	if (c)
		goto out;
	r = 0;
out:
	free(p);
	return r;
}

// bad double-free: in a loop
void bad_loop(char *p, int n)
{
	for (int i = 0; i < n; i++)
		free(p);
}
// good double-free: a new one in each round
void good_loop(int n)
{
	for (int i = 0; i < n; i++) {
		char *p = malloc(4);
		free(p);
	}
}

// bad double-free: the wrapper releases the name too
void bad_member(struct item *p)
{
	free(p->name);
	release(p);
}
// good double-free: the name is detached first
void good_member(struct item *p)
{
	free(p->name);
	p->name = 0;
	release(p);
}

// bad double-free: two aliases
void bad_two_names(char *p)
{
	char *q = p;
	free(q);
	free(p);
}
// good double-free: two objects
void good_two_names(char *p, char *q)
{
	free(q);
	free(p);
}

// bad double-free: after realloc succeeded
void bad_after_realloc(char *p)
{
	char *q = realloc(p, 9);
	if (q) {
		free(p);
		free(q);
	}
}
// good double-free: the old one only when realloc failed
void good_after_realloc(char *p)
{
	char *q = realloc(p, 9);
	if (q)
		free(q);
	else
		free(p);
}

// bad bad-free: an array on the stack
void bad_stack(void)
{
	char b[4];
	char *p = b;
	b[0] = 0;
	free(p);
}
// good bad-free: heap or stack, released only when heap
void good_stack(int n)
{
	char b[4], *p = b;
	if (n > 4) {
		p = malloc(9);
		if (!p)
			return;
	}
	p[0] = 0;
	if (p != b)
		free(p);
}

// bad bad-free: a literal
void bad_literal(void)
{
	char *p = "abc";
	free(p);
}
// good bad-free: a copy of it
void good_literal(void)
{
	char *p = strdup("abc");
	free(p);
}

// bad bad-free: the middle of a block
void bad_middle(void)
{
	char *p = malloc(8);
	if (!p)
		return;
	p++;
	free(p);
}
// good bad-free: the start of it
void good_middle(void)
{
	char *p = malloc(8);
	if (!p)
		return;
	char *q = p + 1;
	*q = 0;
	free(p);
}

// bad mismatched-release: free of a stream
void bad_family(const char *n)
{
	FILE *f = fopen(n, "r");
	free(f);
}
// good mismatched-release: fclose of it
void good_family(const char *n)
{
	FILE *f = fopen(n, "r");
	if (f)
		fclose(f);
}

// bad leak: lost on the early return
int bad_early(int c)
{
	char *p = malloc(4);
	if (c)
		return 1;
	free(p);
	return 0;
}
// good leak: released on both ways
int good_early(int c)
{
	char *p = malloc(4);
	if (c) {
		free(p);
		return 1;
	}
	free(p);
	return 0;
}

// bad leak: the only pointer is overwritten
void bad_overwrite(void)
{
	char *p = malloc(4);
	p = malloc(8);
	free(p);
}
// good leak: released before
void good_overwrite(void)
{
	char *p = malloc(4);
	free(p);
	p = malloc(8);
	free(p);
}

// bad leak: a stream that stays open
int bad_open(const char *n)
{
	FILE *f = fopen(n, "r");
	if (!f)
		return 0;
	return fgetc(f);
}
// good leak: handed to the caller
FILE *good_open(const char *n)
{
	FILE *f = fopen(n, "r");
	return f;
}

static struct item *make(int n)
{
	struct item *p = malloc(sizeof *p);
	if (p)
		p->number = n;
	return p;
}
// bad leak: from a constructor of one's own
int bad_made(void)
{
	struct item *p = make(3);
	return p ? p->number : 0;
}
// good leak: kept in a global
int good_made(void)
{
	struct item *p = make(3);
	global_item = p;
	return p ? p->number : 0;
}

// bad leak: the second allocation failed
struct item *bad_second(void)
{
	struct item *p = malloc(sizeof *p);
	if (!p)
		return 0;
	p->name = malloc(4);
	if (!p->name)
		return 0;
	return p;
}
// good leak: the first is released then
struct item *good_second(void)
{
	struct item *p = malloc(sizeof *p);
	if (!p)
		return 0;
	p->name = malloc(4);
	if (!p->name) {
		free(p);
		return 0;
	}
	return p;
}

// bad null-dereference: set to NULL and used
int bad_null(int c)
{
	struct item *p = 0;
	if (c)
		return p->number;
	return 0;
}
// good null-dereference: only when it was set
int good_null(struct item *q, int c)
{
	struct item *p = 0;
	if (c)
		p = q;
	return c ? p->number : 0;
}

// bad null-dereference: used in the branch that found it to be NULL
int bad_tested(struct item *p)
{
	if (p == 0)
		return p->number;
	return 0;
}
// good null-dereference: used in the other
int good_tested(struct item *p)
{
	if (p != 0)
		return p->number;
	return 0;
}

// bad unchecked-result: malloc can fail
void bad_unchecked(void)
{
	int *p = malloc(4);
	*p = 1;
	free(p);
}
// good unchecked-result: checked
void good_unchecked(void)
{
	int *p = malloc(4);
	if (p)
		*p = 1;
	free(p);
}

static char *must(size_t n)
{
	char *p = malloc(n);
	if (!p)
		abort();
	return p;
}
static char *may(size_t n)
{
	return malloc(n);
}
// bad unchecked-result: through a wrapper that passes NULL on
void bad_may(void)
{
	char *p = may(4);
	p[0] = 0;
	free(p);
}
// good unchecked-result: through one that does not return then
void good_must(void)
{
	char *p = must(4);
	p[0] = 0;
	free(p);
}

struct packet {
	char *bytes;
	size_t size, capacity;
};
/* Variable arguments: not followed where it is called, so that its summary has to tell. */
static struct packet wrap(char *bytes, size_t size, ...)
{
	return (struct packet){bytes, size, size};
}
// bad leak: another pointer is wrapped
struct packet bad_wrapped(char *bytes, size_t size)
{
	char *copy = malloc(size);
	if (!copy)
		return wrap(NULL, 0);
	memcpy(copy, bytes, size);
	return wrap(bytes, size);
}
// good leak: given back inside a struct that is built in memory
struct packet good_wrapped(const char *bytes, size_t size)
{
	char *copy = malloc(size);
	if (!copy)
		return wrap(NULL, 0);
	memcpy(copy, bytes, size);
	return wrap(copy, size);
}

// bad use-after-free: made anew under another question than the one it was released under
int bad_version(struct item **held, int had, int wants)
{
	struct item *p = *held;
	if (had != wants)
		free(*held);
	if (had < wants)
		p = calloc(1, sizeof *p);
	return p ? p->number : 0;
}
// good use-after-free: released and made anew under the same question, though neither number is known
int good_version(struct item **held, int had, int wants)
{
	if (had != wants)
		free(*held);
	struct item *p = had != wants ? calloc(1, sizeof *p) : *held;
	if (!p)
		return 0;
	*held = p;
	return p->number;
}
// bad use-after-free: the question was about numbers that have changed since
int bad_question(struct item *p, int had, int wants)
{
	if (had < wants)
		free(p);
	wants = had + 1;
	return had < wants ? p->number : 0;
}
// good use-after-free: the answer was turned round, not changed
int good_question(struct item *p, int had, int wants)
{
	if (had < wants)
		free(p);
	return wants <= had ? p->number : 0;
}

// bad null-dereference: the test the wrong way round
int bad_loop_null(const char *name)
{
	int n = 0;
	for (int at = 0; at < 27; at++) {
		if (name == NULL)
			n += name[at];
	}
	return n;
}
// good null-dereference: what keeps it out is remembered in a flag
int good_loop_null(const char *name)
{
	int n = 0;
	for (int at = 0, done = 0; at < 27; at++) {
		done |= name == NULL || name[at] == 0;
		n += done ? 1 : name[at];
	}
	return n;
}

static int fallback;
// bad leak: one of two, chosen by the short conditional
int bad_short(void)
{
	int *p = malloc(sizeof *p) ?: &fallback;
	*p = 1;
	return *p;
}
// good leak: what the short conditional kept is released
int good_short(void)
{
	int *p = malloc(sizeof *p) ?: &fallback;
	*p = 1;
	int n = *p;
	if (p != &fallback)
		free(p);
	return n;
}

// bad use-after-free: the value of an assignment, which is older than the choice of where it goes
int bad_assigned(int c, int x, int y)
{
	int *slots[2], *q = malloc(sizeof *q);
	if (q == NULL)
		return 0;
	*q = 1;
	int *r = c ? (slots[x || y] = q) : q;
	free(q);
	return *r;
}
// good use-after-free: read before the release
int good_assigned(int c, int x, int y)
{
	int *slots[2], *q = malloc(sizeof *q);
	if (q == NULL)
		return 0;
	*q = 1;
	int *r = c ? (slots[x || y] = q) : q;
	int n = *r;
	free(q);
	return n;
}

// bad use-after-free: one of two, and that one was released
int bad_either(struct item *p, struct item *other, int c)
{
	struct item *one;
	free(p);
	if (c)
		one = p;
	else
		one = other;
	return one->number;
}
// bad use-after-free: the same, the other way round
int bad_other(struct item *p, struct item *other, int c)
{
	struct item *one;
	free(p);
	if (c)
		one = other;
	else
		one = p;
	return one->number;
}
// good use-after-free: neither was
int good_either(struct item *p, struct item *other, struct item *third, int c)
{
	struct item *one;
	free(p);
	if (c)
		one = third;
	else
		one = other;
	return one->number;
}

struct queue {
	char *item;
	int closed;
};
static int enqueue(struct queue *queue, char *item)
{
	if (queue->closed)
		return -1;
	queue->item = item;
	return 0;
}
// good leak: a queue that takes what it is given, unless it is closed, which this one is known not to be
void good_enqueue(struct queue *queue)
{
	char *item = malloc(4);
	if (item)
		enqueue(queue, item);
}
static int look(struct queue *queue, const char *item)
{
	return queue->closed ? -1 : queue->item == item;
}
// bad leak: this one only looks at it
int bad_look(struct queue *queue)
{
	char *item = malloc(4);
	return item ? look(queue, item) : 0;
}
