/* survey.h: every slot of a map, looked at from beside its owner, in steps.
 *
 *     first step            what the map is: shape, name, sizes of keys and values
 *     each step             some groups: their states, and a copy of their slots
 *     last step             what the header says now: entries, bytes
 *
 * A step runs under the lock of the map's shard, which keeps the map from being freed, and is brief: it copies, through
 * the kernel, at most NEAP__SURVEY_BYTES. Between two steps the owner may do what he likes. What he changes meanwhile is
 * old or new; when he moved entries, or what was counted is not what the header says, `torn` tells.
 */
#ifndef NEAP_SRC_BASE_SURVEY_H
#define NEAP_SRC_BASE_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NEAP__SURVEY_GROUPS = 256, /* of a step: the groups of one of Neap's segments */
	NEAP__SURVEY_BYTES =
		48
		<< 10, /* of their slots: its slots are at most 46080 bytes and the rounding of its groups */
	NEAP__SURVEY_CHAINS = 64, /* overflow chains that begin in the groups of a step */
	NEAP__GROUP_SLOTS_MOST = 16
};

/* Two bits a slot, slot 0 lowest; as in docs/snapshot-format.md. */
enum neap__slot_state { NEAP__SLOT_EMPTY, NEAP__SLOT_TOMBSTONE, NEAP__SLOT_LIVE, NEAP__SLOT_OLD };

struct neap__survey_group {
	uint64_t address; /* of its slots */
	uint32_t states;
	uint16_t depth; /* in an overflow chain */
	uint16_t reserved;
};

struct neap__survey {
	/* Of the map; set by the first step. Bytes but for group_slots. */
	char name[64];
	uint32_t group_size, group_slots, slot_at, slot_stride; /* slot_at: of the first key in a group */
	uint32_t key_size, value_size;
	bool string_keys; /* a slot holds a struct neap_str */
	bool key_outside; /* a slot holds a pointer to the key */

	/* So far; right once `done`. */
	uint64_t slots, live, tombstones;
	uint64_t count, bytes; /* entries and bytes, as the header has them */
	uint64_t rebuilt;      /* bytes of a new map with as many entries */
	bool growing, torn, done;

	/* Where the map's own code goes on; all before `group` is zero to begin with. */
	bool begun;
	uint64_t at;
	uint64_t depth;			     /* in the last chain */
	uint64_t chain[NEAP__SURVEY_CHAINS]; /* where they go on */
	uint32_t chains;
	uint64_t moves;	 /* what says that nothing has moved: a count, */
	uintptr_t table; /* and an address */

	/* Of this step: group i's slots are copied to slot[i * group_size]. */
	uint32_t groups;
	struct neap__survey_group group[NEAP__SURVEY_GROUPS];
	_Alignas(16) uint8_t slot[NEAP__SURVEY_BYTES];
};

#endif
