// SPDX-License-Identifier: MIT
/* What did the model show a moment ago? */
#include "tape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void export_counts(const struct model_group *group, struct group_counts *counts)
{
	memcpy(counts->total, group->total, sizeof(counts->total));
	memcpy(counts->gauge, group->gauge, sizeof(counts->gauge));
	counts->wraps = group->wraps;
}

static void export_ring(const struct model_ring *ring, struct sample *sample)
{
	sample->rings[sample->nr_rings] = ring->rec;
	sample->rings[sample->nr_rings++].ring_id = ring->ordinal;
	for (size_t i = 0; i < ring->nr_groups; i++) {
		const struct model_group *group = ring->groups[i];

		if (group->span.life != LIFE_LIVE)
			continue;
		sample->groups[sample->nr_groups] = group->rec;
		sample->groups[sample->nr_groups].ring_id = ring->ordinal;
		export_counts(group, &sample->counts[sample->nr_groups++]);
	}
}

/* Room for about as many as there were is used again: fresh memory costs more than all else. */
static int make_room(struct sample *sample, size_t rings, size_t groups)
{
	if (sample->rings && rings <= sample->nr_rings && groups <= sample->nr_groups &&
	    groups >= sample->nr_groups / 2)
		return 0;
	sample_done(sample);
	sample->rings = calloc(rings + 1, sizeof(*sample->rings));
	sample->groups = calloc(groups + 1, sizeof(*sample->groups));
	sample->counts = calloc(groups + 1, sizeof(*sample->counts));
	if (sample->rings && sample->groups && sample->counts)
		return 0;
	sample_done(sample);
	return -ENOMEM;
}

int tape_export(const struct model *model, struct sample *sample)
{
	int err = make_room(sample, model->live_rings, model->live_groups);

	if (err)
		return err;
	sample->nr_rings = sample->nr_groups = 0;
	sample->at_ns = model->at_ns;
	sample->wall_ns = model->wall_ns;
	sample->backend = model->backend;
	sample->has_ordinals = true;
	memcpy(sample->losses, model->losses, sizeof(sample->losses));
	for (size_t i = 0; i < model->nr_rings; i++)
		if (model->rings[i]->span.life == LIFE_LIVE)
			export_ring(model->rings[i], sample);
	return 0;
}

static size_t bytes_for(size_t rings, size_t groups)
{
	return rings * sizeof(struct ring_rec) +
	       groups * (sizeof(struct group_rec) + sizeof(struct group_counts));
}

static size_t bytes_of(const struct sample *sample)
{
	return bytes_for(sample->nr_rings, sample->nr_groups);
}

/* Its arrays stay behind the last frame, for the next one; what stayed there before goes. */
static void forget_oldest(struct tape *tape)
{
	struct sample oldest = tape->frames[0];

	if (tape->nr < TAPE_FRAMES)
		sample_done(&tape->frames[tape->nr]);
	tape->bytes -= bytes_of(&oldest);
	tape->nr--;
	memmove(tape->frames, tape->frames + 1, tape->nr * sizeof(tape->frames[0]));
	tape->frames[tape->nr] = oldest;
}

int tape_add(struct tape *tape, const struct model *model)
{
	size_t bytes = bytes_for(model->live_rings, model->live_groups);
	struct sample *frame;
	int err;

	while (tape->nr == TAPE_FRAMES || (tape->nr > 0 && tape->bytes + bytes > TAPE_BYTES))
		forget_oldest(tape);
	frame = &tape->frames[tape->nr];
	err = tape_export(model, frame);
	if (err)
		return err;
	tape->nr++;
	tape->bytes += bytes;
	return 0;
}

struct model *tape_model(const struct tape *tape, size_t back)
{
	struct model *model;
	int err = 0;

	if (back >= tape->nr) {
		errno = ENOENT;
		return NULL;
	}
	model = model_new();
	if (!model)
		return NULL;
	for (size_t i = 0; i < tape->nr - back && !err; i++)
		err = model_update(model, &tape->frames[i]);
	if (err) {
		model_free(model);
		errno = -err;
		return NULL;
	}
	return model;
}

void tape_done(struct tape *tape)
{
	for (size_t i = 0; i < TAPE_FRAMES; i++)
		sample_done(&tape->frames[i]);
	tape->nr = tape->bytes = 0;
}
