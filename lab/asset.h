/* asset.h: files that the command carries in itself; embed.py makes them at build time. */
#ifndef NEAP_LAB_ASSET_H
#define NEAP_LAB_ASSET_H

#include <stddef.h>

struct asset {
	const char *bytes; /* a NUL follows them */
	size_t len;
};

extern const struct asset asset_uplot_js, asset_uplot_css;   /* third_party/uplot */
extern const struct asset asset_report_js, asset_report_css; /* lab/page */
extern const struct asset asset_release_go, asset_delete_go, asset_generations_go, asset_inspect_go,
	asset_leaks_go, asset_syncmap_go, asset_latency_go; /* lab/peers */

#endif
