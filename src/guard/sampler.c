/* sampler.c: one block in some thousands lies alone on a page between forbidden ones.
 *
 *     | forbidden | page 0 | forbidden | page 1 | forbidden | ...        2 * slots + 1 pages of reserved addresses
 *                  ..block|             block..|                         at the end of its page, or at the front
 *
 * A page is readable only while its block is out; freed slots wait in a queue, so that one stays forbidden for as long
 * as possible. What a wrong access does is the processor's: the signal handler only says which block it was. Which
 * blocks are sampled is drawn at random, per thread, so that a program can't be in step with it.
 */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/locks.h"
#include "base/os.h"
#include "base/random.h"
#include "neap/guard.h"

enum { ONE_IN_DEFAULT = 4000, SLOTS_DEFAULT = 256, SLACK_BYTE = 0xfc };

struct guarded {
	unsigned char *block; /* NULL: never used */
	size_t bytes;
	bool freed;
	const void *allocated_by, *freed_by;
	uint32_t next; /* in the queue of free slots */
};

struct neap_sampler {
	struct neap_allocator from, shown;
	unsigned char *base;
	size_t page;
	uint32_t slots, one_in;
	bool catching;
	_Atomic uint64_t count;
	struct neap__lock lock; /* all that follows */
	uint32_t first, last;	/* of the free slots; slots: none */
	struct guarded guarded[];
};

/* Allocations of this thread until the next sample, of whichever sampler. */
static _Thread_local uint32_t until_sample;

static unsigned char *guarded_page(const struct neap_sampler *sampler, uint32_t slot)
{
	return sampler->base + (2 * (size_t)slot + 1) * sampler->page;
}

static bool is_ours(const struct neap_sampler *sampler, const void *address)
{
	return (uintptr_t)address - (uintptr_t)sampler->base <
	       (2 * (size_t)sampler->slots + 1) * sampler->page;
}

static bool sample_is_due(const struct neap_sampler *sampler)
{
	if (until_sample == 0) /* the first of a thread is no more likely than the others */
		until_sample = 1 + (uint32_t)(neap__random_next() % (2 * (uint64_t)sampler->one_in - 1));
	return --until_sample == 0;
}

/* ---- Guarded blocks ---- */

/* A block in the oldest free slot, or NULL. */
static void *guarded_alloc(struct neap_sampler *sampler, size_t size, size_t align, const void *caller)
{
	if (size > sampler->page || size == 0)
		return NULL;
	neap__lock_take(&sampler->lock);
	uint32_t slot = sampler->first;
	unsigned char *page = guarded_page(sampler, slot);
	if (slot == sampler->slots || !neap__os_commit(page, sampler->page)) {
		neap__lock_give(&sampler->lock);
		return NULL;
	}
	sampler->first = sampler->guarded[slot].next;
	/* Behind it is where most programs write too far; the other half sees writes before it. */
	bool at_end = (neap__random_next() & 1) != 0;
	unsigned char *block = at_end ? page + ((sampler->page - size) & ~(align - 1)) : page;
	sampler->guarded[slot] = (struct guarded){.block = block, .bytes = size, .allocated_by = caller};
	memset(block + size, SLACK_BYTE, (size_t)(page + sampler->page - (block + size)));
	atomic_fetch_add_explicit(&sampler->count, 1, memory_order_relaxed);
	neap__lock_give(&sampler->lock);
	return block;
}

static _Noreturn void sampler_fault(const char *rule, const void *block, const char *operation)
{
	neap__fault((struct neap_fault){.rule = rule,
					.object = "sampler",
					.address = block,
					.operation = operation,
					.kind = "block"});
}

static uint32_t slot_of(const struct neap_sampler *sampler, const void *address)
{
	size_t page = (size_t)((const unsigned char *)address - sampler->base) / sampler->page;
	return (uint32_t)(page == 0 ? 0 : (page - 1) / 2);
}

static void guarded_free(struct neap_sampler *sampler, unsigned char *block, size_t size, const void *caller)
{
	uint32_t slot = slot_of(sampler, block);
	struct guarded *guarded = &sampler->guarded[slot];
	neap__lock_take(&sampler->lock);
	const char *rule = guarded->block != block  ? "pointer into the interior"
			   : guarded->freed	    ? "double free"
			   : guarded->bytes != size ? "free with another size"
						    : NULL;
	if (rule != NULL)
		sampler_fault(rule, block, "free");
	const unsigned char *end = guarded_page(sampler, slot) + sampler->page;
	for (const unsigned char *at = block + size; at < end; at++)
		if (*at != SLACK_BYTE)
			sampler_fault("write past the end", block, "free");
	guarded->freed = true;
	guarded->freed_by = caller;
	guarded->next = sampler->slots;
	/* A page that can't be forbidden is never used again: its accesses would go unseen. */
	if (neap__os_forbid(guarded_page(sampler, slot), sampler->page)) {
		if (sampler->first == sampler->slots)
			sampler->first = slot;
		else
			sampler->guarded[sampler->last].next = slot;
		sampler->last = slot;
	}
	neap__lock_give(&sampler->lock);
}

