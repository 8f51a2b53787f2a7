/* grower.c: a program whose memory runs away. usage: grower SECONDS MEGABYTES_PER_SECOND */
#include <stdlib.h>
#include <string.h>
#include <time.h>

int main(int argc, char **argv)
{
	long seconds = argc > 1 ? atol(argv[1]) : 1, megabytes = argc > 2 ? atol(argv[2]) : 10;
	for (long step = 0; step < seconds * 20; step++) {
		size_t size = (size_t)megabytes * 50000;
		char *block = malloc(size);
		if (block == NULL)
			return 1;
		memset(block, 1, size);
		nanosleep(&(struct timespec){0, 50000000}, NULL);
	}
	return 0;
}
