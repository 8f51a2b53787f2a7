/* interface_fates.c: the four fates of an interface value whose map entry is deleted.
 *
 * Every value is two words in the slot; what differs is what the second word leads to. All memory comes from one
 * counting allocator, so that what is left is known to the byte.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lab/lab.h"
#include "neap/any_map.h"

enum { VALUES = 20000, PAYLOAD = 48 };

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

static void run_interface_fates(struct lab *lab)
{
	struct fate_run *runs = lab_share(lab, FATES * sizeof *runs);
	if (runs == NULL || !lab_child(lab, "the four fates", interface_fates_child, runs))
		return;
	result_say(&lab->result, "  what %s entries hold        BOXES       BYTES     DELETED     LET GO",
		   thousands(VALUES));
	for (enum fate fate = 0; fate < FATES; fate++)
		fate_line(&lab->result, fate, &runs[fate]);
	result_say(&lab->result,
		   "  BYTES of boxes: made; after all entries were deleted; after others let go");
	check_fates(&lab->result, runs);
	check_nothings(&lab->result);
}

const struct experiment experiment_interface_fates = {
	.name = "interface-fates",
	.claim = "A deleted entry's interface value meets one of four fates: a scalar goes with its slot, a "
		 "box of the "
		 "map's own is freed, a box held elsewhere stays until its last owner lets go, and nil, "
		 "which took a "
		 "slot, frees nothing.",
	.method = "20,000 entries of each kind are put and deleted; every box comes from an allocator that "
		  "counts.",
	.run = run_interface_fates,
};
