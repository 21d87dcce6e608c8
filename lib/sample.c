// SPDX-License-Identifier: MIT
/* What does one observation hold, in which order, and what are its parts called? */
#include "sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME_OF(names, index) ((index) < sizeof(names) / sizeof((names)[0]) ? (names)[index] : NULL)

const char *sample_backend_name(enum sample_backend backend)
{
	static const char *const names[] = {
		[BACKEND_ITER] = "iter",
		[BACKEND_ITER_TICK] = "iter+tick",
		[BACKEND_ITER_TP] = "iter+tp",
		[BACKEND_ITER_TP_KBUF] = "iter+tp+kbuf",
	};

	return NAME_OF(names, (size_t)backend);
}

/* From which backend on, each sees what those before it do. */
static const struct {
	const char *name;
	enum sample_backend least;
} losses[] = {
	[LOSS_RINGS] = {"rings", BACKEND_ITER},
	[LOSS_GROUPS] = {"groups", BACKEND_ITER},
	[LOSS_WALK] = {"walk", BACKEND_ITER},
	[LOSS_UNATTRIBUTED] = {"unattributed", BACKEND_ITER_TP},
	[LOSS_GUESSED] = {"guessed", BACKEND_ITER_TP},
	[LOSS_ACCOUNTS] = {"accounts", BACKEND_ITER_TICK},
	[LOSS_LEDGERS] = {"ledgers", BACKEND_ITER_TP},
	[LOSS_REQUESTS] = {"requests", BACKEND_ITER_TP},
	[LOSS_HIDDEN] = {"hidden", BACKEND_ITER_TP},
	[LOSS_BIDS] = {"bids", BACKEND_ITER_TP},
	[LOSS_EVENTS] = {"events", BACKEND_ITER_TP},
	[LOSS_CALLS] = {"calls", BACKEND_ITER_TP_KBUF},
	[LOSS_PROCESSES] = {"processes", BACKEND_ITER_TP},
};

const char *sample_loss_name(enum sample_loss loss)
{
	return loss < LOSS_MAX ? losses[loss].name : NULL;
}

bool sample_can_lose(enum sample_loss loss, enum sample_backend backend)
{
	return backend >= losses[loss].least;
}

const char *sample_kind_name(enum group_kind kind)
{
	static const char *const names[] = {
		[GROUP_RING] = "ring",         [GROUP_MMAP] = "mmap",     [GROUP_INC] = "inc",
		[GROUP_INC_MMAP] = "inc-mmap", [GROUP_LEGACY] = "legacy",
	};

	return NAME_OF(names, (size_t)kind);
}

const char *sample_setup_flag_name(unsigned int bit)
{
	static const char *const names[] = {
		"IOPOLL",        "SQPOLL",        "SQ_AFF",     "CQSIZE",
		"CLAMP",         "ATTACH_WQ",     "R_DISABLED", "SUBMIT_ALL",
		"COOP_TASKRUN",  "TASKRUN_FLAG",  "SQE128",     "CQE32",
		"SINGLE_ISSUER", "DEFER_TASKRUN", "NO_MMAP",    "REGISTERED_FD_ONLY",
		"NO_SQARRAY",    "HYBRID_IOPOLL", "CQE_MIXED",  "SQE_MIXED",
		"SQ_REWIND",
	};

	return NAME_OF(names, (size_t)bit);
}

static int compare_u64(__u64 a, __u64 b)
{
	return a < b ? -1 : a > b;
}

static int by_owner(const void *a, const void *b)
{
	const struct ring_rec *x = a, *y = b;

	if (x->tgid != y->tgid)
		return x->tgid < y->tgid ? -1 : 1;
	/* A ring without an fd comes last. */
	if (x->fd != y->fd)
		return (__u32)x->fd < (__u32)y->fd ? -1 : 1;
	return compare_u64(x->ring_id, y->ring_id);
}

static int by_ring_id(const void *a, const void *b)
{
	const struct ring_rec *x = a, *y = b;
	int order = compare_u64(x->ring_id, y->ring_id);

	return order ? order : by_owner(a, b);
}

/* Where a ring stands; sorted by ring_id to find it. */
struct place {
	__u64 ring_id;
	size_t position;
};

