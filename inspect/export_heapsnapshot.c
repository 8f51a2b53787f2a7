/* export_heapsnapshot.c: V8's heap snapshot: flat arrays of numbers, and a table of strings that they index.
 *
 *   nodes    type, name, id, self size, edges, trace node, detachedness     7 numbers each; node 0 is above all roots
 *   edges    type, name or index, 7 * number of the node it leads to        in the order of the nodes they leave
 *
 * An edge of type "element" has an index: the number of the word in the object.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"

enum { NODE_FIELDS = 7, TYPE_OBJECT = 3, TYPE_NATIVE = 8, TYPE_SYNTHETIC = 9, EDGE_ELEMENT = 1 };
enum { NAME_BYTES = 256 };

struct writing {
	FILE *out;
	const struct inspection *inspection;
	uint32_t *node; /* by object: its number, 0 for none */
	uint64_t start; /* of the object whose words are visited */
	uint64_t edges;
	bool print; /* or only count */
	uint32_t *
		type_name; /* by descriptor's place, times 2, plus 1 for an array: number of the string, 0: none yet */
	uint32_t *strings; /* what each string names: such a place */
	size_t string_count, string_capacity;
};

#define FIRST_STRING 1u /* 0 is the name of node 0 */

static uint32_t add_string(struct writing *writing, uint32_t what)
{
	writing->strings = make_room(writing->strings, writing->string_count, &writing->string_capacity,
				     sizeof *writing->strings);
	writing->strings[writing->string_count] = what;
	return (uint32_t)writing->string_count++ + FIRST_STRING;
}

/* Objects of one type share a name; all those of unknown type share one. */
static uint32_t name_of(struct writing *writing, uint64_t object)
{
	const struct inspection *inspection = writing->inspection;
	bool array;
	uint64_t type = maps_object_type(inspection->process, &inspection->maps, object, &array);
	const struct map_block *block = maps_block_of(&inspection->maps, object);
	if (block != NULL) {
		type = inspection->maps.list[block->map].type->type;
		array = false;
	}
	uint64_t place = type == 0 ? 0 : ((type - inspection->process->module.types) / 8 + 1) * 2 + array;
	if (writing->type_name[place] == 0)
		writing->type_name[place] = add_string(writing, (uint32_t)place);
	return writing->type_name[place];
}

static void visit_target(struct writing *writing, uint64_t value, uint64_t word)
{
	uint32_t index;
	const struct go_span *span = go_heap_object(&writing->inspection->process->heap, value, &index);
	uint32_t node = span == NULL ? 0 : writing->node[span->first + index];
	if (node == 0)
		return;
	if (writing->print)
		fprintf(writing->out, "%s%d,%" PRIu64 ",%" PRIu64, writing->edges == 0 ? "" : ",\n",
			EDGE_ELEMENT, word, (uint64_t)node * NODE_FIELDS);
	writing->edges++;
}

static void visit_word(void *context, uint64_t slot, uint64_t value)
{
	struct writing *writing = context;
	visit_target(writing, value, (slot - writing->start) / 8);
}

static void visit_root(void *context, uint64_t slot, uint64_t value, const struct go_stack *stack)
{
	(void)slot, (void)stack;
	struct writing *writing = context;
	visit_target(writing, value, writing->edges);
}

static void visit_object(struct writing *writing, uint64_t object)
{
	struct go_process *process = writing->inspection->process;
	struct go_span *span = go_heap_span_of(&process->heap, object);
	writing->start = go_span_object(span, (uint32_t)(object - span->first));
	if (!span->noscan)
		go_object_pointers(process, span, (uint32_t)(object - span->first), visit_word, writing);
}

