// SPDX-License-Identifier: MIT
/* Why was there no buffer, and which do not come back? */
#include "diagnose_bench.h"

#include <inttypes.h>

#include "hist.h"
#include "shortage.h"
#include "text.h"

#define CERTAIN_NS       1000000000ULL
#define DRAINING_LEAST   16
#define DRAINING_NS      2000000000ULL
#define DRAINING_SOON_NS 3600000000000ULL

static void name_losses(char *text, const struct case_group *group, enum case_fate fate)
{
	unsigned int nr = 0;

	for (uint32_t bid = 0; bid < group->nr_buffers; bid++) {
		const struct book_buffer *buffer = &group->buffers[bid];

		if (casebook_fate(group, bid) != fate)
			continue;
		if (++nr > MOST_LISTED)
			continue;
		bench_say(text, "%sbid %u (", nr == 1 ? ": " : ", ", bid);
		if (buffer->stream < group->nr_streams) {
			bench_say_file(text, &group->streams[buffer->stream]);
			bench_say(text, ", ");
		}
		if (buffer->is_early)
			bench_say(text, "since before the watch, ");
		bench_say_span(text, casebook_age(group, buffer));
		bench_say(text, ")");
	}
	if (nr > MOST_LISTED)
		bench_say(text, ", %u more", nr - MOST_LISTED);
}

/* A loss whose buffers were out for long at the end, or already before the beginning. */
static enum confidence trust_in(const struct case_group *group, enum case_fate fate)
{
	enum confidence confidence =
		fate == FATE_FORGOTTEN ? CONFIDENCE_LIKELY : CONFIDENCE_CERTAIN;

	for (uint32_t bid = 0; bid < group->nr_buffers; bid++) {
		const struct book_buffer *buffer = &group->buffers[bid];

		if (casebook_fate(group, bid) == fate &&
		    (buffer->is_early || casebook_age(group, buffer) < CERTAIN_NS))
			confidence = CONFIDENCE_LIKELY;
	}
	return confidence;
}

static uint64_t count_empty_starves(const struct case_group *group)
{
	return group->sums.causes[STARVE_EMPTY_AT_ISSUE] + group->sums.causes[STARVE_EMPTY_AT_DATA];
}

static const struct book_stream *top_holder(const struct case_group *group)
{
	const struct book_stream *top = NULL;

	for (uint32_t i = 0; i < group->nr_streams; i++)
		if (group->streams[i].held > (top ? top->held : 0))
			top = &group->streams[i];
	return top;
}

/* For how long buffers have been taken, up to now; 0: not steadily. */
static uint64_t drained_ns(const struct case_group *group)
{
	uint64_t first = UINT64_MAX, last = 0, now;

	for (uint32_t bid = 0; bid < group->nr_buffers; bid++) {
		if (group->buffers[bid].place != BUFFER_HELD || group->buffers[bid].is_early)
			continue;
		if (group->buffers[bid].since_ns < first)
			first = group->buffers[bid].since_ns;
		if (group->buffers[bid].since_ns > last)
			last = group->buffers[bid].since_ns;
	}
	if (last <= first)
		return 0;
	now = group->seen_ns > last ? group->seen_ns : last;
	return now - last > (last - first) / 4 ? 0 : now - first;
}

/* Nothing has starved yet, but it will. */
static void judge_draining(struct bench *bench)
{
	const struct case_group *group = bench->group;
	const struct book_stream *top = top_holder(group);
	uint64_t ns = drained_ns(group), empty_ns;
	uint32_t taken = group->sums.held - group->sums.early;
	struct finding *finding;

	if (group->sums.returned > group->sums.filled || taken < DRAINING_LEAST ||
	    ns < DRAINING_NS || group->rec.available == REC_UNKNOWN_U32 ||
	    group->rec.available == 0)
		return;
	empty_ns = ns / taken * group->rec.available;
	if (empty_ns > DRAINING_SOON_NS)
		return;
	finding = bench_add(bench, DRAINING, CONFIDENCE_POSSIBLE);
	if (!finding)
		return;
	bench_say_nr(finding->evidence, taken, "buffer");
	bench_say(finding->evidence, " taken in ");
	bench_say_span(finding->evidence, ns);
	bench_say(finding->evidence, ", none returned");
	if (top) {
		bench_say(finding->evidence, "; ");
		bench_say_file(finding->evidence, top);
		bench_say(finding->evidence, " has %u of them", top->held);
	}
	bench_say(finding->evidence, "; %u are left: empty in ", group->rec.available);
	bench_say_span(finding->evidence, empty_ns);
}

