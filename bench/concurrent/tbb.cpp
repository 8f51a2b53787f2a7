// tbb.cpp: oneTBB's concurrent_hash_map: a lock on every bucket and on every entry.
#include "peer.h"

#include <tbb/concurrent_hash_map.h>

namespace
{
struct Hash {
	static size_t hash(uint64_t key)
	{
		return concurrent_mix(key);
	}
	static bool equal(uint64_t a, uint64_t b)
	{
		return a == b;
	}
};
using Map = tbb::concurrent_hash_map<uint64_t, uint64_t, Hash>;

void *make()
{
	return new Map;
}
void destroy(void *map)
{
	delete static_cast<Map *>(map);
}
bool load(void *map, uint64_t key, uint64_t *ret)
{
	Map::const_accessor at;
	if (!static_cast<Map *>(map)->find(at, key))
		return false;
	*ret = at->second;
	return true;
}
void store(void *map, uint64_t key, uint64_t value)
{
	Map::accessor at;
	static_cast<Map *>(map)->insert(at, key);
	at->second = value;
}
void erase(void *map, uint64_t key)
{
	static_cast<Map *>(map)->erase(key);
}
} // namespace

extern "C" const concurrent_peer peer_tbb = {
	"tbb", "oneTBB's concurrent_hash_map", make, destroy, nullptr, nullptr, nullptr, load, store, erase};
