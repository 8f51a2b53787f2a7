/* fork.c: all locks of all maps are taken before a fork, so that the child finds every map whole.
 *
 * Order: the list of maps, then each map in the order of the list. A thread that holds locks of a map takes none of the
 * list, and none of another map (a release callback, which may, runs under none).
 */
#include <pthread.h>

#include "cmap/internal.h"

static struct neap__word_lock maps_lock;
struct neap_cmap *neap__cmap_list;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static struct neap__section forking;

static void epochs_before_fork(void)
{
	struct neap__section section = neap__enter();
	neap__word_lock_take(&maps_lock);
	for (struct neap_cmap *map = neap__cmap_list; map != NULL; map = map->next) {
		neap__cmap_take_all(map);
		neap__word_lock_take(&map->retirement);
	}
	forking = section; /* only now is it this thread's */
}

static void epochs_after_fork(void)
{
	struct neap__section section = forking;
	for (struct neap_cmap *map = neap__cmap_list; map != NULL; map = map->next) {
		neap__word_lock_give(&map->retirement);
		neap__cmap_give_all(map);
	}
	neap__word_lock_give(&maps_lock);
	neap__leave(section);
}

static void after_in_child(void)
{
	neap__epochs_forked();
	epochs_after_fork();
}

static void watch_fork(void)
{
	(void)pthread_atfork(epochs_before_fork, epochs_after_fork, after_in_child);
}

void neap__cmap_watch_fork(void)
{
	pthread_once(&fork_once, watch_fork);
}

void neap__cmap_enlist(struct neap_cmap *map)
{
	neap__cmap_watch_fork();
	neap__word_lock_take(&maps_lock);
	map->next = neap__cmap_list;
	if (neap__cmap_list != NULL)
		neap__cmap_list->previous = map;
	neap__cmap_list = map;
	neap__word_lock_give(&maps_lock);
}

void neap__cmap_delist(struct neap_cmap *map)
{
	neap__word_lock_take(&maps_lock);
	if (map->previous != NULL)
		map->previous->next = map->next;
	else
		neap__cmap_list = map->next;
	if (map->next != NULL)
		map->next->previous = map->previous;
	neap__word_lock_give(&maps_lock);
}