static int by_place_id(const void *a, const void *b)
{
	return compare_u64(((const struct place *)a)->ring_id, ((const struct place *)b)->ring_id);
}

/* What orders a group, and which one it is in the array as it came. */
struct group_key {
	size_t position;
	__u32 bgid;
	size_t index;
};

static int by_group_key(const void *a, const void *b)
{
	const struct group_key *x = a, *y = b;

	if (x->position != y->position)
		return x->position < y->position ? -1 : 1;
	if (x->bgid != y->bgid)
		return x->bgid < y->bgid ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static void sort_rings(struct sample *sample)
{
	size_t kept = 0;

	if (sample->nr_rings == 0)
		return;
	qsort(sample->rings, sample->nr_rings, sizeof(*sample->rings), by_ring_id);
	for (size_t i = 1; i < sample->nr_rings; i++) {
		struct ring_rec *first = &sample->rings[kept], *next = &sample->rings[i];

		if (first->ring_id == next->ring_id) {
			first->seen |= next->seen;
			first->sightings += next->sightings;
		} else {
			sample->rings[++kept] = *next;
		}
	}
	sample->nr_rings = kept + 1;
	qsort(sample->rings, sample->nr_rings, sizeof(*sample->rings), by_owner);
}

static void map_places(const struct sample *sample, struct place *places)
{
	for (size_t i = 0; i < sample->nr_rings; i++)
		places[i] = (struct place){sample->rings[i].ring_id, i};
	qsort(places, sample->nr_rings, sizeof(*places), by_place_id);
}

/* Keys of the groups whose ring is there, in order, each group once. Returns how many. */
static size_t order_groups(const struct sample *sample, const struct place *places,
			   struct group_key *keys)
{
	const struct place *place = NULL;
	size_t nr = 0, kept = 0;
	bool sorted = true;

	for (size_t i = 0; i < sample->nr_groups; i++) {
		struct place wanted = {.ring_id = sample->groups[i].ring_id};

		if (!place || place->ring_id != wanted.ring_id)
			place = bsearch(&wanted, places, sample->nr_rings, sizeof(*places),
					by_place_id);
		if (!place)
			continue;
		keys[nr] = (struct group_key){place->position, sample->groups[i].bgid, i};
		sorted = sorted && (nr == 0 || by_group_key(&keys[nr - 1], &keys[nr]) < 0);
		nr++;
	}
	if (!sorted)
		qsort(keys, nr, sizeof(*keys), by_group_key);
	for (size_t i = 0; i < nr; i++) {
		if (kept > 0 && keys[kept - 1].position == keys[i].position &&
		    keys[kept - 1].bgid == keys[i].bgid)
			kept--;
		keys[kept++] = keys[i];
	}
	return kept;
}

int sample_sort(struct sample *sample)
{
	struct place *places = calloc(sample->nr_rings + 1, sizeof(*places));
	struct group_key *keys = calloc(sample->nr_groups + 1, sizeof(*keys));
	struct group_rec *groups = calloc(sample->nr_groups + 1, sizeof(*groups));
	struct group_counts *counts = NULL;
	int err = -ENOMEM;
	size_t nr;

	if (sample->counts)
		counts = calloc(sample->nr_groups + 1, sizeof(*counts));
	if (!places || !keys || !groups || (sample->counts && !counts))
		goto out;
	sort_rings(sample);
	map_places(sample, places);
	nr = order_groups(sample, places, keys);
	for (size_t i = 0; i < nr; i++) {
		groups[i] = sample->groups[keys[i].index];
		if (counts)
			counts[i] = sample->counts[keys[i].index];
	}
	if (nr > 0)
		memcpy(sample->groups, groups, nr * sizeof(*groups));
	if (nr > 0 && counts)
		memcpy(sample->counts, counts, nr * sizeof(*counts));
	sample->nr_groups = nr;
	err = 0;
out:
	free(counts);
	free(groups);
	free(keys);
	free(places);
	return err;
}

void sample_done(struct sample *sample)
{
	free(sample->rings);
	free(sample->groups);
	free(sample->counts);
	memset(sample, 0, sizeof(*sample));
}
