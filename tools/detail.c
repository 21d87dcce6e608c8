// SPDX-License-Identifier: MIT
/* Who holds which buffer of a group, since when, and what does it come to? */
#include "detail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BIDS 65536U
#define BID_TAKEN 0x100 /* here alone: BID_IN_RING by the ledger, yet head is past it */

/* ---- the ledger */

static int collect_counts(struct detail *detail, const struct observe *observe,
			  const struct group_rec *group)
{
	struct observe_detail *counts = &detail->counts;

	if (!counts->bids) {
		counts->bids = calloc(MOST_BIDS, sizeof(*counts->bids));
		counts->max = MOST_BIDS;
	}
	if (!counts->bids)
		return -ENOMEM;
	detail->has_counts = observe_detail(observe, group, counts) == 0;
	return 0;
}

/* The ledger learns of a take by its completion: what the slots no longer offer is in a request. */
static void mark_taken(struct detail *detail, const struct observe_slots *slots)
{
	struct bid_state *bids = detail->counts.bids;
	uint16_t nr = (uint16_t)(slots->tail_before - slots->head_after);

	if (nr > slots->nr)
		return;
	for (uint32_t bid = 0; bid < detail->counts.nr; bid++)
		if (bids[bid].flags & BID_IN_RING)
			bids[bid].flags |= BID_TAKEN;
	for (uint16_t i = 0; i < nr; i++) {
		uint16_t bid = slots->at[(slots->head_after + i) % slots->nr].bid;

		if (bid < detail->counts.nr)
			bids[bid].flags &= (__u16)~BID_TAKEN;
	}
}

/*
 * Who took a buffer before the ledger began, and has not given it back, left no trace but a gap:
 * where bids are those of an array of buffers, each one up to the highest exists, and what is
 * neither in the ring nor known to be out is out all the same, for as long as the ledger exists.
 */
static void mark_missing(struct detail *detail, const struct group_rec *group)
{
	struct observe_detail *counts = &detail->counts;
	uint32_t end = counts->nr;

	while (end > 0 && !(counts->bids[end - 1].flags & (BID_IN_RING | BID_HELD)))
		end--;
	if (group->held == REC_UNKNOWN_U32 || end > group->entries)
		return;
	for (uint32_t bid = 0; bid < end; bid++) {
		struct bid_state *state = &counts->bids[bid];

		if (state->flags & (BID_IN_RING | BID_HELD))
			continue;
		*state = (struct bid_state){
			.since_ns = counts->born_ns, .fd = -1, .flags = BID_HELD | BID_EARLY};
	}
}

/*
 * What the ring's memory tells: the greatest power of two that divides the address of every slot
 * that was ever written, and which buffers are still there to be taken.
 */
static int collect_slots(struct detail *detail, struct observe *observe,
			 const struct group_rec *group)
{
	struct observe_slots slots = {.max = group->entries};
	uint64_t bits = 0;

	if (group->kind == GROUP_LEGACY || group->entries == 0)
		return 0;
	slots.at = calloc(group->entries, sizeof(*slots.at));
	if (!slots.at)
		return -ENOMEM;
	if (observe_slots(observe, group, &slots) == 0 && slots.nr > 0) {
		mark_taken(detail, &slots);
		mark_missing(detail, group);
		for (uint32_t i = 0; i < slots.nr; i++)
			bits |= slots.at[i].addr;
	}
	detail->alignment = bits & -bits;
	free(slots.at);
	return 0;
}

enum buffer_place detail_place(const struct detail *detail, uint32_t bid)
{
	const struct bid_state *state = &detail->counts.bids[bid];

	if (bid >= detail->counts.nr)
		return PLACE_UNKNOWN;
	if (state->flags & BID_IN_RING)
		return state->flags & BID_TAKEN ? PLACE_REQUEST : PLACE_IN_RING;
	if (!(state->flags & BID_HELD))
		return PLACE_UNKNOWN;
	if (detail->at_ns > state->since_ns && detail->at_ns - state->since_ns > detail->stuck_ns)
		return PLACE_STUCK;
	return PLACE_HELD;
}

enum buffer_place detail_worst(const struct detail *detail, uint32_t first, uint32_t nr)
{
	enum buffer_place worst = PLACE_UNKNOWN;

	for (uint32_t bid = first; bid < first + nr && bid < detail->counts.nr; bid++) {
		enum buffer_place place = detail_place(detail, bid);

		worst = place > worst ? place : worst;
	}
	return worst;
}

/* ---- holders */

static int by_weight(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	if (x->held != y->held)
		return x->held > y->held ? -1 : 1;
	if (x->selected != y->selected)
		return x->selected > y->selected ? -1 : 1;
	return x->fd < y->fd ? -1 : x->fd > y->fd;
}

