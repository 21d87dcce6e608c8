// SPDX-License-Identifier: MIT
/* What lies in the memory of rings, and what has become of the files that their requests name? */
#include "inspection.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/memlock.h"
#include "../lib/uapi.h"

#define LOOK_SLOTS  65536U /* read at one look, at most; then it is the next group's turn */
#define MOST_SLOTS  32768U
#define MOST_RANGES 65536U

struct gaze {
	struct inspection *own;
	struct observe *observe;
	struct casebook *book;
	const struct sample *sample;
};

/* ---- memory of a process */

static int add_range(struct inspection_ranges *ranges, uint64_t start, uint64_t end)
{
	struct lint_range *more;

	if (ranges->nr == MOST_RANGES)
		return -E2BIG;
	if (!(ranges->nr & (ranges->nr - 1))) {
		more = realloc(ranges->at, (ranges->nr ? ranges->nr * 2 : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		ranges->at = more;
	}
	ranges->at[ranges->nr++] = (struct lint_range){start, end};
	return 0;
}

static int add_writable(struct inspection_ranges *ranges, uint64_t start, uint64_t end)
{
	if (!ranges->nr || ranges->at[ranges->nr - 1].end != start)
		return add_range(ranges, start, end);
	ranges->at[ranges->nr - 1].end = end;
	return 0;
}

static void note_buffers(struct inspection_maps *maps, uint64_t offset)
{
	uint64_t bgid = (offset - BS_OFF_PBUF_RING) >> BS_OFF_PBUF_RING_SHIFT;

	if (offset >= BS_OFF_PBUF_RING && bgid < INSPECTION_BGIDS)
		maps->buffers[bgid / 8] |= (uint8_t)(1U << bgid % 8);
}

/* One line of the file. */
static int add_mapping(struct inspection_maps *maps, const char *line)
{
	uint64_t start, end, offset;
	char mode[5];
	int err;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64, &start, &end, mode, &offset) !=
		    4 ||
	    mode[1] != 'w')
		return 0;
	err = add_writable(&maps->writable, start, end);
	if (err || !strstr(line, " anon_inode:[io_uring]"))
		return err;
	note_buffers(maps, offset);
	return add_range(&maps->queues, start, end);
}

/* A process that has gone has no ranges. 0 or -errno. */
static int read_maps(struct inspection_maps *maps, uint32_t tgid)
{
	char path[32], *line = NULL;
	size_t size = 0;
	FILE *file;
	int err = 0;

	maps->tgid = tgid;
	maps->writable.nr = maps->queues.nr = 0;
	memset(maps->buffers, 0, sizeof(maps->buffers));
	snprintf(path, sizeof(path), "/proc/%u/maps", tgid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!err && getline(&line, &size, file) > 0)
		err = add_mapping(maps, line);
	free(line);
	fclose(file);
	if (err)
		maps->writable.nr = maps->queues.nr = 0;
	return err;
}

