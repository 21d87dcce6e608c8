// SPDX-License-Identifier: MIT
/*
 * What happened between two samples? Rings are matched by kernel object, groups by (ring, bgid);
 * what does not match came or went.
 */
#include "model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "condition.h"

const struct value model_unknown = {.state = VALUE_UNKNOWN};

/* The model as others see it, and what only model_update() needs. */
struct model_inside {
	struct model model; /* first: its address is what callers hold */
	uint32_t ordinals;  /* handed out so far */
	bool has_gaps;      /* the sample at hand lost something: absence proves nothing */
	bool had_gaps;      /* so did the one before: what appears may have been there */
	size_t room_rings;  /* of model.rings */
	uint32_t *table;    /* rings by hash of ring_id, open addressing: index + 1, 0 is free */
	size_t table_size;  /* a power of two */

	/* Built during an update: a ring or group stands either here or in its old array. */
	struct model_ring **next_rings;
	size_t room_next_rings;
	struct model_group **next_groups;
	size_t nr_next_groups, room_next_groups;
};

static struct model_inside *inside_of(struct model *model)
{
	return (struct model_inside *)model;
}

static void ring_free(struct model_ring *ring)
{
	for (size_t i = 0; i < ring->nr_groups; i++)
		free(ring->groups[i]);
	free(ring->groups);
	free(ring);
}

/* Room for `wanted` elements in an array whose content does not matter. NULL: no memory. */
static void *reserve(void *array, size_t *room, size_t wanted, size_t size)
{
	if (array && wanted <= *room)
		return array;
	free(array);
	*room = wanted + wanted / 4 + 1;
	return calloc(*room, size);
}

/* ---- coming, staying, going */

static void span_begin(struct model_span *span, const struct model_inside *in)
{
	bool came = in->model.samples > 0 && !in->had_gaps;

	*span = (struct model_span){
		.life = LIFE_LIVE,
		.is_new = came,
		.came = came,
		.born_ns = in->model.at_ns,
		.seen_ns = in->model.at_ns,
	};
}

static void span_seen(struct model_span *span, uint64_t at_ns)
{
	span->life = LIFE_LIVE;
	span->is_new = false;
	span->absences = 0;
	span->seen_ns = at_ns;
}

static void span_absent(struct model_span *span, bool is_gone)
{
	if (span->life != LIFE_GONE)
		span->life = is_gone ? LIFE_GONE : LIFE_UNSEEN;
	span->is_new = false;
	span->absences++;
}

static bool span_is_over(const struct model_span *span)
{
	return span->absences > MODEL_LINGER;
}

/* ---- one group */

/* A source that began anew says nothing about the interval. */
static uint64_t advance(uint64_t before, uint64_t now)
{
	return now < before ? COUNT_UNKNOWN : now - before;
}

/* What happened to each counter since the group was last seen; COUNT_UNKNOWN where untold. */
struct deltas {
	uint64_t count[COUNT_MAX];
	bool has_wrapped;
};

static const struct deltas no_deltas = {
	.count = {[0 ... COUNT_MAX - 1] = COUNT_UNKNOWN},
};

/*
 * head and tail are 16 bits wide. An advance of half their range or more may as well be one of
 * 65536 more; and when taken, returned and available do not add up, one of them surely is.
 */
static void deltas_from_ring(struct deltas *deltas, const struct group_rec *before,
			     const struct group_rec *now)
{
	uint64_t taken = (uint16_t)(now->head - before->head);
	uint64_t returned = (uint16_t)(now->tail - before->tail);
	uint64_t was = (uint16_t)(before->tail - before->head);
	uint64_t is = (uint16_t)(now->tail - now->head);

	deltas->has_wrapped = taken >= 32768 || returned >= 32768;
	if (was + returned < is + taken)
		returned += 65536;
	else if (was + returned > is + taken)
		taken += 65536;
	deltas->count[COUNT_TAKEN] = taken;
	deltas->count[COUNT_RETURNED] = returned;
}

