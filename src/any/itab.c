/* itab.c: which methods of a type serve an interface: made once for each pair, found without a lock.
 *
 * A fixed array of itab_buckets, each a list that only grows at its front:
 *
 *     buckets[hash(interface, type)] -> itab -> itab -> ...
 *
 * Who misses makes an itab and puts it in front with one compare-and-swap; when another thread was faster, it looks
 * at what came in and keeps that one if it is the same pair. So a pair has one itab, its address is good for
 * ever, and a fork in the middle leaves nothing locked. A pair that does not fit is kept too, with the name of the
 * first method that is missing: asking again costs no search of the methods.
 *
 * Go does the same with a hash table behind a lock; a list suffices, because a program has few pairs: 4096 of them
 * make lists of 4.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "neap/any.h"

enum { ITAB_BUCKETS = 1024 };
/* Release by who puts an itab in front, acquire by who reads: its fields are written before. */
static struct neap_itab *_Atomic itab_buckets[ITAB_BUCKETS];

_Static_assert(sizeof(struct neap_itab) % _Alignof(neap_method_fn *) == 0, "the methods follow the struct");

static size_t itab_bucket_of(const struct neap_interface *to, const struct neap_any_type *type)
{
	/* Descriptors are aligned: the product's upper bits depend on all that differ. */
	uint64_t mixed = ((uintptr_t)to ^ (uintptr_t)type << 20) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(mixed >> 54) % ITAB_BUCKETS;
}

static struct neap_itab *itab_seek(struct neap_itab *from, const struct neap_itab *end,
				   const struct neap_interface *to, const struct neap_any_type *type)
{
	while (from != end && (from->interface != to || from->type != type))
		from = from->next;
	return from != end ? from : NULL;
}

/* The type's method that serves a need, or NULL. */
static neap_method_fn *itab_method_for(const struct neap_any_type *type, const struct neap_method *need)
{
	for (uint32_t i = 0; i < type->methods_n; i++)
		if (strcmp(type->methods[i].name, need->name) == 0 &&
		    strcmp(type->methods[i].signature, need->signature) == 0)
			return type->methods[i].call;
	return NULL;
}

const char *neap_iface_missing(const struct neap_interface *to, const struct neap_any_type *type)
{
	for (uint32_t i = 0; i < to->methods_n; i++)
		if (itab_method_for(type, &to->methods[i]) == NULL)
			return to->methods[i].name;
	return NULL;
}

static size_t itab_bytes(const struct neap_interface *to)
{
	return sizeof(struct neap_itab) + to->methods_n * sizeof(neap_method_fn *);
}

static struct neap_itab *itab_create(const struct neap_interface *to, const struct neap_any_type *type)
{
	struct neap_itab *itab =
		neap__alloc(&neap__malloc_allocator, itab_bytes(to), _Alignof(struct neap_itab));
	if (itab == NULL)
		return NULL;
	*itab = (struct neap_itab){to, type, NULL, neap_iface_missing(to, type)};
	neap_method_fn **methods = (neap_method_fn **)(void *)(itab + 1);
	for (uint32_t i = 0; i < to->methods_n; i++)
		methods[i] = itab_method_for(type, &to->methods[i]);
	return itab;
}

/* The itab of a pair, made when it is not there; NULL: no memory. */
static const struct neap_itab *itab_of(const struct neap_interface *to, const struct neap_any_type *type)
{
	struct neap_itab *_Atomic *bucket = &itab_buckets[itab_bucket_of(to, type)];
	struct neap_itab *front = atomic_load_explicit(bucket, memory_order_acquire);
	struct neap_itab *found = itab_seek(front, NULL, to, type);
	if (found != NULL)
		return found;
	struct neap_itab *fresh = itab_create(to, type);
	if (fresh == NULL)
		return NULL;
	do {
		fresh->next = front;
		if (atomic_compare_exchange_weak_explicit(bucket, &front, fresh, memory_order_release,
							  memory_order_acquire))
			return fresh;
		found = itab_seek(front, fresh->next, to, type); /* only what came in since */
	} while (found == NULL);
	neap__free(&neap__malloc_allocator, fresh, itab_bytes(to));
	return found;
}

int neap_iface_of(const struct neap_interface *to, struct neap_any value, struct neap_iface *ret)
{
	*ret = (struct neap_iface){NULL, 0};
	if (value.type == NULL)
		return NEAP_EMISMATCH;
	const struct neap_itab *itab = itab_of(to, value.type);
	if (itab == NULL)
		return NEAP_ENOMEM;
	if (itab->missing != NULL)
		return NEAP_EMISMATCH;
	*ret = (struct neap_iface){itab, value.data};
	return NEAP_OK;
}

neap_method_fn *neap__iface_nil(void)
{
	neap__fault((struct neap_fault){.rule = "method call on a nil interface",
					.object = "nil",
					.operation = "neap_iface_call",
					.kind = "interface"});
}
