// any_std.cpp: C++'s answers to any_cost: std::any for values, virtual functions and dynamic_cast for methods.
#include <any>
#include <cstdlib>
#include <memory>
#include <vector>

#include "../any_cost.h"

namespace
{
struct wide {
	int64_t words[6];
};

struct object {
	virtual ~object() = default;
};

struct sized {
	virtual int64_t size() const = 0;
	virtual ~sized() = default;
};

struct number_object : object, sized {
	int64_t number = 0;
	int64_t size() const override
	{
		return number;
	}
};

struct wide_object : object, sized {
	wide of{};
	int64_t size() const override
	{
		return of.words[0] * 2;
	}
};

std::vector<std::unique_ptr<object>> objects;
std::vector<sized *> sizeds;
std::vector<std::any> values;

void prepare()
{
	if (!objects.empty())
		return;
	for (int64_t i = 0; i < ANY_VALUES; i++) {
		if (i % 2 == 0) {
			auto made = std::make_unique<number_object>();
			made->number = i;
			objects.push_back(std::move(made));
		} else {
			auto made = std::make_unique<wide_object>();
			made->of.words[0] = i;
			objects.push_back(std::move(made));
		}
		sizeds.push_back(dynamic_cast<sized *>(objects.back().get()));
		values.emplace_back(wide{{i}});
	}
}

uint64_t scalar(uint64_t *sink)
{
	for (int64_t i = 0; i < ANY_VALUES * ANY_TURNS; i++) {
		std::any value = i;
		*sink += static_cast<uint64_t>(*std::any_cast<int64_t>(&value));
	}
	return ANY_VALUES * ANY_TURNS;
}

uint64_t box(uint64_t *sink)
{
	for (int64_t i = 0; i < ANY_VALUES * ANY_TURNS / 4; i++) {
		std::any value = wide{{i}};
		*sink += static_cast<uint64_t>(std::any_cast<wide>(&value)->words[0]);
	}
	return ANY_VALUES * ANY_TURNS / 4;
}

uint64_t share(uint64_t *sink)
{
	prepare();
	for (unsigned i = 0; i < ANY_VALUES * ANY_TURNS / 4; i++) {
		std::any copy = values[i % ANY_VALUES];
		*sink += static_cast<uint64_t>(std::any_cast<wide>(&copy)->words[0]);
	}
	return ANY_VALUES * ANY_TURNS / 4;
}

uint64_t assert_to(uint64_t *sink)
{
	prepare();
	for (unsigned i = 0; i < ANY_VALUES * ANY_TURNS; i++)
		*sink += reinterpret_cast<uint64_t>(dynamic_cast<sized *>(objects[i % ANY_VALUES].get()));
	return ANY_VALUES * ANY_TURNS;
}

uint64_t call(uint64_t *sink)
{
	prepare();
	for (unsigned i = 0; i < ANY_VALUES * ANY_TURNS; i++)
		*sink += static_cast<uint64_t>(sizeds[i % ANY_VALUES]->size());
	return ANY_VALUES * ANY_TURNS;
}
} // namespace

extern "C" {
any_work *const any_std_rows[ANY_ROWS] = {scalar, box, share, assert_to, call, nullptr};
}
