// SPDX-License-Identifier: MIT
/* What is wrong with these groups, and how can one tell? */
#include "diagnose.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hist.h"
#include "text.h"

#define SLOW_NS     10000000ULL  /* a buffer out for longer is not out "for a moment" */
#define GRACE_NS    300000000ULL /* for a program to arm a request again */
#define SPINS       10
#define FALLBACKS   16
#define MOST_LISTED 8
#define MOST_POOL   32768U
#define NS_PER_S    1000000000ULL

struct bench {
	const struct diagnose_case *what;
	const struct case_group *group; /* under examination */
	struct diagnosis *out;
	int err;
};

/* ---- findings */

static struct finding *add(struct bench *bench, enum complaint complaint,
			   enum confidence confidence)
{
	struct diagnosis *out = bench->out;
	struct finding *more, *finding;

	more = realloc(out->findings, (out->nr + 1) * sizeof(*more));
	if (!more) {
		bench->err = -ENOMEM;
		return NULL;
	}
	out->findings = more;
	finding = &more[out->nr++];
	memset(finding, 0, sizeof(*finding));
	finding->complaint = complaint;
	/* records were lost: nothing that rests on the books is certain */
	finding->confidence = bench->what->book->may_miss ? CONFIDENCE_POSSIBLE : confidence;
	finding->ring_id = bench->group->ring_id;
	finding->tgid = bench->group->tgid;
	finding->bgid = bench->group->bgid;
	return finding;
}

__attribute__((format(printf, 2, 3))) static void say(char *text, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, EVIDENCE_BYTES - used, format, args);
	va_end(args);
}

static void say_span(char *text, uint64_t ns)
{
	char span[16];

	say(text, "%s", text_span(span, sizeof(span), ns));
}

static void say_file(char *text, const struct case_stream *stream)
{
	if (stream->fd < 0)
		say(text, "user_data %" PRIu64, stream->user_data);
	else
		say(text, "%s %d", stream->is_fixed ? "registered file" : "fd", stream->fd);
}

/* ---- what the ring's memory shows */

static bool is_sure(const struct case_group *group, enum lint_kind kind)
{
	return lint_is_sure(&group->lint, kind);
}

static void judge_entries(struct bench *bench)
{
	static const struct {
		enum lint_kind kind;
		enum complaint complaint;
	} pairs[] = {
		{LINT_ZERO_LENGTH, ZERO_LENGTH}, {LINT_OVER_RING, OVER_RING},
		{LINT_UNMAPPED, RING_UNMAPPED},  {LINT_SHRUNK, LENGTH_SHRUNK},
		{LINT_UNPUBLISHED, UNPUBLISHED},
	};
	const struct case_group *group = bench->group;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const struct lint_finding *found = &group->lint.found[pairs[i].kind];
		struct finding *finding;

		if (!is_sure(group, pairs[i].kind))
			continue;
		finding = add(bench, pairs[i].complaint, CONFIDENCE_CERTAIN);
		if (!finding)
			return;
		if (pairs[i].kind == LINT_UNMAPPED) {
			say(finding->evidence, "the ring of %u entries at 0x%" PRIx64 " is gone",
			    group->entries, found->addr);
			continue;
		}
		say(finding->evidence,
		    "%u entr%s, such as bid %u: address 0x%" PRIx64 ", length %u", found->count,
		    found->count == 1 ? "y" : "ies", found->bid, found->addr, found->len);
		if (pairs[i].kind == LINT_SHRUNK)
			say(finding->evidence, ", before %u", found->other);
		if (pairs[i].kind == LINT_ZERO_LENGTH && group->phantom_ends)
			say(finding->evidence,
			    "; %" PRIu64 " requests ended with 0 though data "
			    "waited",
			    group->phantom_ends);
	}
}

static void judge_overfull(struct bench *bench)
{
	const struct lint_finding *found = &bench->group->lint.found[LINT_OVERFILLED];
	struct finding *finding = add(bench, OVERFILLED, CONFIDENCE_CERTAIN);

	if (finding)
		say(finding->evidence, "%u buffers between head and tail of %u entries",
		    found->other, bench->group->entries);
}

/*
 * A return and the next taking of the same buffer may be told in the wrong order, once in a while,
 * when two processors tell them: fewer than so many are no evidence, unless the ring shows it.
 */
#define SURELY_TWICE 4

