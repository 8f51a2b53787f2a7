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
	/* In anonymous: freed with MADV_FREE, taken when memory gets short; SIZE_MAX: not asked for. */
	size_t lazy_free;
	size_t huge_pages; /* in anonymous: backed by pages of 2 MB */
	size_t brk;	   /* malloc's main arena: [heap] */
	size_t arenas;	   /* malloc's other arenas */
	size_t stacks;	   /* of all threads */
	size_t data;	   /* written parts of mapped files, and bss */
	size_t neap_heap;  /* Neap's heap */
	size_t rest;	   /* other anonymous mappings: large blocks of malloc, tables of maps */
};

/* Reads /proc/self/maps and counts their resident pages: 0.1 ms, and 10 ms for 1 GB, in pieces that keep no other thread
 * waiting for longer than 0.1 ms. Without `lazy`, lazy_free is told only while there is little anonymous memory; with it,
 * or on kernels older than 6.7, smaps is read, which holds the lock on the address space for 60 ms per GB. No
 * allocation. 0 or NEAP_EINVAL.
 */
int neap__kernel_book_read(struct neap__kernel_book *ret, bool lazy);

/* Calls `line` for each line of a file, cut to 511 bytes. False when it cannot be opened. */
bool neap__each_line(const char *path, void (*line)(const char *text, void *ctx), void *ctx);

#endif
