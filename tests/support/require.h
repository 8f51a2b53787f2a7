/* require.h: what must hold in a test that has threads, where cmocka's assertions may not be used: says where and stops. */
#ifndef NEAP_TESTS_REQUIRE_H
#define NEAP_TESTS_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                              \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

#endif
