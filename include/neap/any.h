/* neap/any.h: interface values: a value of any type in two words, and the methods that its type has.
 *
 *     struct neap_any    | type | data |    Go's `any`
 *     struct neap_iface  | itab | data |    Go's interface with methods; an itab is a type and where its methods are
 *
 * A value of at most 8 bytes whose type owns nothing lies in the data word itself: no allocation. Any other lies
 * in a box, which data points to. Boxes are immutable and counted: neap_any_copy shares the box, the last
 * neap_any_drop runs the type's `drop` and gives the box back to the allocator that it came from. Whoever holds
 * the two words without having copied them borrows: the value lives as long as the holder's.
 *
 * nil is two zero words. A value that is a NULL pointer is not nil: its first word says what it points to.
 *
 * Types are compared by the address of their descriptor: define each once in a program, not in a header.
 *
 * Threads. Values are words: who writes them needs a lock. Boxes may be shared, copied and dropped by any number of
 * threads; itabs are made once and found without a lock. Nothing here blocks or collects.
 */
#ifndef NEAP_ANY_H
#define NEAP_ANY_H

#include "neap/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How two values of a type compare, which is also how they hash. */
enum neap_any_kind {
	NEAP_ANY_BYTES = 0, /* equal when all bytes are: integers, pointers, structs without padding */
	NEAP_ANY_F32 = 1,   /* float: 0 == -0, a NaN equals nothing */
	NEAP_ANY_F64 = 2,   /* double, likewise */
	NEAP_ANY_STR = 3,   /* struct neap_str, by its bytes */
	NEAP_ANY_USER = 4,  /* the `equal` and `hash` of the type */
	NEAP_ANY_NEVER = 5  /* must not be compared, as slices and maps in Go */
};

/* A function whose type its user knows. Only neap_iface_call gives it back its type. */
typedef void neap_method_fn(void);

struct neap_method {
	const char *name, *signature;
	neap_method_fn *call; /* NULL in an interface */
};

/* A type's method, checked against its signature when it is compiled; the signature is a function typedef, whose
 * first parameter is `const void *self`, the address of the value.
 *
 *     typedef double area_fn(const void *self);
 *     static const struct neap_method circle_methods[] = {NEAP_METHOD(area, area_fn, circle_area)};
 *     static const struct neap_method shape_methods[] = {NEAP_NEEDS(area, area_fn)};
 */
#define NEAP_METHOD(name, signature, function)                              \
	{                                                                   \
		NEAP__QUOTE(name), NEAP__QUOTE(signature),                  \
			(neap_method_fn *)(1 ? (function) : (signature *)0) \
	}
/* What an interface asks for: a method of this name with this typedef, compared by its spelling. */
#define NEAP_NEEDS(name, signature)                                            \
	{                                                                      \
		NEAP__QUOTE(name), NEAP__QUOTE(signature), (neap_method_fn *)0 \
	}
#define NEAP__QUOTE(text) #text

/* What a value is. Must outlive every value of the type; usually static const. */
struct neap_any_type {
	uint32_t size;			  /* sizeof(struct neap_any_type), so that the struct may grow */
	uint32_t kind;			  /* enum neap_any_kind */
	uint32_t value_size, value_align; /* bytes; at most 2^30, alignment at most 64 */
	const char *name;		  /* shown by tools and faults */

	/* NEAP_ANY_USER only. Equal values must hash alike; what does not equal itself may hash to anything. */
	bool (*equal)(const void *a, const void *b);
	uint64_t (*hash)(const void *value, uint64_t seed);

	/* Releases what the value owns, once, when its last copy is dropped. NULL: it owns nothing. */
	void (*drop)(void *value);

	const struct neap_method *methods;
	uint32_t methods_n;
};

struct neap_any {
	const struct neap_any_type *type; /* NULL: nil */
	uint64_t data; /* the value's bytes, zeroes behind them, or the address of its box */
};

/* The types of the scalars below. */
NEAP_API extern const struct neap_any_type neap_any_type_bool;
NEAP_API extern const struct neap_any_type neap_any_type_i64;
NEAP_API extern const struct neap_any_type neap_any_type_u64;
NEAP_API extern const struct neap_any_type neap_any_type_f64;
NEAP_API extern const struct neap_any_type neap_any_type_ptr;
NEAP_API extern const struct neap_any_type neap_any_type_str;

/* The value in two words; no allocation, cannot fail, owns nothing. */
NEAP_API struct neap_any neap_any_of_bool(bool value);
NEAP_API struct neap_any neap_any_of_i64(int64_t value);
NEAP_API struct neap_any neap_any_of_u64(uint64_t value);
NEAP_API struct neap_any neap_any_of_f64(double value);
NEAP_API struct neap_any neap_any_of_ptr(const void *value);

