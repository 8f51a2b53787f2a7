/* Objects of the collector whose type is barriered. The declarations are those of neap/gc.h, as far as they matter. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct neap_gc_field {
	uint32_t offset, count;
};
struct neap_gc_type {
	const char *name;
	size_t size;
	const struct neap_gc_field *fields;
	uint32_t field_count, flags;
	struct neap_gc_type *tail;
	size_t tail_offset;
	uint32_t neap__id;
};
void *neap_gc_alloc(struct neap_gc_type *type);
void neap_store(void *slot, void *value);
void neap_gc_free(void *object);

struct node {
	long key;
	struct node *left, *right;
	char text[16];
};
struct plain {
	struct plain *next;
};
static const struct neap_gc_field node_fields[] = {
	{offsetof(struct node, left), 1}, {offsetof(struct node, right), 1}, {0, 0}};
static struct neap_gc_type node_type = {"struct node", sizeof(struct node), node_fields, 2, 1, 0, 0, 0};
static const struct neap_gc_field plain_fields[] = {{0, 1}, {0, 0}};
static struct neap_gc_type plain_type = {"struct plain", sizeof(struct plain), plain_fields, 1, 0, 0, 0, 0};

// bad missing-barrier: a plain store into a new object
struct node *bad_store_new(struct node *left)
{
	struct node *n = neap_gc_alloc(&node_type);
	if (n)
		n->left = left;
	return n;
}
// good missing-barrier: through the barrier
struct node *good_store_new(struct node *left)
{
	struct node *n = neap_gc_alloc(&node_type);
	if (n)
		neap_store(&n->left, left);
	return n;
}

// bad missing-barrier: into an object of the caller
void bad_store_given(struct node *n, struct node *right)
{
	n->right = right;
}
// good missing-barrier: a number is no pointer
void good_store_given(struct node *n, long key)
{
	n->key = key;
}

// bad missing-barrier: through the address of a member
void bad_slot(struct node *n, struct node *right, int c)
{
	struct node **slot = c ? &n->left : &n->right;
	*slot = right;
}
// good missing-barrier: NULL hides nothing from the collector
void good_slot(struct node *n)
{
	n->left = NULL;
}

static void link_to(struct node **slot, struct node *to)
{
	*slot = to;
}
// bad missing-barrier: in a helper that does not know whose slot it is given
void bad_helper(struct node *n)
{
	link_to(&n->left, n->right);
}
// good missing-barrier: a type without the flag
void good_helper(struct plain *next)
{
	struct plain *p = neap_gc_alloc(&plain_type);
	if (p)
		p->next = next;
}

// good missing-barrier: the bytes between the pointers; and a local, which no collector watches
long good_copy_over(struct node *n, const char *text, struct node *left)
{
	struct node local = {1, left, left, ""};
	memcpy(n->text, text, sizeof n->text);
	return local.key;
}

// bad use-after-free: freed by hand
long bad_gc_free(void)
{
	struct node *n = neap_gc_alloc(&node_type);
	if (!n)
		return 0;
	neap_gc_free(n);
	return n->key;
}
// good leak: nobody has to release it
long good_gc_free(void)
{
	struct node *n = neap_gc_alloc(&node_type);
	return n ? n->key : 0;
}

/* Another struct of that name, as another file may have one. */
struct holder {
	void *slot;
};
// good missing-barrier: this node is not the one that has the barrier
void good_other_node(void *memory, struct holder *left)
{
	struct node {
		struct holder *left, *right;
	};
	struct node *n = memory;
	n->right = left;
}
