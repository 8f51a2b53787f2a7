/* interface_fates.c: the four fates of an interface value whose map entry is deleted.
 *
 * Every value is two words in the slot; what differs is what the second word leads to. All memory comes from one
 * counting allocator, so that what is left is known to the byte.
 *
 * The same in collected memory, where nobody counts owners: what the collector finds after a delete, after a value was
 * overwritten by a number with the bits of its box's address, after a cycle of boxes was dropped, and while somebody
 * else holds the box. Its stacks are read conservatively, so a few objects may stay by chance.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/lab.h"
#include "neap/any_gc.h"

enum { VALUES = 20000, PAYLOAD = 48, FATE_STRAYS = 20 };

enum fate { FATE_SCALAR, FATE_ONLY, FATE_HELD, FATE_NIL, FATES };

static const char *const fate_names[FATES] = {"scalar", "boxed, held by the map alone",
					      "boxed, held elsewhere too", "nil, and a nil pointer"};
static const char *const fate_figures[FATES] = {"scalar", "only", "held", "nil"};

struct fate_counts {
	size_t blocks, bytes;
};

static void *fate_alloc(void *ctx, size_t size, size_t align)
{
	struct fate_counts *counts = ctx;
	void *block = aligned_alloc(align < 16 ? 16 : align, (size + 63) & ~(size_t)63);
	if (block == NULL) {
		fprintf(stderr, "neap: out of memory in interface-fates\n");
		exit(1);
	}
	counts->blocks++;
	counts->bytes += size;
	return block;
}

static void fate_free(void *ctx, void *block, size_t size)
{
	struct fate_counts *counts = ctx;
	counts->blocks--;
	counts->bytes -= size;
	free(block);
}

struct payload {
	unsigned char bytes[PAYLOAD];
};

static const struct neap_any_type payload_type = {.size = sizeof(struct neap_any_type),
						  .value_size = sizeof(struct payload),
						  .value_align = 1,
						  .name = "payload"};

struct fate_run {
	struct fate_counts boxes;
	struct neap_allocator from;
	struct neap_any held[VALUES];
	/* Boxes made, after the deletes, and after the other holder let go; entries and bytes of the map. */
	struct fate_counts made, deleted, dropped;
	size_t entries, map_full, map_empty;
	uint32_t owners_before, owners_after;
};

static struct neap_any fate_value(struct fate_run *run, enum fate fate, unsigned i)
{
	struct neap_any ret = {NULL, 0};
	struct payload payload = {{(unsigned char)i}};
	if (fate == FATE_SCALAR)
		return neap_any_of_f64(i / 2.0);
	if (fate == FATE_NIL)
		return i % 2 == 0 ? ret : neap_any_of_ptr(NULL);
	(void)neap_any_make(&run->from, &payload_type, &payload, &ret);
	return ret;
}

static void carry_out(struct fate_run *run, enum fate fate)
{
	struct neap_map *map = neap_map_create(&neap_any_map_type, NULL);
	for (unsigned i = 0; i < VALUES; i++) {
		struct neap_any value = fate_value(run, fate, i);
		(void)neap_any_map_put(map, neap_any_of_i64(i), value);
		if (fate == FATE_HELD)
			run->held[i] = value; /* this owner keeps its copy */
		else
			neap_any_drop(value);
	}
	run->made = run->boxes;
	run->entries = neap_map_len(map);
	run->map_full = neap_map_bytes(map);
	run->owners_before = neap_any_owners(run->held[0]);
	for (unsigned i = 0; i < VALUES; i++)
		(void)neap_any_map_delete(map, neap_any_of_i64(i));
	run->deleted = run->boxes;
	run->map_empty = neap_map_bytes(map);
	run->owners_after = neap_any_owners(run->held[0]);
	for (unsigned i = 0; i < VALUES; i++)
		neap_any_drop(run->held[i]);
	run->dropped = run->boxes;
	neap_map_destroy(map);
}

static void fate_line(struct result *result, enum fate fate, const struct fate_run *run)
{
	result_say(result, "  %-31s%9s%12s%12s%12s", fate_names[fate], thousands(run->made.blocks),
		   thousands(run->made.bytes), thousands(run->deleted.bytes), thousands(run->dropped.bytes));
	const char *name = fate_figures[fate];
	result_figure(result, (double)run->made.bytes, "bytes", "%s_boxes", name);
	result_figure(result, (double)run->deleted.bytes, "bytes", "%s_after_delete", name);
	result_figure(result, (double)run->map_empty, "bytes", "%s_map_after_delete", name);
}

