/* any_cost.c: what does an interface value cost? In one run: Neap's, C++'s std::any and virtual functions, Go's
 * interfaces (when go was there to build them), and the plain C that knows its types.
 *
 *     scalar   an integer goes into a value and comes out by type assertion
 *     box      the same with 48 bytes, which are allocated and freed
 *     share    another owner of a box comes and goes; std::any copies what it holds, Go counts nothing
 *     assert   from any to an interface with one method, the type known; dynamic_cast in C++
 *     call     that method, over values of two types in turn
 *     map      a look-up among 10,000 integers as interface values; plain: the same map with integer keys
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "any_cost.h"
#include "machine.h"
#include "neap/any_map.h"

#define NEAP_MAP_NAME  plain_map
#define NEAP_MAP_KEY   int64_t
#define NEAP_MAP_VALUE int64_t
#include "neap/map_typed.h"

#define NEAP_MAP_NAME  any_keyed
#define NEAP_MAP_KEY   struct neap_any
#define NEAP_MAP_VALUE struct neap_any
#define NEAP_MAP_KIND  NEAP_KEY_USER
#define NEAP_MAP_HASH  neap_any_key_hash
#define NEAP_MAP_EQUAL neap_any_key_equal
#include "neap/map_typed.h"

typedef int64_t size_fn(const void *self);

struct wide {
	int64_t words[6];
};

static int64_t number_size(const void *self)
{
	return *(const int64_t *)self;
}

static int64_t wide_size(const void *self)
{
	return ((const struct wide *)self)->words[0] * 2;
}

static const struct neap_method number_methods[] = {NEAP_METHOD(size, size_fn, number_size)};
static const struct neap_method wide_methods[] = {NEAP_METHOD(size, size_fn, wide_size)};
static const struct neap_any_type number_type = {.size = sizeof number_type,
						 .value_size = 8,
						 .value_align = 8,
						 .name = "number",
						 .methods = number_methods,
						 .methods_n = 1};
static const struct neap_any_type wide_type = {.size = sizeof wide_type,
					       .value_size = sizeof(struct wide),
					       .value_align = 8,
					       .name = "wide",
					       .methods = wide_methods,
					       .methods_n = 1};
static const struct neap_method sized_needs[] = {NEAP_NEEDS(size, size_fn)};
static const struct neap_interface sized = {sizeof sized, "sized", sized_needs, 1};

static struct neap_any values[ANY_VALUES]; /* numbers and wide ones in turn */
static struct neap_iface sizeds[ANY_VALUES];
static struct {
	size_fn *size;
	const void *self;
} plain_sizeds[ANY_VALUES];
static struct neap_map *any_keys, *plain_keys;

static void must(int error)
{
	if (error != NEAP_OK)
		abort();
}

static uint64_t neap_scalar(uint64_t *sink)
{
	for (int64_t i = 0; i < ANY_VALUES * ANY_TURNS; i++) {
		struct neap_any value = neap_any_of_i64(i);
		const int64_t *back = neap_any_as(&value, &neap_any_type_i64);
		*sink += back != NULL ? (uint64_t)*back : 0;
	}
	return ANY_VALUES * ANY_TURNS;
}

static uint64_t neap_box(uint64_t *sink)
{
	struct wide wide = {{0}};
	for (int64_t i = 0; i < ANY_VALUES * ANY_TURNS / 4; i++) {
		struct neap_any value;
		wide.words[0] = i;
		must(neap_any_make(NULL, &wide_type, &wide, &value));
		const struct wide *back = neap_any_as(&value, &wide_type);
		/* neap-lint: allow unchecked-result: it is of that type, and a test would be measured */
		*sink += (uint64_t)back->words[0];
		neap_any_drop(value);
	}
	return ANY_VALUES * ANY_TURNS / 4;
}

static uint64_t neap_share(uint64_t *sink)
{
	for (unsigned i = 0; i < ANY_VALUES * ANY_TURNS / 4; i++) {
		struct neap_any copy = neap_any_copy(values[i % ANY_VALUES | 1]);
		*sink += copy.data;
		neap_any_drop(copy);
	}
	return ANY_VALUES * ANY_TURNS / 4;
}

static uint64_t neap_assert_to(uint64_t *sink)
{
	for (unsigned i = 0; i < ANY_VALUES * ANY_TURNS; i++) {
		struct neap_iface iface;
		must(neap_iface_of(&sized, values[i % ANY_VALUES], &iface));
		*sink += iface.data;
	}
	return ANY_VALUES * ANY_TURNS;
}

