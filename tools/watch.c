// SPDX-License-Identifier: MIT
/* When is the next look due, and what does the model say then, or said at another moment? */
#include "watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

/* ---- a recording */

static int open_replay(struct watch *watch, const char *path)
{
	watch->replay = replay_open(path);
	if (!watch->replay) {
		if (errno == EBADMSG) {
			cmd_error("'%s' holds no whole frame of 'top -b -j'", path);
			cmd_hint("bufscope top -b -j --full -o FILE records, a trace is no "
				 "recording");
		} else if (errno == ESPIPE)
			cmd_error("cannot read '%s': it is no regular file", path);
		else
			cmd_error("cannot read '%s': %s", path, strerror(errno));
		return EXIT_FAILED;
	}
	if (replay_is_cut(watch->replay))
		cmd_error("'%s' ends within a frame: what is whole is shown", path);
	watch->at = replay_nr(watch->replay);
	strcpy(watch->kernel, replay_kernel(watch->replay));
	return EXIT_OK;
}

static bool is_wanted(const struct target *target, const struct ring_rec *ring)
{
	for (size_t i = 0; i < target->nr_tgids; i++)
		if (target->tgids[i] == ring->tgid)
			return true;
	return target->nr_tgids == 0;
}

/* The part of a frame that the target names, as a sample of our own. 0 or -ENOMEM. */
static int pick(struct watch *watch, const struct sample *frame)
{
	const struct target *target = watch->target;
	struct sample *out = &watch->sample;
	size_t g = 0;

	sample_done(out);
	*out = *frame;
	out->nr_rings = out->nr_groups = 0;
	out->rings = calloc(frame->nr_rings + 1, sizeof(*out->rings));
	out->groups = calloc(frame->nr_groups + 1, sizeof(*out->groups));
	out->counts = calloc(frame->nr_groups + 1, sizeof(*out->counts));
	if (!out->rings || !out->groups || !out->counts)
		return -ENOMEM;
	for (size_t r = 0; r < frame->nr_rings; r++) {
		const struct ring_rec *ring = &frame->rings[r];
		bool wanted = is_wanted(target, ring);

		if (wanted)
			out->rings[out->nr_rings++] = *ring;
		for (; g < frame->nr_groups && frame->groups[g].ring_id == ring->ring_id; g++) {
			__u32 bgid = frame->groups[g].bgid;

			if (!wanted || (target->bgid >= 0 && bgid != (__u32)target->bgid))
				continue;
			out->groups[out->nr_groups] = frame->groups[g];
			out->counts[out->nr_groups++] = frame->counts[g];
		}
	}
	return 0;
}

/* A damaged frame, or one out of order, changes nothing. 0 or -errno. */
static int take_frame(struct watch *watch, size_t index)
{
	const struct sample *frame = replay_frame(watch->replay, index);
	int err;

	watch->is_fresh = false;
	if (!frame)
		return errno == EBADMSG ? 0 : -errno;
	err = pick(watch, frame);
	if (!err)
		err = model_update(watch->model, &watch->sample);
	watch->is_fresh = !err;
	return err == -EINVAL ? 0 : err;
}

/* A model remembers a minute: that much is lived through again. */
static int show_frame(struct watch *watch, size_t index)
{
	size_t first = index >= MODEL_HISTORY ? index - MODEL_HISTORY + 1 : 0;
	int err = 0;

	if (index == watch->at)
		return 0;
	if (watch->at < replay_nr(watch->replay) && index == watch->at + 1) {
		first = index;
	} else {
		model_free(watch->model);
		watch->model = model_new();
		if (!watch->model)
			return -ENOMEM;
	}
	for (size_t i = first; i <= index && !err; i++)
		err = take_frame(watch, i);
	watch->at = index;
	return err;
}

static size_t next_frame(const struct watch *watch)
{
	return watch->at < replay_nr(watch->replay) ? watch->at + 1 : 0;
}

/* As long as it was between the two frames; what is damaged takes no time. */
static uint64_t pause_before_next(struct watch *watch)
{
	const struct sample *next = replay_frame(watch->replay, next_frame(watch));
	double ns;

	if (!next || next->at_ns <= watch->model->at_ns)
		return 1;
	ns = (double)(next->at_ns - watch->model->at_ns) / watch->speed;
	return ns < 1 ? 1 : ns < (double)WATCH_MAX_NS ? (uint64_t)ns : WATCH_MAX_NS;
}

/* ---- the kernel */

static int open_kernel(struct watch *watch, bool verbose)
{
	struct utsname uts;
	int code = EXIT_FAILED;

	if (uname(&uts) == 0)
		snprintf(watch->kernel, sizeof(watch->kernel), "%s", uts.release);
	watch->observe = target_open(watch->target, verbose, &code);
	return watch->observe ? EXIT_OK : code;
}

void watch_fetch(struct watch *watch)
{
	int err;

	watch->answer = target_sample(watch->observe, &watch->sample);
	if (watch->answer)
		return;
	err = exam_look(&watch->exam, &watch->sample);
	if (err)
		cmd_error("cannot watch in full: %s", strerror(-err));
	watch->answer = err ? EXIT_FAILED : EXIT_OK;
}

/* While it is held the tape stands still, too: what can be stepped through must stay. */
int watch_take(struct watch *watch)
{
	int err;

	if (watch->answer)
		return watch->answer;
	err = model_update(watch->model, &watch->sample);
	if (!err && !watch->is_held)
		err = tape_add(&watch->tape, watch->model);
	watch->is_fresh = !err;
	if (err)
		cmd_error("cannot take in a sample: %s", strerror(-err));
	return err ? EXIT_FAILED : EXIT_OK;
}