/* The value at `value`, moved into two words: what it owned belongs to `ret` now, to be dropped by the caller. A box
 * comes from `from` (NULL: malloc), which must outlive it. NEAP_ENOMEM, or NEAP_EINVAL for a descriptor out of range:
 * `ret` is nil and the value still the caller's.
 */
NEAP_API int neap_any_make(const struct neap_allocator *from, const struct neap_any_type *type,
			   const void *value, struct neap_any *ret);
/* A string with a copy of its bytes, in one box. Its type is neap_any_type_str. Fails like neap_any_make. */
NEAP_API int neap_any_make_str(const struct neap_allocator *from, struct neap_str str, struct neap_any *ret);

/* True when the data word leads to a box: the value is larger than the word, or its type has a `drop`. */
static inline bool neap_any_boxed(struct neap_any value)
{
	return value.type != NULL && (value.type->value_size > sizeof value.data || value.type->drop != NULL);
}

/* Another owner of the same value. Cannot fail: it is the same box. */
NEAP_API struct neap_any neap_any_copy(struct neap_any value);
/* Gives up ownership. nil and scalars are allowed. */
NEAP_API void neap_any_drop(struct neap_any value);
/* Owners of the value's box; 0 for what has none. Changes at any time while other threads hold copies. */
NEAP_API uint32_t neap_any_owners(struct neap_any value);

/* The value's address, valid while *value is unchanged and owned; NULL for nil. Not to be written to. */
NEAP_API const void *neap_any_value(const struct neap_any *value);
/* Type assertion to a concrete type: the value's address likewise, NULL when it is of another type. */
NEAP_API const void *neap_any_as(const struct neap_any *value, const struct neap_any_type *type);

/* Go's ==: nil equals nil, values of different types differ, values of one type compare as its kind says. Two values
 * of one type that must not be compared stop the program (struct neap_fault): ask neap_any_comparable first.
 */
NEAP_API bool neap_any_equal(struct neap_any a, struct neap_any b);
/* False when the value's type is NEAP_ANY_NEVER. nil is comparable. */
NEAP_API bool neap_any_comparable(struct neap_any value);
/* Equal values hash alike; each NaN hashes at random. Stops the program as neap_any_equal does. */
NEAP_API uint64_t neap_any_hash(struct neap_any value, uint64_t seed);

/* Interfaces with methods. */

struct neap_interface {
	uint32_t size; /* sizeof(struct neap_interface) */
	const char *name;
	const struct neap_method *methods; /* NEAP_NEEDS(...) each; the index in it is the method's number */
	uint32_t methods_n;
};

/* Made once for each pair that is asked for, kept until the program ends. The methods follow the struct. */
struct neap_itab {
	const struct neap_interface *interface;
	const struct neap_any_type *type;
	struct neap_itab *next; /* in its bucket */
	const char *missing; /* the first method that the type lacks; NULL in every itab that is handed out */
};

struct neap_iface {
	const struct neap_itab *itab; /* NULL: nil */
	uint64_t data;
};

/* Type assertion to an interface: the same value (not a copy: ownership stays as it is), seen through `to`.
 * NEAP_EMISMATCH when it is nil or its type lacks a method, NEAP_ENOMEM: `ret` is nil.
 */
NEAP_API int neap_iface_of(const struct neap_interface *to, struct neap_any value, struct neap_iface *ret);
/* The same value without the methods, from where it may become another interface. */
static inline struct neap_any neap_iface_any(struct neap_iface value)
{
	struct neap_any any = {value.itab != NULL ? value.itab->type : NULL, value.data};
	return any;
}
/* The first method of the interface that the type lacks, or has with another signature; NULL: it implements it. */
NEAP_API const char *neap_iface_missing(const struct neap_interface *to, const struct neap_any_type *type);

/* Stops the program: a method of a nil interface was called. */
NEAP_API neap_method_fn *neap__iface_nil(void);

static inline neap_method_fn *neap__iface_method(const struct neap_iface *value, uint32_t number)
{
	if (value->itab == NULL)
		return neap__iface_nil();
	return ((neap_method_fn *const *)(const void *)(value->itab + 1))[number];
}

/* Method `number` of a neap_iface at `value`, with its type: neap_iface_call(&shape, area_fn, 0)(self, ...), where
 * self is neap_iface_self(&shape). Two loads and an indirect call.
 */
#define neap_iface_call(value, signature, number) ((signature *)neap__iface_method((value), (number)))
/* The address of the value, as neap_any_value. */
NEAP_API const void *neap_iface_self(const struct neap_iface *value);

#ifdef __cplusplus
}
#endif

#endif