/* The source's own totals where it has them; what it has not is derived from head and tail. */
static void group_take_totals(struct model_group *group, const struct group_counts *counts,
			      struct deltas *deltas)
{
	for (int c = 0; c < COUNT_MAX; c++) {
		uint64_t now = counts ? counts->total[c] : COUNT_UNKNOWN;

		if (now != COUNT_UNKNOWN) {
			if (group->total[c] != COUNT_UNKNOWN)
				deltas->count[c] = advance(group->total[c], now);
			group->total[c] = now;
		} else if (deltas->count[c] != COUNT_UNKNOWN) {
			if (group->total[c] == COUNT_UNKNOWN)
				group->total[c] = 0;
			group->total[c] += deltas->count[c];
		} else {
			group->total[c] = COUNT_UNKNOWN;
		}
	}
	if (counts && counts->total[COUNT_TAKEN] != COUNT_UNKNOWN) {
		group->has_wrapped = counts->wraps > group->wraps;
		group->wraps = counts->wraps;
	} else {
		group->has_wrapped = deltas->has_wrapped;
		group->wraps += deltas->has_wrapped;
	}
}

static void group_take_gauges(struct model_group *group, const struct group_counts *counts)
{
	uint64_t low = group->gauge[GAUGE_LOW_WATER];

	for (int g = 0; g < GAUGE_MAX; g++)
		group->gauge[g] = counts ? counts->gauge[g] : COUNT_UNKNOWN;
	if (group->gauge[GAUGE_LOW_WATER] != COUNT_UNKNOWN)
		return;
	if (group->rec.available != REC_UNKNOWN_U32 && group->rec.available < low)
		low = group->rec.available;
	group->gauge[GAUGE_LOW_WATER] = low;
}

static void group_take_rates(struct model_group *group, const struct deltas *deltas,
			     uint64_t interval_ns)
{
	for (int c = 0; c < COUNT_MAX; c++) {
		bool is_known = deltas->count[c] != COUNT_UNKNOWN && interval_ns > 0;

		group->rate[c] =
			is_known ? (double)deltas->count[c] * 1e9 / (double)interval_ns : -1;
	}
}

static bool has_moved(const struct deltas *deltas)
{
	uint64_t taken = deltas->count[COUNT_TAKEN], returned = deltas->count[COUNT_RETURNED];

	return (taken != COUNT_UNKNOWN && taken > 0) || (returned != COUNT_UNKNOWN && returned > 0);
}

static bool has_grown(const struct deltas *deltas, enum group_counter counter)
{
	return deltas->count[counter] != COUNT_UNKNOWN && deltas->count[counter] > 0;
}

/* During an update model->samples is the number of the sample at hand. */
static void remember(const struct model *model, struct model_group *group,
		     const struct deltas *deltas)
{
	unsigned int slot = model->samples % MODEL_SLOTS;
	uint64_t bit = UINT64_C(1) << slot;

	group->available[slot] = group->span.absences ? REC_UNKNOWN_U32 : group->rec.available;
	group->starved_mask &= ~bit;
	group->empty_mask &= ~bit;
	if (has_grown(deltas, COUNT_STARVED))
		group->starved_mask |= bit;
	if (has_grown(deltas, COUNT_EMPTY_NS) || group->available[slot] == 0)
		group->empty_mask |= bit;
}

static void group_update(struct model_group *group, const struct group_rec *rec,
			 const struct group_counts *counts, const struct model *model)
{
	uint64_t interval_ns = model->at_ns - group->span.seen_ns;
	uint32_t available = group->rec.available;
	struct deltas deltas = no_deltas;

	if (rec->kind != GROUP_LEGACY)
		deltas_from_ring(&deltas, &group->rec, rec);
	group->rec = *rec;
	group_take_totals(group, counts, &deltas);
	group_take_gauges(group, counts);
	group_take_rates(group, &deltas, interval_ns);
	span_seen(&group->span, model->at_ns);
	if (has_moved(&deltas) || rec->available != available)
		group->moved_ns = model->at_ns;
	remember(model, group, &deltas);
}

/*
 * First sight. If it was registered between two samples, head and tail began at 0 and so do the
 * totals; else counting begins with the next sample.
 */