static void judge_double(struct bench *bench)
{
	const struct case_group *group = bench->group;
	const struct lint_finding *found = &group->lint.found[LINT_DUPLICATE];
	bool is_seen = is_sure(group, LINT_DUPLICATE);
	struct finding *finding =
		add(bench, RETURNED_TWICE, is_seen ? CONFIDENCE_CERTAIN : CONFIDENCE_LIKELY);

	if (!finding)
		return;
	if (group->double_returns)
		say(finding->evidence,
		    "%" PRIu64 " returns of buffers that were in the ring, the "
		    "last of bid %u",
		    group->double_returns, group->double_bid);
	if (is_seen)
		say(finding->evidence, "%sbid %u seen twice between head and tail",
		    group->double_returns ? "; " : "", found->bid);
}

/* Whose memory, if not this group's, is it? NULL: nobody's that is known. */
static const struct case_group *owner_of(const struct bench *bench, uint64_t addr)
{
	const struct casebook *book = bench->what->book;

	for (size_t i = 0; i < book->nr_groups; i++) {
		const struct case_group *other = book->groups[i];

		if (other == bench->group || other->tgid != bench->group->tgid)
			continue;
		for (uint32_t bid = 0; bid < other->lint.nr_memory; bid++) {
			if (other->lint.memory[bid].len && other->lint.memory[bid].addr == addr)
				return other;
		}
	}
	return NULL;
}

static bool is_foreign(const struct bench *bench, const struct case_group **owner)
{
	const struct case_group *group = bench->group;
	const struct lint *lint = &group->lint;
	uint32_t bid = group->alien_bid;

	if (!group->alien_returns || bid >= lint->nr_memory || !lint->memory[bid].len)
		return false;
	*owner = owner_of(bench, lint->memory[bid].addr);
	return *owner ||
	       (is_sure(group, LINT_SHARED) &&
		(lint->found[LINT_SHARED].bid == bid || lint->found[LINT_SHARED].other == bid)) ||
	       (is_sure(group, LINT_BAD_ADDRESS) && lint->found[LINT_BAD_ADDRESS].bid == bid);
}

static void judge_foreign(struct bench *bench, const struct case_group *owner)
{
	const struct case_group *group = bench->group;
	struct finding *finding = add(bench, FOREIGN_BID, CONFIDENCE_CERTAIN);

	if (!finding)
		return;
	say(finding->evidence, "bid %u came into a ring that had its %u buffers; its memory ",
	    group->alien_bid, group->entries);
	if (owner)
		say(finding->evidence, "is a buffer of group %u", owner->bgid);
	else if (is_sure(group, LINT_SHARED))
		say(finding->evidence, "is also bid %u's or %u's",
		    group->lint.found[LINT_SHARED].other, group->lint.found[LINT_SHARED].bid);
	else
		say(finding->evidence, "is not mapped");
}

static void judge_pairs(struct bench *bench)
{
	const struct case_group *group = bench->group;
	const struct lint_finding *shared = &group->lint.found[LINT_SHARED];
	const struct lint_finding *bad = &group->lint.found[LINT_BAD_ADDRESS];
	const struct case_group *owner = NULL;
	struct finding *finding;

	/* one mistake that looks like several */
	if (is_sure(group, LINT_OVERFILLED)) {
		judge_overfull(bench);
		return;
	}
	if (is_foreign(bench, &owner)) {
		judge_foreign(bench, owner);
		return;
	}
	/* slots that were not written all say bid 0 */
	if (is_sure(group, LINT_DUPLICATE) ||
	    (group->double_returns >= SURELY_TWICE && !is_sure(group, LINT_ZERO_LENGTH)))
		judge_double(bench);
	if (is_sure(group, LINT_SHARED)) {
		finding = add(bench, SHARED_MEMORY, CONFIDENCE_CERTAIN);
		if (finding)
			say(finding->evidence, "%u pairs, such as bids %u and %u at 0x%" PRIx64,
			    shared->count, shared->other, shared->bid, shared->addr);
	}
	if (is_sure(group, LINT_BAD_ADDRESS)) {
		finding = add(bench, BAD_ADDRESS, CONFIDENCE_CERTAIN);
		if (finding)
			say(finding->evidence,
			    "%u entries, such as bid %u: 0x%" PRIx64 "; %" PRIu64
			    " requests ended with -EFAULT",
			    bad->count, bad->bid, bad->addr, group->efaults);
	}
}

