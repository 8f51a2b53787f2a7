/* quarantine.c: freed blocks are filled, kept for a while, and looked at before they go.
 *
 *     from's block:  | pad | header | the caller's block | tail |
 *                                   ^ aligned as asked     8 bytes that must not change
 *
 * The header says whether the block is out or freed, so a double free, a free of something else and a free with another
 * size are seen at the free; a write past the end too; a write after the free is seen when the block leaves the
 * quarantine, in neap_quarantine_check, or by a reader that finds NEAP_FREED_BYTE where it expected something else.
 *
 * Law: held == sum of the bytes of the list, and held <= most outside of a call.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/locks.h"
#include "neap/guard.h"

enum { STATE_OUT = 0x0ea90075, STATE_FREED = 0x0ea9f4ee, TAIL_BYTE = 0xfb, TAIL = 8 };

struct jailed {
	struct jailed *next; /* freed after this one */
	size_t bytes;
	uint32_t pad; /* bytes from from's block to the caller's */
	uint32_t state;
	const void *freed_by;
};
_Static_assert(sizeof(struct jailed) == 32, "neap/guard.h says so");

struct neap_quarantine {
	struct neap_allocator from, shown;
	size_t most;
	struct neap__lock lock; /* all that follows */
	size_t held, out;
	struct jailed *oldest, *newest;
};

static struct jailed *header_of(void *block)
{
	return (struct jailed *)block - 1;
}

static unsigned char *block_of(struct jailed *header)
{
	return (unsigned char *)(header + 1);
}

static _Noreturn void quarantine_fault(const char *rule, const void *block, const char *operation)
{
	neap__fault((struct neap_fault){.rule = rule,
					.object = "quarantine",
					.address = block,
					.operation = operation,
					.kind = "block"});
}

static void *quarantine_alloc(void *ctx, size_t size, size_t align)
{
	struct neap_quarantine *quarantine = ctx;
	size_t pad = align > sizeof(struct jailed) ? align : sizeof(struct jailed);
	if (size > SIZE_MAX - pad - TAIL)
		return NULL;
	unsigned char *raw = neap__alloc(&quarantine->from, pad + size + TAIL, align < 16 ? 16 : align);
	if (raw == NULL)
		return NULL;
	*header_of(raw + pad) = (struct jailed){.bytes = size, .pad = (uint32_t)pad, .state = STATE_OUT};
	memset(raw + pad + size, TAIL_BYTE, TAIL);
	neap__lock_take(&quarantine->lock);
	quarantine->out++;
	neap__lock_give(&quarantine->lock);
	return raw + pad;
}

static bool all_bytes_are(const unsigned char *at, size_t size, unsigned char byte)
{
	return size == 0 || (at[0] == byte && memcmp(at, at + 1, size - 1) == 0);
}

static void expect_as_filled(struct jailed *header, const char *operation)
{
	const unsigned char *block = block_of(header);
	if (!all_bytes_are(block, header->bytes, NEAP_FREED_BYTE) ||
	    !all_bytes_are(block + header->bytes, TAIL, TAIL_BYTE))
		quarantine_fault("write after free", block, operation);
}

static void let_go(struct neap_quarantine *quarantine, struct jailed *header)
{
	expect_as_filled(header, "neap_quarantine");
	size_t pad = header->pad, whole = pad + header->bytes + TAIL;
	header->state = 0;
	neap__free(&quarantine->from, block_of(header) - pad, whole);
}

/* Takes the oldest out while more than `most` bytes are held. With the lock held; the caller lets them go. */
static struct jailed *take_surplus(struct neap_quarantine *quarantine, size_t most)
{
	struct jailed *first = quarantine->oldest, *last = NULL;
	while (quarantine->held > most && quarantine->oldest != NULL) {
		last = quarantine->oldest;
		quarantine->held -= last->bytes;
		quarantine->oldest = last->next;
	}
	if (quarantine->oldest == NULL)
		quarantine->newest = NULL;
	if (last == NULL)
		return NULL;
	last->next = NULL;
	return first;
}

static void let_all_go(struct neap_quarantine *quarantine, struct jailed *list)
{
	while (list != NULL) {
		struct jailed *next = list->next;
		let_go(quarantine, list);
		list = next;
	}
}

static void quarantine_free(void *ctx, void *block, size_t size)
{
	struct neap_quarantine *quarantine = ctx;
	struct jailed *header = header_of(block);
	const char *rule = header->state == STATE_FREED ? "double free"
			   : header->state != STATE_OUT ? "foreign pointer"
			   : header->bytes != size	? "free with another size"
			   : !all_bytes_are((unsigned char *)block + size, TAIL, TAIL_BYTE)
				   ? "write past the end"
				   : NULL;
	if (rule != NULL)
		quarantine_fault(rule, block, "free");
	header->state = STATE_FREED;
	header->next = NULL;
	header->freed_by = __builtin_return_address(0); /* for whoever looks with a debugger */
	memset(block, NEAP_FREED_BYTE, size);
	neap__lock_take(&quarantine->lock);
	quarantine->out--;
	quarantine->held += size;
	if (quarantine->newest != NULL)
		quarantine->newest->next = header;
	else
		quarantine->oldest = header;
	quarantine->newest = header;
	struct jailed *surplus = take_surplus(quarantine, quarantine->most);
	neap__lock_give(&quarantine->lock);
	let_all_go(quarantine, surplus);
}

void neap_quarantine_check(struct neap_quarantine *quarantine)
{
	neap__lock_take(&quarantine->lock);
	size_t bytes = 0;
	for (struct jailed *header = quarantine->oldest; header != NULL; header = header->next) {
		expect_as_filled(header, "neap_quarantine_check");
		bytes += header->bytes;
	}
	bool lawful = bytes == quarantine->held;
	neap__lock_give(&quarantine->lock);
	if (!lawful)
		quarantine_fault("write before a freed block", quarantine, "neap_quarantine_check");
}

const struct neap_allocator *neap_quarantine_allocator(struct neap_quarantine *quarantine)
{
	return &quarantine->shown;
}

struct neap_quarantine *neap_quarantine_create(const struct neap_allocator *from, size_t bytes)
{
	if (from == NULL)
		from = &neap__malloc_allocator;
	struct neap_quarantine *quarantine =
		neap__alloc(from, sizeof *quarantine, _Alignof(struct neap_quarantine));
	if (quarantine == NULL)
		return NULL;
	*quarantine = (struct neap_quarantine){
		.from = *from, .shown = {quarantine_alloc, quarantine_free, quarantine}, .most = bytes};
	neap__lock_init(&quarantine->lock, NEAP__RANK_GUARD, 1);
	return quarantine;
}

size_t neap_quarantine_destroy(struct neap_quarantine *quarantine)
{
	if (quarantine == NULL)
		return 0;
	neap__lock_take(&quarantine->lock);
	struct jailed *all = quarantine->oldest;
	size_t out = quarantine->out;
	neap__lock_give(&quarantine->lock);
	let_all_go(quarantine, all);
	struct neap_allocator from = quarantine->from;
	neap__lock_deinit(&quarantine->lock);
	neap__free(&from, quarantine, sizeof *quarantine);
	return out;
}
