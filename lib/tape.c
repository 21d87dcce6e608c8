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

int tape_export(const struct model *model, struct sample *sample)
{
	sample_done(sample);
	sample->rings = calloc(model->live_rings + 1, sizeof(*sample->rings));
	sample->groups = calloc(model->live_groups + 1, sizeof(*sample->groups));
	sample->counts = calloc(model->live_groups + 1, sizeof(*sample->counts));
	if (!sample->rings || !sample->groups || !sample->counts) {
		sample_done(sample);
		return -ENOMEM;
	}
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

static size_t bytes_of(const struct sample *sample)
{
	return sample->nr_rings * sizeof(*sample->rings) +
	       sample->nr_groups * (sizeof(*sample->groups) + sizeof(*sample->counts));
}

static void forget_oldest(struct tape *tape)
{
	tape->bytes -= bytes_of(&tape->frames[0]);
	sample_done(&tape->frames[0]);
	tape->nr--;
	memmove(tape->frames, tape->frames + 1, tape->nr * sizeof(tape->frames[0]));
	memset(&tape->frames[tape->nr], 0, sizeof(tape->frames[0]));
}

int tape_add(struct tape *tape, const struct model *model)
{
	struct sample *frame;
	int err;

	if (tape->nr == TAPE_FRAMES)
		forget_oldest(tape);
	frame = &tape->frames[tape->nr];
	err = tape_export(model, frame);
	if (err)
		return err;
	tape->nr++;
	tape->bytes += bytes_of(frame);
	while (tape->nr > 1 && tape->bytes > TAPE_BYTES)
		forget_oldest(tape);
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
	while (tape->nr > 0)
		forget_oldest(tape);
}
