// boost.cpp: boost::unordered_flat_map with boost::hash, its default. Needs Boost 1.81; Debian 12 has 1.74.
#include "std_key.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#define PEER_NAME  "boost"
#define PEER_ABOUT "boost::unordered_flat_map, boost::hash"
#define PEER_RANK  20

using table_size = size_t;
#define table_shrink(table) (table).rehash(0)

namespace // one type of this name per adapter
{
struct map {
	boost::unordered_flat_map<table_key, bench_value> table;
};
} // namespace

#include "std_like.hpp"