/* ---- lost before the watch, and overwritten in the ring's memory since */

#define ROUNDS 4

/*
 * Of a group that was there before: bids that are missing among those that went round, which begin
 * at 0. What lies beyond the last may never have been put in.
 */
static uint32_t find_absent(const struct case_group *group, uint32_t *absent, uint32_t max)
{
	uint64_t back = group->sums.returned - group->sums.filled;
	uint32_t top = 0, nr = 0;

	for (uint32_t bid = 0; bid < group->nr_buffers; bid++) {
		if (group->buffers[bid].place != BUFFER_UNKNOWN)
			top = bid;
	}
	if (group->sums.is_whole || group->sums.kind == GROUP_LEGACY ||
	    top >= group->sums.entries || group->sums.returned < group->sums.filled ||
	    group->sums.last_ns - group->sums.first_ns < CERTAIN_NS ||
	    back < (uint64_t)ROUNDS * (group->sums.provided - group->sums.held + 1))
		return 0;
	for (uint32_t bid = 0; bid < top; bid++) {
		if (group->buffers[bid].place != BUFFER_UNKNOWN)
			continue;
		if (nr < max)
			absent[nr] = bid;
		nr++;
	}
	return nr;
}

/*
 * Where many are absent, bids may be given out in some other way; but not so likely where they
 * would be, with those that were seen, as many as the ring has entries.
 */
static bool is_of_array(const struct case_group *group)
{
	uint32_t last = group->sums.entries - 1;

	return last < group->nr_buffers && group->buffers[last].place != BUFFER_UNKNOWN;
}

static void judge_absent(struct bench *bench)
{
	const struct case_group *group = bench->group;
	uint32_t absent[MOST_LISTED], nr = find_absent(group, absent, MOST_LISTED);
	bool are_few = nr * 4 <= group->sums.provided;
	struct finding *finding;

	if (!nr || (!are_few && !is_of_array(group)))
		return;
	finding = bench_add(bench, are_few ? LEAK : LEAK_BEFORE, CONFIDENCE_POSSIBLE);
	if (!finding)
		return;
	bench_say(finding->evidence, "%u of %u buffers, bid%s", nr, group->sums.provided + nr,
		  nr == 1 ? "" : "s");
	for (uint32_t i = 0; i < nr && i < MOST_LISTED; i++)
		bench_say(finding->evidence, "%s %u", i ? "," : "", absent[i]);
	if (nr > MOST_LISTED)
		bench_say(finding->evidence, ", %u more", nr - MOST_LISTED);
	bench_say(finding->evidence,
		  ": not seen while %" PRIu64 " others came back; out since before the watch, or "
		  "never put in",
		  group->sums.returned - group->sums.filled);
}

static void tell_loss(struct bench *bench, enum case_fate fate, uint64_t nr)
{
	static const enum complaint complaints[] = {
		[FATE_FORGOTTEN] = LEAK,       [FATE_CLOSED] = LEAK_ON_CLOSE,
		[FATE_FAILED] = LEAK_ON_ERROR, [FATE_UNNAMED] = LEAK_BUNDLE,
		[FATE_ALL] = NEVER_RETURNED,
	};
	const struct case_group *group = bench->group;
	uint64_t starves = count_empty_starves(group);
	struct finding *finding = bench_add(bench, complaints[fate], trust_in(group, fate));

	if (!finding)
		return;
	bench_say(finding->evidence, "%" PRIu64 " of %u buffers", nr, group->sums.provided);
	name_losses(finding->evidence, group, fate);
	if (!starves)
		return;
	bench_say(finding->evidence, "; ");
	bench_say_nr(finding->evidence, starves, "request");
	bench_say(finding->evidence, " starved");
}