static void judge_shared_ring(struct bench *bench)
{
	const struct case_group *group = bench->group;
	const struct casebook *book = bench->what->book;
	uint64_t end = group->ring_addr + group->entries * 16ULL;

	for (size_t i = 0; group->ring_addr && group->seen_ns && i < book->nr_groups; i++) {
		const struct case_group *other = book->groups[i];
		struct finding *finding;

		if (other == group || other->seen_ns != group->seen_ns || !other->ring_addr ||
		    other->tgid != group->tgid || other->ring_addr > group->ring_addr ||
		    other->ring_addr + other->entries * 16ULL <= group->ring_addr ||
		    end <= other->ring_addr ||
		    (other->ring_addr == group->ring_addr && other->bgid > group->bgid))
			continue;
		finding = add(bench, SHARED_RING, CONFIDENCE_CERTAIN);
		if (finding)
			say(finding->evidence, "groups %u and %u both at 0x%" PRIx64, other->bgid,
			    group->bgid, group->ring_addr);
		return;
	}
}

static bool is_ring_shared(const struct bench *bench)
{
	for (size_t i = 0; i < bench->out->nr; i++) {
		if (bench->out->findings[i].complaint == SHARED_RING &&
		    bench->out->findings[i].ring_id == bench->group->ring_id)
			return true;
	}
	return false;
}

/* ---- buffers that do not come back */

struct losses {
	uint64_t by_fate[FATE_ALL + 1];
	uint64_t all;
};

static void count_losses(const struct case_group *group, uint64_t before_ns, struct losses *losses)
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

static void name_losses(char *text, const struct case_group *group, enum case_fate fate)
{
	unsigned int nr = 0;

	for (uint32_t bid = 0; bid < group->nr_buffers; bid++) {
		const struct case_buffer *buffer = &group->buffers[bid];

		if (casebook_fate(group, bid) != fate)
			continue;
		if (++nr > MOST_LISTED)
			continue;
		say(text, "%sbid %u (", nr == 1 ? ": " : ", ", bid);
		if (buffer->stream < group->nr_streams) {
			say_file(text, &group->streams[buffer->stream]);
			say(text, ", ");
		}
		say_span(text, group->seen_ns - buffer->since_ns);
		say(text, ")");
	}
	if (nr > MOST_LISTED)
		say(text, ", %u more", nr - MOST_LISTED);
}

static uint64_t count_empty_starves(const struct case_group *group)
{
	return group->causes[STARVE_EMPTY_AT_ISSUE] + group->causes[STARVE_EMPTY_AT_DATA];
}

static void judge_losses(struct bench *bench)
{
	static const enum complaint complaints[] = {
		[FATE_FORGOTTEN] = LEAK,       [FATE_CLOSED] = LEAK_ON_CLOSE,
		[FATE_FAILED] = LEAK_ON_ERROR, [FATE_UNNAMED] = LEAK_BUNDLE,
		[FATE_ALL] = NEVER_RETURNED,
	};
	const struct case_group *group = bench->group;
	uint64_t starves = count_empty_starves(group);
	struct losses losses;

	count_losses(group, UINT64_MAX, &losses);
	/* a program may keep all it ever got, as long as nobody wants for it */
	if (!starves)
		losses.by_fate[FATE_ALL] = 0;
	/* once bundles lose their tails, whoever closes first matters little */
	if (losses.by_fate[FATE_UNNAMED])
		losses.by_fate[FATE_FORGOTTEN] = 0;
	for (int fate = FATE_FORGOTTEN; fate <= FATE_ALL; fate++) {
		struct finding *finding;

		if (!losses.by_fate[fate])
			continue;
		finding = add(bench, complaints[fate],
			      fate == FATE_FORGOTTEN ? CONFIDENCE_LIKELY : CONFIDENCE_CERTAIN);
		if (!finding)
			return;
		say(finding->evidence, "%" PRIu64 " of %u buffers", losses.by_fate[fate],
		    group->provided);
		name_losses(finding->evidence, group, (enum case_fate)fate);
		if (starves)
			say(finding->evidence, "; %" PRIu64 " requests starved", starves);
	}
}

/* ---- why there was none */

enum reason { REASON_LOST, REASON_LAZY, REASON_ONE, REASON_SLOW, REASON_SMALL, REASONS };

