// SPDX-License-Identifier: MIT
/* Why was there no buffer, and how many would have sufficed? */
#include "shortage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hist.h"

#define SLOW_NS  10000000ULL /* a buffer out for longer is not out "for a moment" */
#define NS_PER_S 1000000000ULL

void losses_of(const struct case_group *group, uint64_t before_ns, struct losses *losses)
{
	memset(losses, 0, sizeof(*losses));
	for (uint32_t bid = 0; bid < group->nr_buffers; bid++) {
		enum case_fate fate = casebook_fate(group, bid);

		if (fate == FATE_FINE || group->buffers[bid].since_ns > before_ns)
			continue;
		losses->by_fate[fate]++;
		losses->all++;
	}
}

/* ---- causes and contexts */

static enum shortage_context context_of(const struct case_group *group,
					const struct book_episode *episode)
{
	struct losses losses;

	/* what was out before the trace began is not in the books */
	if (!episode->held || episode->held < episode->provided)
		return SHORT_UNKNOWN;
	losses_of(group, episode->at_ns, &losses);
	if (losses.all * 2 >= episode->provided)
		return SHORT_OF_LOST;
	/* nothing has ever come back: whether it will, and how soon, is not known yet */
	if (group->sums.returned <= group->sums.filled)
		return SHORT_UNKNOWN;
	if (group->sums.entries && episode->provided * 2 <= group->sums.entries)
		return SHORT_OF_FILL;
	if (episode->top_held * 4ULL >= episode->held * 3ULL &&
	    casebook_count_streams(group, 2) > 1)
		return SHORT_BY_ONE;
	return episode->age_ns >= SLOW_NS ? SHORT_BY_SLOW : SHORT_BY_SIZE;
}

void shortage_of(const struct case_group *group, struct shortage *shortage)
{
	uint64_t empty = group->sums.causes[STARVE_EMPTY_AT_ISSUE] +
			 group->sums.causes[STARVE_EMPTY_AT_DATA];
	uint64_t told = 0;

	memset(shortage, 0, sizeof(*shortage));
	for (int cause = 0; cause < STARVE_CAUSES; cause++) {
		shortage->causes[cause] = group->sums.causes[cause];
		shortage->starves += group->sums.causes[cause];
	}
	for (uint32_t i = 0; i < group->nr_episodes; i++) {
		const struct book_episode *episode = &group->episodes[i];
		enum shortage_context context = context_of(group, episode);
		const struct book_episode **worst = &shortage->worst[context];

		if (!*worst || episode->held > (*worst)->held)
			*worst = episode;
		shortage->contexts[context] += episode->starves;
		shortage->episodes[context]++;
		told += episode->starves;
	}
	/* of episodes for which there was no room */
	if (empty > told)
		shortage->contexts[SHORT_UNKNOWN] += empty - told;
}

const char *shortage_cause_key(enum starve_cause cause)
{
	static const char *const keys[] = {
		[STARVE_NO_GROUP] = "no_group",
		[STARVE_NEVER_FILLED] = "never_filled",
		[STARVE_UNPUBLISHED] = "unpublished",
		[STARVE_EMPTY_AT_ISSUE] = "empty_at_issue",
		[STARVE_EMPTY_AT_DATA] = "emptied_at_data",
		[STARVE_UNREGISTERED] = "unregistered",
		[STARVE_NOT_EMPTY] = "not_empty",
	};

	return keys[cause];
}

const char *shortage_cause_text(enum starve_cause cause)
{
	static const char *const texts[] = {
		[STARVE_NO_GROUP] = "the group was never registered",
		[STARVE_NEVER_FILLED] = "registered, but never filled",
		[STARVE_UNPUBLISHED] = "entries lie there, the tail never moved",
		[STARVE_EMPTY_AT_ISSUE] = "empty when the request was issued",
		[STARVE_EMPTY_AT_DATA] = "armed before, empty when data came",
		[STARVE_UNREGISTERED] = "unregistered under the request",
		[STARVE_NOT_EMPTY] = "not empty: the kernel's doing, or bad entries",
	};

	return texts[cause];
}