void diagnose_losses(struct bench *bench)
{
	const struct case_group *group = bench->group;
	uint64_t starves = count_empty_starves(group);
	struct losses losses;

	/* a return that was not told looks like a leak */
	if (bench_may_miss(bench))
		return;
	if (!starves)
		judge_draining(bench);
	losses_of(group, UINT64_MAX, &losses);
	/* a program may keep all it ever got, as long as nobody wants for it */
	if (!starves)
		losses.by_fate[FATE_ALL] = 0;
	/* once bundles lose their tails, whoever closes first matters little */
	if (losses.by_fate[FATE_UNNAMED])
		losses.by_fate[FATE_FORGOTTEN] = 0;
	/* entries that are not filled in carry any bid: which buffer is out by it is not known */
	if (bench_is_sure(bench, LINT_ZERO_LENGTH))
		losses.by_fate[FATE_FAILED] = 0;
	judge_absent(bench);
	for (int fate = FATE_FORGOTTEN; fate <= FATE_ALL; fate++) {
		if (losses.by_fate[fate])
			tell_loss(bench, (enum case_fate)fate, losses.by_fate[fate]);
	}
}

static const struct diagnose_limit *limit_of(const struct bench *bench, uint32_t tgid)
{
	for (size_t i = 0; i < bench->what->nr_limits; i++) {
		if (bench->what->limits[i].tgid == tgid)
			return &bench->what->limits[i];
	}
	return NULL;
}

/* Whether there is room for a group of that size beside the present one. */
static void say_room(const struct bench *bench, char *text, const struct sizing *sizing)
{
	const struct case_group *group = bench->group;
	const struct ring_rec *ring = casebook_ring(bench->what->book, group->ring_id);
	const struct diagnose_limit *limit = limit_of(bench, group->tgid);
	uint64_t pool = (uint64_t)sizing->entries * sizing->buf_bytes;
	uint64_t slots = group->sums.kind == GROUP_LEGACY
				 ? 0
				 : ((sizing->entries * 16ULL) + 4095) & ~4095ULL;
	char bytes[16];

	if (!sizing->buf_bytes)
		return;
	bench_say(text, " They take %s", text_bytes(bytes, sizeof(bytes), pool));
	if (slots)
		bench_say(text, ", their ring %s", text_bytes(bytes, sizeof(bytes), slots));
	if (bench->what->memory_bytes)
		bench_say(text, "; the machine has %s to spare%s",
			  text_bytes(bytes, sizeof(bytes), bench->what->memory_bytes),
			  pool + slots > bench->what->memory_bytes ? ", which is too little" : "");
	if (slots && ring && ring->locked_bytes && limit && limit->bytes != UINT64_MAX)
		bench_say(text, ", RLIMIT_MEMLOCK leaves %s%s",
			  text_bytes(bytes, sizeof(bytes),
				     limit->bytes > ring->locked_bytes
					     ? limit->bytes - ring->locked_bytes
					     : 0),
			  ring->locked_bytes + slots > limit->bytes ? ", which is too little" : "");
	bench_say(text, ".");
}

static void say_tries(char *text, const struct sizing *sizing)
{
	bench_say(text,
		  " A replay of what was seen: with %u as now %" PRIu64 " starve (%" PRIu64 " did)",
		  sizing->now, sizing->again, sizing->seen);
	for (uint32_t i = 0; i < sizing->nr_tries; i++) {
		/* of many that do not suffice the first and the last tell enough */
		if (i > 1 && i + 2 < sizing->nr_tries)
			continue;
		if (sizing->tries[i].starves)
			bench_say(text, "; with %u %" PRIu64, sizing->tries[i].buffers,
				  sizing->tries[i].starves);
		else
			bench_say(text, "; with %u none", sizing->tries[i].buffers);
	}
	bench_say(text, ".");
}