static uint64_t neap_call(uint64_t *sink)
{
	for (unsigned i = 0; i < ANY_VALUES * ANY_TURNS; i++) {
		const struct neap_iface *on = &sizeds[i % ANY_VALUES];
		*sink += (uint64_t)neap_iface_call(on, size_fn, 0)(neap_iface_self(on));
	}
	return ANY_VALUES * ANY_TURNS;
}

static uint64_t neap_map(uint64_t *sink)
{
	for (int64_t i = 0; i < ANY_VALUES * ANY_TURNS; i++) {
		const struct neap_any *found = any_keyed_get(any_keys, neap_any_of_i64(i * 7919 % ANY_KEYS));
		/* neap-lint: allow null-dereference: every key is there, and a test would be measured */
		*sink += found->data; /* neap-lint: allow unchecked-result: the same */
	}
	return ANY_VALUES * ANY_TURNS;
}

static uint64_t plain_call(uint64_t *sink)
{
	for (unsigned i = 0; i < ANY_VALUES * ANY_TURNS; i++)
		*sink += (uint64_t)plain_sizeds[i % ANY_VALUES].size(plain_sizeds[i % ANY_VALUES].self);
	return ANY_VALUES * ANY_TURNS;
}

static uint64_t plain_box(uint64_t *sink)
{
	for (int64_t i = 0; i < ANY_VALUES * ANY_TURNS / 4; i++) {
		struct wide *volatile kept =
			malloc(sizeof *kept); /* volatile: or the pair would be removed */
		if (kept == NULL)
			abort();
		kept->words[0] = i;
		*sink += (uint64_t)kept->words[0];
		free(kept);
	}
	return ANY_VALUES * ANY_TURNS / 4;
}

static uint64_t plain_look_up(uint64_t *sink)
{
	for (int64_t i = 0; i < ANY_VALUES * ANY_TURNS; i++)
		/* neap-lint: allow null-dereference: every key is there, and a test would be measured */
		*sink += (uint64_t)*plain_map_get(plain_keys, i * 7919 % ANY_KEYS);
	return ANY_VALUES * ANY_TURNS;
}

static any_work *const neap_rows[ANY_ROWS] = {neap_scalar,    neap_box,	 neap_share,
					      neap_assert_to, neap_call, neap_map};
static any_work *const plain_rows[ANY_ROWS] = {NULL, plain_box, NULL, NULL, plain_call, plain_look_up};

static void prepare(void)
{
	for (int64_t i = 0; i < ANY_VALUES; i++) {
		struct wide wide = {{i}};
		must(i % 2 == 0 ? neap_any_make(NULL, &number_type, &i, &values[i])
				: neap_any_make(NULL, &wide_type, &wide, &values[i]));
		must(neap_iface_of(&sized, values[i], &sizeds[i]));
		plain_sizeds[i].size = i % 2 == 0 ? number_size : wide_size;
		plain_sizeds[i].self = neap_any_value(&values[i]);
	}
	any_keys = neap_map_create(&any_keyed_type, NULL);
	plain_keys = plain_map_create(NULL);
	for (int64_t i = 0; i < ANY_KEYS; i++) {
		must(any_keyed_put(any_keys, neap_any_of_i64(i), neap_any_of_i64(i)));
		must(plain_map_put(plain_keys, i, i));
	}
}

/* The figures that the Go program prints, one a line; -1 where there are none. */
static void ask_go(const char *program, double ret[ANY_ROWS])
{
	FILE *output = program != NULL ? popen(program, "r") : NULL;
	for (int row = 0; row < ANY_ROWS; row++)
		if (output == NULL || fscanf(output, "%lf", &ret[row]) != 1)
			ret[row] = -1;
	if (output != NULL)
		pclose(output);
}

static void show(double ns)
{
	if (ns < 0)
		printf("%10s", "-");
	else
		printf("%10.1f", ns);
}

int main(int argc, char **argv)
{
	static const char *const names[ANY_ROWS] = {"scalar", "box", "share", "assert", "call", "map"};
	uint64_t sink = 0;
	double go[ANY_ROWS];
	machine_print(stdout, false);
	prepare();
	ask_go(argc > 1 ? argv[1] : NULL, go);
	printf("\n%-8s%10s%10s%10s%10s   ns each, best of %d\n", "", "neap", "C++", "Go", "plain C",
	       ANY_ROUNDS);
	for (int row = 0; row < ANY_ROWS; row++) {
		printf("%-8s", names[row]);
		show(any_measure(neap_rows[row], &sink));
		show(any_measure(any_std_rows[row], &sink));
		show(go[row]);
		show(any_measure(plain_rows[row], &sink));
		putchar('\n');
	}
	return sink == 1; /* it is not: but the compiler must not know */
}
