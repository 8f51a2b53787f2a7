// std_key.hpp: the key type of C++ tables for a shape.
#include "../peer.h"

#include <string_view>

#if BENCH_SHAPE == SHAPE_STR
using table_key = std::string_view;
#else
using table_key = uint64_t;
#endif
