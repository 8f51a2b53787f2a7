/* What comes out as a result, and at which level. */
/* Expectations stand at the ends of lines. */
// clang-format off
#include <stdlib.h>

struct pair { int *a, *b; };
struct node { struct node *next; int *value; int number; };
struct wide { int *slots[6]; };

int *identity(int *p) // want "leaking param: p to result level=0"
{
	return p;
}
int *load(int **p) // want "leaking param: p to result level=1"
{
	return *p;
}
int *load_twice(int ***p) // want "leaking param: p to result level=2"
{
	return **p;
}
int *either(int *p, int *q, int c) // want "leaking param: p to result level=0" "leaking param: q to result level=0"
{
	return c ? p : q;
}
int *first_or_content(int *p, int **q, int c) // want "leaking param: p to result level=0" "leaking param: q to result level=1"
{
	if (c)
		return p;
	return *q;
}
int *local(void)
{
	int x = 1; // want "x escapes to result: DANGLING"
	int *p = &x;
	return p;
}
int *element(void)
{
	int x[3] = {1, 2, 3}; // want "x escapes to result: DANGLING"
	return &x[1];
}
int *of_parameter(int x) // want "x escapes to result: DANGLING"
{
	int *p = &x;
	return p;
}
int **pointer_to_parameter(int *p) // want "leaking param: p to result level=0" "p escapes to result: DANGLING"
{
	int **q = &p;
	return q;
}
int *identity_of_local(void)
{
	int x = 1; // want "x escapes to result: DANGLING"
	return identity(&x);
}
int identity_read(void)
{
	int x = 1; // want "x does not escape"
	return *identity(&x);
}
int *identity_twice(int *p) // want "leaking param: p to result level=0"
{
	return identity(identity(p));
}
int *load_of_address(int *p) // want "leaking param: p to result level=0"
{
	return load(&p);
}
int *load_of_local_address(void)
{
	int x = 1; // want "x escapes to result: DANGLING"
	int *p = &x; // want "p does not escape"
	return load(&p);
}
int *load_content(int ***p) // want "leaking param: p to result level=2"
{
	return load(*p);
}
int *next_value(struct node *n) // want "leaking param: n to result level=2"
{
	return n->next->value;
}
struct node *next(struct node *n) // want "leaking param: n to result level=1"
{
	return n->next;
}
struct node **next_slot(struct node *n) // want "leaking param: n to result level=0"
{
	return &n->next;
}
int *number_slot(struct node *n) // want "leaking param: n to result level=0"
{
	return &n->number;
}
struct node *last(struct node *n) // want "leaking param: n to result level=0"
{
	while (n->next)
		n = n->next;
	return n;
}
struct node *new_node(int *value) // want "leaking param: value to result level=0"
{
	struct node *n = malloc(sizeof *n); // want "malloc(...) escapes to result"
	if (!n)
		abort();
	n->value = value;
	return n;
}
int *new_node_value(int *value) // want "leaking param: value to result level=1"
{
	struct node *n = new_node(value); // want "new_node(...) does not escape"
	int *v = n->value;
	free(n);
	return v;
}
int temporary_node(void)
{
	int x = 2; // want "x does not escape"
	struct node *n = new_node(&x); // want "new_node(...) does not escape"
	int sum = *n->value;
	free(n);
	return sum;
}
struct node *node_with_local(void)
{
	int x = 2; // want "x escapes to result: DANGLING"
	return new_node(&x); // want "new_node(...) escapes to result"
}
struct pair by_value(int *a, int *b) // want "leaking param: a to result level=0" "leaking param: b to result level=0"
{
	struct pair p = {a, b}; // want "p does not escape"
	return p;
}
int *first_of(struct pair p) // want "leaking param: p to result level=0"
{
	return p.a;
}
int *first_of_pair_of(int *a, int *b) // want "leaking param: a to result level=0" "leaking param: b to result level=0"
{
	return first_of(by_value(a, b));
}
struct pair pair_with_local(int *a) // want "leaking param: a to result level=0"
{
	int x = 1; // want "x escapes to result: DANGLING"
	struct pair p = {a, &x}; // want "p does not escape"
	return p;
}
struct wide in_memory(int *a) // want "leaking param: a to result level=0"
{
	struct wide w = {{a}};
	return w;
}
struct wide in_memory_local(void)
{
	int x = 1; // want "x escapes to result: DANGLING"
	struct wide w = {{&x}};
	return w;
}
int *slot_of(struct wide w) // want "leaking param: w to result level=0"
{
	return w.slots[2];
}
int **slots_of(struct wide w) // want "w escapes to result: DANGLING"
{
	return w.slots;
}
int *slot_through(struct wide *w, int i) // want "leaking param: w to result level=1"
{
	return w->slots[i];
}
void *any_of(void *p) // want "leaking param: p to result level=0"
{
	return p;
}
char *skip(char *s, char c) // want "leaking param: s to result level=0"
{
	while (*s == c)
		s++;
	return s;
}
int compare(int *a, int *b) // want "a does not escape" "b does not escape"
{
	return *a < *b ? -1 : *a > *b;
}
long as_number(int *p) // want "p does not escape"
{
	return *p;
}
int *recursive(int *p, int n) // want "leaking param: p to result level=0"
{
	return n == 0 ? p : recursive(p, n - 1);
}
int *even(int *p, int n);
int *odd(int *p, int n) // want "leaking param: p to result level=0"
{
	return n == 0 ? 0 : even(p, n - 1);
}
int *even(int *p, int n) // want "leaking param: p to result level=0"
{
	return n == 0 ? p : odd(p, n - 1);
}
int *recursive_local(int *p, int n) // want "leaking param: p to result level=0"
{
	int x = n; // want "x escapes to result: DANGLING"
	if (n == 0)
		return p;
	return recursive_local(&x, n - 1);
}
int *literal(void) // want "compound literal escapes to result: DANGLING"
{
	return (int[]){1, 2};
}
struct pair *pair_literal(int *a) // want "compound literal escapes to result: DANGLING" "leaking param: a to result level=0"
{
	return &(struct pair){a, 0};
}
