/* rss.h: the resident memory of this process over time, every half millisecond, from a thread of its own.
 *
 * statm is cheap enough for that rate (about 1 us) but the kernel keeps its counters per CPU and lets them lag
 * behind; smaps_rollup is exact and costs 50 times as much. So the sampler reads statm, and rss_calibrate()
 * compares both at every step of an experiment. The rate that was reached is part of the result: on a busy
 * machine samples come late, and a release can't be timed more finely than the samples around it.
 */
#ifndef NEAP_LAB_RSS_H
#define NEAP_LAB_RSS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RSS_PERIOD UINT64_C(500000) /* ns between samples */

enum {
	RSS_SAMPLES = 1 << 17, /* 65 seconds, 3 MB */
	RSS_MARKS = 16,
	RSS_LABEL = 32,
};

struct rss_sample {
	uint64_t at;	/* ns since the start */
	uint64_t bytes; /* statm's resident */
	uint64_t heap;	/* what the experiment says it holds: rss_curve.heap at that time */
};

/* A step of the experiment, and what both of the kernel's books said there. */
struct rss_mark {
	char label[RSS_LABEL];
	uint64_t at;		/* ns since the start */
	uint64_t statm, rollup; /* bytes */
};

/* How well the sampler did; ns. */
struct rss_resolution {
	uint64_t p50, p99, worst; /* distance between neighbouring samples */
	size_t late;		  /* distances over twice the period */
	size_t samples;
	uint64_t statm_off; /* bytes: the largest difference of the two books at a mark */
};

/* Plain data, so that it can lie in memory shared with a child. */
struct rss_curve {
	size_t n, marks_n;
	bool full; /* the samples ended before the experiment did */
	uint64_t start;
	/* Bytes of the container under test; written by the experiment, copied into each sample. Relaxed: it
	 * is a gauge. */
	_Atomic uint64_t heap;
	struct rss_mark marks[RSS_MARKS];
	struct rss_sample samples[RSS_SAMPLES];
};

struct rss_sampler;

/* Starts sampling into `curve`, which must be zeroed. NULL when there is no thread or no /proc. */
struct rss_sampler *rss_start(struct rss_curve *curve);
void rss_stop(struct rss_sampler *sampler);
/* Marks a step, and compares statm with smaps_rollup. */
void rss_calibrate(struct rss_curve *curve, const char *label);

/* statm's and smaps_rollup's resident bytes of this process; 0 when /proc cannot be read. */
uint64_t rss_statm(void);
uint64_t rss_rollup(void);

/* From the distances between the samples in [from, to) ns; at least two samples, else all zero. */
struct rss_resolution rss_resolution_of(const struct rss_curve *curve, uint64_t from, uint64_t to);
/* The first sample at or after `from` from which on RSS stays at or below `bytes` until the curve ends: its
 * time, or UINT64_MAX when it never does.
 */
uint64_t rss_settled_at(const struct rss_curve *curve, uint64_t from, uint64_t bytes);

#endif
