// SPDX-License-Identifier: MIT
/* When is the next sample due, and what does the model say then? */
#include "watch.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

int watch_open(struct watch *watch, const struct target *target, bool verbose)
{
	int code = EXIT_FAILED;

	memset(watch, 0, sizeof(*watch));
	watch->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	watch->model = model_new();
	if (watch->timer < 0 || !watch->model)
		cmd_error("cannot set up a timer: %s", strerror(errno));
	else
		watch->observe = target_open(target, verbose, &code);
	if (watch->observe)
		return EXIT_OK;
	watch_close(watch);
	return code;
}

void watch_close(struct watch *watch)
{
	observe_close(watch->observe);
	sample_done(&watch->sample);
	model_free(watch->model);
	if (watch->timer >= 0)
		close(watch->timer);
}

int watch_start(struct watch *watch, uint64_t interval_ns)
{
	const struct timespec interval = {.tv_sec = (time_t)(interval_ns / NS_PER_S),
					  .tv_nsec = (long)(interval_ns % NS_PER_S)};
	const struct itimerspec timer = {.it_interval = interval, .it_value = interval};

	return timerfd_settime(watch->timer, 0, &timer, NULL) ? -errno : 0;
}

int watch_look(struct watch *watch)
{
	uint64_t ticks;
	int code;

	/* However many were missed, it is one look; EAGAIN means that nobody waited for a tick. */
	if (read(watch->timer, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
		cmd_error("cannot read a timer: %s", strerror(errno));
	code = target_sample(watch->observe, &watch->sample);
	if (code)
		return code;
	if (model_update(watch->model, &watch->sample)) {
		cmd_error("out of memory");
		return EXIT_FAILED;
	}
	return EXIT_OK;
}