/* The heaviest DETAIL_HOLDERS of them. */
static void keep_holders(struct detail *detail, struct holder *holders, size_t nr)
{
	qsort(holders, nr, sizeof(*holders), by_weight);
	detail->nr_holders = nr < DETAIL_HOLDERS ? nr : DETAIL_HOLDERS;
	detail->more_holders = nr - detail->nr_holders;
	memcpy(detail->holders, holders, detail->nr_holders * sizeof(*holders));
}

/* Buffers out since before anybody looked: who took them was not seen. */
static uint32_t held_since_before(const struct detail *detail)
{
	const struct observe_detail *counts = &detail->counts;
	uint32_t nr = 0;

	for (uint32_t bid = 0; detail->has_counts && bid < counts->nr; bid++)
		nr += (counts->bids[bid].flags & (BID_HELD | BID_EARLY)) == (BID_HELD | BID_EARLY);
	return nr;
}

/* The streams of a casebook: who took how much, and what of it is out. */
static int holders_of_book(struct detail *detail, const struct case_group *book)
{
	struct holder *holders = calloc(book->nr_streams + 1UL, sizeof(*holders));
	size_t nr = 0;

	if (!holders)
		return -ENOMEM;
	for (uint32_t i = 0; i < book->nr_streams; i++) {
		const struct book_stream *stream = &book->streams[i];

		if (!stream->selected && !stream->starved && !stream->held)
			continue;
		holders[nr++] = (struct holder){
			.fd = stream->fd,
			.is_fixed = stream->is_fixed,
			.opcode = stream->opcode,
			.user_data = stream->user_data,
			.held = stream->held,
			.selected = stream->selected,
			.starved = stream->starved,
		};
	}
	holders[nr] = (struct holder){.fd = -1,
				      .held = held_since_before(detail),
				      .selected = COUNT_UNKNOWN,
				      .starved = COUNT_UNKNOWN};
	nr += holders[nr].held > 0;
	keep_holders(detail, holders, nr);
	free(holders);
	return 0;
}

static int by_fd(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	return x->fd < y->fd ? -1 : x->fd > y->fd;
}

/* Without events the ledger tells whose request took what is out. */
static int holders_of_ledger(struct detail *detail)
{
	const struct observe_detail *counts = &detail->counts;
	struct holder *holders = calloc(counts->nr + 1UL, sizeof(*holders));
	size_t nr = 0, kept = 0;

	if (!holders)
		return -ENOMEM;
	for (uint32_t bid = 0; bid < counts->nr; bid++)
		if (counts->bids[bid].flags & BID_HELD)
			holders[nr++] = (struct holder){.fd = counts->bids[bid].fd,
							.held = 1,
							.selected = COUNT_UNKNOWN,
							.starved = COUNT_UNKNOWN};
	qsort(holders, nr, sizeof(*holders), by_fd);
	for (size_t i = 0; i < nr; i++) {
		if (kept > 0 && holders[kept - 1].fd == holders[i].fd)
			holders[kept - 1].held++;
		else
			holders[kept++] = holders[i];
	}
	keep_holders(detail, holders, kept);
	free(holders);
	return 0;
}

/* ---- what happened last, and findings */

/* The newest first; what is older than all when there is no more room is left out. */
static void add_event(struct detail *detail, const struct trace_rec *rec)
{
	size_t at = detail->nr_events;

	if (at == DETAIL_EVENTS && rec->at_ns <= detail->events[--at].at_ns)
		return;
	for (; at > 0 && detail->events[at - 1].at_ns < rec->at_ns; at--)
		detail->events[at] = detail->events[at - 1];
	detail->events[at] = *rec;
	detail->nr_events += detail->nr_events < DETAIL_EVENTS;
}

/* Where it is, and since when. False: that is not known. */
static bool place_of(const struct case_group *book, uint32_t bid, struct trace_rec *rec)
{
	const struct book_buffer *buffer = &book->buffers[bid];

	if (buffer->place == BUFFER_UNKNOWN || buffer->is_early || !buffer->since_ns)
		return false;
	*rec = (struct trace_rec){.kind = buffer->place == BUFFER_HELD ? TRACE_SELECT
								       : TRACE_RETURN,
				  .at_ns = buffer->since_ns,
				  .bid = bid,
				  .nr = 1,
				  .fd = -1};
	if (buffer->place == BUFFER_HELD && buffer->stream < book->nr_streams) {
		rec->fd = book->streams[buffer->stream].fd;
		rec->opcode = book->streams[buffer->stream].opcode;
	}
	return true;
}

