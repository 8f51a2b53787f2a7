/* golayout.c: the table. See golayout.h; docs/inspect.md tells how a row is made. */
#include "golayout.h"

#include <stdlib.h>
#include <string.h>

/* What no version from 1.19 to 1.27 moved. */
#define SAME_EVERYWHERE                                                                                \
	.mspan_base = 24, .mspan_pages = 32, .mspan_freeindex = 48, .module_pc_header = 0,             \
	.module_func_names = 8, .module_pc_tab = 80, .module_pcln = 104, .module_ftab = 128,           \
	.module_minpc = 160, .module_maxpc = 168, .module_text = 176, .module_etext = 184,             \
	.module_noptrdata = 192, .module_data = 208, .module_edata = 216, .module_bss = 224,           \
	.module_ebss = 232, .module_enoptrbss = 248, .func_name = 4, .func_pcsp = 16, .g_stack = 0,    \
	.g_sched = 56, .gobuf_g = 16, .type_size = 0, .type_pointer_bytes = 8, .type_hash = 16,        \
	.type_flags = 20, .type_align = 21, .type_kind = 23, .type_pointer_mask = 32, .type_name = 40, \
	.maptype_key = 48, .maptype_elem = 56, .maptype_group = 64

#define CLASSIC_MAPS                                                                        \
	.maps = GO_MAP_CLASSIC, .hmap_size = 48, .hmap_buckets = 16, .hmap_oldbuckets = 24, \
	.hmap_nevacuate = 32, .hmap_extra = 40, .maptype_group_size = 82, .maptype_flags = 84

/* Go 1.24 built with GOEXPERIMENT=noswissmap: the classic map gained a counter of clears. */
#define CLASSIC_MAPS_WITH_CLEARS                                                            \
	.maps = GO_MAP_CLASSIC, .hmap_size = 56, .hmap_buckets = 16, .hmap_oldbuckets = 24, \
	.hmap_nevacuate = 32, .hmap_extra = 48, .maptype_group_size = 82, .maptype_flags = 84

#define SWISS_MAPS                                                                                \
	.maps = GO_MAP_SWISS, .swiss_size = 48, .swiss_table_size = 32, .maptype_group_size = 80, \
	.maptype_slot_size = 88, .maptype_elem_off = 96, .maptype_flags = 104

/* Keys and values of a group apart or together, by GOEXPERIMENT=mapsplitgroup: the type says. */
#define SWISS_MAPS_WITH_STRIDES                                                                   \
	.maps = GO_MAP_SWISS, .swiss_size = 48, .swiss_table_size = 32, .maptype_group_size = 80, \
	.maptype_keys_off = 88, .maptype_key_stride = 96, .maptype_elems_off = 104,               \
	.maptype_elem_stride = 112, .maptype_elem_off = 120, .maptype_flags = 128

#define SPAN_FROM_22                                                                                         \
	.mspan_size = 160, .mspan_nelems = 50, .mspan_alloc_bits = 64, .mspan_class = 98, .mspan_state = 99, \
	.mspan_elem_size = 104, .mspan_large_type = 152, .mspan_specials = 128, .mheap_allspans = 65864,     \
	.mheap_arenas = 66008

