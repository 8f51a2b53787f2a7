/* settings.c: a map from names to values of any type, and one interface that all of them can print themselves by.
 *
 * Numbers and flags lie in the map's own slots. The path is a box; the map holds one copy of it and the program
 * another, so it outlives its deletion from the map.
 */
#include <stdio.h>
#include <string.h>

#include <neap/any_map.h>

/* What a setting can do, and two types that can. */
typedef void show_fn(const void *self);

static const struct neap_method setting_needs[] = {NEAP_NEEDS(show, show_fn)};
static const struct neap_interface setting = {sizeof setting, "setting", setting_needs, 1};

static void show_seconds(const void *self)
{
	printf("%g s\n", *(const double *)self);
}

static const struct neap_method seconds_methods[] = {NEAP_METHOD(show, show_fn, show_seconds)};
static const struct neap_any_type seconds = {.size = sizeof seconds,
					     .kind = NEAP_ANY_F64,
					     .value_size = sizeof(double),
					     .value_align = _Alignof(double),
					     .name = "seconds",
					     .methods = seconds_methods,
					     .methods_n = 1};

struct range {
	long least, most;
};

static void show_range(const void *self)
{
	const struct range *range = self;
	printf("%ld to %ld\n", range->least, range->most);
}

static const struct neap_method range_methods[] = {NEAP_METHOD(show, show_fn, show_range)};
static const struct neap_any_type range_type = {.size = sizeof range_type,
						.value_size = sizeof(struct range),
						.value_align = _Alignof(struct range),
						.name = "range",
						.methods = range_methods,
						.methods_n = 1};

static struct neap_any name(const char *text)
{
	struct neap_any ret;
	(void)neap_any_make_str(NULL, (struct neap_str){text, (uint32_t)strlen(text), 0}, &ret);
	return ret;
}

static void set(struct neap_map *map, const char *key, struct neap_any value)
{
	struct neap_any owned = name(key);
	if (neap_any_map_put(map, owned, value) != NEAP_OK)
		printf("%s was not set\n", key);
	neap_any_drop(owned); /* the map has its own copy */
}

static void show(struct neap_map *map, const char *key)
{
	struct neap_any owned = name(key);
	const struct neap_any *value = neap_any_map_get(map, owned);
	struct neap_iface shown;
	printf("%-8s ", key);
	if (value == NULL)
		puts("(not set)");
	else if (neap_iface_of(&setting, *value, &shown) == NEAP_OK)
		neap_iface_call(&shown, show_fn, 0)(neap_iface_self(&shown));
	else if (value->type == NULL)
		puts("nil");
	else
		printf("a %s, which lacks %s\n", value->type->name,
		       neap_iface_missing(&setting, value->type));
	neap_any_drop(owned);
}

int main(void)
{
	struct neap_map *map = neap_map_create(&neap_any_map_type, NULL);
	struct neap_any timeout, ports, path = name("state.db");
	if (map == NULL || neap_any_make(NULL, &seconds, &(double){2.5}, &timeout) != NEAP_OK ||
	    neap_any_make(NULL, &range_type, &(struct range){8000, 8080}, &ports) != NEAP_OK)
		return 1;
	set(map, "timeout", timeout);
	set(map, "ports", ports);
	set(map, "path", path);
	set(map, "owner", (struct neap_any){NULL, 0});
	neap_any_drop(ports); /* the map's copy is the last one now */

	show(map, "timeout"); /* 2.5 s */
	show(map, "ports");   /* 8000 to 8080 */
	show(map, "path");    /* a string, which lacks show */
	show(map, "owner");   /* nil */
	show(map, "colour");  /* (not set) */

	struct neap_any key = name("path");
	neap_any_map_delete(map, key);
	neap_any_drop(key);
	const struct neap_str *kept = neap_any_as(&path, &neap_any_type_str);
	if (kept != NULL) /* NULL: another type */
		printf("deleted, still here: %.*s, %u owner\n", (int)kept->len, kept->ptr,
		       neap_any_owners(path));
	neap_any_drop(path);
	neap_map_destroy(map);
	return 0;
}