static enum reason reason_of(const struct case_group *group, const struct case_episode *episode,
			     const struct losses *losses)
{
	if (losses->all * 2 >= episode->provided)
		return REASON_LOST;
	if (group->entries && episode->provided * 2 <= group->entries)
		return REASON_LAZY;
	if (group->nr_streams > 1 && episode->top_held * 4ULL >= episode->held * 3ULL &&
	    episode->held)
		return REASON_ONE;
	return episode->age_ns >= SLOW_NS ? REASON_SLOW : REASON_SMALL;
}

static uint32_t round_up(uint64_t nr)
{
	uint32_t power = 1;

	while (power < nr && power < MOST_POOL)
		power *= 2;
	return power;
}

/* Other sizes, tried on what happened; and what they cost. */
static void advise_size(struct finding *finding, const struct case_group *group)
{
	uint32_t first = round_up(group->provided) * 2, size;
	uint64_t starves = 0;
	char bytes[16];

	for (size = first; size <= MOST_POOL; size *= 2) {
		starves = casebook_replay(group, size);
		if (starves == UINT64_MAX)
			return;
		if (size == first && starves)
			say(finding->advice,
			    "Replayed with %u buffers, %" PRIu64 " requests starve. ", size,
			    starves);
		if (!starves)
			break;
	}
	if (starves || size > MOST_POOL) {
		say(finding->advice, "No size up to %u would have sufficed.", MOST_POOL);
		return;
	}
	say(finding->advice,
	    "Replayed with %u buffers, none of the requests seen starves (what "
	    "they would have received beyond one buffer is not known).",
	    size);
	if (group->lint.buf_bytes)
		say(finding->advice, " Its buffers take %s.",
		    text_bytes(bytes, sizeof(bytes), (uint64_t)size * group->lint.buf_bytes));
}

static void explain_starves(struct bench *bench, enum complaint complaint,
			    const struct case_episode *worst, uint64_t starves)
{
	const struct case_group *group = bench->group;
	struct finding *finding = add(bench, complaint, CONFIDENCE_LIKELY);
	uint64_t p50 = hist_quantile_ns(group->hold, 0.5);
	uint64_t p99 = hist_quantile_ns(group->hold, 0.99);
	char *text;

	if (!finding)
		return;
	text = finding->evidence;
	say(text, "%" PRIu64 " starves so (%" PRIu64 " at issue, %" PRIu64 " when data came); ",
	    starves, group->causes[STARVE_EMPTY_AT_ISSUE], group->causes[STARVE_EMPTY_AT_DATA]);
	say(text, "%u of %u buffers were out, the median for ", worst->held, worst->provided);
	say_span(text, worst->age_ns);
	if (complaint == LAZY_FILL)
		say(text, "; the ring has %u entries", group->entries);
	if (complaint == ONE_STREAM) {
		say(text, "; ");
		say_file(text, &group->streams[worst->top]);
		say(text, " had %u of them, %u files use the group", worst->top_held,
		    group->nr_streams);
	}
	if (p50 != UINT64_MAX) {
		say(text, "; held for ");
		say_span(text, p50);
		say(text, " (p50), ");
		say_span(text, p99);
		say(text, " (p99)");
	}
	if (group->provided && group->returned)
		advise_size(finding, group);
}

static void judge_empty(struct bench *bench)
{
	static const enum complaint complaints[REASONS] = {
		[REASON_LAZY] = LAZY_FILL,
		[REASON_ONE] = ONE_STREAM,
		[REASON_SLOW] = CONSUMER_SLOW,
		[REASON_SMALL] = POOL_TOO_SMALL,
	};
	const struct case_group *group = bench->group;
	const struct case_episode *worst[REASONS] = {0};
	uint64_t starves[REASONS] = {0}, episodes[REASONS] = {0}, all = 0;

	for (uint32_t i = 0; i < group->nr_episodes; i++) {
		const struct case_episode *episode = &group->episodes[i];
		struct losses losses;
		enum reason reason;

		/* what was out before the trace began is not in the books */
		if (!episode->held || episode->held < episode->provided)
			continue;
		count_losses(group, episode->at_ns, &losses);
		reason = reason_of(group, episode, &losses);
		if (!worst[reason] || episode->held > worst[reason]->held)
			worst[reason] = episode;
		starves[reason] += episode->starves;
		episodes[reason]++;
		all++;
	}
	for (int reason = REASON_LAZY; reason < REASONS; reason++) {
		if (worst[reason] && episodes[reason] * 2 >= all)
			explain_starves(bench, complaints[reason], worst[reason], starves[reason]);
	}
}