static void say_results(char *text, const struct sizing *sizing)
{
	if (!sizing->buf_bytes || !sizing->fit_bytes)
		return;
	if (sizing->fit_bytes * 2ULL <= sizing->buf_bytes)
		bench_say(text, " 99%% of the results are shorter than %u bytes, a buffer has %u.",
			  sizing->fit_bytes, sizing->buf_bytes);
	else if (sizing->full_percent >= 50)
		bench_say(text,
			  " %u%% of the results fill their buffer of %u bytes: fewer larger ones "
			  "would do.",
			  sizing->full_percent, sizing->buf_bytes);
}

/* Whether the replay at the present size tells about what happened. */
static bool is_trusted(const struct sizing *sizing)
{
	return sizing->again * 4 >= sizing->seen;
}

/* Other sizes, tried on what happened; and what they cost. */
static void advise_size(const struct bench *bench, struct finding *finding)
{
	struct sizing sizing;
	char *text = finding->advice, span[16], half[16];

	if (sizing_of(bench->group, &sizing))
		return;
	/* the answer, then how it was found */
	if (!sizing.entries) {
		bench_say(text, "No size up to %u would have sufficed.", SIZING_LARGEST);
		say_tries(text, &sizing);
		return;
	}
	if (is_trusted(&sizing))
		bench_say(text, "%u buffers would have sufficed.", sizing.entries);
	else
		bench_say(text, "%u buffers may have sufficed: a replay does not starve as it did.",
			  sizing.entries);
	say_tries(text, &sizing);
	bench_say(text,
		  " Out at once then: %u; when one starved %u were out, and %u more were taken in "
		  "the %s after it; %" PRIu64 " arrivals in the busiest 100 ms x %s held (p99) = "
		  "%u; as a power of two%s: %u.",
		  sizing.wanted, sizing.at_starve, sizing.after_it,
		  text_span(half, sizeof(half), sizing.hold_p50_ns), sizing.arrivals,
		  text_span(span, sizeof(span), sizing.hold_p99_ns), sizing.by_rate,
		  sizing.spare ? ", with one to spare for multishot requests" : "", sizing.entries);
	say_room(bench, text, &sizing);
	say_results(text, &sizing);
}

static void say_worst(char *text, const struct case_group *group, enum shortage_context context,
		      const struct book_episode *worst)
{
	bench_say(text, "; at worst %u of %u buffers were out, half of them for ", worst->held,
		  worst->provided);
	bench_say_span(text, worst->age_ns);
	bench_say(text, " or longer");
	if (context == SHORT_OF_FILL)
		bench_say(text, ", and the ring has %u entries", group->sums.entries);
	if (context != SHORT_BY_ONE || worst->top >= group->nr_streams)
		return;
	bench_say(text, "; ");
	bench_say_file(text, &group->streams[worst->top]);
	bench_say(text, " had %u of them, %u files use the group", worst->top_held,
		  casebook_count_streams(group, CASE_STREAMS));
}

static void explain_starves(struct bench *bench, enum complaint complaint,
			    enum shortage_context context, const struct shortage *shortage)
{
	const struct case_group *group = bench->group;
	struct finding *finding = bench_add(bench, complaint, CONFIDENCE_LIKELY);
	uint64_t p50 = hist_quantile_ns(group->sums.hold, 0.5);
	uint64_t p99 = hist_quantile_ns(group->sums.hold, 0.99);

	if (!finding)
		return;
	bench_say(finding->evidence, "%" PRIu64 " of %" PRIu64 " starves",
		  shortage->contexts[context], shortage->starves);
	say_worst(finding->evidence, group, context, shortage->worst[context]);
	if (p50 != UINT64_MAX) {
		bench_say(finding->evidence, "; held for ");
		bench_say_span(finding->evidence, p50);
		bench_say(finding->evidence, " (p50), ");
		bench_say_span(finding->evidence, p99);
		bench_say(finding->evidence, " (p99)");
	}
	advise_size(bench, finding);
}

