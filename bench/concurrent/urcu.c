/* urcu.c: liburcu's lock-free resizable hash table, in its fastest flavour for readers (quiescent states). */
#include "peer.h"

#include <stdlib.h>
#include <urcu/urcu-qsbr.h>

#include <urcu/rculfhash.h>

struct urcu_node {
	struct cds_lfht_node node;
	struct rcu_head head;
	uint64_t key, value;
};

static int urcu_match(struct cds_lfht_node *node, const void *key)
{
	return caa_container_of(node, struct urcu_node, node)->key == *(const uint64_t *)key;
}

static void *urcu_make(void)
{
	urcu_qsbr_register_thread();
	void *map = cds_lfht_new_flavor(64, 64, 0, CDS_LFHT_AUTO_RESIZE, &urcu_qsbr_flavor, NULL);
	urcu_qsbr_unregister_thread();
	return map;
}

static void urcu_in(void)
{
	urcu_qsbr_register_thread();
}

static void urcu_out(void)
{
	urcu_qsbr_unregister_thread();
}

static void urcu_rest(void)
{
	urcu_qsbr_quiescent_state();
}

static bool urcu_load(void *map, uint64_t key, uint64_t *ret)
{
	struct cds_lfht_iter iter;
	cds_lfht_lookup(map, concurrent_mix(key), urcu_match, &key, &iter);
	struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
	if (node != NULL)
		*ret = __atomic_load_n(&caa_container_of(node, struct urcu_node, node)->value,
				       __ATOMIC_RELAXED);
	return node != NULL;
}

static void urcu_free(struct rcu_head *head)
{
	free(caa_container_of(head, struct urcu_node, head));
}

static void urcu_store(void *map, uint64_t key, uint64_t value)
{
	struct urcu_node *node = malloc(sizeof *node);
	if (node == NULL)
		abort();
	cds_lfht_node_init(&node->node);
	node->key = key;
	node->value = value;
	struct cds_lfht_node *old =
		cds_lfht_add_replace(map, concurrent_mix(key), urcu_match, &key, &node->node);
	if (old != NULL)
		urcu_qsbr_call_rcu(&caa_container_of(old, struct urcu_node, node)->head, urcu_free);
}

static void urcu_erase(void *map, uint64_t key)
{
	struct cds_lfht_iter iter;
	cds_lfht_lookup(map, concurrent_mix(key), urcu_match, &key, &iter);
	struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
	if (node != NULL && cds_lfht_del(map, node) == 0)
		urcu_qsbr_call_rcu(&caa_container_of(node, struct urcu_node, node)->head, urcu_free);
}

/* The process ends instead. */
static void urcu_destroy(void *map)
{
	(void)map;
}

const struct concurrent_peer peer_urcu = {"urcu",     "liburcu's rculfhash, QSBR",
					  urcu_make,  urcu_destroy,
					  urcu_in,    urcu_out,
					  urcu_rest,  urcu_load,
					  urcu_store, urcu_erase};