const char *shortage_context_key(enum shortage_context context)
{
	static const char *const keys[] = {
		[SHORT_OF_LOST] = "leak",           [SHORT_OF_FILL] = "lazy_fill",
		[SHORT_BY_ONE] = "one_stream",      [SHORT_BY_SLOW] = "consumer_slow",
		[SHORT_BY_SIZE] = "pool_too_small", [SHORT_UNKNOWN] = "unknown",
	};

	return keys[context];
}

const char *shortage_context_text(enum shortage_context context)
{
	static const char *const texts[] = {
		[SHORT_OF_LOST] = "most buffers had been lost",
		[SHORT_OF_FILL] = "most slots never had a buffer",
		[SHORT_BY_ONE] = "one file had taken nearly all",
		[SHORT_BY_SLOW] = "most were held for long",
		[SHORT_BY_SIZE] = "a burst of more than there are",
		[SHORT_UNKNOWN] = "unknown: out before the watch, never back, or too many to keep",
	};

	return texts[context];
}

/* ---- replay */

/*
 * What a starved request would have taken is taken by a phantom, kept for as long as half of all
 * buffers are. What it would have gone on to take nobody knows: a lower bound.
 */
#define PHANTOMS 65536

struct replay {
	uint64_t *due; /* of phantoms, a queue: all are kept for the same time */
	uint32_t first, nr;
	uint64_t out, most;
	uint64_t starves;
};

static void replay_flow(struct replay *replay, const struct book_flow *flow, uint32_t buffers,
			uint64_t hold_ns)
{
	while (replay->nr && replay->due[replay->first % PHANTOMS] <= flow->at_ns) {
		replay->first++;
		replay->nr--;
	}
	if (flow->kind == FLOW_RETURN) {
		replay->out -= replay->out < flow->nr ? replay->out : flow->nr;
		return;
	}
	if (replay->out + replay->nr + flow->nr > buffers || replay->nr >= PHANTOMS) {
		replay->starves += flow->kind == FLOW_STARVE ? 1 : flow->nr;
		return;
	}
	if (flow->kind == FLOW_TAKE)
		replay->out += flow->nr;
	else
		replay->due[(replay->first + replay->nr++) % PHANTOMS] = flow->at_ns + hold_ns;
	if (replay->out + replay->nr > replay->most)
		replay->most = replay->out + replay->nr;
}

/* 0 or -errno. */
static int replay_all(const struct case_group *group, uint32_t buffers, struct replay *replay)
{
	uint64_t hold_ns = hist_quantile_ns(group->sums.hold, 0.5);

	memset(replay, 0, sizeof(*replay));
	if (group->sums.flows_full || hold_ns == UINT64_MAX || !group->nr_flows)
		return -ENOENT;
	replay->due = calloc(PHANTOMS, sizeof(*replay->due));
	if (!replay->due)
		return -ENOMEM;
	for (uint32_t i = 0; i < group->nr_flows; i++)
		replay_flow(replay, &group->flows[i], buffers, hold_ns);
	free(replay->due);
	return 0;
}

uint64_t shortage_replay(const struct case_group *group, uint32_t buffers)
{
	struct replay replay;

	return replay_all(group, buffers, &replay) ? UINT64_MAX : replay.starves;
}

/* ---- sizes */

static uint32_t round_up(uint64_t nr)
{
	uint32_t power = 1;

	while (power < nr && power < SIZING_LARGEST)
		power *= 2;
	return power;
}

static uint64_t count_busiest(const struct case_group *group)
{
	uint64_t sum = 0, most = 0;

	for (uint32_t to = 0, from = 0; to < group->nr_flows; to++) {
		const struct book_flow *flow = &group->flows[to];

		sum += flow->kind == FLOW_RETURN ? 0 : flow->nr;
		for (; flow->at_ns - group->flows[from].at_ns > SIZING_WINDOW; from++)
			sum -= group->flows[from].kind == FLOW_RETURN ? 0 : group->flows[from].nr;
		if (sum > most)
			most = sum;
	}
	return most;
}

/*
 * The replay does not know what a request would have gone on to take that starved. What was taken
 * soon after was waiting: the worst of all starves.
 */