static const struct go_layout rows[] = {
	{.minor = 19,
	 .pointer_bits = GO_BITS_TWO,
	 SAME_EVERYWHERE,
	 CLASSIC_MAPS,
	 .mspan_size = 144,
	 .mspan_nelems = 56,
	 .mspan_alloc_bits = 72,
	 .mspan_class = 98,
	 .mspan_state = 99,
	 .mspan_elem_size = 104,
	 .mspan_specials = 128,
	 .special_fn = 16,
	 .mheap_allspans = 65856,
	 .mheap_arenas = 65936,
	 .arena_spans = 2097152,
	 .module_size = 552,
	 .module_types = 280,
	 .module_etypes = 288,
	 .module_data_mask = 496,
	 .module_bss_mask = 512,
	 .func_size = 40,
	 .g_size = 392,
	 .g_syscall_sp = 112,
	 .g_syscall_pc = 120,
	 .g_status = 144,
	 .g_id = 152},
	{.minor = 21,
	 .pointer_bits = GO_BITS_ONE,
	 SAME_EVERYWHERE,
	 CLASSIC_MAPS,
	 .mspan_size = 168,
	 .mspan_nelems = 56,
	 .mspan_alloc_bits = 72,
	 .mspan_class = 106,
	 .mspan_state = 107,
	 .mspan_elem_size = 112,
	 .mspan_specials = 136,
	 .special_fn = 16,
	 .mheap_allspans = 65864,
	 .mheap_arenas = 65944,
	 .arena_spans = 1064960,
	 .module_size = 592,
	 .module_types = 296,
	 .module_etypes = 304,
	 .module_data_mask = 536,
	 .module_bss_mask = 552,
	 .func_size = 44,
	 .g_size = 408,
	 .g_syscall_sp = 112,
	 .g_syscall_pc = 120,
	 .g_status = 144,
	 .g_id = 152},
	{.minor = 22,
	 .pointer_bits = GO_BITS_IN_SPAN,
	 SAME_EVERYWHERE,
	 CLASSIC_MAPS,
	 SPAN_FROM_22,
	 .special_fn = 16,
	 .module_size = 592,
	 .module_types = 296,
	 .module_etypes = 304,
	 .module_data_mask = 536,
	 .module_bss_mask = 552,
	 .func_size = 44,
	 .g_size = 424,
	 .g_syscall_sp = 112,
	 .g_syscall_pc = 120,
	 .g_status = 144,
	 .g_id = 152},
	{.minor = 23,
	 .pointer_bits = GO_BITS_IN_SPAN,
	 SAME_EVERYWHERE,
	 CLASSIC_MAPS,
	 SPAN_FROM_22,
	 .special_fn = 16,
	 .module_size = 584,
	 .module_types = 296,
	 .module_etypes = 304,
	 .module_data_mask = 536,
	 .module_bss_mask = 552,
	 .func_size = 44,
	 .g_size = 432,
	 .g_syscall_sp = 112,
	 .g_syscall_pc = 120,
	 .g_status = 152,
	 .g_id = 160},
	{.minor = 24,
	 .pointer_bits = GO_BITS_IN_SPAN,
	 SAME_EVERYWHERE,
	 SWISS_MAPS,
	 SPAN_FROM_22,
	 .special_fn = 24,
	 .cleanup_id = 32,
	 .module_size = 584,
	 .module_types = 296,
	 .module_etypes = 304,
	 .module_data_mask = 536,
	 .module_bss_mask = 552,
	 .func_size = 44,
	 .g_size = 440,
	 .g_syscall_sp = 112,
	 .g_syscall_pc = 120,
	 .g_status = 152,
	 .g_id = 160},
	{.minor = 26,
	 .pointer_bits = GO_BITS_BEFORE_MARKS,
	 SAME_EVERYWHERE,
	 SWISS_MAPS,
	 SPAN_FROM_22,
	 .special_fn = 24,
	 .cleanup_id = 48,
	 .module_size = 592,
	 .module_types = 296,
	 .module_etypes = 304,
	 .module_data_mask = 544,
	 .module_bss_mask = 560,
	 .func_size = 44,
	 .g_size = 456,
	 .g_syscall_sp = 104,
	 .g_syscall_pc = 112,
	 .g_status = 144,
	 .g_id = 152},
	{.minor = 27,
	 .pointer_bits = GO_BITS_BEFORE_MARKS,
	 SAME_EVERYWHERE,
	 SWISS_MAPS_WITH_STRIDES,
	 SPAN_FROM_22,
	 .special_fn = 24,
	 .cleanup_id = 48,
	 .module_size = 568,
	 .module_types = 296,
	 .module_etypes = 312,
	 .module_data_mask = 520,
	 .module_bss_mask = 536,
	 .func_size = 44,
	 .g_size = 456,
	 .g_syscall_sp = 104,
	 .g_syscall_pc = 112,
	 .g_status = 144,
	 .g_id = 152},
};

/* These two were never compared with debug information: the parts of two neighbours. What they say of spans, modules and
   goroutines is believed only as far as the self-checks at attach pass.

   1.20: pointer bits and function records are those of 1.21; spans have no pinner bits yet, and modules the counters of
   coverage (before the end of their data) but no list of tasks (before the masks). */
static const struct go_layout row_20 = {.minor = 20,
					.pointer_bits = GO_BITS_ONE,
					SAME_EVERYWHERE,
					CLASSIC_MAPS,
					.mspan_size = 160,
					.mspan_nelems = 56,
					.mspan_alloc_bits = 72,
					.mspan_class = 98,
					.mspan_state = 99,
					.mspan_elem_size = 104,
					.mspan_specials = 128,
					.special_fn = 16,
					.mheap_allspans = 65864,
					.mheap_arenas = 65944,
					.arena_spans = 1064960,
					.module_size = 568,
					.module_types = 296,
					.module_etypes = 304,
					.module_data_mask = 512,
					.module_bss_mask = 528,
					.func_size = 44,
					.g_size = 392,
					.g_syscall_sp = 112,
					.g_syscall_pc = 120,
					.g_status = 144,
					.g_id = 152};

