/* assert.h: three levels of checking, chosen at build time by the option `check`.
 *
 *   1  neap__assert           cheap enough for production: a compare on a slow path
 *   2  neap__assert_internal  costs a few percent
 *   3  neap__assert_expensive may walk a whole structure
 *
 * A failed assertion names the invariant and aborts: the memory is not what the code believes it is.
 */
#ifndef NEAP_SRC_BASE_ASSERT_H
#define NEAP_SRC_BASE_ASSERT_H

#ifndef NEAP_CHECK
#	define NEAP_CHECK 1
#endif

_Noreturn void neap__assert_failed(const char *invariant, const char *file, int line);

#define NEAP__CHECKED(condition)   ((condition) ? (void)0 : neap__assert_failed(#condition, __FILE__, __LINE__))
#define NEAP__UNCHECKED(condition) ((void)sizeof(condition))

#if NEAP_CHECK >= 1
#	define neap__assert(condition) NEAP__CHECKED(condition)
#else
#	define neap__assert(condition) NEAP__UNCHECKED(condition)
#endif
#if NEAP_CHECK >= 2
#	define neap__assert_internal(condition) NEAP__CHECKED(condition)
#else
#	define neap__assert_internal(condition) NEAP__UNCHECKED(condition)
#endif
#if NEAP_CHECK >= 3
#	define neap__assert_expensive(condition) NEAP__CHECKED(condition)
#else
#	define neap__assert_expensive(condition) NEAP__UNCHECKED(condition)
#endif

#endif
