/* gate.c: what the library was compiled with and what it runs on, against what the program was compiled with and what
 * has been tested. Every check names what it found and what it needs.
 */
#include "neap/gate.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/os.h"

static const uint64_t library_facts[NEAP__GATE_FACTS_COUNT] = NEAP__GATE_FACTS;
static const char *const gate_names[NEAP__GATE_FACTS_COUNT] = {
	"major version",
	"minor version",
	"slots of a group (NEAP_HOSTILE)",
	"sizeof(struct neap_map)",
	"sizeof(struct neap_map_iter)",
	"sizeof(struct neap_map_type)",
	"sizeof(struct neap_map_options)",
	"sizeof(struct neap_map_event)",
	"sizeof(struct neap__segment)",
	"sizeof(struct neap_allocator)",
	"sizeof(struct neap_fault)",
	"sizeof(struct neap_ref)",
	"sizeof(struct neap_pool_type)",
	"sizeof(struct neap_pool_options)",
	"sizeof(struct neap_scopes_options)",
	"sizeof(struct neap_sampler_options)",
	"sizeof(struct neap_cmap_options)",
	"sizeof(struct neap_cmap_stats)",
	"sizeof(struct neap_cache_options)",
	"sizeof(struct neap__pool_cache), inlined",
	"sizeof(struct neap__pool_seat), inlined",
	"sizeof(struct neap_transient), inlined",
	"sizeof(struct neap__cmap_front), inlined",
	"sizeof(struct neap__reader), inlined",
};

struct gate {
	const struct neap_gate_options *options;
	bool refused;
};

static void gate_refuse(struct gate *gate, enum neap_gate what, const char *name, const char *found,
			const char *needed)
{
	const struct neap_gate_refusal refusal = {(uint32_t)what, name, found, needed};
	gate->refused = true;
	if (gate->options->refused != NULL)
		gate->options->refused(&refusal, gate->options->ctx);
}

static bool gate_looks_at(const struct gate *gate, enum neap_gate what)
{
	return (gate->options->override & (uint32_t)what) == 0;
}

static void check_headers(struct gate *gate, const uint64_t *facts, size_t count)
{
	for (size_t i = 0; i < NEAP__GATE_FACTS_COUNT; i++) {
		char found[32], needed[32];
		uint64_t fact = i < count ? facts[i] : 0;
		if (fact == library_facts[i])
			continue;
		if (fact == 0 && i >= NEAP__GATE_FACTS_IN_C && i < count) /* C++ */
			continue;
		snprintf(found, sizeof found, "%llu", (unsigned long long)fact);
		snprintf(needed, sizeof needed, "%llu", (unsigned long long)library_facts[i]);
		gate_refuse(gate, NEAP_GATE_HEADERS, gate_names[i], found, needed);
	}
}

/* True when `text` begins, after anything that is no digit, with a version of at least major.minor. */
static bool version_at_least(const char *text, unsigned long major, unsigned long minor)
{
	while (*text != '\0' && (*text < '0' || *text > '9'))
		text++;
	char *end;
	unsigned long first = strtoul(text, &end, 10);
	unsigned long second = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	return first > major || (first == major && second >= minor);
}

static void check_version(struct gate *gate, enum neap_gate what, const char *name, const char *found,
			  unsigned long major, unsigned long minor)
{
	char needed[48];
	snprintf(needed, sizeof needed, "%lu.%lu or later", major, minor);
	if (!version_at_least(found, major, minor))
		gate_refuse(gate, what, name, *found != '\0' ? found : "unknown", needed);
}

int neap__gate_check(const uint64_t *facts, size_t count, const struct neap_gate_options *options)
{
	static const struct neap_gate_options defaults;
	struct gate gate = {options != NULL ? options : &defaults, false};
	char text[64];
	if (gate_looks_at(&gate, NEAP_GATE_HEADERS))
		check_headers(&gate, facts, count);
	if (gate_looks_at(&gate, NEAP_GATE_LIBC)) {
		neap__os_libc(text, sizeof text);
		check_version(&gate, NEAP_GATE_LIBC, "glibc", text, 2, 31);
	}
	if (gate_looks_at(&gate, NEAP_GATE_KERNEL)) {
		neap__os_kernel(text, sizeof text);
		check_version(&gate, NEAP_GATE_KERNEL, "kernel", text, 4, 14);
	}
	if (gate_looks_at(&gate, NEAP_GATE_MEMBARRIER) && !(neap__os_barrier_prepare() && neap__os_barrier()))
		gate_refuse(&gate, NEAP_GATE_MEMBARRIER, "membarrier", "refused",
			    "private expedited commands");
	size_t page = neap__os_page_size();
	if (gate_looks_at(&gate, NEAP_GATE_PAGE) && (page < 4096 || page > 65536)) {
		snprintf(text, sizeof text, "%zu bytes", page);
		gate_refuse(&gate, NEAP_GATE_PAGE, "page", text, "4096 to 65536 bytes");
	}
	return gate.refused ? NEAP_EMISMATCH : NEAP_OK;
}
