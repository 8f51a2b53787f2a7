/* Fields, arrays, stores through parameters, and stores that are taken back before the return. */
/* Expectations stand at the ends of lines. */
// clang-format off
#include <stdlib.h>
#include <string.h>

struct node { struct node *next, *prev; void *value; };
struct list { struct node *first; struct node *slots[4]; };
struct list global_list;
struct list *global_pointer;

void push(struct list *l, struct node *n) // want "leaking param content: l stored into *n" "leaking param: n stored into *l"
{
	n->next = l->first;
	l->first = n;
}
void push_value(struct list *l, void *v) // want "l does not escape" "leaking param: v stored into *l"
{
	struct node *n = malloc(sizeof *n); // want "malloc(...) stored into *l"
	if (!n)
		return;
	n->value = v;
	push(l, n);
}
void push_local(struct list *l) // want "l does not escape"
{
	struct node n = {0}; // want "n stored into *l: DANGLING"
	push(l, &n);
}
void push_local_value(struct list *l) // want "l does not escape"
{
	int x = 1; // want "x stored into *l: DANGLING"
	push_value(l, &x);
}
void push_local_on_local(void)
{
	struct list l = {0}; // want "l does not escape"
	struct node n = {0}; // want "n does not escape"
	push(&l, &n);
}
void push_global(struct node *n) // want "leaking param: n"
{
	push(&global_list, n);
}
void push_global_local(void)
{
	struct node n = {0}; // want "n escapes to heap: DANGLING"
	push(&global_list, &n);
}
void push_global_pointer(struct node *n) // want "leaking param: n"
{
	push(global_pointer, n);
}
void slot(struct list *l, int i, struct node *n) // want "l does not escape" "leaking param: n stored into *l"
{
	l->slots[i] = n;
}
void slot_first(struct list *l, struct list *from) // want "l does not escape" "leaking param content: from stored into *l"
{
	l->slots[0] = from->first;
}
void cross(struct node *a, struct node *b) // want "leaking param: a stored into *b" "leaking param: b stored into *a"
{
	a->next = b;
	b->prev = a;
}
void to_self(struct node *a) // want "a does not escape"
{
	a->next = a;
}
void unlink_next(struct node *a) // want "a does not escape"
{
	a->next = a->next->next;
}
void copy_node(struct node *to, struct node *from) // want "leaking param content: from stored into *to" "to does not escape"
{
	*to = *from;
}
void copy_bytes(struct node *to, struct node *from) // want "leaking param content: from stored into *to" "to does not escape"
{
	memcpy(to, from, sizeof *to);
}
void copy_local(struct node *to) // want "to does not escape"
{
	int x = 1; // want "x stored into *to: DANGLING"
	struct node n = {0}; // want "n does not escape"
	n.value = &x;
	*to = n;
}
void fill(struct node *to) // want "to does not escape"
{
	memset(to, 0, sizeof *to);
}
void cleared(void)
{
	struct node n = {0}; // want "n escapes to heap: MAY-DANGLE"
	global_list.first = &n;
	n.value = 0;
	global_list.first = 0;
}
void cleared_on_one_way(int c)
{
	struct node n = {0}; // want "n escapes to heap: DANGLING"
	global_list.first = &n;
	if (c)
		return;
	global_list.first = 0;
}
void cleared_on_both_ways(int c)
{
	struct node n = {0}; // want "n escapes to heap: MAY-DANGLE"
	global_list.first = &n;
	if (c) {
		global_list.first = 0;
		return;
	}
	global_list.first = n.next;
}
void cleared_elsewhere(void)
{
	struct node n = {0}; // want "n escapes to heap: DANGLING"
	global_list.first = &n;
	global_list.slots[0] = 0;
}
void cleared_in_parameter(struct list *l) // want "l does not escape"
{
	struct node n = {0}, *old = l->first; // want "n stored into *l: MAY-DANGLE"
	l->first = &n;
	l->slots[1] = 0;
	l->first = old;
}
void not_cleared_in_parameter(struct list *l, struct list *m) // want "l does not escape" "m does not escape"
{
	struct node n = {0}; // want "n stored into *l: DANGLING"
	l->first = &n;
	m->first = 0;
}
void cleared_in_loop(int c)
{
	struct node n = {0}; // want "n escapes to heap: MAY-DANGLE"
	while (c-- > 0) {
		global_pointer->first = &n;
		global_pointer->first = 0;
	}
}
void exits_instead(int c)
{
	struct node n = {0}; // want "n escapes to heap: MAY-DANGLE"
	global_list.first = &n;
	if (c)
		exit(1);
	global_list.first = 0;
}
void array_of_locals(void)
{
	int x = 1, y = 2; // want "x does not escape" "y does not escape"
	int *all[2] = {&x, &y}; // want "all does not escape"
	*all[0] = *all[1];
}
void array_of_locals_kept(void)
{
	static int **kept;
	int x = 1, y = 2; // want "x escapes to heap: DANGLING" "y escapes to heap: DANGLING"
	int *all[2] = {&x, &y}; // want "all escapes to heap: DANGLING"
	kept = all;
	(void)kept;
}
void variable_length(int n)
{
	char text[n]; // want "text escapes to heap: DANGLING"
	text[0] = 0;
	global_list.first = (struct node *)text;
}
void buffer(void)
{
	char text[32]; // want "text does not escape"
	memset(text, 0, sizeof text);
}
void nested(void)
{
	struct { struct { struct node n; } in; } out; // want "out escapes to heap: DANGLING"
	memset(&out, 0, sizeof out);
	global_list.first = &out.in.n;
}
void field_of_param(struct node *n) // want "leaking param content: n"
{
	global_list.first = n->next;
}
void address_of_field(struct node *n) // want "leaking param: n"
{
	static void **kept;
	kept = &n->value;
	(void)kept;
}
void value_of_value(struct node *n, struct list *l) // want "l does not escape" "leaking param content: n stored into *l"
{
	l->first->value = n->value;
}
