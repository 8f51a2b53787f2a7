/* rss.c: see rss.h. */
#include "lab/rss.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "lab/progress.h"

enum {
	SAMPLER_STACK = 64 << 10, /* bytes: one page of it is used */
	TOUCHED_FIRST =
		RSS_SAMPLES / 4, /* samples, 16 seconds: written to before the start, so that the curve
					  * does not show its own growth */
};

struct rss_sampler {
	pthread_t thread;
	atomic_bool stop; /* set by rss_stop, read by the thread; relaxed: the join orders the rest */
	int statm;
	struct rss_curve *curve;
};

static uint64_t read_statm(int fd)
{
	char text[128];
	ssize_t got = pread(fd, text, sizeof text - 1, 0);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	char *resident;
	strtoull(text, &resident, 10);
	return strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t rss_statm(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	uint64_t bytes = read_statm(fd);
	close(fd);
	return bytes;
}

uint64_t rss_rollup(void)
{
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	char text[2048];
	ssize_t got = read(fd, text, sizeof text - 1);
	close(fd);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	const char *rss = strstr(text, "\nRss:");
	return rss == NULL ? 0 : strtoull(rss + strlen("\nRss:"), NULL, 10) * 1024;
}

static void wait_until(uint64_t at)
{
	struct timespec time = {.tv_sec = (time_t)(at / 1000000000), .tv_nsec = (long)(at % 1000000000)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) != 0)
		;
}

static void *sample(void *ctx)
{
	struct rss_sampler *sampler = ctx;
	struct rss_curve *curve = sampler->curve;
	prctl(PR_SET_TIMERSLACK, 1000UL); /* 1 us; the default of 50 is a tenth of the period */
	uint64_t next = curve->start;
	while (!atomic_load_explicit(&sampler->stop, memory_order_relaxed)) {
		if (curve->n == RSS_SAMPLES) {
			curve->full = true;
			break;
		}
		uint64_t bytes = read_statm(sampler->statm), now = clock_now();
		curve->samples[curve->n++] = (struct rss_sample){
			now - curve->start, bytes, atomic_load_explicit(&curve->heap, memory_order_relaxed)};
		next += RSS_PERIOD;
		if (next < now) /* late: go on from here, do not catch up in a burst */
			next = now + RSS_PERIOD;
		wait_until(next);
	}
	return NULL;
}

struct rss_sampler *rss_start(struct rss_curve *curve)
{
	struct rss_sampler *sampler = calloc(1, sizeof *sampler);
	if (sampler == NULL)
		return NULL;
	sampler->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	sampler->curve = curve;
	for (size_t i = 0; i < TOUCHED_FIRST; i++)
		*(volatile uint64_t *)&curve->samples[i].at = 0;
	curve->start = clock_now();
	pthread_attr_t small;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, SAMPLER_STACK);
	bool started = sampler->statm >= 0 && pthread_create(&sampler->thread, &small, sample, sampler) == 0;
	pthread_attr_destroy(&small);
	if (!started) {
		if (sampler->statm >= 0)
			close(sampler->statm);
		free(sampler);
		return NULL;
	}
	return sampler;
}

void rss_stop(struct rss_sampler *sampler)
{
	if (sampler == NULL)
		return;
	atomic_store_explicit(&sampler->stop, true, memory_order_relaxed);
	pthread_join(sampler->thread, NULL);
	close(sampler->statm);
	free(sampler);
}

void rss_calibrate(struct rss_curve *curve, const char *label)
{
	if (curve->marks_n == RSS_MARKS)
		return;
	struct rss_mark *mark = &curve->marks[curve->marks_n++];
	snprintf(mark->label, sizeof mark->label, "%s", label);
	mark->at = clock_now() - curve->start;
	mark->statm = rss_statm();
	mark->rollup = rss_rollup();
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

struct rss_resolution rss_resolution_of(const struct rss_curve *curve, uint64_t from, uint64_t to)
{
	struct rss_resolution ret = {0};
	for (size_t i = 0; i < curve->marks_n; i++) {
		const struct rss_mark *mark = &curve->marks[i];
		uint64_t off =
			mark->statm > mark->rollup ? mark->statm - mark->rollup : mark->rollup - mark->statm;
		ret.statm_off = off > ret.statm_off ? off : ret.statm_off;
	}
	uint64_t *distances = calloc(curve->n + 1, sizeof *distances);
	size_t n = 0;
	uint64_t before = UINT64_MAX;
	for (size_t i = 0; distances != NULL && i < curve->n; i++) {
		uint64_t at = curve->samples[i].at;
		if (at < from || at >= to)
			continue;
		ret.samples++;
		if (before != UINT64_MAX)
			distances[n++] = at - before;
		before = at;
	}
	if (n > 0) {
		qsort(distances, n, sizeof *distances, compare_u64);
		ret.p50 = distances[n / 2];
		ret.p99 = distances[n * 99 / 100];
		ret.worst = distances[n - 1];
		for (size_t i = 0; i < n; i++)
			ret.late += distances[i] > 2 * RSS_PERIOD;
	}
	free(distances);
	return ret;
}

uint64_t rss_settled_at(const struct rss_curve *curve, uint64_t from, uint64_t bytes)
{
	uint64_t settled = UINT64_MAX;
	for (size_t i = 0; i < curve->n; i++) {
		if (curve->samples[i].at < from)
			continue;
		if (curve->samples[i].bytes > bytes)
			settled = UINT64_MAX;
		else if (settled == UINT64_MAX)
			settled = curve->samples[i].at;
	}
	return settled;
}
