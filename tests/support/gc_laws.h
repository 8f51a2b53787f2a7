/* gc_laws.h: what the collector's tests ask of the heap as a whole, and of their own stack. After cmocka.h. */
#ifndef NEAP_TESTS_GC_LAWS_H
#define NEAP_TESTS_GC_LAWS_H

#include <string.h>

#include "gc/internal.h"
#include "neap/gc.h"

/* No cycle runs meanwhile: none becomes due, and the last one is over. */
static inline void assert_lawful(void)
{
	int percent = neap_gc_set_percent(-1);
	neap_gc_collect();
	const char *broken = neap__gc_check();
	(void)neap_gc_set_percent(percent);
	if (broken == NULL)
		broken = neap__heap_check();
	if (broken != NULL)
		fail_msg("law broken: %s", broken);
}

/* Cleans the stack below of what calls left there. Without AddressSanitizer's zones, which would be holes. */
static __attribute__((noinline, unused, no_sanitize_address)) void scrub_stack(void)
{
	char junk[16384];
	memset(junk, 0, sizeof junk);
	__asm__ volatile("" : : "r"(junk) : "memory");
}

#endif
