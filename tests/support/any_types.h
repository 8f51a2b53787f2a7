/* any_types.h: types of interface values that the tests share: one that must not be compared, one that owns a block,
 * a wide one, an aligned one, and two shapes with methods.
 */
#ifndef NEAP_TESTS_ANY_TYPES_H
#define NEAP_TESTS_ANY_TYPES_H

#include <stdlib.h>
#include <string.h>

#include "neap/any.h"

/* An owner: what it holds is freed when it is dropped, and counted. Small enough for a word, yet boxed. */
struct any_owner {
	char *block;
};

static int any_owners_dropped;

static inline void any_owner_drop(void *value)
{
	free(((struct any_owner *)value)->block);
	any_owners_dropped++;
}

static const struct neap_any_type any_type_owner = {.size = sizeof(struct neap_any_type),
						    .value_size = sizeof(struct any_owner),
						    .value_align = _Alignof(struct any_owner),
						    .name = "owner",
						    .drop = any_owner_drop};

static const struct neap_any_type any_type_slice = {.size = sizeof(struct neap_any_type),
						    .kind = NEAP_ANY_NEVER,
						    .value_size = 24,
						    .value_align = 8,
						    .name = "[]int"};

struct any_wide {
	uint64_t words[8];
};

static const struct neap_any_type any_type_wide = {.size = sizeof(struct neap_any_type),
						   .value_size = sizeof(struct any_wide),
						   .value_align = 8,
						   .name = "wide"};

static const struct neap_any_type any_type_f32 = {.size = sizeof(struct neap_any_type),
						  .kind = NEAP_ANY_F32,
						  .value_size = 4,
						  .value_align = 4,
						  .name = "float32"};

/* Equal when the absolute values are. */
static inline bool any_abs_equal(const void *a, const void *b)
{
	return llabs(*(const int64_t *)a) == llabs(*(const int64_t *)b);
}

static inline uint64_t any_abs_hash(const void *value, uint64_t seed)
{
	return (uint64_t)llabs(*(const int64_t *)value) + seed;
}

static const struct neap_any_type any_type_abs = {.size = sizeof(struct neap_any_type),
						  .kind = NEAP_ANY_USER,
						  .value_size = 8,
						  .value_align = 8,
						  .name = "abs",
						  .equal = any_abs_equal,
						  .hash = any_abs_hash};

/* Shapes. A square fits into the word, a rectangle is boxed. */
typedef double any_area_fn(const void *self);
typedef double any_scaled_fn(const void *self, double by);

static inline double any_square_area(const void *self)
{
	double side = *(const double *)self;
	return side * side;
}

static inline double any_square_scaled(const void *self, double by)
{
	return any_square_area(self) * by * by;
}

struct any_rectangle {
	double width, height;
};

static inline double any_rectangle_area(const void *self)
{
	const struct any_rectangle *of = self;
	return of->width * of->height;
}

static const struct neap_method any_square_methods[] = {NEAP_METHOD(scaled, any_scaled_fn, any_square_scaled),
							NEAP_METHOD(area, any_area_fn, any_square_area)};
static const struct neap_method any_rectangle_methods[] = {
	NEAP_METHOD(area, any_area_fn, any_rectangle_area)};

static const struct neap_any_type any_type_square = {.size = sizeof(struct neap_any_type),
						     .kind = NEAP_ANY_F64,
						     .value_size = 8,
						     .value_align = 8,
						     .name = "square",
						     .methods = any_square_methods,
						     .methods_n = 2};
static const struct neap_any_type any_type_rectangle = {.size = sizeof(struct neap_any_type),
							.value_size = sizeof(struct any_rectangle),
							.value_align = 8,
							.name = "rectangle",
							.methods = any_rectangle_methods,
							.methods_n = 1};

static const struct neap_method any_shape_needs[] = {NEAP_NEEDS(area, any_area_fn)};
static const struct neap_method any_scalable_needs[] = {NEAP_NEEDS(area, any_area_fn),
							NEAP_NEEDS(scaled, any_scaled_fn)};
static const struct neap_method any_wrong_needs[] = {NEAP_NEEDS(area, any_scaled_fn)};

static const struct neap_interface any_shape = {sizeof(struct neap_interface), "shape", any_shape_needs, 1};
static const struct neap_interface any_scalable = {sizeof(struct neap_interface), "scalable",
						   any_scalable_needs, 2};
static const struct neap_interface any_wrong = {sizeof(struct neap_interface), "wrong", any_wrong_needs, 1};

#endif