static struct model_group *group_new(const struct model_inside *in, struct model_ring *ring,
				     const struct group_rec *rec, const struct group_counts *counts)
{
	struct model_group *group = calloc(1, sizeof(*group));
	const struct group_rec blank = {0};
	struct deltas deltas = no_deltas;

	if (!group)
		return NULL;
	group->ring = ring;
	group->rec = *rec;
	group->empty_in_ns = COUNT_UNKNOWN;
	span_begin(&group->span, in);
	memset(group->total, 0xff, sizeof(group->total));
	memset(group->gauge, 0xff, sizeof(group->gauge));
	memset(group->available, 0xff, sizeof(group->available));
	if (group->span.came && rec->kind != GROUP_LEGACY)
		deltas_from_ring(&deltas, &blank, rec);
	group_take_totals(group, counts, &deltas);
	group_take_gauges(group, counts);
	group_take_rates(group, &no_deltas, 0);
	remember(&in->model, group, &no_deltas);
	return group;
}

/* A group registered anew under the same bgid is another group. */
static bool is_same_group(const struct model_group *group, const struct group_rec *rec)
{
	return group->span.life != LIFE_GONE && group->rec.bgid == rec->bgid &&
	       group->rec.kind == rec->kind && group->rec.entries == rec->entries;
}

/* ---- the groups of one ring */

/* The part of a sample that belongs to one ring. */
struct slice {
	const struct group_rec *recs;
	const struct group_counts *counts; /* NULL: none */
	size_t nr;
};

static const struct group_counts *slice_counts(const struct slice *slice, size_t i)
{
	return slice->counts ? &slice->counts[i] : NULL;
}

/*
 * Moves old group `i` of the ring on into the next array, or drops it after its time. `rec` is
 * what stands there, NULL for nothing: something else under this bgid is proof enough.
 */
static void carry_absent(struct model_inside *in, struct model_ring *ring, size_t i,
			 const struct group_rec *rec)
{
	struct model_group *group = ring->groups[i];
	bool is_gone = !in->has_gaps || ring->span.life == LIFE_GONE ||
		       (rec && rec->bgid == group->rec.bgid);

	ring->groups[i] = NULL;
	span_absent(&group->span, is_gone);
	if (span_is_over(&group->span)) {
		free(group);
		return;
	}
	group->has_wrapped = false;
	remember(&in->model, group, &no_deltas);
	in->next_groups[in->nr_next_groups++] = group;
}

/* Both sides are sorted by bgid; of equals what is gone comes first. */
static int match_groups(struct model_inside *in, struct model_ring *ring, const struct slice *slice)
{
	struct model_group *group;
	size_t i = 0, j = 0;

	while (i < ring->nr_groups || j < slice->nr) {
		bool has_rec = j < slice->nr;
		const struct group_rec *rec = has_rec ? &slice->recs[j] : NULL;

		if (i < ring->nr_groups && (!has_rec || ring->groups[i]->rec.bgid <= rec->bgid)) {
			group = ring->groups[i];
			if (!has_rec || !is_same_group(group, rec)) {
				carry_absent(in, ring, i++, rec);
				continue;
			}
			ring->groups[i++] = NULL;
			in->model.wraps -= group->wraps;
			group_update(group, rec, slice_counts(slice, j), &in->model);
		} else {
			group = group_new(in, ring, rec, slice_counts(slice, j));
			if (!group)
				return -ENOMEM;
		}
		in->model.wraps += group->wraps;
		in->next_groups[in->nr_next_groups++] = group;
		j++;
	}
	return 0;
}

static int update_groups(struct model_inside *in, struct model_ring *ring,
			 const struct slice *slice)
{
	size_t wanted = ring->nr_groups + slice->nr;
	struct model_group **groups;
	int err;

	in->nr_next_groups = 0;
	in->next_groups = reserve(in->next_groups, &in->room_next_groups, wanted, sizeof(void *));
	if (!in->next_groups)
		return -ENOMEM;
	err = match_groups(in, ring, slice);
	if (err)
		return err;
	if (in->nr_next_groups > ring->nr_groups) {
		groups = calloc(in->nr_next_groups, sizeof(void *));
		if (!groups)
			return -ENOMEM;
		free(ring->groups);
		ring->groups = groups;
	}
	for (size_t i = 0; i < in->nr_next_groups; i++)
		ring->groups[i] = in->next_groups[i];
	ring->nr_groups = in->nr_next_groups;
	in->nr_next_groups = 0;
	return 0;
}