static void measure_waiting(const struct case_group *group, struct sizing *sizing)
{
	uint64_t out = 0, taken = 0; /* taken: from the starve to flow `to`, which is not in it */
	uint32_t to = 0;

	for (uint32_t i = 0; i < group->nr_flows; i++) {
		const struct book_flow *flow = &group->flows[i];

		for (; to < group->nr_flows &&
		       group->flows[to].at_ns <= flow->at_ns + sizing->hold_p50_ns;
		     to++)
			taken += group->flows[to].kind == FLOW_TAKE ? group->flows[to].nr : 0;
		if (flow->kind == FLOW_TAKE) {
			out += flow->nr;
			taken -= flow->nr;
		} else if (flow->kind == FLOW_RETURN) {
			out -= out < flow->nr ? out : flow->nr;
		} else if (out + taken > (uint64_t)sizing->at_starve + sizing->after_it) {
			sizing->at_starve = (uint32_t)out;
			sizing->after_it = (uint32_t)taken;
		}
	}
}

static void enlarge(struct sizing *sizing, uint64_t wanted)
{
	if (sizing->entries && wanted > sizing->entries)
		sizing->entries = wanted > SIZING_LARGEST ? 0 : round_up(wanted);
}

static int try_sizes(const struct case_group *group, struct sizing *sizing)
{
	uint32_t size = round_up(sizing->now + 1U);
	struct replay replay;
	int err;

	for (; size <= SIZING_LARGEST && sizing->nr_tries < SIZING_TRIES; size *= 2) {
		err = replay_all(group, size, &replay);
		if (err)
			return err;
		sizing->tries[sizing->nr_tries].buffers = size;
		sizing->tries[sizing->nr_tries++].starves = replay.starves;
		if (replay.starves || replay.most + sizing->spare > size)
			continue;
		sizing->wanted = (uint32_t)replay.most;
		sizing->entries = size;
		break;
	}
	return 0;
}

/* Of the results of completions that told one buffer. */
static void measure_results(const struct case_group *group, struct sizing *sizing)
{
	uint64_t all = 0, below = 0, full = 0;

	sizing->buf_bytes = group->lint.buf_bytes;
	for (int log = 1; log < 33; log++) {
		all += group->sums.sizes[log];
		/* at least half of what the next power of two is */
		if (sizing->buf_bytes && (1ULL << (log - 1)) >= sizing->buf_bytes)
			full += group->sums.sizes[log];
	}
	if (!all)
		return;
	sizing->full_percent = (uint32_t)(full * 100 / all);
	for (int log = 1; log < 32; log++) {
		below += group->sums.sizes[log];
		if (below * 100 < all * 99)
			continue;
		sizing->fit_bytes = 1U << log;
		return;
	}
}

int sizing_of(const struct case_group *group, struct sizing *sizing)
{
	struct replay replay;
	uint64_t by_rate;
	int err;

	memset(sizing, 0, sizeof(*sizing));
	sizing->now = group->sums.provided;
	for (uint32_t i = 0; i < group->nr_flows; i++)
		sizing->seen += group->flows[i].kind == FLOW_STARVE;
	if (!group->sums.provided || !group->sums.returned)
		return -ENOENT;
	err = replay_all(group, group->sums.provided, &replay);
	if (err)
		return err;
	sizing->again = replay.starves;
	for (uint32_t i = 0; i < group->nr_streams; i++)
		sizing->spare |= group->streams[i].is_multishot;
	err = try_sizes(group, sizing);
	if (err)
		return err;
	sizing->hold_p50_ns = hist_quantile_ns(group->sums.hold, 0.5);
	sizing->hold_p99_ns = hist_quantile_ns(group->sums.hold, 0.99);
	sizing->arrivals = count_busiest(group);
	/* rounded up */
	by_rate = sizing->arrivals * (sizing->hold_p99_ns / 1000) / (SIZING_WINDOW / 1000) + 1;
	sizing->by_rate = by_rate > UINT32_MAX ? UINT32_MAX : (uint32_t)by_rate;
	measure_waiting(group, sizing);
	enlarge(sizing, sizing->by_rate);
	enlarge(sizing, (uint64_t)sizing->at_starve + sizing->after_it + sizing->spare);
	measure_results(group, sizing);
	return 0;
}
