/* json.c: the inspection as JSON, schema 1. Addresses are strings, because a JSON number can't hold them. */
#include <inttypes.h>

#include "inspection.h"

enum { SCHEMA = 1, NAME_BYTES = 1024 };

void write_json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
		if (*at == '"' || *at == '\\')
			fprintf(out, "\\%c", *at);
		else if (*at < ' ' || *at == 0x7f)
			fprintf(out, "\\u%04x", *at);
		else
			fputc(*at, out);
	}
	fputc('"', out);
}

static void json_account(FILE *out, const struct account *account)
{
	fprintf(out,
		"  \"rss\": {\"bytes\": %" PRIu64 ", \"live\": %" PRIu64 ", \"tombstone\": %" PRIu64
		", \"empty\": %" PRIu64 ", \"stale\": %" PRIu64 ", \"objects\": %" PRIu64
		", \"free_held\": %" PRIu64 ", \"other\": %" PRIu64 ", \"unexplained\": %" PRId64 "},\n",
		account->rss, account->live, account->tombstone, account->empty, account->stale,
		account->objects, account->free_held, account->other, account->unexplained);
}

void json_found_map(FILE *out, const struct inspection *inspection, const struct found_map *map)
{
	const struct map_counts *counts = &map->counts;
	char text[NAME_BYTES];
	fprintf(out, "    {\"address\": \"0x%" PRIx64 "\", \"type\": ", map->header.address);
	go_type_name(inspection->process, map->type->type, text, sizeof text);
	write_json_string(out, text);
	fprintf(out,
		", \"confidence\": \"%s\", \"candidates\": %u, \"len\": %" PRIu64 ", \"live\": %" PRIu64
		", \"slots\": %" PRIu64 ", \"tombstones\": %" PRIu64 ", \"empty\": %" PRIu64
		", \"moved\": %" PRIu64 ", \"stale\": %" PRIu64 ", \"ghosts\": %" PRIu64
		", \"growing\": %s, \"bytes\": %" PRIu64 ", \"old_bytes\": %" PRIu64 ", \"rebuilt\": %" PRIu64
		", \"reclaimable\": %" PRIu64 ", \"longest_chain\": %" PRIu64 ", \"hash_checked\": %" PRIu64
		", \"hash_agreed\": %" PRIu64 ", \"torn\": %s, \"reachable\": %s, \"held_by\": ",
		map_confidence_name(map->confidence), map->candidates, map->header.count, counts->live,
		counts->slots, counts->tombstones, counts->empty, counts->moved, counts->stale,
		counts->ghosts, map->growing ? "true" : "false", map->bytes, counts->old_bytes, map->rebuilt,
		map_reclaimable(map), counts->longest_chain, map->hash_checked, map->hash_agreed,
		map->torn ? "true" : "false", map->reachable ? "true" : "false");
	inspection_holder(inspection, map, true, text, sizeof text);
	write_json_string(out, text);
	if (inspection_has_retained(inspection, map))
		fprintf(out, ", \"retained\": %" PRIu64, inspection_retained(inspection, map));
	fputc('}', out);
}

static const char *layout_name(enum go_layout_source source)
{
	static const char *const names[] = {"verified", "debug information", "neighbouring version"};
	return names[source];
}

static void json_stale(FILE *out, const struct inspection *inspection)
{
	fputs("  \"stale\": [", out);
	for (size_t i = 0; i < inspection->graph.stale_count; i++) {
		const struct graph_stale *stale = &inspection->graph.stale[i];
		fprintf(out,
			"%s{\"map\": \"0x%" PRIx64 "\", \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64 "}",
			i == 0 ? "" : ", ", inspection->maps.list[stale->map].header.address, stale->objects,
			stale->bytes);
	}
	fputs("],\n", out);
}

void json_inspection(FILE *out, const struct inspection *inspection)
{
	const struct go_process *process = inspection->process;
	fprintf(out, "{\n  \"schema\": %d,\n  \"program\": ", SCHEMA);
	write_json_string(out, process->target->name);
	fprintf(out, ",\n  \"pid\": %d,\n  \"live\": %s,\n  \"go\": ", process->target->pid,
		process->target->live ? "true" : "false");
	write_json_string(out, process->version.text);
	fprintf(out, ",\n  \"experiments\": ");
	write_json_string(out, process->version.experiments);
	fprintf(out, ",\n  \"layout\": \"%s\",\n", layout_name(process->layout_source));
	fprintf(out, "  \"found_by\": {\"module\": \"%s\", \"heap\": \"%s\", \"goroutines\": \"%s\"},\n",
		process->module.found_by, process->heap.found_by,
		process->stacks.found_by == NULL ? "not found" : process->stacks.found_by);
	fprintf(out,
		"  \"goroutines\": %zu,\n  \"objects\": %" PRIu64 ",\n  \"object_bytes\": %" PRIu64
		",\n  \"torn\": %" PRIu64 ",\n  \"stopped_ms\": %.3f,\n  \"stop_work_ms\": %.3f,\n  "
		"\"stops\": %u,\n  \"stop_reads\": %" PRIu64 ",\n  \"seconds\": "
		"%.3f,\n  \"read_bytes\": %" PRIu64 ",\n",
		process->stacks.count, inspection->graph.objects, inspection->graph.bytes, process->torn,
		process->target->stopped * 1e3, process->target->worked * 1e3, process->target->stops,
		inspection->process->target->stop_reads, inspection->seconds, process->target->bytes);
	json_account(out, &inspection->account);
	json_stale(out, inspection);
	fprintf(out, "  \"held\": %" PRIu64 ",\n  \"reclaimable\": %" PRIu64 ",\n  \"maps\": [\n",
		inspection->held, inspection->reclaimable);
	for (size_t i = 0; i < inspection->maps.count; i++) {
		json_found_map(out, inspection, &inspection->maps.list[inspection->order[i]]);
		fputs(i + 1 < inspection->maps.count ? ",\n" : "\n", out);
	}
	fputs("  ]\n}\n", out);
}
