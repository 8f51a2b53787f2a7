/* ours.c: Neap's concurrent map, and Neap's plain map under a lock. */
#include "peer.h"

#include <pthread.h>
#include <stdlib.h>

#define NEAP_CMAP_NAME	words
#define NEAP_CMAP_KEY	uint64_t
#define NEAP_CMAP_VALUE uint64_t
#include "neap/cmap_typed.h"

static void *cmap_make(void)
{
	return words_create(NULL);
}

static void cmap_destroy(void *map)
{
	neap_cmap_destroy(map);
}

static bool cmap_load(void *map, uint64_t key, uint64_t *ret)
{
	return words_load(map, key, ret);
}

static void cmap_store(void *map, uint64_t key, uint64_t value)
{
	if (words_store(map, key, value) != 0)
		abort();
}

static void cmap_erase(void *map, uint64_t key)
{
	(void)words_delete(map, key);
}

const struct concurrent_peer peer_cmap = {
	"neap",	   "Neap's concurrent map", cmap_make, cmap_destroy, NULL, NULL, NULL, cmap_load, cmap_store,
	cmap_erase};

/* ---- One lock around a plain map ---- */

struct locked {
	struct neap_map *map;
	pthread_mutex_t mutex;
	pthread_rwlock_t rwlock;
};

static void *locked_make(void)
{
	struct locked *locked = malloc(sizeof *locked);
	if (locked == NULL)
		abort();
	locked->map = neap_map_create(&words_type, NULL);
	pthread_mutex_init(&locked->mutex, NULL);
	pthread_rwlock_init(&locked->rwlock, NULL);
	return locked;
}

static void locked_destroy(void *map)
{
	struct locked *locked = map;
	neap_map_destroy(locked->map);
	free(locked);
}

static bool plain_load(struct locked *locked, uint64_t key, uint64_t *ret)
{
	const uint64_t *value = neap_map_get(locked->map, &key);
	if (value != NULL)
		*ret = *value;
	return value != NULL;
}

static bool mutex_load(void *map, uint64_t key, uint64_t *ret)
{
	struct locked *locked = map;
	pthread_mutex_lock(&locked->mutex);
	bool found = plain_load(locked, key, ret);
	pthread_mutex_unlock(&locked->mutex);
	return found;
}

static void mutex_store(void *map, uint64_t key, uint64_t value)
{
	struct locked *locked = map;
	pthread_mutex_lock(&locked->mutex);
	(void)neap_map_put(locked->map, &key, &value);
	pthread_mutex_unlock(&locked->mutex);
}

static void mutex_erase(void *map, uint64_t key)
{
	struct locked *locked = map;
	pthread_mutex_lock(&locked->mutex);
	(void)neap_map_delete(locked->map, &key);
	pthread_mutex_unlock(&locked->mutex);
}

static bool rwlock_load(void *map, uint64_t key, uint64_t *ret)
{
	struct locked *locked = map;
	pthread_rwlock_rdlock(&locked->rwlock);
	bool found = plain_load(locked, key, ret);
	pthread_rwlock_unlock(&locked->rwlock);
	return found;
}

static void rwlock_store(void *map, uint64_t key, uint64_t value)
{
	struct locked *locked = map;
	pthread_rwlock_wrlock(&locked->rwlock);
	(void)neap_map_put(locked->map, &key, &value);
	pthread_rwlock_unlock(&locked->rwlock);
}

static void rwlock_erase(void *map, uint64_t key)
{
	struct locked *locked = map;
	pthread_rwlock_wrlock(&locked->rwlock);
	(void)neap_map_delete(locked->map, &key);
	pthread_rwlock_unlock(&locked->rwlock);
}

const struct concurrent_peer peer_mutex = {"mutex",	"Neap's plain map, one mutex",
					   locked_make, locked_destroy,
					   NULL,	NULL,
					   NULL,	mutex_load,
					   mutex_store, mutex_erase};
const struct concurrent_peer peer_rwlock = {"rwlock",	  "Neap's plain map, one rwlock",
					    locked_make,  locked_destroy,
					    NULL,	  NULL,
					    NULL,	  rwlock_load,
					    rwlock_store, rwlock_erase};