static void check_fates(struct result *result, const struct fate_run *runs)
{
	const struct fate_run *scalar = &runs[FATE_SCALAR], *only = &runs[FATE_ONLY],
			      *held = &runs[FATE_HELD], *nil = &runs[FATE_NIL];
	result_check(result, scalar->made.blocks == 0 && scalar->entries == VALUES,
		     "a scalar lies in the slot: %s of them took no allocation, and go with the slot",
		     thousands(VALUES));
	result_check(result, only->made.blocks == VALUES && only->deleted.bytes == 0,
		     "a box that the map alone holds is freed by the delete: %s of %s bytes are left",
		     thousands(only->deleted.bytes), thousands(only->made.bytes));
	result_check(
		result,
		held->deleted.bytes == held->made.bytes && held->owners_before == 2 &&
			held->owners_after == 1 && held->dropped.bytes == 0,
		"a box that is held elsewhere outlives the delete; its owners tell: %u before, %u after; the "
		"last one frees it",
		held->owners_before, held->owners_after);
	result_check(result,
		     nil->entries == VALUES && nil->made.blocks == 0 && nil->map_full == scalar->map_full,
		     "nil takes a slot like any value: %s entries of nothing, %s bytes of map",
		     thousands(VALUES), thousands(nil->map_full));
	for (enum fate fate = 0; fate < FATES; fate++)
		if (runs[fate].map_empty * 100 > runs[fate].map_full)
			result_check(result, false, "the map keeps %zu of %zu bytes", runs[fate].map_empty,
				     runs[fate].map_full);
}

static void check_nothings(struct result *result)
{
	const struct neap_any nil = {NULL, 0}, holds_nil = neap_any_of_ptr(NULL);
	struct neap_map *map = neap_map_create(&neap_any_map_type, NULL);
	(void)neap_any_map_put(map, nil, neap_any_of_i64(1));
	(void)neap_any_map_put(map, holds_nil, neap_any_of_i64(2));
	result_say(result, "\n  var a any              type %-9s data %llu   sizeof %zu", "nil",
		   (unsigned long long)nil.data, sizeof nil);
	result_say(result, "  var b any = (*T)(nil)  type %-9s data %llu   a == b: %s; %zu map keys",
		   holds_nil.type->name, (unsigned long long)holds_nil.data,
		   neap_any_equal(nil, holds_nil) ? "true" : "false", neap_map_len(map));
	result_check(result, sizeof nil == 16 && !neap_any_equal(nil, holds_nil) && neap_map_len(map) == 2,
		     "a nil interface is 16 bytes and differs from an interface that holds a nil pointer, as "
		     "value "
		     "and as key");
	neap_map_destroy(map);
}

static int interface_fates_child(void *ctx)
{
	struct fate_run *runs = ctx;
	for (enum fate fate = 0; fate < FATES; fate++) {
		runs[fate].from = (struct neap_allocator){fate_alloc, fate_free, &runs[fate].boxes};
		carry_out(&runs[fate], fate);
	}
	return 0;
}

/* In collected memory. */

enum collected_fate { GC_DELETED, GC_OVERWRITTEN, GC_CYCLE, GC_HELD, GC_FATES };

static const char *const gc_names[GC_FATES] = {"deleted", "overwritten by a number",
					       "deleted, in cycles of two", "deleted, held elsewhere"};
static const char *const gc_figures[GC_FATES] = {"deleted", "overwritten", "cycle", "held"};

/* Large enough for a box, with a pointer to another value's box. */
struct linked {
	struct neap_any other;
	unsigned char bytes[PAYLOAD - sizeof(struct neap_any)];
};
NEAP_TYPE(linked_fields, struct linked, other.data);
NEAP_ANY_BOX(linked_box, linked_fields);
static const struct neap_any_type linked_type = {.size = sizeof(struct neap_any_type),
						 .value_size = sizeof(struct linked),
						 .value_align = _Alignof(struct linked),
						 .name = "linked"};

struct gc_fate_run {
	size_t made, after, let_go; /* bytes of boxes in the collected heap */
};

static struct neap_gc_map *gc_values;
static struct neap_any gc_held[VALUES];

static size_t gc_bytes(void)
{
	struct neap_memstats stats = {.size = sizeof stats};
	(void)neap_memstats(&stats);
	return stats.HeapAlloc;
}

static __attribute__((noinline)) void gc_collect_clean(void)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
	neap_gc_collect();
}

static struct neap_any gc_value(struct neap_any other)
{
	const struct linked linked = {.other = other};
	struct neap_any ret;
	if (neap_any_make_collected(&linked_box, &linked_type, &linked, &ret) != NEAP_OK) {
		fprintf(stderr, "neap: out of memory in interface-fates\n");
		exit(1);
	}
	return ret;
}