static void judge_causes(struct bench *bench)
{
	static const struct {
		enum starve_cause cause;
		enum complaint complaint;
	} pairs[] = {
		{STARVE_NO_GROUP, NO_GROUP},       {STARVE_NEVER_FILLED, NEVER_FILLED},
		{STARVE_UNPUBLISHED, UNPUBLISHED}, {STARVE_UNREGISTERED, UNREGISTERED},
		{STARVE_NOT_EMPTY, NOT_EMPTY},
	};
	const struct case_group *group = bench->group;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct finding *finding;

		if (!group->causes[pairs[i].cause])
			continue;
		/* said by what lies in the memory */
		if (is_sure(group, LINT_UNPUBLISHED) &&
		    (pairs[i].cause == STARVE_NEVER_FILLED || pairs[i].cause == STARVE_UNPUBLISHED))
			continue;
		/* the kernel does not take every entry for a buffer */
		if (pairs[i].cause == STARVE_NOT_EMPTY &&
		    (is_sure(group, LINT_OVERFILLED) || is_sure(group, LINT_ZERO_LENGTH)))
			continue;
		finding = add(bench, pairs[i].complaint, CONFIDENCE_CERTAIN);
		if (finding)
			say(finding->evidence, "%" PRIu64 " requests of group %u",
			    group->causes[pairs[i].cause], group->bgid);
	}
}

/* ---- requests */

static bool is_dead(const struct case_group *group, const struct case_stream *stream)
{
	return stream->ended_ns && group->seen_ns > stream->ended_ns + GRACE_NS;
}

static void judge_dead(struct bench *bench)
{
	const struct case_group *group = bench->group;
	struct finding *finding = NULL, *silent = NULL;
	uint32_t nr = 0, nr_silent = 0;
	char names[2][EVIDENCE_BYTES] = {"", ""};

	for (uint32_t i = 0; i < group->nr_streams; i++) {
		const struct case_stream *stream = &group->streams[i];
		bool is_silent = stream->ended_with_buffer && group->bundles;
		uint32_t *count = is_silent ? &nr_silent : &nr;

		if (!is_dead(group, stream) || (!is_silent && !group->lint.available))
			continue;
		if (++*count > MOST_LISTED)
			continue;
		say(names[is_silent], *count > 1 ? ", " : ": ");
		say_file(names[is_silent], stream);
		say(names[is_silent], " since ");
		say_span(names[is_silent], group->seen_ns - stream->ended_ns);
	}
	if (nr)
		finding = add(bench, NOT_REARMED, CONFIDENCE_LIKELY);
	if (finding)
		say(finding->evidence, "%u requests ended%s; %u buffers are available", nr,
		    names[0], group->lint.available);
	if (nr_silent)
		silent = add(bench, BUNDLE_EXHAUSTED, CONFIDENCE_CERTAIN);
	if (silent)
		say(silent->evidence, "%u requests ended with data and an empty group%s", nr_silent,
		    names[1]);
}

static void judge_streams(struct bench *bench)
{
	const struct case_group *group = bench->group;
	const struct case_stream *spin = NULL, *fallback = NULL;
	struct finding *finding;

	for (uint32_t i = 0; i < group->nr_streams; i++) {
		const struct case_stream *stream = &group->streams[i];

		if (stream->most_spins >= SPINS && (!spin || stream->most_spins > spin->most_spins))
			spin = stream;
		if (stream->starved && stream->plain >= FALLBACKS && group->lint.available &&
		    group->seen_ns > stream->plain_ns + GRACE_NS)
			fallback = stream;
	}
	if (spin && (finding = add(bench, REARM_SPIN, CONFIDENCE_CERTAIN))) {
		say(finding->evidence, "%u requests in a row on ", spin->most_spins);
		say_file(finding->evidence, spin);
		say(finding->evidence, " starved when issued");
	}
	if (fallback && (finding = add(bench, FALLBACK_STAYS, CONFIDENCE_LIKELY))) {
		say(finding->evidence, "%" PRIu64 " requests with a buffer of their own on ",
		    fallback->plain);
		say_file(finding->evidence, fallback);
		say(finding->evidence, " since it starved; %u buffers are available",
		    group->lint.available);
	}
}

