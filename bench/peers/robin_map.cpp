// robin_map.cpp: tsl::robin_map with its defaults: std::hash, sizes that are powers of two.
#include "std_key.hpp"

#include <tsl/robin_map.h>

#define PEER_NAME  "robin_map"
#define PEER_ABOUT "tsl::robin_map, std::hash (the identity for integers), powers of two"
#define PEER_RANK  11

using table_size = size_t;
#define table_shrink(table) (table).rehash(0)

namespace // one type of this name per adapter
{
struct map {
	tsl::robin_map<table_key, bench_value> table;
};
} // namespace

#include "std_like.hpp"
