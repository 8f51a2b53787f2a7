/* Addresses of locals. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct list {
	int *first;
	struct list *next;
};
int *global_pointer;
struct list global_list;

// bad dangling-stack: returned
int *bad_returned(void)
{
	int x = 1;
	int *p = &x;
	return p;
}
// good dangling-stack: static storage
int *good_returned(void)
{
	static int x = 1;
	int *p = &x;
	return p;
}

// bad dangling-stack: an array returned through a variable
char *bad_array(void)
{
	char b[8];
	char *p = b;
	b[0] = 0;
	return p + 1;
}
// good dangling-stack: the caller's array
char *good_array(char *b)
{
	char *p = b;
	b[0] = 0;
	return p + 1;
}

// bad dangling-stack: left in a global
void bad_global(void)
{
	int x = 1;
	global_pointer = &x;
}
// good dangling-stack: taken back before the return
void good_global(void)
{
	int x = 1;
	global_pointer = &x;
	x = 2;
	global_pointer = 0;
}

// bad dangling-stack: left in what a parameter points to
void bad_param(struct list *l)
{
	int x = 1;
	l->first = &x;
}
// good dangling-stack: an object that lives on
void good_param(struct list *l)
{
	static int x;
	l->first = &x;
}

// bad dangling-stack: taken back on one way only
int bad_one_way(int c)
{
	int x = 1;
	global_pointer = &x;
	if (c)
		return 1;
	global_pointer = 0;
	return 0;
}
// good dangling-stack: taken back on both ways
int good_one_way(int c)
{
	int x = 1;
	global_pointer = &x;
	if (c) {
		global_pointer = 0;
		return 1;
	}
	global_pointer = 0;
	return 0;
}

static void set(struct list *l, int *p)
{
	l->first = p;
}
// bad dangling-stack: a function of one's own stores it
void bad_setter(struct list *l)
{
	int x = 1;
	set(l, &x);
}
// good dangling-stack: into a local
int good_setter(void)
{
	struct list l;
	int x = 1;
	set(&l, &x);
	return *l.first;
}

// bad dangling-stack: inside a heap object that is returned
struct list *bad_inside(void)
{
	int x = 1;
	struct list *l = malloc(sizeof *l);
	if (!l)
		return 0;
	l->first = &x;
	l->next = 0;
	return l;
}
// good dangling-stack: inside a heap object that ends here
int good_inside(void)
{
	int x = 1;
	struct list *l = malloc(sizeof *l);
	if (!l)
		return 0;
	l->first = &x;
	int r = *l->first;
	free(l);
	return r;
}

static int *inner(void)
{
	int x = 1;
	return &x;
}
// bad use-after-return: used by the caller
int bad_caller(void)
{
	int *p = inner();
	return *p;
}
static int *outer(int *p)
{
	return p;
}
// good use-after-return: the caller's own local comes back
int good_caller(void)
{
	int x = 1;
	int *p = outer(&x);
	return *p;
}

struct machine {
	void **top;
	struct machine *next;
};
// bad dangling-stack: left in the object that the caller's pointer leads to
void bad_led(struct machine *m)
{
	void *word;
	if (m->next)
		m->next->top = &word;
}
// good dangling-stack: pushed on a stack and popped
void good_pushed(struct machine *m)
{
	int word = 1;
	*m->top = &word;
	m->top++;
	m->top--;
	*m->top++ = 0;
}

struct stack {
	void **base, **top;
};
// good dangling-stack: the stack was emptied, and what lies above its top is nobody's
void good_emptied(struct stack *stack)
{
	int word = 1;
	*stack->top = &word;
	stack->top = stack->base;
}
// bad dangling-stack: it is still on it
void bad_pushed(struct stack *stack)
{
	int word = 1;
	*stack->base = &word;
	stack->top = stack->base;
}
