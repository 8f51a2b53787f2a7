/* A barriered object that is known by its pointer's type alone, which bitcode tells until LLVM 14. */
#include <stddef.h>
#include <stdint.h>

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
struct node {
	long key;
	struct node *left, *right;
	char text[16];
};
static const struct neap_gc_field node_fields[] = {
	{offsetof(struct node, left), 1}, {offsetof(struct node, right), 1}, {0, 0}};
struct neap_gc_type node_type = {"struct node", sizeof(struct node), node_fields, 2, 1, 0, 0, 0};

// bad missing-barrier: a whole object is copied over
void bad_copy_over(struct node *n, const struct node *from)
{
	*n = *from;
}
// good missing-barrier: into a local, which no collector watches
long good_copy_out(const struct node *from)
{
	struct node local = *from;
	return local.key;
}
