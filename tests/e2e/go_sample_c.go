// With this file the sample is linked with C: threads that C made, the C library beside the Go heap.
package main

/*
#include <stdlib.h>
static int *kept(void) { static int *word; if (word == NULL) word = calloc(1, sizeof *word); return word; }
*/
import "C"

func init() {
	*C.kept() = 1
}