static __attribute__((noinline)) void gc_put_values(enum collected_fate fate)
{
	const struct neap_any nil = {NULL, 0};
	for (unsigned i = 0; i < VALUES; i += 2) {
		struct neap_any first = gc_value(nil), second = gc_value(fate == GC_CYCLE ? first : nil);
		if (fate == GC_CYCLE) /* boxes are immutable for all but who has just made them */
			((struct linked *)(uintptr_t)neap_any_value(&first))->other = second;
		(void)neap_any_gc_map_put(gc_values, neap_any_of_i64(i), first);
		(void)neap_any_gc_map_put(gc_values, neap_any_of_i64(i + 1), second);
		if (fate == GC_HELD) {
			gc_held[i] = first;
			gc_held[i + 1] = second;
		}
	}
}

static __attribute__((noinline)) void gc_end_values(enum collected_fate fate)
{
	for (unsigned i = 0; i < VALUES; i++) {
		struct neap_any key = neap_any_of_i64(i), value = neap_any_gc_map_get(gc_values, key, NULL);
		if (fate == GC_OVERWRITTEN)
			(void)neap_any_gc_map_put(gc_values, key, neap_any_of_u64(value.data));
		else
			(void)neap_any_gc_map_delete(gc_values, key);
	}
}

static int interface_gc_child(void *ctx)
{
	struct gc_fate_run *runs = ctx;
	for (enum collected_fate fate = 0; fate < GC_FATES; fate++) {
		gc_values = neap_any_gc_map_create(NULL);
		gc_collect_clean();
		size_t before = gc_bytes();
		gc_put_values(fate);
		gc_collect_clean();
		runs[fate].made = gc_bytes() - before;
		gc_end_values(fate);
		gc_collect_clean();
		runs[fate].after = gc_bytes() - before;
		memset(gc_held, 0, sizeof gc_held);
		gc_collect_clean();
		runs[fate].let_go = gc_bytes() - before;
	}
	return 0;
}

static void show_gc_fates(struct result *result, const struct gc_fate_run *runs)
{
	bool gone = true;
	result_say(result, "\n  in collected memory, after a collection each:");
	for (enum collected_fate fate = 0; fate < GC_FATES; fate++) {
		const struct gc_fate_run *run = &runs[fate];
		size_t strays = run->made / VALUES * FATE_STRAYS;
		result_say(result, "  %-31s%9s%12s%12s%12s", gc_names[fate], "", thousands(run->made),
			   thousands(run->after), thousands(run->let_go));
		result_figure(result, (double)run->made, "bytes", "gc_%s_made", gc_figures[fate]);
		result_figure(result, (double)run->after, "bytes", "gc_%s_after", gc_figures[fate]);
		gone &= run->let_go <= strays && (fate == GC_HELD || run->after <= strays);
	}
	result_check(result, gone,
		     "in collected memory a value is unreachable as soon as its entry is deleted or "
		     "overwritten, be it by a number with the bits of its address, be it in a cycle");
	result_check(result, runs[GC_HELD].after >= runs[GC_HELD].made,
		     "and a box that is held elsewhere stays as long as it is held: %s of %s bytes",
		     thousands(runs[GC_HELD].after), thousands(runs[GC_HELD].made));
}

static void run_interface_fates(struct lab *lab)
{
	struct fate_run *runs = lab_share(lab, FATES * sizeof *runs + GC_FATES * sizeof(struct gc_fate_run));
	struct gc_fate_run *gc_runs = (struct gc_fate_run *)(void *)(runs + FATES);
	if (runs == NULL || !lab_child(lab, "the four fates", interface_fates_child, runs) ||
	    !lab_child(lab, "in collected memory", interface_gc_child, gc_runs))
		return;
	result_say(&lab->result, "  what %s entries hold        BOXES       BYTES     DELETED     LET GO",
		   thousands(VALUES));
	for (enum fate fate = 0; fate < FATES; fate++)
		fate_line(&lab->result, fate, &runs[fate]);
	result_say(&lab->result,
		   "  BYTES of boxes: made; after all entries were deleted; after others let go");
	show_gc_fates(&lab->result, gc_runs);
	check_fates(&lab->result, runs);
	check_nothings(&lab->result);
}

const struct experiment experiment_interface_fates = {
	.name = "interface-fates",
	.claim = "A deleted entry's interface value meets one of four fates: a scalar goes with its slot, a "
		 "box of the "
		 "map's own is freed, a box held elsewhere stays until its last owner lets go, and nil, "
		 "which took a "
		 "slot, frees nothing. In collected memory its box is unreachable at once.",
	.method = "20,000 entries of each kind are put and deleted; every box comes from an allocator that "
		  "counts.",
	.run = run_interface_fates,
};
