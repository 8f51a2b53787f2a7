/* kernel_book.h: what the kernel says of this process. */
#ifndef NEAP_SRC_OBSERVE_KERNEL_BOOK_H
#define NEAP_SRC_OBSERVE_KERNEL_BOOK_H

#include <stdbool.h>
#include <stddef.h>

/* Resident bytes. Law: brk + arenas + stacks + data + neap_heap + rest == anonymous, but for what changes while the
 * two files are read.
 */
struct neap__kernel_book {
	size_t rss, anonymous;
	size_t lazy_free;  /* in anonymous: freed with MADV_FREE, taken when memory gets short */
	size_t huge_pages; /* in anonymous: backed by pages of 2 MB */
	size_t brk;	   /* malloc's main arena: [heap] */
	size_t arenas;	   /* malloc's other arenas */
	size_t stacks;	   /* of all threads */
	size_t data;	   /* written parts of mapped files, and bss */
	size_t neap_heap;  /* Neap's heap */
	size_t rest;	   /* other anonymous mappings: large blocks of malloc, tables of maps */
};

/* Reads smaps_rollup and smaps: 0.1 to 1 ms, no allocation. 0 or NEAP_EINVAL. */
int neap__kernel_book_read(struct neap__kernel_book *ret);

/* Calls `line` for each line of a file, cut to 511 bytes. False when it cannot be opened. */
bool neap__each_line(const char *path, void (*line)(const char *text, void *ctx), void *ctx);

#endif