/* ---- both */

int watch_open(struct watch *watch, const struct watch_opts *opts)
{
	int code = EXIT_FAILED;

	memset(watch, 0, sizeof(*watch));
	watch->target = opts->target;
	watch->interval_ns = opts->interval_ns;
	watch->speed = 1;
	watch->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	watch->model = model_new();
	if (watch->timer < 0 || !watch->model)
		cmd_error("cannot set up a timer: %s", strerror(errno));
	else if (opts->replay)
		code = open_replay(watch, opts->replay);
	else
		code = open_kernel(watch, opts->verbose);
	if (code)
		watch_close(watch);
	return code;
}

void watch_close(struct watch *watch)
{
	size_t damaged = watch->replay ? replay_nr_damaged(watch->replay) : 0;

	if (damaged > 0)
		cmd_error("%zu damaged frame%s left out", damaged, damaged == 1 ? "" : "s");
	exam_end(&watch->exam);
	observe_close(watch->observe);
	replay_close(watch->replay);
	sample_done(&watch->sample);
	tape_done(&watch->tape);
	model_free(watch->moment);
	model_free(watch->built);
	model_free(watch->model);
	if (watch->timer >= 0)
		close(watch->timer);
}

bool watch_is_over(const struct watch *watch)
{
	return watch->replay && next_frame(watch) >= replay_nr(watch->replay);
}

/* However many were missed, it is one look; EAGAIN means that nobody waited for a tick. */
void watch_acknowledge(struct watch *watch)
{
	uint64_t ticks;

	if (read(watch->timer, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
		cmd_error("cannot read a timer: %s", strerror(errno));
}

int watch_look(struct watch *watch)
{
	int err;

	watch_acknowledge(watch);
	if (!watch->replay) {
		watch_fetch(watch);
		return watch_take(watch);
	}
	if (watch_is_over(watch))
		return EXIT_OK;
	err = show_frame(watch, next_frame(watch));
	if (err)
		cmd_error("cannot go on in the recording: %s", strerror(-err));
	return err ? EXIT_FAILED : EXIT_OK;
}

int watch_start(struct watch *watch)
{
	struct itimerspec timer = {0};
	uint64_t ns = watch->interval_ns;

	if (watch->replay)
		ns = watch->is_held || watch_is_over(watch) ? 0 : pause_before_next(watch);
	timer.it_value.tv_sec = (time_t)(ns / NS_PER_S);
	timer.it_value.tv_nsec = (long)(ns % NS_PER_S);
	/* A recording tells for each frame anew when the next one comes. */
	if (!watch->replay)
		timer.it_interval = timer.it_value;
	return timerfd_settime(watch->timer, 0, &timer, NULL) ? -errno : 0;
}

/* What comes and goes later needs room, too. */
#define MORE_ROOM  8
#define LEAST_ROOM (1U << 16)
#define MOST_ROOM  (1U << 20)

/* For what will be examined, by what it has now. */
static uint32_t room_of(const struct sample *sample, uint32_t tgid, int bgid)
{
	uint64_t buffers = 0;
	size_t g = 0;

	for (size_t r = 0; r < sample->nr_rings; r++) {
		const struct ring_rec *ring = &sample->rings[r];

		for (; g < sample->nr_groups && sample->groups[g].ring_id == ring->ring_id; g++) {
			const struct group_rec *group = &sample->groups[g];

			if (ring->tgid != tgid || (bgid >= 0 && group->bgid != (uint32_t)bgid))
				continue;
			buffers += group->kind != GROUP_LEGACY           ? group->entries
				   : group->available != REC_UNKNOWN_U32 ? group->available
									 : 0;
		}
	}
	buffers = buffers * MORE_ROOM > LEAST_ROOM ? buffers * MORE_ROOM : LEAST_ROOM;
	return buffers < MOST_ROOM ? (uint32_t)buffers : MOST_ROOM;
}

int watch_examine(struct watch *watch, uint32_t tgid, int bgid, char *why)
{
	const struct observe_opts opts = {
		.tick_ns = watch->target->tick_ns,
		.stuck_ns = watch->target->stuck_ns,
		.scan_entries = watch->target->scan_entries,
		.tgids = &tgid,
		.nr_tgids = 1,
		.bgid = bgid,
		.trace.room = room_of(&watch->sample, tgid, bgid),
	};

	return exam_begin(&watch->exam, &opts, why);
}

void watch_hold(struct watch *watch)
{
	watch->is_held = true;
	if (watch->replay)
		watch_start(watch);
}

void watch_go_on(struct watch *watch)
{
	watch->is_held = false;
	model_free(watch->moment);
	watch->moment = NULL;
	watch_start(watch);
}

size_t watch_nr_moments(const struct watch *watch)
{
	return watch->replay ? replay_nr(watch->replay) : watch->tape.nr;
}

int watch_show(struct watch *watch, size_t moment)
{
	return show_frame(watch, moment);
}

void watch_build(struct watch *watch, size_t moment)
{
	model_free(watch->built);
	watch->built = tape_model(&watch->tape, watch->tape.nr - 1 - moment);
	watch->answer = watch->built ? 0 : -errno;
}

int watch_show_built(struct watch *watch)
{
	if (watch->answer || !watch->is_held)
		return watch->answer;
	model_free(watch->moment);
	watch->moment = watch->built;
	watch->built = NULL;
	return 0;
}

const struct model *watch_model(const struct watch *watch)
{
	return watch->moment ? watch->moment : watch->model;
}