static int by_start(const void *a, const void *b)
{
	const struct lint_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* Queues that lie in the program's own memory, of rings that are there now. */
static void add_own_queues(const struct gaze *gaze)
{
	const struct casebook *book = gaze->book;
	const struct sample *sample = gaze->sample;
	struct inspection_maps *maps = &gaze->own->maps;
	struct inspection_ranges *queues = &maps->queues;

	for (size_t i = 0; i < book->nr_queues; i++) {
		const struct case_queues *own = &book->queues[i];

		for (size_t j = 0; j < sample->nr_rings; j++) {
			if (sample->rings[j].ring_id != own->ring_id ||
			    sample->rings[j].tgid != maps->tgid)
				continue;
			add_range(queues, own->sq, own->sq + own->sq_bytes);
			add_range(queues, own->cq, own->cq + own->cq_bytes);
		}
	}
	if (queues->nr)
		qsort(queues->at, queues->nr, sizeof(*queues->at), by_start);
}

static void read_limit(struct inspection *out, uint32_t tgid)
{
	struct diagnose_limit *more;

	for (size_t i = 0; i < out->nr_limits; i++) {
		if (out->limits[i].tgid == tgid)
			return;
	}
	more = realloc(out->limits, (out->nr_limits + 1) * sizeof(*more));
	if (!more)
		return;
	out->limits = more;
	more[out->nr_limits] = (struct diagnose_limit){tgid, UINT64_MAX};
	memlock_limit_of((pid_t)tgid, &more[out->nr_limits].bytes);
	out->nr_limits++;
}

/* 0: not known. */
static uint64_t read_memory(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	return (uint64_t)kib * 1024;
}

/* ---- memory of a ring */

/* Of a ring that several processes have, another may have the mapping. */
static bool is_nowhere(const struct gaze *gaze, const struct case_group *group)
{
	const struct ring_rec *ring = casebook_ring(gaze->book, group->ring_id);
	const struct inspection_maps *maps = &gaze->own->maps;

	if ((group->sums.kind != GROUP_MMAP && group->sums.kind != GROUP_INC_MMAP) || !ring ||
	    ring->sightings > 1 || !maps->writable.nr)
		return false;
	return group->bgid >= INSPECTION_BGIDS ||
	       !(maps->buffers[group->bgid / 8] & 1U << group->bgid % 8);
}

static void look_at_maps(const struct gaze *gaze, uint32_t tgid)
{
	struct inspection *own = gaze->own;
	int err;

	if (own->maps.tgid == tgid)
		return;
	err = read_maps(&own->maps, tgid);
	if (err)
		own->maps_unread |= err != -ENOENT && err != -ESRCH;
	else
		add_own_queues(gaze);
}

static void look_at_memory(const struct gaze *gaze, struct case_group *group)
{
	struct inspection *own = gaze->own;
	struct observe_slots slots = {.at = own->slots, .max = MOST_SLOTS};
	struct lint_view view = {0};

	if (observe_slots(gaze->observe, &group->rec, &slots) || !slots.nr)
		return;
	look_at_maps(gaze, group->tgid);
	view.slots = own->slots;
	view.entries = slots.nr;
	view.head = slots.head_after;
	view.tail = slots.tail_before;
	/* read one after the other, they may have crossed */
	if ((uint16_t)(view.tail - view.head) > 32768)
		view.head = view.tail;
	view.is_incremental = group->sums.kind == GROUP_INC || group->sums.kind == GROUP_INC_MMAP;
	/* a tail that went round stands at nothing, too */
	view.is_blank = casebook_is_blank(gaze->book, group) && !group->sums.returned;
	view.is_nowhere = is_nowhere(gaze, group);
	view.ring_addr = group->ring_addr;
	view.ranges = own->maps.writable.at;
	view.nr_ranges = own->maps.writable.nr;
	view.queues = own->maps.queues.at;
	view.nr_queues = own->maps.queues.nr;
	if (lint_look(&group->lint, &view))
		own->out_of_memory = true;
}

static void look_at_memories(const struct gaze *gaze)
{
	const struct casebook *book = gaze->book;
	uint32_t budget = LOOK_SLOTS;

	gaze->own->maps.tgid = 0;
	for (size_t i = 0; i < book->nr_groups; i++) {
		struct case_group *group = book->groups[gaze->own->turn % book->nr_groups];
		bool is_to_be = group->is_live && group->sums.kind != GROUP_LEGACY;

		/* it is the first then */
		if (is_to_be && group->sums.entries > budget)
			break;
		gaze->own->turn++;
		if (!is_to_be)
			continue;
		budget -= group->sums.entries;
		look_at_memory(gaze, group);
	}
}

/* ---- files that starved */

#define MOST_FILES 256 /* asked for at one look */

static bool is_open(uint32_t tgid, int32_t fd)
{
	char path[48], to[2];

	snprintf(path, sizeof(path), "/proc/%u/fd/%d", tgid, fd);
	return readlink(path, to, sizeof(to)) >= 0 || errno != ENOENT;
}

/* Closed without anything having been asked of them since? Of a process that ends all are gone. */
static void look_at_files(const struct gaze *gaze)
{
	struct casebook *book = gaze->book;
	uint32_t asked = 0;

	for (size_t i = 0; i < book->nr_groups; i++) {
		struct case_group *group = book->groups[i];
		const struct ring_rec *ring = casebook_ring(book, group->ring_id);

		for (uint32_t at = 0; group->is_live && ring && at < group->nr_streams; at++) {
			const struct book_stream *stream = &group->streams[at];

			if (!stream->starved_ns || stream->is_fixed || stream->fd < 0 ||
			    ring->fd < 0 || asked++ >= MOST_FILES)
				continue;
			if (!is_open(group->tgid, stream->fd) && is_open(group->tgid, ring->fd))
				casebook_closed(book, group, at, gaze->own->files_ns);
		}
	}
	/* else some were not asked for */
	gaze->own->files_ns = asked <= MOST_FILES ? gaze->sample->at_ns : 0;
}

/* ---- begin, look, conclude */

int inspection_begin(struct inspection *inspection)
{
	memset(inspection, 0, sizeof(*inspection));
	inspection->slots = calloc(MOST_SLOTS, sizeof(*inspection->slots));
	return inspection->slots ? 0 : -ENOMEM;
}

void inspection_look(struct inspection *inspection, struct observe *observe, struct casebook *book,
		     const struct sample *sample)
{
	const struct gaze gaze = {inspection, observe, book, sample};

	for (size_t i = 0; i < sample->nr_rings; i++) {
		if (sample->rings[i].locked_bytes)
			read_limit(inspection, sample->rings[i].tgid);
	}
	look_at_memories(&gaze);
	look_at_files(&gaze);
}

/* What could not be booked is known of each group; of all else it may have been any's. */
static void note_lost(struct casebook *book, const struct observe *observe)
{
	struct trace_lost lost[TRACE_KINDS];
	uint64_t losses[LOSS_MAX], missed = 0;

	for (size_t i = 0; i < book->nr_groups; i++)
		missed += book->groups[i]->sums.missed;
	observe_losses(observe, losses);
	observe_trace_losses(observe, lost);
	book->may_miss = losses[LOSS_EVENTS] || observe_trace_lost(observe) > missed;
	book->lost_lives = lost[TRACE_REGISTER].records || lost[TRACE_UNREGISTER].records ||
			   lost[TRACE_CREATE].records;
}

/* What a process had ends with it, which no look has shown yet. */
static void note_ends(struct casebook *book)
{
	for (size_t i = 0; i < book->nr_groups; i++) {
		struct case_group *group = book->groups[i];

		if (group->tgid && kill((pid_t)group->tgid, 0) && errno == ESRCH)
			group->is_gone = true;
	}
}

int inspection_conclude(const struct inspection *inspection, const struct observe *observe,
			struct casebook *book, struct diagnosis *diagnosis)
{
	const struct diagnose_case what = {.book = book,
					   .limits = inspection->limits,
					   .nr_limits = inspection->nr_limits,
					   .memory_bytes = read_memory()};

	book->ended_ns = clock_ns(CLOCK_MONOTONIC);
	note_lost(book, observe);
	note_ends(book);
	return diagnose(&what, diagnosis);
}

void inspection_done(struct inspection *inspection)
{
	free(inspection->slots);
	free(inspection->maps.writable.at);
	free(inspection->maps.queues.at);
	free(inspection->limits);
	memset(inspection, 0, sizeof(*inspection));
}
