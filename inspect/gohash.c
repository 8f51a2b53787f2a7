/* gohash.c: see gohash.h. The rounds are those of the runtime's assembly (memhash64, memhash32 and aeshashbody for
 * short strings), the same from Go 1.19 on.
 *
 *   classic   top byte of the hash in the bucket (5 is added below 5), low bits are the bucket's number
 *   Swiss     low seven bits of the hash in the control byte
 */
#include "gohash.h"

#include <immintrin.h>
#include <string.h>

#include "goprocess.h"

enum {
	CODE_BYTES = 64, /* memhash64 is some 40 bytes of code */
	TOP_LIVE = 5,
	STRING_MAX = 32,
	BLOCK = 16,
};

/* aesenc xmm0, [rip + disp32] */
static const uint8_t aesenc[] = {0x66, 0x0f, 0x38, 0xdc, 0x05};
enum { AESENC_SIZE = 9 };

static uint64_t key_from_code(struct go_process *process)
{
	uint64_t entry = go_function_entry(process, "runtime.memhash64");
	const uint8_t *code = entry == 0 ? NULL : image_at(process->image, entry, CODE_BYTES);
	for (uint64_t at = 0; code != NULL && at + AESENC_SIZE <= CODE_BYTES; at++) {
		int32_t displacement;
		if (memcmp(code + at, aesenc, sizeof aesenc) != 0)
			continue;
		memcpy(&displacement, code + at + sizeof aesenc, sizeof displacement);
		return entry + at + AESENC_SIZE + (uint64_t)(int64_t)displacement;
	}
	return 0;
}

void go_hash_key_find(struct go_process *process, struct go_hash_key *ret)
{
	static const uint8_t unset[sizeof ret->schedule];
	*ret = (struct go_hash_key){0};
	if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("sse4.1"))
		return;
	uint64_t address = program_symbol(process->program, "runtime.aeskeysched");
	if (address == 0)
		address = key_from_code(process);
	const void *bytes = address == 0 ? NULL : image_at(process->image, address, sizeof ret->schedule);
	if (bytes == NULL)
		return;
	memcpy(ret->schedule, bytes, sizeof ret->schedule);
	/* a program without AES leaves it at zero */
	ret->known = memcmp(ret->schedule, unset, sizeof unset) != 0;
}

#define WITH_AES __attribute__((target("aes,sse4.1")))

static WITH_AES __m128i block_at(const void *bytes)
{
	return _mm_loadu_si128((const __m128i *)bytes);
}

static WITH_AES uint64_t hash_word(const struct go_hash_key *key, uint64_t seed, uint64_t word)
{
	__m128i state = _mm_set_epi64x((int64_t)word, (int64_t)seed);
	for (int round = 0; round < 3; round++)
		state = _mm_aesenc_si128(state, block_at(key->schedule + BLOCK * round));
	return (uint64_t)_mm_cvtsi128_si64(state);
}

static WITH_AES __m128i scramble(__m128i state)
{
	for (int round = 0; round < 3; round++)
		state = _mm_aesenc_si128(state, state);
	return state;
}

static WITH_AES uint64_t hash_string(const struct go_hash_key *key, uint64_t seed, const uint8_t *bytes,
				     size_t length)
{
	uint64_t lengths = (uint64_t)(uint16_t)length * 0x0001000100010001ull;
	__m128i start = _mm_set_epi64x((int64_t)lengths, (int64_t)seed);
	__m128i first = _mm_xor_si128(start, block_at(key->schedule));
	first = _mm_aesenc_si128(first, first);
	uint8_t block[BLOCK] = {0};
	if (length == 0)
		return (uint64_t)_mm_cvtsi128_si64(_mm_aesenc_si128(first, first));
	if (length <= BLOCK) {
		memcpy(block, bytes, length);
		return (uint64_t)_mm_cvtsi128_si64(scramble(_mm_xor_si128(block_at(block), first)));
	}
	__m128i second = _mm_xor_si128(start, block_at(key->schedule + BLOCK));
	second = _mm_aesenc_si128(second, second);
	__m128i head = scramble(_mm_xor_si128(block_at(bytes), first));
	__m128i tail = scramble(_mm_xor_si128(block_at(bytes + length - BLOCK), second));
	return (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(head, tail));
}

struct check {
	struct go_process *process;
	const struct go_hash_key *key;
	const struct go_map_header *header;
	const struct go_map_type *type;
	uint64_t limit, checked, agreed;
};

static bool is_word(enum go_kind kind)
{
	/* int to uintptr, 2 to 12; floats hash otherwise */
	return (kind >= 2 && kind <= 12) || kind == GO_KIND_POINTER || kind == GO_KIND_CHAN ||
	       kind == GO_KIND_UNSAFE;
}

/* False when this kind of key is not known here. */
static bool hash_key(struct check *check, const uint8_t *bytes, uint64_t *ret)
{
	const struct go_map_type *type = check->type;
	bool classic = check->process->layout.maps == GO_MAP_CLASSIC;
	uint64_t seed = classic ? check->header->seed : check->header->swiss_seed, words[2] = {0};
	enum go_kind kind = go_type_kind(check->process, type->key);
	if (type->key_indirect)
		return false;
	memcpy(words, bytes, type->key_size < sizeof words ? type->key_size : sizeof words);
	if (kind == GO_KIND_STRING && words[1] <= STRING_MAX) {
		const uint8_t *text = image_at(check->process->image, words[0], words[1]);
		if (text == NULL && words[1] != 0)
			return false;
		*ret = hash_string(check->key, seed, text, words[1]);
		return true;
	}
	if (!is_word(kind) || (type->key_size != 4 && type->key_size != 8))
		return false;
	*ret = hash_word(check->key, seed, words[0]);
	return true;
}

static bool agrees(const struct check *check, const struct go_group *group, unsigned slot, uint64_t hash)
{
	if (check->process->layout.maps == GO_MAP_SWISS)
		return group->bytes[slot] == (hash & 0x7f);
	uint8_t top = (uint8_t)(hash >> 56);
	if (top < TOP_LIVE)
		top += TOP_LIVE;
	return group->bytes[slot] == top &&
	       (hash & ((1ull << check->header->log_buckets) - 1)) == group->home;
}

static void check_group(void *context, const struct go_group *group)
{
	struct check *check = context;
	uint64_t hash;
	/* an old array has another number of buckets */
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS && !group->old && check->checked < check->limit;
	     slot++) {
		if (group->slots[slot] != GO_SLOT_LIVE ||
		    !hash_key(check, go_slot_key(check->type, group->bytes, slot), &hash))
			continue;
		check->checked++;
		check->agreed += agrees(check, group, slot, hash);
	}
}

void go_hash_check(struct go_process *process, const struct go_hash_key *key,
		   const struct go_map_header *header, const struct go_map_type *type, uint64_t limit,
		   uint64_t *checked, uint64_t *agreed)
{
	struct check check = {process, key, header, type, limit, 0, 0};
	struct go_map_visitor visitor = {&check, NULL, check_group};
	if (key->known)
		(void)go_map_walk(process, header, type, &visitor);
	*checked = check.checked;
	*agreed = check.agreed;
}
