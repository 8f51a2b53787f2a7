#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gc_trace.h"

enum { STOPS_MOST = 1 << 16 };

static FILE *trace;

/* Waiting and working. Not static data, which would be read in each of the stops. */
static struct {
	double *wait, *work, *whole;
	size_t count;
} seen;

bool gc_trace_open(void)
{
	const char *debug = getenv("NEAP_DEBUG");
	char settings[256];
	snprintf(settings, sizeof settings, "%s,gctrace=2", debug != NULL ? debug : "");
	trace = tmpfile();
	return trace != NULL && dup2(fileno(trace), STDERR_FILENO) >= 0 &&
	       setenv("NEAP_DEBUG", settings, 1) == 0;
}

bool gc_trace_forget(void)
{
	return ftruncate(STDERR_FILENO, 0) == 0 && lseek(STDERR_FILENO, 0, SEEK_SET) == 0;
}

size_t gc_trace_stops(void)
{
	char line[4096];
	rewind(trace);
	seen.wait = malloc(STOPS_MOST * sizeof *seen.wait);
	seen.work = malloc(STOPS_MOST * sizeof *seen.work);
	seen.whole = malloc(STOPS_MOST * sizeof *seen.whole);
	if (seen.wait == NULL || seen.work == NULL || seen.whole == NULL)
		abort();
	while (fgets(line, sizeof line, trace) != NULL) {
		char *at = strstr(line, "; stops ");
		if (at == NULL)
			continue;
		at += strlen("; stops ");
		for (char *end; seen.count < STOPS_MOST; at = end) {
			double wait = strtod(at, &end);
			if (end == at || *end != '+')
				break;
			seen.wait[seen.count] = wait;
			seen.work[seen.count] = strtod(end + 1, &end);
			seen.whole[seen.count] = wait + seen.work[seen.count];
			seen.count++;
		}
	}
	return seen.count;
}

static int order_of_numbers(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

static void print_stops(const char *name, double *stops)
{
	qsort(stops, seen.count, sizeof *stops, order_of_numbers);
	printf("; %s %.3f %.3f %.3f", name, stops[seen.count / 2], stops[seen.count * 99 / 100],
	       stops[seen.count - 1]);
}

bool gc_trace_print(void)
{
	if (seen.count == 0)
		return false;
	print_stops("waiting", seen.wait);
	print_stops("working", seen.work);
	print_stops("both", seen.whole);
	return true;
}
