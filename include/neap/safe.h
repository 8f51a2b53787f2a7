/* neap/safe.h: three habits that keep C memory safe, as small inline code: a copy that refuses to overflow, a
 * release that is bound to a scope, and ownership that is stated in the signature.
 *
 *     NEAP_GIVES(session_free) struct session *session_open(NEAP_LENT const char *name);
 *
 *     int greet(char *to, size_t room, const char *name)
 *     {
 *             NEAP_SCOPED(free) char *line = make_line(name);          // freed on every way out
 *             return line != NULL ? neap_copy_string(to, room, line) : NEAP_ENOMEM;
 *     }
 *
 * Header only; allocates nothing, takes no lock; any thread. The scope macros need GCC or clang.
 */
#ifndef NEAP_SAFE_H
#define NEAP_SAFE_H

#include <string.h>

#include "neap/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Ownership, for the reader, the compiler and the checker. A stock compiler uses what it understands: GCC's
 * -fanalyzer knows which function frees a NEAP_GIVES result; so does clang's analyser, with
 * unix.DynamicMemoryModeling:Optimistic=true, where NEAP_FREES says which function does; every compiler warns when a
 * NEAP_CHECKED result is dropped and when NULL is passed for a NEAP_NONNULL parameter; clang keeps NEAP_LENT and
 * NEAP_TAKEN as annotations that a checker of bitcode can read. tests/analyser plants misuse of Neap's own headers.
 *
 * The writes of the maps are not NEAP_CHECKED: GCC warns of a dropped result even where a cast to void says that it
 * is meant to be dropped.
 */
#if defined(__GNUC__)
#	define NEAP_CHECKED __attribute__((warn_unused_result))
#else
#	define NEAP_CHECKED
#endif
#if defined(__GNUC__) && !defined(__clang__) && !defined(__cplusplus) && __GNUC__ >= 11
#	define NEAP_GIVES(release) __attribute__((malloc(release, 1), warn_unused_result))
#elif defined(__clang__)
#	define NEAP_GIVES(release) __attribute__((ownership_returns(malloc), warn_unused_result))
#else
#	define NEAP_GIVES(release) NEAP_CHECKED /* the caller owns the result and ends it with `release` */
#endif
/* Parameters, counted from 1, that must not be NULL; the function frees parameter `n`. */
#if defined(__GNUC__)
#	define NEAP_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#else
#	define NEAP_NONNULL(...)
#endif
#if defined(__clang__)
#	define NEAP_FREES(n) __attribute__((ownership_takes(malloc, n)))
#else
#	define NEAP_FREES(n)
#endif
#if defined(__clang__)
#	define NEAP_LENT  __attribute__((annotate("neap:lent")))
#	define NEAP_TAKEN __attribute__((annotate("neap:taken")))
#else
#	define NEAP_LENT  /* the callee may use it until it returns, and keeps nothing */
#	define NEAP_TAKEN /* the callee owns it from the call on, also when it fails */
#endif

/* Copies `n` bytes to the start of `to`, which has `room` bytes. 0, or NEAP_ETOOBIG with `to` untouched when
 * they do not fit, or NEAP_EINVAL with `to` untouched when the two ranges overlap.
 */
NEAP_CHECKED static inline int neap_copy(void *to, size_t room, const void *from, size_t n)
{
	if (n > room)
		return NEAP_ETOOBIG;
	uintptr_t a = (uintptr_t)to, b = (uintptr_t)from;
	if (n != 0 && (a < b ? b - a : a - b) < n)
		return NEAP_EINVAL;
	if (n != 0)
		memmove(to, from,
			n); /* memcpy would do; GCC warns of overlaps that the line above excludes */
	return NEAP_OK;
}

/* The same to `to + at`: also refuses an `at` past the end, and sums that wrap around. */
NEAP_CHECKED static inline int neap_copy_at(void *to, size_t room, size_t at, const void *from, size_t n)
{
	if (at > room)
		return NEAP_ETOOBIG;
	return neap_copy((char *)to + at, room - at, from, n);
}

/* Copies a C string with its NUL. When it does not fit, or overlaps: the error, and `to` untouched: never a
 * truncated string that looks whole. Reads at most `room` bytes of `from`.
 */
NEAP_CHECKED static inline int neap_copy_string(char *to, size_t room, const char *from)
{
	size_t n = 0;
	while (n < room && from[n] != '\0')
		n++;
	return n < room ? neap_copy(to, room, from, n + 1) : NEAP_ETOOBIG;
}

#if defined(__GNUC__)
/* Declares a variable whose pointer is given to `release` when its scope ends, by whatever way it ends except
 * longjmp and exit. `release` is a function of one pointer that accepts NULL: free, neap_map_destroy.
 * The result of `release` must be void.
 */
#	define NEAP_SCOPED(release) __attribute__((cleanup(neap__scope_##release)))
/* Makes NEAP_SCOPED(release) usable for variables of `type *`; once per file that uses it, at file scope. */
#	define NEAP_SCOPED_DEFINE(type, release)                         \
		static inline void neap__scope_##release(type **variable) \
		{                                                         \
			release(*variable);                               \
		}

/* NEAP_SCOPED(free) needs no definition: any pointer. */
static inline void neap__scope_free(void *variable)
{
	void *block;
	memcpy(&block, variable, sizeof block);
	__builtin_free(block);
}

/* Hands a scoped pointer on: the value of `pointer`, which becomes NULL, so that its scope releases nothing.
 *     return neap_move(session);
 */
#	define neap_move(pointer)                             \
		__extension__({                                \
			__typeof__(pointer) moved = (pointer); \
			(pointer) = NULL;                      \
			moved;                                 \
		})
#endif

#ifdef __cplusplus
}
#endif

#endif