/* ---- rings */

static size_t hash(const struct model_inside *in, uint64_t ring_id)
{
	return (size_t)(ring_id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (in->table_size - 1);
}

static int index_rings(struct model_inside *in)
{
	const struct model *model = &in->model;
	size_t size = 16;

	while (size < 2 * model->nr_rings)
		size *= 2;
	if (size > in->table_size) {
		free(in->table);
		in->table_size = 0;
		in->table = calloc(size, sizeof(*in->table));
		if (!in->table)
			return -ENOMEM;
		in->table_size = size;
	}
	memset(in->table, 0, in->table_size * sizeof(*in->table));
	for (size_t i = 0; i < model->nr_rings; i++) {
		size_t slot = hash(in, model->rings[i]->rec.ring_id);

		if (model->rings[i]->span.life == LIFE_GONE)
			continue;
		while (in->table[slot])
			slot = (slot + 1) & (in->table_size - 1);
		in->table[slot] = (uint32_t)i + 1;
	}
	return 0;
}

/*
 * A kernel object that was freed may lend its address to another ring. What never changes tells
 * (setup flags but for R_DISABLED), what never falls, and an owner that nobody shared it with.
 */
static bool is_same_ring(const struct ring_rec *before, const struct ring_rec *now)
{
	const __u32 r_disabled = 1U << 6;

	if ((before->setup_flags ^ now->setup_flags) & ~r_disabled)
		return false;
	if ((__s32)(now->cq_tail - before->cq_tail) < 0)
		return false;
	return before->tgid == now->tgid || before->sightings > 1;
}

/* Takes the ring of this record out of the old array. NULL: not there. */
static struct model_ring *take_ring(struct model_inside *in, const struct ring_rec *rec)
{
	struct model_ring **rings = in->model.rings;

	for (size_t slot = hash(in, rec->ring_id); in->table[slot];
	     slot = (slot + 1) & (in->table_size - 1)) {
		size_t i = in->table[slot] - 1;
		struct model_ring *ring = rings[i];

		if (!ring || ring->rec.ring_id != rec->ring_id)
			continue;
		if (is_same_ring(&ring->rec, rec)) {
			rings[i] = NULL;
			return ring;
		}
		ring->span.life = LIFE_GONE;
	}
	return NULL;
}

static struct model_ring *ring_new(struct model_inside *in, const struct ring_rec *rec,
				   bool has_ordinals)
{
	struct model_ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return NULL;
	ring->ordinal = has_ordinals ? (uint32_t)rec->ring_id : ++in->ordinals;
	span_begin(&ring->span, in);
	return ring;
}

/* Living rings, in the sample's order, from next_rings[nr_rings] on; the gone ones stay behind. */
static int match_rings(struct model_inside *in, const struct sample *sample)
{
	struct model_ring **next = in->next_rings + in->model.nr_rings;
	size_t g = 0;

	for (size_t i = 0; i < sample->nr_rings; i++) {
		const struct ring_rec *rec = &sample->rings[i];
		struct model_ring *ring = take_ring(in, rec);
		struct slice slice = {.recs = sample->groups + g};
		int err;

		if (ring)
			span_seen(&ring->span, in->model.at_ns);
		else
			ring = ring_new(in, rec, sample->has_ordinals);
		next[i] = ring;
		if (!ring)
			return -ENOMEM;
		ring->rec = *rec;
		for (; g < sample->nr_groups && sample->groups[g].ring_id == rec->ring_id; g++)
			slice.nr++;
		slice.counts = sample->counts ? sample->counts + g - slice.nr : NULL;
		err = update_groups(in, ring, &slice);
		if (err)
			return err;
	}
	return 0;
}

/* What the sample did not show: its groups share its fate. */
static int age_ring(struct model_inside *in, struct model_ring *ring)
{
	const struct slice nothing = {0};

	span_absent(&ring->span, !in->has_gaps);
	return update_groups(in, ring, &nothing);
}

static bool stands_before(const struct model_ring *a, const struct model_ring *b)
{
	if (a->rec.tgid != b->rec.tgid)
		return a->rec.tgid < b->rec.tgid;
	if (a->rec.fd != b->rec.fd)
		return (__u32)a->rec.fd < (__u32)b->rec.fd;
	return a->ordinal < b->ordinal;
}

/*
 * Merges what is absent, still in the old array and in its order, with the living. Writing never
 * overtakes reading: the living begin behind as many places as there are old rings.
 */
static void merge_rings(struct model_inside *in, size_t nr_living)
{
	struct model *model = &in->model;
	struct model_ring **next = in->next_rings, **living = next + model->nr_rings;
	size_t nr = 0, i = 0, j = 0;

	while (i < model->nr_rings || j < nr_living) {
		struct model_ring *old = i < model->nr_rings ? model->rings[i] : NULL;

		if (i < model->nr_rings && !old) {
			i++;
		} else if (old && (j == nr_living || stands_before(old, living[j]))) {
			model->rings[i++] = NULL;
			if (span_is_over(&old->span))
				ring_free(old);
			else
				next[nr++] = old;
		} else {
			struct model_ring *ring = living[j];

			living[j++] = NULL;
			next[nr++] = ring;
		}
	}
	in->next_rings = model->rings;
	model->rings = next;
	model->nr_rings = nr;
	nr = in->room_rings;
	in->room_rings = in->room_next_rings;
	in->room_next_rings = nr;
}

static int update_rings(struct model_inside *in, const struct sample *sample)
{
	struct model *model = &in->model;
	size_t wanted = model->nr_rings + sample->nr_rings;
	int err;

	in->next_rings = reserve(in->next_rings, &in->room_next_rings, wanted, sizeof(void *));
	if (!in->next_rings)
		return -ENOMEM;
	memset(in->next_rings, 0, in->room_next_rings * sizeof(void *));
	err = index_rings(in);
	if (!err)
		err = match_rings(in, sample);
	for (size_t i = 0; !err && i < model->nr_rings; i++)
		if (model->rings[i])
			err = age_ring(in, model->rings[i]);
	if (err)
		return err;
	merge_rings(in, sample->nr_rings);
	return 0;
}

/* ---- the whole */

static void free_rings(struct model_ring **rings, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (rings[i])
			ring_free(rings[i]);
	free(rings);
}

/* Frees everything but the model itself, from whatever state an update was left in. */
static void forget(struct model_inside *in)
{
	uint32_t ordinals = in->ordinals;

	free_rings(in->model.rings, in->model.nr_rings);
	free_rings(in->next_rings, in->next_rings ? in->room_next_rings : 0);
	for (size_t i = 0; i < in->nr_next_groups; i++)
		free(in->next_groups[i]);
	free(in->next_groups);
	free(in->table);
	memset(in, 0, sizeof(*in));
	in->ordinals = ordinals;
}

/* What can be said once every group has its place. */
static void take_stock(struct model *model)
{
	model->live_rings = 0;
	model->live_groups = 0;
	model->has_names = false;
	for (size_t i = 0; i < model->nr_rings; i++) {
		const struct model_ring *ring = model->rings[i];

		model->live_rings += ring->span.life == LIFE_LIVE;
		for (size_t j = 0; j < ring->nr_groups; j++) {
			struct model_group *group = ring->groups[j];

			if (group->span.life != LIFE_LIVE)
				continue;
			model->live_groups++;
			model->has_names = model->has_names || group->rec.name;
			group->empty_in_ns = condition_empty_in_ns(model, group);
			group->condition = condition_of(model, group);
		}
	}
}

struct model *model_new(void)
{
	struct model_inside *in = calloc(1, sizeof(*in));

	return (struct model *)in;
}

void model_free(struct model *model)
{
	if (!model)
		return;
	forget(inside_of(model));
	free(model);
}

int model_update(struct model *model, const struct sample *sample)
{
	struct model_inside *in = inside_of(model);
	int err;

	if (model->samples > 0 && sample->at_ns < model->at_ns)
		return -EINVAL;
	in->had_gaps = in->has_gaps;
	in->has_gaps = false;
	for (int i = LOSS_RINGS; i <= LOSS_WALK; i++)
		in->has_gaps = in->has_gaps || sample->losses[i] > model->losses[i];
	memcpy(model->losses, sample->losses, sizeof(model->losses));
	model->interval_ns = model->samples > 0 ? sample->at_ns - model->at_ns : 0;
	model->at_ns = sample->at_ns;
	model->wall_ns = sample->wall_ns;
	model->backend = sample->backend;
	err = update_rings(in, sample);
	if (err) {
		forget(in);
		return err;
	}
	model->past_ns[model->samples % MODEL_SLOTS] = model->at_ns;
	model->samples++;
	take_stock(model);
	return 0;
}

/* ---- reading */

struct value model_value(const struct model_span *span, double v)
{
	return (struct value){.v = v, .state = span->life == LIFE_LIVE ? VALUE_KNOWN : VALUE_STALE};
}

static struct value u32_value(const struct model_group *group, uint32_t v)
{
	return v == REC_UNKNOWN_U32 ? model_unknown : model_value(&group->span, v);
}

static struct value u64_value(const struct model_group *group, uint64_t v)
{
	return v == COUNT_UNKNOWN ? model_unknown : model_value(&group->span, (double)v);
}

struct value model_available(const struct model_group *group)
{
	return u32_value(group, group->rec.available);
}

struct value model_held(const struct model_group *group)
{
	return u32_value(group, group->rec.held);
}

static bool is_16_bits(enum group_counter counter)
{
	return counter == COUNT_TAKEN || counter == COUNT_RETURNED;
}

struct value model_total(const struct model_group *group, enum group_counter counter)
{
	struct value value = u64_value(group, group->total[counter]);

	value.in_doubt = is_16_bits(counter) && group->wraps > 0;
	return value;
}

struct value model_rate(const struct model_group *group, enum group_counter counter)
{
	struct value value = model_unknown;

	if (group->rate[counter] >= 0)
		value = model_value(&group->span, group->rate[counter]);
	value.in_doubt = is_16_bits(counter) && group->has_wrapped;
	return value;
}

struct value model_gauge(const struct model_group *group, enum group_gauge gauge)
{
	return u64_value(group, group->gauge[gauge]);
}

struct value model_empty_in(const struct model_group *group)
{
	return u64_value(group, group->empty_in_ns);
}

static bool has_past(const struct model *model, unsigned int back)
{
	return back < MODEL_HISTORY && back < model->samples;
}

uint64_t model_past_ns(const struct model *model, unsigned int back)
{
	return has_past(model, back) ? model->past_ns[(model->samples - 1 - back) % MODEL_SLOTS]
				     : 0;
}

uint32_t model_past_available(const struct model *model, const struct model_group *group,
			      unsigned int back)
{
	if (!has_past(model, back))
		return REC_UNKNOWN_U32;
	return group->available[(model->samples - 1 - back) % MODEL_SLOTS];
}

bool model_past_starved(const struct model *model, const struct model_group *group,
			unsigned int back)
{
	if (!has_past(model, back))
		return false;
	return group->starved_mask >> ((model->samples - 1 - back) % MODEL_SLOTS) & 1;
}

bool model_past_empty(const struct model *model, const struct model_group *group, unsigned int back)
{
	if (!has_past(model, back))
		return false;
	return group->empty_mask >> ((model->samples - 1 - back) % MODEL_SLOTS) & 1;
}

const struct model_ring *model_find_ring(const struct model *model, uint32_t ordinal)
{
	for (size_t i = 0; i < model->nr_rings; i++)
		if (model->rings[i]->ordinal == ordinal)
			return model->rings[i];
	return NULL;
}

const struct model_group *model_find(const struct model *model, uint32_t ordinal, uint32_t bgid)
{
	const struct model_ring *ring = model_find_ring(model, ordinal);
	const struct model_group *found = NULL;
	size_t low = 0, high;

	high = ring ? ring->nr_groups : 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ring->groups[middle]->rec.bgid < bgid)
			low = middle + 1;
		else
			high = middle;
	}
	for (; ring && low < ring->nr_groups && ring->groups[low]->rec.bgid == bgid; low++)
		found = ring->groups[low];
	return found;
}
