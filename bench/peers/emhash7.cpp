// emhash7.cpp: emhash7::HashMap with std::hash, its default.
#include "std_key.hpp"

#include <emhash/hash_table7.hpp>

#define PEER_NAME  "emhash7"
#define PEER_ABOUT "emhash7::HashMap, std::hash (the identity for integers)"
#define PEER_RANK  21

using table_size = uint64_t;
#define table_shrink(table) (table).shrink_to_fit()

namespace // one type of this name per adapter
{
struct map {
	emhash7::HashMap<table_key, bench_value> table;
};
} // namespace

#include "std_like.hpp"
