/* lab.h: what an experiment is.
 *
 * An experiment opens with its claim and its method, measures here and now, and leaves checks in a result; the
 * verdict follows from the checks. Whatever measures RSS runs in a child process (child.h).
 */
#ifndef NEAP_LAB_LAB_H
#define NEAP_LAB_LAB_H

#include "lab/keys.h"
#include "lab/result.h"

struct lab_options {
	size_t n;	       /* --n; 0: the experiment's own */
	uint64_t seed;	       /* --seed */
	const char *keys_file; /* --keys; NULL: made-up keys */
	bool zero_separated;   /* --null */
};

/* One run. */
struct lab {
	const struct lab_options *options;
	struct keys keys; /* for experiments with a default_n; else empty */
	uint64_t seed;
	struct result result;
	/* Shared memory to be released once the result was shown: it holds the curves. */
	void *shared;
	size_t shared_size;
};

struct experiment {
	const char *name;
	const char *claim;  /* a sentence that can be false */
	const char *method; /* how it is measured */
	size_t default_n;   /* keys; 0: works on data of its own */
	void (*run)(struct lab *lab);
};

extern const struct experiment experiment_hmap_layout, experiment_map_shrinks, experiment_map_sharing,
	experiment_map_misuse, experiment_release_ways, experiment_key_types, experiment_nested_values,
	experiment_delete_million, experiment_delete_impact, experiment_release_latency, experiment_pool,
	experiment_generations, experiment_hooks, experiment_gate, experiment_rss_account,
	experiment_profile_diff, experiment_watch_trigger, experiment_serve, experiment_inspect_go,
	experiment_concurrent_map, experiment_cache_leak, experiment_span_life, experiment_interface_fates,
	experiment_pointer_fates, experiment_leaks, experiment_memstats, experiment_finalizer,
	experiment_keepalive, experiment_zero_keepalive, experiment_gc_latency, experiment_reachability;

/* lab->shared, zeroed, of `size` bytes; sets a skip reason and returns NULL when there is none. */
void *lab_share(struct lab *lab, size_t size);
/* Runs work(lab->shared) in a child; when it does not exit 0, leaves a failed check that says how it ended. */
bool lab_child(struct lab *lab, const char *what, int (*work)(void *ctx), void *ctx);

/* Writes the result's page to `path`. 0 or an exit code, after a message. */
int lab_write_report(const char *command, const struct result *result, const char *path);

/* After the last line on standard output: EXIT_PARTIAL with a message when it could not be written, else
 * `status`.
 */
int lab_flush(const char *command, int status);

/* Command lines of lab and tour. */
bool parse_count(const char *text, unsigned long long least, unsigned long long most,
		 unsigned long long *ret);

/* The subcommands. */
int command_lab(int argc, char **argv);
int command_tour(int argc, char **argv);

#endif
