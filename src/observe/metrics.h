/* metrics.h: lines of Prometheus text. */
#ifndef NEAP_SRC_OBSERVE_METRICS_H
#define NEAP_SRC_OBSERVE_METRICS_H

#include "observe/text.h"

/* The two lines before the series of `name`; type: "counter", "gauge", "histogram". */
void neap__metric_family(struct neap__text *text, const char *name, const char *type, const char *help);
/* A family of one series. */
void neap__metric(struct neap__text *text, const char *name, const char *type, const char *help,
		  double number);
/* One series of a family. */
void neap__metric_labelled(struct neap__text *text, const char *name, const char *label, const char *is,
			   double number);

/* The families of a collector that runs; else nothing. */
void neap__collector_metrics(struct neap__text *text);

#endif