/* 1.25: the scheduler record of a goroutine had lost a word, as in 1.26; the rest is as in 1.24. */
static const struct go_layout row_25 = {.minor = 25,
					.pointer_bits = GO_BITS_IN_SPAN,
					SAME_EVERYWHERE,
					SWISS_MAPS,
					SPAN_FROM_22,
					.special_fn = 24,
					.cleanup_id = 32,
					.module_size = 584,
					.module_types = 296,
					.module_etypes = 304,
					.module_data_mask = 536,
					.module_bss_mask = 552,
					.func_size = 44,
					.g_size = 440,
					.g_syscall_sp = 104,
					.g_syscall_pc = 112,
					.g_status = 144,
					.g_id = 152};

const struct go_layout_field go_layout_fields[] = {
#define GO_LAYOUT_FIELD(field, types, members) {#field, offsetof(struct go_layout, field), types, members},
	GO_LAYOUT_FIELDS(GO_LAYOUT_FIELD)
#undef GO_LAYOUT_FIELD
		{NULL, 0, NULL, NULL},
};

const char *go_layout_versions(void)
{
	return "1.19, 1.21, 1.22, 1.23, 1.24, 1.26 and 1.27";
}

const struct go_layout *go_layout_row(int minor)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].minor == minor)
			return &rows[i];
	return NULL;
}

/* True when `name` is one of the '|'-separated alternatives. */
static bool is_one_of(const char *alternatives, const char *name)
{
	size_t length = strlen(name);
	for (const char *at = alternatives; at != NULL; at = strchr(at, '|')) {
		at += *at == '|';
		if (strncmp(at, name, length) == 0 && (at[length] == '|' || at[length] == '\0'))
			return true;
	}
	return false;
}

struct dwarf_fill {
	struct go_layout *layout;
	size_t known;
};

static void fill_field(void *context, const char *type, const char *member, uint64_t offset)
{
	struct dwarf_fill *fill = context;
	for (const struct go_layout_field *field = go_layout_fields; field->name != NULL; field++) {
		if (!is_one_of(field->types, type) ||
		    !is_one_of(field->members, member == NULL ? "" : member))
			continue;
		uint32_t value = (uint32_t)offset;
		memcpy((char *)fill->layout + field->offset, &value, sizeof value);
		fill->known++;
	}
}

size_t go_layout_from_dwarf(const struct program *program, struct go_layout *layout)
{
	struct dwarf_fill fill = {layout, 0};
	program_structs(program, fill_field, &fill);
	return fill.known;
}

static bool has_experiment(const struct go_version *version, const char *name)
{
	size_t length = strlen(name);
	for (const char *at = version->experiments; at != NULL && *at != '\0'; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
			return true;
	}
	return false;
}

static void apply_experiments(const struct go_version *version, struct go_layout *layout)
{
	if (layout->maps == GO_MAP_SWISS && has_experiment(version, "noswissmap")) {
		struct go_layout classic = {CLASSIC_MAPS_WITH_CLEARS};
		for (const struct go_layout_field *field = go_layout_fields; field->name != NULL; field++)
			if (strncmp(field->name, "hmap_", 5) == 0 || strncmp(field->name, "swiss_", 6) == 0 ||
			    (strncmp(field->name, "maptype_", 8) == 0 &&
			     field->offset >= offsetof(struct go_layout, maptype_group_size)))
				memcpy((char *)layout + field->offset, (char *)&classic + field->offset,
				       sizeof(uint32_t));
		layout->maps = GO_MAP_CLASSIC;
	}
	if (has_experiment(version, "nogreenteagc"))
		layout->pointer_bits = GO_BITS_IN_SPAN;
	else if (has_experiment(version, "greenteagc"))
		layout->pointer_bits = GO_BITS_BEFORE_MARKS;
}

/* The neighbour whose row a version without a row borrows; NULL when none is near enough to try. */
static const struct go_layout *neighbour(int minor)
{
	if (minor == 20)
		return &row_20;
	if (minor == 25)
		return &row_25;
	return minor > 27 ? go_layout_row(27) : NULL;
}

int go_layout_choose(const struct program *program, const struct go_version *version, struct go_layout *ret,
		     enum go_layout_source *source, struct problem *problem)
{
	const struct go_layout *row = go_layout_row(version->minor);
	*source = GO_LAYOUT_VERIFIED;
	if (row == NULL) {
		row = neighbour(version->minor);
		*source = GO_LAYOUT_INTERPOLATED;
	}
	if (row == NULL)
		return problem_set(problem, PROBLEM_FEATURE,
				   "%s is not supported: layouts are known for Go %s", version->text,
				   go_layout_versions());
	*ret = *row;
	apply_experiments(version, ret);
	if (*source == GO_LAYOUT_INTERPOLATED && go_layout_from_dwarf(program, ret) > 0)
		*source = GO_LAYOUT_DWARF;
	return 0;
}
