/* gohash.c: see gohash.h. The rounds are those of the runtime's assembly (memhash64, memhash32 and aeshashbody for
 * short strings), the same from Go 1.19 to 1.27.
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
	BYTES_MAX = 32,
	PLAIN_DEPTH = 6,
	BLOCK = 16,
};

/* aesenc xmm0, [rip + disp32] */
static const uint8_t aesenc[] = {0x66, 0x0f, 0x38, 0xdc, 0x05};
enum { AESENC_SIZE = 9 };

/* The hash moved to another package in 1.27. */
static const char *const key_symbols[] = {"runtime.aeskeysched", "internal/runtime/maps.aeskeysched"};
static const char *const hash_functions[] = {"internal/runtime/maps.memHash64AES", "runtime.memhash64"};

static uint64_t key_from_code(struct go_process *process, const char *function)
{
	uint64_t entry = go_function_entry(process, function);
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
	uint64_t address = 0;
	for (size_t i = 0; address == 0 && i < sizeof key_symbols / sizeof *key_symbols; i++)
		address = program_symbol(process->program, key_symbols[i]);
	for (size_t i = 0; address == 0 && i < sizeof hash_functions / sizeof *hash_functions; i++)
		address = key_from_code(process, hash_functions[i]);
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

static WITH_AES uint64_t hash_bytes(const struct go_hash_key *key, uint64_t seed, const uint8_t *bytes,
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
	bool enough;
};

static bool is_plain(struct go_process *process, uint64_t type, int depth);

/* Every field is plain, has a name, and none is followed by padding. */
static bool is_plain_struct(struct go_process *process, uint64_t type, int depth)
{
	struct go_field field;
	uint64_t end = 0;
	for (size_t i = 0; go_type_field(process, type, i, &field); i++) {
		bool blank = field.name_length == 1 && field.name[0] == '_';
		if (blank || field.offset != end || !is_plain(process, field.type, depth + 1))
			return false;
		end += go_type_size(process, field.type);
	}
	return end == go_type_size(process, type);
}

/* True for values that are equal when their bytes are: these are hashed as bytes. */
static bool is_plain(struct go_process *process, uint64_t type, int depth)
{
	enum go_kind kind = go_type_kind(process, type);
	if (depth > PLAIN_DEPTH)
		return false;
	if (kind == GO_KIND_ARRAY)
		return go_type_elem(process, type) != 0 &&
		       is_plain(process, go_type_elem(process, type), depth + 1);
	if (kind == GO_KIND_STRUCT)
		return is_plain_struct(process, type, depth);
	/* bool and int to uintptr, 1 to 12; floats, complex numbers, strings and interfaces are not */
	return (kind >= 1 && kind <= 12) || kind == GO_KIND_POINTER || kind == GO_KIND_CHAN ||
	       kind == GO_KIND_UNSAFE;
}

bool go_hash_of(struct go_process *process, const struct go_hash_key *key, const struct go_map_header *header,
		const struct go_map_type *type, const uint8_t *bytes, uint64_t *ret)
{
	bool classic = process->layout.maps == GO_MAP_CLASSIC;
	uint64_t seed = classic ? header->seed : header->swiss_seed, words[2] = {0};
	uint32_t size = type->key_size;
	if (!key->known || type->key_indirect)
		return false;
	memcpy(words, bytes, size < sizeof words ? size : sizeof words);
	if (go_type_kind(process, type->key) == GO_KIND_STRING) {
		const uint8_t *text =
			words[1] > BYTES_MAX ? NULL : image_at(process->image, words[0], words[1]);
		if (text == NULL && words[1] != 0)
			return false;
		*ret = hash_bytes(key, seed, text, words[1]);
		return true;
	}
	if (size == 0 || size > BYTES_MAX || !is_plain(process, type->key, 0))
		return false;
	*ret = size == 4 || size == 8 ? hash_word(key, seed, words[0]) : hash_bytes(key, seed, bytes, size);
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
		    !go_hash_of(check->process, check->key, check->header, check->type,
				go_slot_key(check->type, group->bytes, slot), &hash))
			continue;
		check->checked++;
		check->agreed += agrees(check, group, slot, hash);
	}
	check->enough = check->checked == check->limit;
}

void go_hash_check(struct go_process *process, const struct go_hash_key *key,
		   const struct go_map_header *header, const struct go_map_type *type, uint64_t limit,
		   uint64_t *checked, uint64_t *agreed)
{
	struct check check = {process, key, header, type, limit, 0, 0, false};
	struct go_map_visitor visitor = {.context = &check, .group = check_group, .enough = &check.enough};
	if (key->known)
		(void)go_map_walk(process, header, type, &visitor);
	*checked = check.checked;
	*agreed = check.agreed;
}
