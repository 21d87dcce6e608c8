// SPDX-License-Identifier: MIT
/* What is wrong with these groups, and how can one tell? */
#include "diagnose.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diagnose_bench.h"
#include "text.h"

/* ---- findings */

struct finding *bench_add(struct bench *bench, enum complaint complaint, enum confidence confidence)
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
	/* events were lost, or whose they were: nothing that rests on the books is certain */
	finding->confidence = bench_may_miss(bench) || bench->group->sums.lost_streams
				      ? CONFIDENCE_POSSIBLE
				      : confidence;
	finding->ring_id = bench->group->ring_id;
	finding->tgid = bench->group->tgid;
	finding->bgid = bench->group->bgid;
	return finding;
}

void bench_say(char *text, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, EVIDENCE_BYTES - used, format, args);
	va_end(args);
}

void bench_say_span(char *text, uint64_t ns)
{
	char span[16];

	bench_say(text, "%s", text_span(span, sizeof(span), ns));
}

void bench_say_nr(char *text, uint64_t nr, const char *noun)
{
	bench_say(text, "%" PRIu64 " %s%s", nr, noun, nr == 1 ? "" : "s");
}

void bench_say_file(char *text, const struct book_stream *stream)
{
	if (stream->fd < 0)
		bench_say(text, "user_data %" PRIu64, stream->user_data);
	else
		bench_say(text, "%s %d", stream->is_fixed ? "registered file" : "fd", stream->fd);
}

bool bench_may_miss(const struct bench *bench)
{
	return casebook_may_miss(bench->what->book, bench->group);
}

bool bench_is_sure(const struct bench *bench, enum lint_kind kind)
{
	return lint_is_sure(&bench->group->lint, kind);
}

bool bench_is_unpublished(const struct bench *bench)
{
	static const enum starve_cause causes[] = {STARVE_NEVER_FILLED, STARVE_UNPUBLISHED,
						   STARVE_EMPTY_AT_ISSUE, STARVE_EMPTY_AT_DATA};
	uint64_t starves = 0;

	/* a program may write all entries once and publish them as it likes: nothing wants them */
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
		starves += bench->group->sums.causes[causes[i]];
	return starves && bench_is_sure(bench, LINT_UNPUBLISHED) && !bench->what->book->lost_lives;
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

static void judge_back(struct bench *bench)
{
	const struct case_group *group = bench->group;
	struct finding *finding = bench_add(bench, TAIL_BACK, CONFIDENCE_CERTAIN);

	if (!finding)
		return;
	bench_say_nr(finding->evidence, group->sums.backs, "time");
	bench_say(finding->evidence, ", the last by ");
	bench_say_nr(finding->evidence, group->sums.back_by, "buffer");
	if (group->sums.back_to > group->sums.entries)
		bench_say(finding->evidence, ", to before the head");
}

static void judge_group(struct bench *bench)
{
	/* with two heads over one ring, what else is seen there are consequences */
	if (is_ring_shared(bench))
		return;
	if (bench->group->sums.backs) {
		judge_back(bench);
		return;
	}
	diagnose_starves(bench);
	diagnose_entries(bench);
	diagnose_losses(bench);
	diagnose_requests(bench);
}

/* ---- rings */

static bool is_told(const struct bench *bench, uint32_t tgid)
{
	for (size_t i = 0; i < bench->out->nr; i++) {
		if (bench->out->findings[i].complaint == MEMLOCK_LOW &&
		    bench->out->findings[i].tgid == tgid)
			return true;
	}
	return false;
}

static void judge_memlock(struct bench *bench, const struct ring_rec *ring)
{
	const struct diagnose_case *what = bench->what;
	char used[16], limit[16];

	for (size_t i = 0; i < what->nr_limits; i++) {
		struct finding *finding;

		if (what->limits[i].tgid != ring->tgid || !ring->locked_bytes ||
		    ring->locked_bytes / 9 < what->limits[i].bytes / 10 ||
		    is_told(bench, ring->tgid))
			continue;
		finding = bench_add(bench, MEMLOCK_LOW, CONFIDENCE_CERTAIN);
		if (!finding)
			return;
		finding->tgid = ring->tgid;
		finding->ring_id = ring->ring_id;
		finding->bgid = REC_UNKNOWN_U32;
		bench_say(finding->evidence, "user %u has locked %s of %s", ring->charged_uid,
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
	if (x->confidence != y->confidence)
		return (int)y->confidence - (int)x->confidence;
	/* what is said once of many stands together */
	if (x->complaint != y->complaint)
		return (int)x->complaint - (int)y->complaint;
	if (x->tgid != y->tgid)
		return x->tgid < y->tgid ? -1 : 1;
	return (x->bgid > y->bgid) - (x->bgid < y->bgid);
}

void bench_sort(struct diagnosis *diagnosis)
{
	if (diagnosis->nr)
		qsort(diagnosis->findings, diagnosis->nr, sizeof(*diagnosis->findings), by_gravity);
}

int diagnose(const struct diagnose_case *what, struct diagnosis *diagnosis)
{
	const struct case_group nobody = {.bgid = REC_UNKNOWN_U32};
	struct bench bench = {.what = what, .out = diagnosis};

	memset(diagnosis, 0, sizeof(*diagnosis));
	diagnose_shared(&bench);
	for (size_t i = 0; i < what->book->nr_groups && !bench.err; i++) {
		bench.group = what->book->groups[i];
		judge_group(&bench);
	}
	bench.group = &nobody;
	diagnose_tables(&bench);
	for (size_t i = 0; i < what->book->nr_rings; i++)
		judge_memlock(&bench, &what->book->rings[i]);
	if (bench.err) {
		diagnosis_done(diagnosis);
		return bench.err;
	}
	bench_sort(diagnosis);
	return 0;
}

void diagnosis_done(struct diagnosis *diagnosis)
{
	free(diagnosis->findings);
	memset(diagnosis, 0, sizeof(*diagnosis));
}
