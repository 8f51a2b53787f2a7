/* target.h: a process seen from outside: its address space, its threads and the file it runs.
 *
 * Nouns:
 *   target    a live process or a core file
 *   range     one mapping of the target: [start, end), sorted, never overlapping
 *   fault     the first address that a read could not deliver
 *
 * Every byte of a foreign process passes through `target_read`. A target is only ever read. Stopping it is the
 * business of freeze.h, and happens as its mode says.
 */
#ifndef NEAP_INSPECT_TARGET_H
#define NEAP_INSPECT_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

#include "problem.h"

enum { TARGET_PAGE = 4096 }; /* x86-64; the unit of residence and of a failed read */

struct target_range {
	uint64_t start, end;
	bool readable, writable;
	const char *path;     /* the file that is mapped, "" for none; owned by the target */
	const uint8_t *bytes; /* core: where the contents lie in the dump; NULL when they were not dumped */
	uint64_t byte_count;  /* core: how many bytes of the range were dumped */
	const uint8_t *file_bytes; /* core: the same range in the executable, for what was not dumped */
	uint64_t file_count;
};

struct target_thread {
	int id;
	uint64_t sp, pc;		   /* 0 when the thread was running and its registers are unknown */
	bool known;			   /* so are the others: */
	struct user_regs_struct registers; /* of a core, and after a stop */
};

struct target;

/* A stretch of the target's memory, and where its copy goes. */
struct target_piece {
	uint64_t address;
	void *buffer;
	size_t size;
};

struct target_ops {
	/* Copies up to `size` bytes; returns how many came before the first one that can't be read. */
	size_t (*read)(struct target *target, uint64_t address, void *buffer, size_t size);
	/* Sets pages[i] to 1 when page i of [start, start + count pages), which lie in one range, is resident. */
	void (*resident)(struct target *target, uint64_t start, size_t count, uint8_t *pages);
	void (*close)(struct target *target);
	/* Copies the first of these pieces with one call, *ret_got bytes in all; returns how many it asked for. NULL when
	   the target can't: then they are read one by one. */
	size_t (*read_pieces)(struct target *target, const struct target_piece *pieces, size_t count,
			      size_t *ret_got);
};

/* How to look at a live process. */
enum target_mode {
	TARGET_RUNNING, /* while it runs: a short stop only for what could not be read whole */
	TARGET_STOPPED, /* copied whole in one stop */
	TARGET_CLONED,	/* a copy-on-write copy of it: twin.h */
};

struct target {
	const struct target_ops *ops;
	int pid;       /* the process, also of a core; 0 when the core does not tell */
	bool live;     /* a process: false for a core */
	bool changing; /* may change while it is read: false for a core and for a copy */
	enum target_mode mode;
	double stopped; /* seconds for which it was stopped, all stops together */
	double worked;	/* of these: since the last thread had stopped, each time */
	unsigned stops;
	char *program;	/* path under which the executable can be opened now */
	char *name;	/* what to call it: the base name of the executable */
	uint64_t entry; /* where execution began (AT_ENTRY): gives the load bias */
	struct target_range *ranges;
	size_t range_count, range_capacity;
	struct target_thread *threads;
	size_t thread_count, thread_capacity;
	uint64_t rss;	/* of a live process: bytes resident when it was opened */
	uint64_t fault; /* address of the last fault */
	uint64_t reads; /* calls and bytes so far: what the inspection cost */
	uint64_t bytes;
	uint64_t stop_reads; /* of the calls: in stops */
	bool cut;	     /* the core ends before its last segment does */
	bool gone;	     /* the process ended while it was read */
	void *state;	     /* of the implementation */
};

/* Open a process, or a core file; `program` overrides the path of the executable (NULL: find it). NULL and a
   problem on failure. Free with target_close. */
struct target *target_live_open(int pid, const char *program, enum target_mode mode, struct problem *problem);
struct target *target_core_open(const char *path, const char *program, struct problem *problem);
/* Either: `name` is a process id or the path of a core. */
struct target *target_open(const char *name, const char *program, enum target_mode mode,
			   struct problem *problem);
void target_close(struct target *target);

/* A hexadecimal address, with or without 0x. */
bool target_parse_address(const char *text, uint64_t *ret);

/* Stops a live process, and lets it go on. Meanwhile its threads' registers are known. */
struct freeze;
int target_stop(struct target *target, struct freeze *freeze, struct problem *problem);
void target_go_on(struct target *target, struct freeze *freeze);

/* Seconds for which the process may still be stopped by a look, negative when they are used up: before a stop, and (`freeze`)
   within one. Whoever wants more (--consistent) does not ask. */
double target_stop_left(const struct target *target, const struct freeze *freeze);

/* Seconds of a processor that the process's threads have used so far; *ret_ready: one of them runs or waits for one. */
double target_processor_seconds(const struct target *target, bool *ret_ready);

/* Lists a live process's ranges again; true when they are others. */
bool target_ranges_again(struct target *target);

/* Reads exactly `size` bytes. False, with target->fault set, when any of them can't be read. */
bool target_read(struct target *target, uint64_t address, void *buffer, size_t size);

/* Reads pieces with as few calls as can be; returns how many came whole before the first that can't be read. */
size_t target_read_pieces(struct target *target, const struct target_piece *pieces, size_t count);

/* The range that holds `address`, or NULL. */
const struct target_range *target_range_at(const struct target *target, uint64_t address);

/* For the implementations: adds a range (copies `path`), sorts them at the end and drops what overlaps. */
struct target_range *target_range_add(struct target *target, uint64_t start, uint64_t end, const char *path);
void target_ranges_clear(struct target *target);
void target_ranges_finish(struct target *target);
void target_thread_add(struct target *target, int id, uint64_t sp, uint64_t pc);
void target_thread_add_known(struct target *target, int id, const struct user_regs_struct *registers);

#endif