/* Those that came or went at once are one event. */
static void add_buffers(struct detail *detail, const struct case_group *book)
{
	struct trace_rec run = {0}, rec;

	for (uint32_t bid = 0; bid < book->nr_buffers; bid++) {
		if (!place_of(book, bid, &rec))
			continue;
		if (run.nr && rec.kind == run.kind && rec.at_ns == run.at_ns && rec.fd == run.fd &&
		    bid == run.bid + run.nr) {
			run.nr++;
			continue;
		}
		if (run.nr)
			add_event(detail, &run);
		run = rec;
	}
	if (run.nr)
		add_event(detail, &run);
}

/* What no request of its file has followed yet. */
static void add_ends(struct detail *detail, const struct book_stream *stream)
{
	struct trace_rec rec = {.bid = REC_UNKNOWN_U32, .fd = stream->fd, .opcode = stream->opcode};

	if (stream->ended_ns) {
		rec.kind = TRACE_MSHOT_END;
		rec.at_ns = stream->ended_ns;
		rec.res = stream->ended_res;
		add_event(detail, &rec);
	}
}

static void add_starves(struct detail *detail, const struct book_episode *episode)
{
	const struct trace_rec rec = {
		.kind = TRACE_STARVE,
		.at_ns = episode->at_ns,
		.nr = (uint32_t)(episode->starves < UINT32_MAX ? episode->starves : UINT32_MAX),
		.bid = REC_UNKNOWN_U32,
		.fd = -1,
		.res = BOOK_NO_BUFS,
		.cause = episode->at_issue ? STARVE_EMPTY_AT_ISSUE : STARVE_EMPTY_AT_DATA,
	};

	add_event(detail, &rec);
}

static void collect_events(struct detail *detail, const struct case_group *book)
{
	add_buffers(detail, book);
	for (uint32_t i = 0; i < book->nr_streams; i++)
		add_ends(detail, &book->streams[i]);
	for (uint32_t i = 0; i < book->nr_episodes; i++)
		add_starves(detail, &book->episodes[i]);
}

/* Those of the ring as a whole concern its groups, too. */
static void collect_findings(struct detail *detail, const struct exam *exam,
			     const struct group_rec *group)
{
	const struct diagnosis *diagnosis = &exam->diagnosis;

	for (size_t i = 0; i < diagnosis->nr && detail->nr_findings < DETAIL_FINDINGS; i++) {
		const struct finding *finding = &diagnosis->findings[i];

		if (finding->ring_id == group->ring_id &&
		    (finding->bgid == group->bgid || finding->bgid == REC_UNKNOWN_U32))
			detail->findings[detail->nr_findings++] = *finding;
	}
}

static int collect_book(struct detail *detail, const struct exam *exam,
			const struct group_rec *group)
{
	const struct case_group *book =
		exam->observe ? casebook_find(&exam->book, group->ring_id, group->bgid) : NULL;

	detail->is_full = book != NULL && book->is_sampled;
	if (!detail->is_full)
		return detail->has_counts ? holders_of_ledger(detail) : 0;
	detail->lost = observe_trace_lost(exam->observe);
	detail->unfit = exam->sample.losses[LOSS_LEDGERS] + exam->sample.losses[LOSS_ACCOUNTS];
	collect_events(detail, book);
	collect_findings(detail, exam, group);
	return holders_of_book(detail, book);
}

static void collect_origin(struct detail *detail, const struct detail_source *source,
			   const struct group_rec *group)
{
	const struct observe *both[] = {source->observe, source->exam->observe};

	for (size_t i = 0; i < 2 && !detail->has_origin; i++)
		detail->has_origin =
			both[i] && observe_origin(both[i], group, &detail->origin) == 0;
}

static void clear(struct detail *detail)
{
	struct observe_detail counts = {.bids = detail->counts.bids, .max = detail->counts.max};

	memset(detail, 0, sizeof(*detail));
	detail->counts = counts;
}

int detail_collect(struct detail *detail, const struct detail_source *source,
		   const struct model_group *group)
{
	struct observe *observe = source->observe;
	int err;

	clear(detail);
	if (!group || !source->observe || group->span.life != LIFE_LIVE)
		return 0;
	detail->ordinal = group->ring->ordinal;
	detail->bgid = group->rec.bgid;
	detail->at_ns = source->at_ns;
	detail->stuck_ns = source->stuck_ns;
	collect_origin(detail, source, &group->rec);
	err = collect_counts(detail, observe, &group->rec);
	if (!err && !detail->has_counts && source->exam->observe) {
		observe = source->exam->observe;
		err = collect_counts(detail, observe, &group->rec);
	}
	if (!err && detail->has_counts)
		err = collect_slots(detail, observe, &group->rec);
	return err ? err : collect_book(detail, source->exam, &group->rec);
}

void detail_done(struct detail *detail)
{
	free(detail->counts.bids);
	memset(detail, 0, sizeof(*detail));
}