/* ---- The allocator ---- */

static void *sampler_alloc(void *ctx, size_t size, size_t align)
{
	struct neap_sampler *sampler = ctx;
	if (__builtin_expect(sample_is_due(sampler), 0)) {
		void *block = guarded_alloc(sampler, size, align, __builtin_return_address(0));
		if (block != NULL)
			return block;
	}
	return neap__alloc(&sampler->from, size, align);
}

static void sampler_free(void *ctx, void *block, size_t size)
{
	struct neap_sampler *sampler = ctx;
	if (__builtin_expect(is_ours(sampler, block), 0))
		guarded_free(sampler, block, size, __builtin_return_address(0));
	else
		neap__free(&sampler->from, block, size);
}

const struct neap_allocator *neap_sampler_allocator(struct neap_sampler *sampler)
{
	return &sampler->shown;
}

uint64_t neap_sampler_count(const struct neap_sampler *sampler)
{
	return atomic_load_explicit(&sampler->count, memory_order_relaxed);
}

bool neap_sampler_explain(const struct neap_sampler *sampler, const void *address, struct neap_sample *ret)
{
	if (!is_ours(sampler, address))
		return false;
	size_t page = (size_t)((const unsigned char *)address - sampler->base) / sampler->page;
	uint32_t before = slot_of(sampler, address), after = (uint32_t)(page / 2);
	/* A forbidden page lies behind one block and before another: the nearer one is meant. */
	uint32_t slot = before;
	if (page % 2 == 0 && after < sampler->slots &&
	    (page == 0 || (uintptr_t)address % sampler->page >= sampler->page / 2))
		slot = after;
	const struct guarded *guarded = &sampler->guarded[slot];
	*ret = (struct neap_sample){guarded->block, guarded->bytes, guarded->freed, guarded->allocated_by,
				    guarded->freed_by};
	return guarded->block != NULL;
}

/* ---- The signal ---- */

static struct neap_sampler *_Atomic caught;
static struct sigaction before_ours;

static void on_segv(int signal, siginfo_t *info, void *context)
{
	(void)context;
	struct neap_sampler *sampler = atomic_load(&caught);
	struct neap_sample sample;
	if (sampler != NULL && neap_sampler_explain(sampler, info->si_addr, &sample))
		sampler_fault(sample.freed ? "use after free" : "access out of bounds", sample.block,
			      "a load or store");
	/* Not ours: the access is repeated, and meets the handler before this one. */
	(void)sigaction(signal, &before_ours, NULL);
}

static bool catch_faults(struct neap_sampler *sampler)
{
	struct neap_sampler *none = NULL;
	struct sigaction action = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	if (!atomic_compare_exchange_strong(&caught, &none, sampler))
		return false;
	sampler->catching = sigaction(SIGSEGV, &action, &before_ours) == 0;
	if (!sampler->catching)
		atomic_store(&caught, NULL);
	return sampler->catching;
}

/* ---- Create and destroy ---- */

void neap_sampler_destroy(struct neap_sampler *sampler)
{
	if (sampler == NULL)
		return;
	if (sampler->catching) {
		(void)sigaction(SIGSEGV, &before_ours, NULL);
		atomic_store(&caught, NULL);
	}
	neap__os_release(sampler->base, (2 * (size_t)sampler->slots + 1) * sampler->page);
	neap__lock_deinit(&sampler->lock);
	struct neap_allocator from = sampler->from;
	neap__free(&from, sampler, sizeof *sampler + sampler->slots * sizeof sampler->guarded[0]);
}

struct neap_sampler *neap_sampler_create(const struct neap_sampler_options *options)
{
	static const struct neap_sampler_options defaults;
	if (options == NULL)
		options = &defaults;
	const struct neap_allocator *from = options->from != NULL ? options->from : &neap__malloc_allocator;
	uint32_t slots = options->slots != 0 ? options->slots : SLOTS_DEFAULT;
	if (slots > 1u << 20)
		return NULL;
	size_t size = sizeof(struct neap_sampler) + slots * sizeof(struct guarded);
	struct neap_sampler *sampler = neap__alloc(from, size, _Alignof(struct neap_sampler));
	if (sampler == NULL)
		return NULL;
	memset(sampler, 0, size);
	sampler->from = *from;
	sampler->shown = (struct neap_allocator){sampler_alloc, sampler_free, sampler};
	sampler->page = neap__os_page_size();
	sampler->slots = slots;
	sampler->one_in = options->one_in != 0 ? options->one_in : ONE_IN_DEFAULT;
	neap__lock_init(&sampler->lock, NEAP__RANK_GUARD, 0);
	for (uint32_t i = 0; i < slots; i++)
		sampler->guarded[i].next = i + 1;
	sampler->last = slots - 1;
	sampler->base = neap__os_reserve_idle((2 * (size_t)slots + 1) * sampler->page);
	if (sampler->base != NULL && (!options->catch_faults || catch_faults(sampler)))
		return sampler;
	neap_sampler_destroy(sampler);
	return NULL;
}
