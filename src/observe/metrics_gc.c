/* metrics_gc.c: what the collector's cycles left, as Prometheus text; nothing when no collector runs.
 *
 * Names are go_memstats_*'s with another beginning. Stops are a histogram, where Go has quantiles of the last 256
 * cycles: histograms can be added up over programs, and hold what happened between two scrapes.
 */
#include <inttypes.h>
#include <time.h>

#include "base/collector.h"
#include "neap/gc.h"
#include "observe/metrics.h"

static double seconds_of(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* `below[i]`: how many took less than 2^i microseconds and not less than half of that; the last: all that took longer. */
static void histogram(struct neap__text *text, const char *name, const char *help, const uint64_t *below,
		      unsigned buckets, uint64_t total_ns)
{
	uint64_t count = 0;
	neap__metric_family(text, name, "histogram", help);
	for (unsigned i = 0; i + 1 < buckets; i++) {
		count += below[i];
		neap__text_put(text, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
			       (double)(UINT64_C(1) << i) / 1e6, count);
	}
	count += below[buckets - 1];
	neap__text_put(text, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
	neap__text_put(text, "%s_sum %.17g\n%s_count %" PRIu64 "\n", name, (double)total_ns / 1e9, name,
		       count);
}

void neap__collector_metrics(struct neap__text *text)
{
	const struct neap__collector_told *collector =
		atomic_load_explicit(&neap__collector_told, memory_order_acquire);
	struct neap_memstats stats = {.size = sizeof stats};
	if (collector == NULL || collector->cycles(&stats) != NEAP_OK)
		return;
	static const char cycles[] = "neap_gc_cycles_total";
	neap__metric_family(text, cycles, "counter", "Collections, by who asked for them.");
	neap__metric_labelled(text, cycles, "reason", "automatic", stats.NumGC - stats.NumForcedGC);
	neap__metric_labelled(text, cycles, "reason", "forced", stats.NumForcedGC);
	if (stats.EnableGC)
		neap__metric(text, "neap_memstats_next_gc_bytes", "gauge",
			     "Size of the collected heap at which a collection is to be done.",
			     (double)stats.NextGC);
	if (stats.NumGC > 0)
		neap__metric(text, "neap_memstats_last_gc_time_seconds", "gauge",
			     "End of the last collection, seconds since 1970.",
			     seconds_of(CLOCK_REALTIME) -
				     (seconds_of(CLOCK_MONOTONIC) - (double)stats.LastGC / 1e9));
	neap__metric(text, "neap_memstats_gc_cpu_fraction", "gauge",
		     "Of the processor time since the collector started, what it used.", stats.GCCPUFraction);
	histogram(text, "neap_gc_stop_seconds", "Stops of the program by the collector.", stats.StopsBelow,
		  sizeof stats.StopsBelow / sizeof *stats.StopsBelow, stats.PauseTotalNs);
	histogram(text, "neap_gc_delay_seconds",
		  "What threads felt of the collector: stops, waiting for their end, helping to mark.",
		  stats.DelaysBelow, sizeof stats.DelaysBelow / sizeof *stats.DelaysBelow,
		  stats.DelayTotalNs);
}