static void judge_empty(struct bench *bench)
{
	static const struct {
		enum shortage_context context;
		enum complaint complaint;
	} pairs[] = {
		{SHORT_OF_FILL, LAZY_FILL},
		{SHORT_BY_ONE, ONE_STREAM},
		{SHORT_BY_SLOW, CONSUMER_SLOW},
		{SHORT_BY_SIZE, POOL_TOO_SMALL},
	};
	struct shortage shortage;
	uint32_t all = 0;

	shortage_of(bench->group, &shortage);
	for (int context = 0; context < SHORT_UNKNOWN; context++)
		all += shortage.episodes[context];
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		enum shortage_context context = pairs[i].context;

		if (shortage.worst[context] && shortage.episodes[context] * 2 >= all)
			explain_starves(bench, pairs[i].complaint, context, &shortage);
	}
}

/* What is not empty may hold no buffers that the kernel takes: who never looked cannot tell. */
static bool is_looked_into(const struct case_group *group, enum starve_cause cause)
{
	return cause != STARVE_NOT_EMPTY || group->sums.kind == GROUP_LEGACY || group->lint.looks;
}

static void say_starves(struct finding *finding, const struct case_group *group, uint64_t starves)
{
	if (!finding)
		return;
	bench_say_nr(finding->evidence, starves, "request");
	bench_say(finding->evidence, " of group %u", group->bgid);
}

/* Entries lie in a ring of which nothing was published, and nobody saw them written. */
static void judge_strewn(struct bench *bench, uint64_t starves)
{
	const struct case_group *group = bench->group;
	struct finding *finding =
		bench_add(bench, NEVER_FILLED,
			  group->sums.is_whole ? CONFIDENCE_LIKELY : CONFIDENCE_POSSIBLE);

	say_starves(finding, group, starves);
	if (!finding)
		return;
	bench_say(finding->evidence,
		  group->is_reused ? "; the entries in its memory are those of an earlier ring "
				     "there, or were never published"
				   : "; the entries in its memory were left by an earlier ring, or "
				     "written and never published");
	if (!group->sums.is_whole)
		bench_say(finding->evidence, "; or its tail went once round, before the watch");
}

/* Nothing was in it yet: are there entries which only need publishing? */
static void judge_unfilled(struct bench *bench)
{
	const struct case_group *group = bench->group;
	uint64_t bare = group->sums.causes[STARVE_NEVER_FILLED];
	uint64_t written = group->sums.causes[STARVE_UNPUBLISHED];

	/* said by what lies in the memory */
	if (bench_is_unpublished(bench) || !(bare + written))
		return;
	if (!casebook_is_blank(bench->what->book, group) && (written || group->lint.lying)) {
		judge_strewn(bench, bare + written);
		return;
	}
	if (bare)
		say_starves(bench_add(bench, NEVER_FILLED, CONFIDENCE_CERTAIN), group, bare);
	if (written)
		say_starves(bench_add(bench, UNPUBLISHED, CONFIDENCE_CERTAIN), group, written);
}

static void judge_causes(struct bench *bench)
{
	static const struct {
		enum starve_cause cause;
		enum complaint complaint;
	} pairs[] = {
		{STARVE_NO_GROUP, NO_GROUP},
		{STARVE_UNREGISTERED, UNREGISTERED},
		{STARVE_NOT_EMPTY, NOT_EMPTY},
	};
	const struct case_group *group = bench->group;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct finding *finding;

		if (!group->sums.causes[pairs[i].cause])
			continue;
		/* the kernel does not take every entry for a buffer */
		if (pairs[i].cause == STARVE_NOT_EMPTY && (bench_is_sure(bench, LINT_OVERFILLED) ||
							   bench_is_sure(bench, LINT_ZERO_LENGTH)))
			continue;
		finding = bench_add(bench, pairs[i].complaint,
				    is_looked_into(group, pairs[i].cause) ? CONFIDENCE_CERTAIN
									  : CONFIDENCE_POSSIBLE);
		say_starves(finding, group, group->sums.causes[pairs[i].cause]);
	}
}

void diagnose_starves(struct bench *bench)
{
	judge_unfilled(bench);
	judge_causes(bench);
	if (!bench_is_unpublished(bench))
		judge_empty(bench);
}
