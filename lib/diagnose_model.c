// SPDX-License-Identifier: MIT
/* What do totals alone tell, where no event was followed? */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "diagnose_bench.h"
#include "model.h"
#include "shortage.h"

#define SLOW_NS  10000000ULL
#define STUCK_NS 1000000000ULL
#define ROUNDS   4 /* that the others went round, before a buffer counts as forgotten */

/* A total or gauge; 0 where it is not known. */
static uint64_t total(const struct model_group *group, enum group_counter counter)
{
	return group->total[counter] == COUNT_UNKNOWN ? 0 : group->total[counter];
}

static uint64_t gauge(const struct model_group *group, enum group_gauge gauge)
{
	return group->gauge[gauge] == COUNT_UNKNOWN ? 0 : group->gauge[gauge];
}

/* Buffers that the group is known to have; 0: not known. */
static uint64_t owned(const struct group_rec *rec)
{
	if (rec->available == REC_UNKNOWN_U32 || rec->held == REC_UNKNOWN_U32)
		return 0;
	return (uint64_t)rec->available + rec->held;
}

static bool is_forgotten(const struct model_group *group)
{
	uint64_t oldest = gauge(group, GAUGE_OLDEST_HELD_NS);

	return gauge(group, GAUGE_STUCK) && oldest >= STUCK_NS &&
	       oldest >= 4 * gauge(group, GAUGE_HOLD_MAX_NS) &&
	       total(group, COUNT_RETURNED) > (ROUNDS + 1) * owned(&group->rec);
}

static enum complaint complaint_of(const struct model_group *group)
{
	const struct group_rec *rec = &group->rec;
	uint64_t taken = total(group, COUNT_TAKEN), returned = total(group, COUNT_RETURNED);
	uint64_t all = owned(rec);

	if (!taken && !returned && rec->available == 0)
		return NEVER_FILLED;
	if (rec->available == 0 && all && returned <= all && gauge(group, GAUGE_STUCK) == all)
		return NEVER_RETURNED;
	if (is_forgotten(group) && gauge(group, GAUGE_STUCK) * 2 >= all)
		return LEAK;
	if (rec->kind != GROUP_LEGACY && all && all * 2 <= rec->entries)
		return LAZY_FILL;
	return gauge(group, GAUGE_HOLD_P50_NS) >= SLOW_NS ? CONSUMER_SLOW : POOL_TOO_SMALL;
}

static void say_held(char *text, const struct model_group *group)
{
	if (group->rec.held != REC_UNKNOWN_U32)
		bench_say(text, "; %u held of %" PRIu64, group->rec.held, owned(&group->rec));
	if (gauge(group, GAUGE_HOLD_P99_NS)) {
		bench_say(text, ", for ");
		bench_say_span(text, gauge(group, GAUGE_HOLD_P50_NS));
		bench_say(text, " (p50), ");
		bench_say_span(text, gauge(group, GAUGE_HOLD_P99_NS));
		bench_say(text, " (p99)");
	}
	if (gauge(group, GAUGE_STUCK)) {
		bench_say(text, "; %" PRIu64 " stuck, the oldest for ", gauge(group, GAUGE_STUCK));
		bench_say_span(text, gauge(group, GAUGE_OLDEST_HELD_NS));
	}
}

static void judge_starved(struct bench *bench, const struct model_group *group)
{
	uint64_t starved = total(group, COUNT_STARVED);
	struct finding *finding;

	if (!starved)
		return;
	finding = bench_add(bench, complaint_of(group), CONFIDENCE_POSSIBLE);
	if (!finding)
		return;
	bench_say(finding->evidence, "%" PRIu64 " starves of %" PRIu64 " selections", starved,
		  total(group, COUNT_SELECTED));
	say_held(finding->evidence, group);
}

static void judge_group(struct bench *bench, const struct model_group *group)
{
	const struct group_rec *rec = &group->rec;
	bool is_legacy = rec->kind == GROUP_LEGACY || rec->available == REC_UNKNOWN_U32;
	struct finding *finding;

	judge_starved(bench, group);
	if (!total(group, COUNT_STARVED) && is_forgotten(group) &&
	    (finding = bench_add(bench, LEAK, CONFIDENCE_POSSIBLE))) {
		bench_say(finding->evidence, "%" PRIu64 " returns", total(group, COUNT_RETURNED));
		say_held(finding->evidence, group);
	}
	if (is_legacy || rec->available <= rec->entries)
		return;
	/* a tail that is behind its head looks like nearly all that 16 bits can count */
	finding = bench_add(bench, rec->available > INT16_MAX + 1U ? TAIL_BACK : OVERFILLED,
			    CONFIDENCE_CERTAIN);
	if (finding)
		bench_say(finding->evidence, "head %u, tail %u, %u entries", rec->head, rec->tail,
			  rec->entries);
}

static void judge_ring(struct bench *bench, const struct model_ring *ring)
{
	struct finding *finding;

	if (!ring->rec.cq_overflow || !ring->nr_groups)
		return;
	finding = bench_add(bench, CQ_OVERFLOW, CONFIDENCE_POSSIBLE);
	if (finding)
		bench_say(finding->evidence,
			  "%u completions, with a buffer or without; the queue has %u entries",
			  ring->rec.cq_overflow, ring->rec.cq_entries);
}

int diagnose_model(const struct model *model, struct diagnosis *diagnosis)
{
	const struct casebook nothing = {0};
	const struct diagnose_case what = {.book = &nothing};
	struct case_group who;
	struct bench bench = {.what = &what, .group = &who, .out = diagnosis};

	memset(diagnosis, 0, sizeof(*diagnosis));
	memset(&who, 0, sizeof(who));
	for (size_t i = 0; i < model->nr_rings && !bench.err; i++) {
		const struct model_ring *ring = model->rings[i];

		who.ring_id = ring->rec.ring_id;
		who.tgid = ring->rec.tgid;
		who.bgid = REC_UNKNOWN_U32;
		judge_ring(&bench, ring);
		for (size_t j = 0; j < ring->nr_groups && !bench.err; j++) {
			who.bgid = ring->groups[j]->rec.bgid;
			judge_group(&bench, ring->groups[j]);
		}
	}
	if (bench.err)
		diagnosis_done(diagnosis);
	else
		bench_sort(diagnosis);
	return bench.err;
}
