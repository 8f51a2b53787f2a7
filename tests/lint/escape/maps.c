/* Neap's map: it copies the bytes of keys and values; what they point to is kept. */
/* Expectations stand at the ends of lines. */
// clang-format off
#include "neap/map.h"

struct session { int id; char *name; };
struct neap_map *sessions;

void by_value(struct neap_map *m) // want "m does not escape"
{
	struct session s = {1, 0}; // want "s does not escape"
	neap_map_put(m, &s.id, &s);
}
void by_pointer(struct neap_map *m) // want "m does not escape"
{
	struct session s = {1, 0}; // want "s stored into *m: DANGLING"
	struct session *p = &s; // want "p does not escape"
	neap_map_put(m, &s.id, &p);
}
void by_pointer_taken_back(struct neap_map *m) // want "m does not escape"
{
	struct session s = {1, 0}; // want "s stored into *m: MAY-DANGLE"
	struct session *p = &s; // want "p does not escape"
	int id = 1; // want "id does not escape"
	neap_map_put(m, &id, &p);
	s.id = 2;
	neap_map_delete(m, &id);
}
void by_pointer_cleared(struct neap_map *m) // want "m does not escape"
{
	struct session s = {1, 0}; // want "s stored into *m: MAY-DANGLE"
	struct session *p = &s; // want "p does not escape"
	int id = 1; // want "id does not escape"
	neap_map_put(m, &id, &p);
	neap_map_clear(m);
}
void by_pointer_global(void)
{
	struct session s = {1, 0}; // want "s escapes to heap: DANGLING"
	struct session *p = &s; // want "p does not escape"
	neap_map_put(sessions, &s.id, &p);
}
void param_put(struct neap_map *m, struct session *s) // want "leaking param: s stored into *m" "m does not escape"
{
	neap_map_put(m, &s->id, &s);
}
void param_put_copy(struct neap_map *m, struct session *s) // want "leaking param content: s stored into *m" "m does not escape"
{
	neap_map_put(m, &s->id, s);
}
void local_map(const struct neap_map_type *type) // want "type does not escape"
{
	struct session s = {1, 0}; // want "s does not escape"
	struct session *p = &s; // want "p does not escape"
	struct neap_map *m = neap_map_create(type, 0); // want "neap_map_create(...) does not escape"
	neap_map_put(m, &s.id, &p);
	neap_map_destroy(m);
}
void look_up(struct neap_map *m) // want "m does not escape"
{
	int id = 1; // want "id does not escape"
	struct session **s = neap_map_get(m, &id);
	if (s)
		(*s)->id = 2;
}
struct session *find(struct neap_map *m, int id) // want "leaking param: m to result level=2"
{
	struct session **s = neap_map_get(m, &id);
	return s ? *s : 0;
}
struct session *slot(struct neap_map *m, int id) // want "leaking param: m to result level=1"
{
	return neap_map_slot(m, &id, 0);
}
struct neap_map *make(const struct neap_map_type *type) // want "type does not escape"
{
	return neap_map_create(type, 0); // want "neap_map_create(...) escapes to result"
}
struct neap_map *twin(struct neap_map *m) // want "m does not escape"
{
	return neap_map_clone(m, 0, 0); // want "neap_map_clone(...) escapes to result"
}
void keep(struct neap_map *m) // want "leaking param: m"
{
	sessions = m;
}
void take_out(struct neap_map *m, struct session **ret) // want "leaking param content: m stored into *ret" "ret does not escape"
{
	int id = 1; // want "id does not escape"
	neap_map_take(m, &id, 0, ret);
}
int total(struct neap_map *m) // want "m does not escape"
{
	int sum = 0;
	struct neap_map_iter it; // want "it does not escape"
	for (neap_map_iter_init(&it, m); neap_map_iter_next(&it);)
		sum += ((struct session *)it.value)->id;
	return sum;
}
void *first_value(struct neap_map *m) // want "m does not escape"
{
	struct neap_map_iter it; // want "it does not escape"
	neap_map_iter_init(&it, m);
	return neap_map_iter_next(&it) ? it.value : 0;
}
void slot_filled(struct neap_map *m) // want "m does not escape"
{
	struct session s = {1, 0}; // want "s stored into *m: DANGLING"
	struct session **slot = neap_map_slot(m, &s.id, 0);
	if (slot)
		*slot = &s;
}
void string_key(struct neap_map *m, char *name) // want "leaking param: name stored into *m" "m does not escape"
{
	struct neap_str key = {name, 3, 0}; // want "key does not escape"
	neap_map_put(m, &key, 0);
}
void string_key_local(struct neap_map *m) // want "m does not escape"
{
	char name[4] = "abc"; // want "name stored into *m: DANGLING"
	struct neap_str key = {name, 3, 0}; // want "key does not escape"
	neap_map_put(m, &key, 0);
}
void string_key_read(struct neap_map *m) // want "m does not escape"
{
	char name[4] = "abc"; // want "name does not escape"
	struct neap_str key = {name, 3, 0}; // want "key does not escape"
	neap_map_get(m, &key);
}
