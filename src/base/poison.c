/* poison.c: free slots, which nobody may read: poisoned for AddressSanitizer in builds with it, else out of bounds for
 * valgrind where the build asks for that. A library built with neither does nothing here.
 */
#include "neap/map_core.h"

#if defined(__SANITIZE_ADDRESS__)
#	define POISON_ADDRESS 1
#elif defined(__has_feature)
#	if __has_feature(address_sanitizer)
#		define POISON_ADDRESS 1
#	endif
#endif
#if defined(POISON_ADDRESS)
#	include <sanitizer/asan_interface.h>
#elif defined(NEAP_POISON) && __has_include(<valgrind/memcheck.h>)
#	include <valgrind/memcheck.h>
#	define POISON_VALGRIND 1
#endif

void neap__poison(const void *at, size_t size)
{
#if defined(POISON_ADDRESS)
	__asan_poison_memory_region(at, size);
#elif defined(POISON_VALGRIND)
	(void)VALGRIND_MAKE_MEM_NOACCESS(at, size);
#else
	(void)at, (void)size;
#endif
}

void neap__unpoison(const void *at, size_t size)
{
#if defined(POISON_ADDRESS)
	__asan_unpoison_memory_region(at, size);
#elif defined(POISON_VALGRIND)
	(void)VALGRIND_MAKE_MEM_DEFINED(at, size);
#else
	(void)at, (void)size;
#endif
}
