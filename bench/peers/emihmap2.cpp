// emihmap2.cpp: emilib2::HashMap with std::hash, its default.
#include "std_key.hpp"

#include <emilib/emihmap2.hpp>

#define PEER_NAME  "emihmap2"
#define PEER_ABOUT "emilib2::HashMap, std::hash (the identity for integers)"
#define PEER_RANK  22

using table_size = uint64_t;
#define table_shrink(table) (table).shrink_to_fit()

namespace // one type of this name per adapter
{
struct map {
	emilib2::HashMap<table_key, bench_value> table;
};
} // namespace

#include "std_like.hpp"
