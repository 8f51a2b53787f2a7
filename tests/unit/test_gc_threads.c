/* test_gc_threads.c: threads that come and go: nothing of their stacks, thread-local variables and records stays. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "gc/internal.h"
#include "neap/gc.h"
#include "neap/heap.h"

struct node {
	struct node *next;
	uint64_t number;
};
NEAP_TYPE(node_type, struct node, next);

static struct node *make_list(unsigned count)
{
	struct node *head = NULL;
	for (unsigned i = 0; i < count; i++) {
		struct node *node = neap_gc_alloc(&node_type);
		assert_non_null(node);
		node->next = head;
		head = node;
	}
	return head;
}

static _Thread_local struct node *of_thread;
static struct neap_weak *_Atomic of_last;

static void *live_a_while(void *unused)
{
	(void)unused;
	of_thread = make_list(100);
	void *block = neap_heap_alloc(3000);
	assert_true(of_thread != NULL && block != NULL);
	neap_heap_free(block);
	neap_weak_destroy(atomic_exchange(&of_last, neap_weak_create(of_thread)));
	return NULL;
}

static void come_and_go(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		pthread_t two[2];
		for (unsigned t = 0; t < 2; t++)
			assert_true(pthread_create(&two[t], NULL, live_a_while, NULL) == 0);
		for (unsigned t = 0; t < 2; t++)
			pthread_join(two[t], NULL);
	}
}

struct footprint {
	size_t mappings, resident_kb, records;
	uint64_t objects, other;
};

static struct footprint footprint_now(void)
{
	struct footprint now = {0};
	(void)neap_gc_return();
	struct neap_memstats stats = {.size = sizeof stats};
	assert_true(neap_memstats(&stats) == NEAP_OK);
	now.records = stats.MCacheInuse / sizeof(struct neap__gc_thread);
	now.objects = stats.HeapObjects;
	now.other = stats.OtherSys;
	FILE *maps = fopen("/proc/self/maps", "r"), *statm = fopen("/proc/self/statm", "r");
	unsigned long size, pages = 0;
	assert_true(maps != NULL && statm != NULL && fscanf(statm, "%lu %lu", &size, &pages) == 2);
	now.resident_kb = pages * ((size_t)sysconf(_SC_PAGESIZE) >> 10);
	for (int c; (c = fgetc(maps)) != EOF;)
		now.mappings += c == '\n';
	fclose(maps);
	fclose(statm);
	return now;
}

static void threads_that_end_leave_nothing(void **state)
{
	(void)state;
	come_and_go(2000); /* more than the first goal: what the heap needs for itself is there */
	struct footprint before = footprint_now();
	come_and_go(4000);
	struct footprint after = footprint_now();
	fprintf(stderr,
		"%zu -> %zu mappings, %zu -> %zu KB, %zu -> %zu records, %llu -> %llu objects, %llu -> %llu "
		"bytes\n",
		before.mappings, after.mappings, before.resident_kb, after.resident_kb, before.records,
		after.records, (unsigned long long)before.objects, (unsigned long long)after.objects,
		(unsigned long long)before.other, (unsigned long long)after.other);
	assert_true(neap_weak_get(of_last) == NULL);
	assert_true(after.records <= before.records);
	assert_true(after.mappings <= before.mappings + 2);
	assert_true(after.objects <= before.objects + 200);
	assert_true(after.other <= before.other);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed */
	assert_true(after.resident_kb <= before.resident_kb + 512);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(threads_that_end_leave_nothing)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
