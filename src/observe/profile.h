/* profile.h: the rows of a profile, between their collection (profile.c) and their file (pprof.c). */
#ifndef NEAP_SRC_OBSERVE_PROFILE_H
#define NEAP_SRC_OBSERVE_PROFILE_H

#include "neap/observe.h"
#include "neap/profile.h"

enum neap__row_kind {
	NEAP__ROW_NAMED, /* no stack: a frame in brackets */
	NEAP__ROW_SITE,	 /* blocks of Neap's heap that one stack allocated */
	NEAP__ROW_MAP	 /* one map, under a stack that grew it when one is known */
};

/* kind and key tell rows of one profile apart and find the same row in another. */
struct neap__row {
	uint32_t kind;	   /* enum neap__row_kind */
	uint32_t site;	   /* 0: none */
	uint64_t key;	   /* the site, the map's address, the order of the name */
	const char *frame; /* of a row without a stack; static */
	const char *noun;  /* of a map: its kind; static */
	char name[64];	   /* of a map */
	int64_t value[NEAP_PROFILE_TYPES];
};

struct neap_profile {
	size_t reserved;	/* bytes of this block */
	int64_t time, duration; /* nanoseconds since 1970; of a difference */
	uint64_t rate;
	size_t rows, room;
	struct neap__row row[];
};

/* A scratch block that costs nothing until it is used, for those who must not call malloc. */
void *neap__scratch(size_t size);
void neap__scratch_free(void *block, size_t size);

/* One look at every map, whose sum is in the account. */
struct neap__link;
struct neap__glance;
typedef void neap__census_fn(const struct neap__link *link, const struct neap__glance *glance, bool on_heap,
			     void *ctx);
int neap__account_census(struct neap_account *ret, neap__census_fn *visit, void *ctx);

#endif
