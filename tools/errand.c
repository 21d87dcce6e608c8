// SPDX-License-Identifier: MIT
/* How does a long job not keep the keys waiting? */
#include "errand.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/clock.h"

/* The caller's thread has a past, which does not count. */
static void *go(void *context)
{
	struct errand *errand = context;
	uint64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	errand->run(errand->context);
	errand->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
	eventfd_write(errand->over, 1);
	return NULL;
}

int errand_open(struct errand *errand)
{
	*errand = (struct errand){.over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	return errand->over < 0 ? -errno : 0;
}

void errand_begin(struct errand *errand, void (*run)(void *context), void *context)
{
	errand->run = run;
	errand->context = context;
	errand->is_out = pthread_create(&errand->thread, NULL, go, errand) == 0;
	if (!errand->is_out)
		go(errand);
}

/* What the thread wrote is seen from here on: joining orders it. */
void errand_end(struct errand *errand)
{
	eventfd_t ends;

	if (errand->is_out)
		pthread_join(errand->thread, NULL);
	errand->is_out = false;
	eventfd_read(errand->over, &ends);
}

void errand_close(struct errand *errand)
{
	if (!errand->run && errand->over <= 0)
		return;
	errand_end(errand);
	close(errand->over);
	*errand = (struct errand){.over = -1};
}