static void write_meta(FILE *out, uint64_t nodes, uint64_t edges)
{
	fprintf(out,
		"{\"snapshot\":{\"meta\":{\"node_fields\":[\"type\",\"name\",\"id\",\"self_size\",\"edge_"
		"count\","
		"\"trace_node_id\",\"detachedness\"],\"node_types\":[[\"hidden\",\"array\",\"string\","
		"\"object\","
		"\"code\",\"closure\",\"regexp\",\"number\",\"native\",\"synthetic\",\"concatenated string\","
		"\"sliced "
		"string\",\"symbol\",\"bigint\"],\"string\",\"number\",\"number\",\"number\",\"number\","
		"\"number\"],\"edge_fields\":[\"type\",\"name_or_index\",\"to_node\"],\"edge_types\":[["
		"\"context\","
		"\"element\",\"property\",\"internal\",\"hidden\",\"shortcut\",\"weak\"],\"string_or_"
		"number\","
		"\"node\"],\"trace_function_info_fields\":[],\"trace_node_fields\":[],\"sample_fields\":[],"
		"\"location_fields\":[]},\"node_count\":%" PRIu64 ",\"edge_count\":%" PRIu64
		",\"trace_function_count\":0},\n\"nodes\":[",
		nodes, edges);
}

static void write_nodes(struct writing *writing, uint64_t root_edges)
{
	const struct go_heap *heap = &writing->inspection->process->heap;
	fprintf(writing->out, "%d,0,1,0,%" PRIu64 ",0,0", TYPE_SYNTHETIC, root_edges);
	for (uint64_t object = 0; object < heap->object_count; object++) {
		if (writing->node[object] == 0)
			continue;
		const struct go_span *span = go_heap_span_of(heap, object);
		uint64_t before = writing->edges;
		visit_object(writing, object);
		fprintf(writing->out, ",\n%d,%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",0,0",
			span->noscan ? TYPE_NATIVE : TYPE_OBJECT, name_of(writing, object),
			(uint64_t)writing->node[object] * 2 + 1, span->elem_size, writing->edges - before);
	}
}

static void write_edges(struct writing *writing)
{
	const struct go_heap *heap = &writing->inspection->process->heap;
	writing->print = true;
	writing->edges = 0;
	graph_each_root(writing->inspection->process, visit_root, writing);
	for (uint64_t object = 0; object < heap->object_count; object++)
		if (writing->node[object] != 0)
			visit_object(writing, object);
}

static void write_strings(struct writing *writing)
{
	struct go_process *process = writing->inspection->process;
	char name[NAME_BYTES];
	fputs("\"(roots)\"", writing->out);
	for (size_t i = 0; i < writing->string_count; i++) {
		uint32_t place = writing->strings[i];
		size_t prefix = (place & 1) != 0 ? 2 : 0;
		memcpy(name, "[]", 2);
		if (place == 0)
			snprintf(name, sizeof name, "(type not known)");
		else
			go_type_name(process, process->module.types + ((uint64_t)place / 2 - 1) * 8,
				     name + prefix, sizeof name - prefix);
		fputs(",\n", writing->out);
		write_json_string(writing->out, name);
	}
}

void export_heapsnapshot(FILE *out, const struct inspection *inspection)
{
	struct go_process *process = inspection->process;
	struct writing writing = {.out = out, .inspection = inspection};
	uint64_t count = process->heap.object_count,
		 places = (process->module.etypes - process->module.types) / 8 + 2;
	uint32_t nodes = 0;
	writing.node = take(count, sizeof *writing.node);
	writing.type_name = take(2 * places + 2, sizeof *writing.type_name);
	for (uint64_t object = 0; object < count; object++)
		if (inspection->graph.parent[object] != 0)
			writing.node[object] = ++nodes;
	graph_each_root(process, visit_root, &writing);
	uint64_t root_edges = writing.edges;
	for (uint64_t object = 0; object < count; object++)
		if (writing.node[object] != 0)
			visit_object(&writing, object);
	write_meta(out, (uint64_t)nodes + 1, writing.edges);
	writing.edges = 0;
	write_nodes(&writing, root_edges);
	fputs("],\n\"edges\":[", out);
	write_edges(&writing);
	fputs("],\n\"trace_function_infos\":[],\"trace_tree\":[],\"samples\":[],\"locations\":[],"
	      "\n\"strings\":[",
	      out);
	write_strings(&writing);
	fputs("]}\n", out);
	free(writing.node);
	free(writing.type_name);
	free(writing.strings);
}