static void judge_calls(struct bench *bench)
{
	const struct case_group *group = bench->group;
	const struct ring_rec *ring = casebook_ring(bench->what->book, group->ring_id);
	struct finding *finding;

	if (group->refused_legacy && (finding = add(bench, LEGACY_ON_RING, CONFIDENCE_CERTAIN)))
		say(finding->evidence, "%" PRIu64 " requests ended with -%s", group->refused_legacy,
		    text_errno(-group->refused_res));
	if (group->overflows && (finding = add(bench, CQ_OVERFLOW, CONFIDENCE_CERTAIN))) {
		say(finding->evidence, "%" PRIu64 " completions with a buffer", group->overflows);
		if (ring)
			say(finding->evidence, "; the queue has %u entries, the group %u",
			    ring->cq_entries, group->entries);
	}
}

static void judge_group(struct bench *bench)
{
	/* with two heads over one ring, what else is seen there are consequences */
	if (is_ring_shared(bench))
		return;
	judge_causes(bench);
	judge_entries(bench);
	judge_pairs(bench);
	judge_losses(bench);
	if (!is_sure(bench->group, LINT_UNPUBLISHED))
		judge_empty(bench);
	judge_dead(bench);
	judge_streams(bench);
	judge_calls(bench);
}

/* ---- rings */

static void judge_memlock(struct bench *bench, const struct ring_rec *ring)
{
	const struct diagnose_case *what = bench->what;
	char used[16], limit[16];

	for (size_t i = 0; i < what->nr_limits; i++) {
		struct finding *finding;

		if (what->limits[i].tgid != ring->tgid || !ring->locked_bytes ||
		    ring->locked_bytes / 9 < what->limits[i].bytes / 10)
			continue;
		finding = add(bench, MEMLOCK_LOW, CONFIDENCE_CERTAIN);
		if (!finding)
			return;
		finding->tgid = ring->tgid;
		finding->ring_id = ring->ring_id;
		finding->bgid = REC_UNKNOWN_U32;
		say(finding->evidence, "user %u has locked %s of %s", ring->uid,
		    text_bytes(used, sizeof(used), ring->locked_bytes),
		    text_bytes(limit, sizeof(limit), what->limits[i].bytes));
		return;
	}
}

static int by_gravity(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;
	int grave = (int)complaint_texts[y->complaint].severity -
		    (int)complaint_texts[x->complaint].severity;

	if (grave)
		return grave;
	if (x->tgid != y->tgid)
		return x->tgid < y->tgid ? -1 : 1;
	if (x->bgid != y->bgid)
		return x->bgid < y->bgid ? -1 : 1;
	return (int)x->complaint - (int)y->complaint;
}

int diagnose(const struct diagnose_case *what, struct diagnosis *diagnosis)
{
	const struct case_group nobody = {.bgid = REC_UNKNOWN_U32};
	struct bench bench = {.what = what, .out = diagnosis};

	memset(diagnosis, 0, sizeof(*diagnosis));
	for (size_t i = 0; i < what->book->nr_groups && !bench.err; i++) {
		bench.group = what->book->groups[i];
		judge_shared_ring(&bench);
	}
	for (size_t i = 0; i < what->book->nr_groups && !bench.err; i++) {
		bench.group = what->book->groups[i];
		judge_group(&bench);
	}
	bench.group = &nobody;
	for (size_t i = 0; i < what->book->nr_rings; i++)
		judge_memlock(&bench, &what->book->rings[i]);
	if (what->book->refused_registrations) {
		struct finding *finding = add(&bench, REGISTRATION_REFUSED, CONFIDENCE_CERTAIN);

		if (finding)
			say(finding->evidence, "%" PRIu64 " calls, the last with -%s",
			    what->book->refused_registrations,
			    text_errno(-what->book->refused_res));
	}
	if (bench.err) {
		diagnosis_done(diagnosis);
		return bench.err;
	}
	if (diagnosis->nr)
		qsort(diagnosis->findings, diagnosis->nr, sizeof(*diagnosis->findings), by_gravity);
	return 0;
}

void diagnosis_done(struct diagnosis *diagnosis)
{
	free(diagnosis->findings);
	memset(diagnosis, 0, sizeof(*diagnosis));
}
