// absl.cpp: absl::flat_hash_map with absl::Hash, its default. Batches use its prefetch().
#include "std_key.hpp"

#include <absl/container/flat_hash_map.h>

#define PEER_NAME  "absl"
#define PEER_ABOUT "absl::flat_hash_map (LTS 20220623 in Debian 12), absl::Hash"
#define PEER_RANK  10
#define PEER_HAS_BATCH

using table_size = size_t;
#define table_shrink(table) (table).rehash(0)

namespace // one type of this name per adapter
{
struct map {
	absl::flat_hash_map<table_key, bench_value> table;
};
} // namespace

static inline uint64_t map_get_batch(struct map *map, const bench_key *keys, size_t n);

#include "std_like.hpp"

static inline uint64_t map_get_batch(struct map *map, const bench_key *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		map->table.prefetch(key_of(keys[i]));
	return loop_get(map, keys, n);
}
