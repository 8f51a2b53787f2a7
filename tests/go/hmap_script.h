/* hmap_script.h: scripts of map operations, read by hmap_trace and by hmap_go.c. */
#ifndef NEAP_TESTS_GO_HMAP_SCRIPT_H
#define NEAP_TESTS_GO_HMAP_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

enum op { OP_MAKE, OP_PUT, OP_DELETE, OP_GET, OP_CLEAR, OP_OPEN, OP_STEP, OP_CLOSE };

enum { ITERATORS = 4 };

/* As it lies in the file: 16 bytes. */
struct step {
	uint32_t op;
	uint32_t arg;	/* the number of a key; for make a hint; for open, step and close an iterator */
	uint32_t value; /* the number of a value */
	uint32_t full;	/* compare every bucket after this step */
};

struct script {
	struct step *steps; /* from malloc */
	size_t len, capacity;
	uint64_t seed;
	uint32_t full_every;
};

struct scenario {
	const char *name;
	const char *kind; /* NULL: every kind */
	void (*write)(struct script *script, uint32_t n);
	uint32_t n, full_every;
	/* It must have met at least this. */
	unsigned B;
	size_t same_size_grows, produced_growing, noverflow;
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;

/* Fills `ret`; the caller frees its steps. */
void scenario_write(const struct scenario *scenario, struct script *ret);

#endif
