/* page.h: files that the library carries in itself; lab/embed.py makes them at build time. */
#ifndef NEAP_HTTP_PAGE_H
#define NEAP_HTTP_PAGE_H

#include <stddef.h>

struct asset {
	const char *bytes; /* a NUL follows them */
	size_t len;
};

extern const struct asset asset_live_html, asset_live_js, asset_live_css; /* http/page */
extern const struct asset asset_live_uplot_js, asset_live_uplot_css;	  /* third_party/uplot */

#endif
