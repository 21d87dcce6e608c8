// SPDX-License-Identifier: MIT
/* Who holds which buffer, and under what circumstances did buffers run out? */
#include "casebook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "casebook_parts.h"

#define FORGOTTEN_NS 1000000000ULL /* and at least so long when the stream lives */
#define ROUNDS       4             /* the others went round so often meanwhile */
#define DOUBT_NS     1000000000ULL /* or however few went round */

/* ---- storage */

bool casebook_grow(struct casebook *book, void **array, size_t nr, size_t size)
{
	void *more;

	if (nr & (nr - 1))
		return true;
	more = realloc(*array, (nr ? nr * 2 : 1) * size);
	if (!more) {
		book->out_of_memory = true;
		return false;
	}
	*array = more;
	return true;
}

void casebook_init(struct casebook *book, uint64_t at_ns)
{
	memset(book, 0, sizeof(*book));
	book->started_ns = book->ended_ns = at_ns;
	book->told_ns = UINT64_MAX;
}

static void free_group(struct case_group *group)
{
	free(group->buffers);
	free(group->streams);
	free(group->episodes);
	free(group->flows);
	lint_done(&group->lint);
	free(group);
}

void casebook_done(struct casebook *book)
{
	for (size_t i = 0; i < book->nr_groups; i++)
		free_group(book->groups[i]);
	free(book->groups);
	free(book->index);
	free(book->rings);
	free(book->queues);
	free(book->tables);
	free(book->births);
	free(book->memories);
	free(book->groups_of);
	free(book->streams_of);
	memset(book, 0, sizeof(*book));
}

/* A ring may have 65536 groups, and each event asks for one. */
static size_t hash_of(const struct casebook *book, uint64_t ring_id, uint32_t bgid)
{
	uint64_t mix = (ring_id ^ (uint64_t)bgid << 20 ^ bgid) * 0x9e3779b97f4a7c15ULL;

	return (size_t)(mix >> 32) & (book->nr_index - 1);
}

struct case_group *casebook_find(const struct casebook *book, uint64_t ring_id, uint32_t bgid)
{
	if (book->last && book->last->ring_id == ring_id && book->last->bgid == bgid)
		return book->last;
	if (!book->nr_index)
		return NULL;
	for (size_t at = hash_of(book, ring_id, bgid); book->index[at];
	     at = (at + 1) & (book->nr_index - 1)) {
		struct case_group *group = book->groups[book->index[at] - 1];

		if (group->ring_id == ring_id && group->bgid == bgid)
			return group;
	}
	return NULL;
}

static void enter_group(struct casebook *book, size_t position)
{
	const struct case_group *group = book->groups[position];
	size_t at = hash_of(book, group->ring_id, group->bgid);

	while (book->index[at])
		at = (at + 1) & (book->nr_index - 1);
	book->index[at] = (uint32_t)position + 1;
}

/* With room for twice as many as there are. */
bool casebook_enter_groups(struct casebook *book)
{
	size_t nr = 64;
	uint32_t *index;

	while (nr < book->nr_groups * 2 + 2)
		nr *= 2;
	index = calloc(nr, sizeof(*index));
	if (!index) {
		book->out_of_memory = true;
		return false;
	}
	free(book->index);
	book->index = index;
	book->nr_index = nr;
	for (size_t i = 0; i < book->nr_groups; i++)
		enter_group(book, i);
	return true;
}

struct case_group *casebook_get(struct casebook *book, uint64_t ring_id, uint32_t bgid)
{
	struct case_group *group = casebook_find(book, ring_id, bgid);
	const struct ring_rec *ring;

	if (!group) {
		if (!casebook_grow(book, (void **)&book->groups, book->nr_groups,
				   sizeof(struct case_group *)))
			return NULL;
		group = calloc(1, sizeof(*group));
		if (!group) {
			book->out_of_memory = true;
			return NULL;
		}
		ring = casebook_ring(book, ring_id);
		group->ring_id = ring_id;
		group->bgid = bgid;
		group->tgid = ring ? ring->tgid : 0;
		if (book->nr_groups * 2 + 2 > book->nr_index && !casebook_enter_groups(book)) {
			free(group);
			return NULL;
		}
		book->groups[book->nr_groups] = group;
		enter_group(book, book->nr_groups++);
	}
	book->last = group;
	return group;
}

/* NULL for a bid that no record should have. */
static struct book_buffer *get_buffer(struct casebook *book, struct case_group *group, uint32_t bid)
{
	struct book_buffer *more;
	uint32_t nr;

	if (bid > 65535)
		return NULL;
	if (bid >= group->nr_buffers) {
		nr = (bid + 256) & ~255U;
		more = realloc(group->buffers, nr * sizeof(*more));
		if (!more) {
			book->out_of_memory = true;
			return NULL;
		}
		memset(more + group->nr_buffers, 0, (nr - group->nr_buffers) * sizeof(*more));
		group->buffers = more;
		group->nr_buffers = nr;
	}
	return &group->buffers[bid];
}

static bool is_of(const struct book_stream *stream, const struct trace_rec *rec)
{
	bool is_fixed = rec->flags & TRACE_FIXED_FILE;

	return rec->fd >= 0 ? stream->fd == rec->fd && stream->is_fixed == is_fixed
			    : stream->user_data == rec->user_data;
}

/* NULL: no room. */
static struct book_stream *get_stream(struct casebook *book, struct case_group *group,
				      const struct trace_rec *rec)
{
	struct book_stream *stream;

	for (uint32_t i = group->nr_streams; i-- > 0;) {
		if (is_of(&group->streams[i], rec))
			return &group->streams[i];
	}
	if (group->nr_streams >= CASE_STREAMS ||
	    !casebook_grow(book, (void **)&group->streams, group->nr_streams, sizeof(*stream))) {
		group->sums.lost_streams++;
		return NULL;
	}
	stream = &group->streams[group->nr_streams++];
	memset(stream, 0, sizeof(*stream));
	stream->fd = rec->fd;
	stream->is_fixed = (rec->flags & TRACE_FIXED_FILE) != 0;
	stream->user_data = rec->user_data;
	return stream;
}

static void log_flow(struct casebook *book, struct case_group *group, const struct book_flow *flow)
{
	struct book_flow *last = group->nr_flows ? &group->flows[group->nr_flows - 1] : NULL;

	if (last && book_flow_joins(last, flow))
		return;
	if (group->nr_flows >= BOOK_FLOWS ||
	    !casebook_grow(book, (void **)&group->flows, group->nr_flows, sizeof(*last)) ||
	    !group->flows) {
		group->sums.flows_full = 1;
		return;
	}
	group->flows[group->nr_flows++] = *flow;
}

/* ---- buffers come and go */

void casebook_lend(struct casebook *book, struct case_group *group, uint32_t bid)
{
	struct book_buffer *buffer = get_buffer(book, group, bid);

	if (buffer)
		book_lend(&group->sums, buffer, book->started_ns);
}

static void return_one(struct casebook *book, struct case_group *group, uint32_t bid,
		       const struct trace_rec *rec)
{
	struct book_buffer *buffer = get_buffer(book, group, bid);
	int64_t age;

	if (!buffer)
		return;
	age = book_return(&group->sums, buffer, bid, rec->at_ns);
	if (age >= 0)
		group->sums.hold[book_bucket((uint64_t)age)]++;
}

static void end_episode(struct case_group *group, uint64_t at_ns)
{
	if (group->sums.in_episode && group->nr_episodes)
		book_episode_over(&group->episodes[group->nr_episodes - 1], at_ns);
	group->sums.in_episode = 0;
}

static void on_return(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	struct book_flow flow = {.at_ns = rec->at_ns, .nr = rec->nr, .kind = FLOW_RETURN};
	uint64_t filled = group->sums.filled;

	if (rec->flags & TRACE_BACK) {
		book_back(&group->sums, rec->nr, rec->available);
		return;
	}
	if (rec->bid != REC_UNKNOWN_U32) {
		for (uint32_t i = 0; i < rec->nr; i++)
			return_one(book, group, (rec->bid + i) & 0xffff, rec);
	}
	/* the fill is no return of what was taken */
	flow.nr -= (uint32_t)(group->sums.filled - filled);
	end_episode(group, rec->at_ns);
	book_returned(&group->sums, rec->nr);
	if (flow.nr && rec->kind == TRACE_RETURN)
		log_flow(book, group, &flow);
}

/* ---- starving */

static struct book_stream *taker_of(const struct case_group *group,
				    const struct book_buffer *buffer)
{
	return buffer->stream < group->nr_streams ? &group->streams[buffer->stream] : NULL;
}

static void describe(struct case_group *group, struct book_episode *episode)
{
	struct book_ages ages = {.at_ns = episode->at_ns, .count = ++group->nr_counts};

	for (uint32_t bid = 0; bid < group->nr_buffers; bid++) {
		const struct book_buffer *buffer = &group->buffers[bid];

		if (buffer->place == BUFFER_HELD)
			book_note_age(episode, &ages, buffer, taker_of(group, buffer));
	}
	for (uint32_t i = 0; ages.nr && i < HOLD_BUCKETS; i++) {
		if (book_find_median(episode, &ages, i))
			break;
	}
	episode->provided = group->sums.provided;
	episode->held = group->sums.held;
}

static void on_empty(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	struct book_episode *episode;

	if (group->sums.in_episode && group->nr_episodes) {
		group->episodes[group->nr_episodes - 1].starves++;
		return;
	}
	if (group->nr_episodes >= BOOK_EPISODES ||
	    !casebook_grow(book, (void **)&group->episodes, group->nr_episodes, sizeof(*episode))) {
		group->sums.lost_episodes++;
		return;
	}
	group->sums.in_episode = 1;
	episode = &group->episodes[group->nr_episodes++];
	memset(episode, 0, sizeof(*episode));
	episode->at_ns = rec->at_ns;
	episode->starves = 1;
	episode->at_issue = rec->cause == STARVE_EMPTY_AT_ISSUE;
	describe(group, episode);
}

static void on_starve(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	const struct book_flow flow = {.at_ns = rec->at_ns, .nr = 1, .kind = FLOW_STARVE};
	int what = book_starve(&group->sums, get_stream(book, group, rec), rec);

	if (what & BOOK_EMPTY)
		on_empty(book, group, rec);
	if (what & BOOK_DEMAND)
		log_flow(book, group, &flow);
}

/* ---- completions */

static void add_bytes(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	struct book_buffer *buffer = get_buffer(book, group, rec->bid);

	if (buffer && rec->res > 0)
		buffer->bytes += (uint32_t)rec->res;
}

static void take_all(struct casebook *book, struct case_group *group, const struct trace_rec *rec,
		     const struct book_stream *stream)
{
	struct book_taking taking = {
		.at_ns = rec->at_ns,
		.stream = stream ? (uint32_t)(stream - group->streams) : BOOK_NO_STREAM,
		.stream_ends = stream ? stream->ends : 0,
		.with_error = rec->res < 0,
	};

	for (uint32_t i = 0; i < rec->nr && rec->bid != REC_UNKNOWN_U32; i++) {
		struct book_buffer *buffer;

		taking.bid = (rec->bid + i) & 0xffff;
		taking.is_unnamed = i > 0 || rec->flags & TRACE_CONTINUED;
		buffer = get_buffer(book, group, taking.bid);
		if (buffer)
			book_take(&group->sums, buffer, &taking);
	}
}

static void on_select(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	const struct book_flow flow = {
		.at_ns = rec->at_ns, .nr = rec->nr ? rec->nr : 1, .kind = FLOW_TAKE};
	struct book_stream *stream = get_stream(book, group, rec);

	book_select(&group->sums, stream, rec);
	if (rec->kind == TRACE_PARTIAL) {
		add_bytes(book, group, rec);
		return;
	}
	take_all(book, group, rec, stream);
	log_flow(book, group, &flow);
}

static void on_refused(struct case_group *group, const struct trace_rec *rec)
{
	group->quiet.looks = 0;
	group->mistake = (struct case_mistake){
		.count = group->mistake.count + 1,
		.opcode = rec->opcode,
		.sqe_flags = (uint8_t)rec->available,
		.ioprio = (uint16_t)rec->nr,
		.res = rec->res,
	};
}

static void on_done(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	struct book_stream *stream;

	if (rec->flags & TRACE_REFUSED) {
		on_refused(group, rec);
		return;
	}
	stream = book_done(&group->sums, rec) ? get_stream(book, group, rec) : NULL;
	if (stream)
		book_end(&group->sums, stream, rec);
}

/* Of files that are closed sooner the end of the request may be the reason. */
#define SURELY_LAID_NS 1000000000ULL

/* Not armed again for long, with buffers there. It is not armed any more, and cannot be. */
static bool note_laid(struct case_group *group, struct book_stream *stream, uint64_t open_ns)
{
	uint32_t available = casebook_available(group);

	if (!stream->ended_ns || open_ns < stream->ended_ns + SURELY_LAID_NS || !available)
		return false;
	group->laid.count++;
	group->laid.fd = stream->fd;
	group->laid.ns = open_ns - stream->ended_ns;
	group->laid.available = available;
	stream->starved_ns = stream->ended_ns = 0;
	return true;
}

void casebook_closed(struct casebook *book, struct case_group *group, uint32_t at, uint64_t open_ns)
{
	struct book_stream *stream = &group->streams[at], *booked = NULL;

	/* where it is booked the same is to be known */
	if (group->book && stream->group)
		booked = &book->view.streams[stream->group - 1];
	if (note_laid(group, stream, open_ns)) {
		if (booked)
			booked->starved_ns = booked->ended_ns = 0;
		return;
	}
	if (booked)
		book_closed(&book->view.sums[group->book - 1], booked, book->ended_ns);
	book_closed(&group->sums, stream, book->ended_ns);
}

static void on_submit(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	struct book_stream *stream = get_stream(book, group, rec);

	if (stream)
		book_submit(&group->sums, stream, rec);
}

/* On the ring, by a file that received by selection before. */
static void on_plain(struct casebook *book, const struct trace_rec *rec)
{
	for (size_t i = 0; i < book->nr_groups; i++) {
		struct case_group *group = book->groups[i];

		if (group->ring_id != rec->ring_id)
			continue;
		/* 0 is what an entry says that says nothing */
		if (rec->bgid && group->bgid == rec->bgid && group->sums.is_whole)
			group->sums.unselected++;
		for (uint32_t j = 0; j < group->nr_streams; j++) {
			if (is_of(&group->streams[j], rec))
				book_plain(&group->streams[j], rec->at_ns);
		}
	}
}

/* ---- the group itself */

/* A new life: what the old group's buffers were is of no interest any more. */
static void begin(struct case_group *group, uint64_t at_ns)
{
	free(group->buffers);
	group->buffers = NULL;
	group->nr_buffers = 0;
	book_begin(&group->sums);
	memset(&group->quiet, 0, sizeof(group->quiet));
	group->quiet.from_ns = at_ns;
	lint_done(&group->lint);
}

static void on_register(struct casebook *book, struct case_group *group,
			const struct trace_rec *rec)
{
	if (rec->res < 0) {
		group->refusal.count++;
		group->refusal.addr = rec->user_data;
		group->refusal.entries = rec->nr;
		group->refusal.res = rec->res;
		return;
	}
	begin(group, rec->at_ns);
	/* requests of an earlier group of this id would draw from this one */
	group->sums.is_whole = !group->sums.open;
	group->sums.kind = rec->group_kind;
	group->sums.entries = rec->nr;
	group->ring_addr = rec->group_kind == GROUP_MMAP || rec->group_kind == GROUP_INC_MMAP
				   ? 0
				   : rec->user_data;
	group->is_reused = group->ring_addr && casebook_on_memory(book, group->ring_addr, rec->nr);
}

/* What the record says of a group that is known by now. */
static void note_in_group(struct casebook *book, struct case_group *group,
			  const struct trace_rec *rec)
{
	switch ((enum trace_kind)rec->kind) {
	case TRACE_REGISTER:
		on_register(book, group, rec);
		break;
	case TRACE_UNREGISTER:
		if (!rec->res)
			begin(group, rec->at_ns);
		break;
	case TRACE_FILL:
	case TRACE_RETURN:
		group->sums.kind = rec->group_kind;
		on_return(book, group, rec);
		break;
	case TRACE_SELECT:
	case TRACE_BUNDLE:
	case TRACE_PARTIAL:
		on_select(book, group, rec);
		break;
	case TRACE_STARVE:
		on_starve(book, group, rec);
		break;
	case TRACE_OVERFLOW:
		group->sums.overflows += rec->cqe_flags & BOOK_CQE_BUFFER;
		break;
	case TRACE_SUBMIT:
		on_submit(book, group, rec);
		break;
	case TRACE_DONE:
		on_done(book, group, rec);
		break;
	default:
		break;
	}
}

void casebook_take(struct casebook *book, const struct trace_rec *rec)
{
	struct case_group *group;

	if (rec->kind == TRACE_CREATE)
		casebook_on_create(book, rec);
	if (rec->kind == TRACE_CREATE || rec->kind == TRACE_MSHOT_END || rec->kind >= TRACE_KINDS)
		return;
	if (rec->flags & TRACE_PLAIN || rec->flags & TRACE_TABLE) {
		if (rec->flags & TRACE_PLAIN)
			on_plain(book, rec);
		else
			casebook_on_table(book, rec);
		return;
	}
	group = casebook_get(book, rec->ring_id, rec->bgid);
	if (!group)
		return;
	if (!group->sums.first_ns)
		group->sums.first_ns = rec->at_ns;
	group->sums.last_ns = rec->at_ns;
	if (rec->tgid && rec->kind != TRACE_RETURN && rec->kind != TRACE_FILL && !group->tgid)
		group->tgid = rec->tgid;
	note_in_group(book, group, rec);
}

void casebook_count_held(struct case_group *group)
{
	for (uint32_t i = 0; i < group->nr_streams; i++)
		group->streams[i].held = 0;
	for (uint32_t bid = 0; bid < group->nr_buffers; bid++) {
		struct book_stream *stream = taker_of(group, &group->buffers[bid]);

		if (stream && group->buffers[bid].place == BUFFER_HELD)
			stream->held++;
	}
}

/* Since the last sample; the group may have begun anew. */
static uint64_t doubles_since(const struct case_group *group)
{
	uint64_t all = group->sums.double_returns;

	return all >= group->doubt.seen ? all - group->doubt.seen : all;
}

/* The head has moved over more buffers than completions named, by more than are under way. */
static bool takes_untold(const struct case_group *group, const struct sample *sample, size_t at)
{
	uint64_t taken = sample->counts ? sample->counts[at].total[COUNT_TAKEN] : COUNT_UNKNOWN;

	return taken != COUNT_UNKNOWN && sample->groups[at].kind != GROUP_LEGACY &&
	       taken > group->sums.named + sample->groups[at].entries;
}

/* What is taken while the kernel's programs come to know a group may be told by nobody. */
static void doubt(struct case_group *group, const struct sample *sample, size_t at)
{
	struct case_doubt *doubt = &group->doubt;
	uint64_t losses = (group->sums.is_whole ? 0 : sample->losses[LOSS_UNATTRIBUTED]) +
			  (sample->counts ? sample->counts[at].unread : 0);
	bool is_new = !group->is_sampled;

	if (takes_untold(group, sample, at) ||
	    (is_new ? !group->sums.is_whole : losses != doubt->losses)) {
		doubt->since_ns = sample->at_ns;
		doubt->until = group->sums.returned + 2ULL * sample->groups[at].entries;
	}
	doubt->losses = losses;
	doubt->told += doubt->since_ns ? 0 : doubt->pending;
	doubt->pending = doubt->since_ns ? 0 : doubles_since(group);
	doubt->seen = group->sums.double_returns;
	if (group->sums.returned >= doubt->until || sample->at_ns - doubt->since_ns >= DOUBT_NS)
		doubt->since_ns = 0;
}

uint64_t casebook_doubles(const struct case_group *group)
{
	const struct case_doubt *doubt = &group->doubt;

	/* of a group that was there before more is untold than of others */
	if (!group->sums.is_whole || doubt->since_ns)
		return doubt->told;
	return doubt->told + doubt->pending + doubles_since(group);
}

/* What was out by then may have come back. */
static void note_unread(struct case_group *group, uint64_t unread, uint64_t at_ns)
{
	if (unread > group->unread)
		group->unread_ns = at_ns;
	group->unread = unread;
}

/*
 * Requests that no buffer is left for, while none is in the ring. What the program does not hold
 * either is with requests: worker threads take a buffer first and wait then.
 */
static uint64_t without_buffer(const struct book_sums *sums)
{
	uint32_t with = sums->provided > sums->held ? sums->provided - sums->held : 0;

	return sums->open > with ? sums->open - with : 0;
}

static void see_group(struct case_group *group, const struct sample *sample, size_t at)
{
	const struct group_rec *rec = &sample->groups[at];
	bool is_empty = rec->available == 0;

	doubt(group, sample, at);
	group->rec = *rec;
	group->is_sampled = group->is_live = true;
	group->is_gone = false;
	group->sums.kind = rec->kind;
	group->sums.entries = rec->entries;
	group->seen_ns = sample->at_ns;
	casebook_count_held(group);
	if (!is_empty || !without_buffer(&group->sums))
		group->empty_since = 0;
	else if (!group->empty_since || group->empty_then != group->sums.returned) {
		group->empty_since = sample->at_ns;
		group->empty_then = group->sums.returned;
	} else if (sample->at_ns - group->empty_since > group->waited.ns) {
		group->waited.ns = sample->at_ns - group->empty_since;
		group->waited.open = without_buffer(&group->sums);
		group->waited.held = group->sums.held;
	}
	if (sample->counts)
		note_unread(group, sample->counts[at].unread, sample->at_ns);
	if (sample->counts && rec->kind != GROUP_LEGACY)
		casebook_compare(group, &sample->counts[at], sample->at_ns);
}

void casebook_sample(struct casebook *book, const struct sample *sample)
{
	book->ended_ns = sample->at_ns;
	book->unattributed = sample->losses[LOSS_UNATTRIBUTED];
	book->guessed = sample->losses[LOSS_GUESSED];
	for (size_t i = 0; i < book->nr_groups; i++) {
		book->groups[i]->is_gone |= book->groups[i]->is_live;
		book->groups[i]->is_live = false;
	}
	for (size_t i = 0; i < sample->nr_rings; i++) {
		if (!casebook_is_newer(book, sample->rings[i].ring_id, sample->at_ns))
			casebook_note_ring(book, &sample->rings[i]);
	}
	for (size_t i = 0; i < sample->nr_groups; i++) {
		uint64_t ring_id = sample->groups[i].ring_id;
		const struct ring_rec *ring = casebook_ring(book, ring_id);
		struct case_group *group;

		if (casebook_is_newer(book, ring_id, sample->at_ns))
			continue;
		group = casebook_get(book, ring_id, sample->groups[i].bgid);
		if (!group)
			return;
		if (ring)
			group->tgid = ring->tgid;
		see_group(group, sample, i);
	}
	casebook_age_births(book, sample->at_ns);
}

/* ---- judgement that needs the books alone */

bool casebook_is_known_elsewhere(const struct case_group *group, const struct book_stream *stream)
{
	for (uint32_t i = 0; stream->fd < 0 && i < group->nr_streams; i++) {
		if (group->streams[i].fd >= 0 && group->streams[i].user_data == stream->user_data)
			return true;
	}
	return false;
}

uint32_t casebook_count_streams(const struct case_group *group, uint32_t most)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < group->nr_streams && nr < most; i++)
		nr += !casebook_is_known_elsewhere(group, &group->streams[i]);
	return nr;
}

bool casebook_may_miss(const struct casebook *book, const struct case_group *group)
{
	return book->may_miss || group->sums.missed;
}

/* Its process has ended since it was looked at, and had done nothing with it any more. */
static bool was_over(const struct case_group *group)
{
	return group->sums.over_ns > group->seen_ns && group->sums.over_ns >= group->sums.last_ns;
}

uint64_t casebook_known_ns(const struct case_group *group)
{
	return was_over(group) ? group->sums.over_ns : group->seen_ns;
}

uint32_t casebook_available(const struct case_group *group)
{
	return was_over(group) && group->sums.left != REC_UNKNOWN_U32 ? group->sums.left
								      : group->lint.available;
}

uint64_t casebook_age(const struct case_group *group, const struct book_buffer *buffer)
{
	uint64_t known_ns = casebook_known_ns(group);

	if (known_ns < group->sums.last_ns)
		known_ns = group->sums.last_ns;
	return known_ns > buffer->since_ns ? known_ns - buffer->since_ns : 0;
}

/*
 * A ring may end before anybody can see for how long its buffers were out: so many came with errors
 * and none went back, though the program went on to ask for more.
 */
#define SURELY_FAILED 4

static bool has_lost_failed(const struct case_group *group)
{
	return group->is_gone && group->sums.failed_then >= SURELY_FAILED &&
	       !group->sums.failed_back;
}

enum case_fate casebook_fate(const struct case_group *group, uint32_t bid)
{
	const struct book_buffer *buffer = &group->buffers[bid];
	const struct book_stream *stream = taker_of(group, buffer);
	const struct book_sums *sums = &group->sums;
	uint64_t age, others;

	if (buffer->place != BUFFER_HELD || buffer->since_ns < group->unread_ns)
		return FATE_FINE;
	age = casebook_age(group, buffer);
	others = sums->returned - buffer->returns_then;
	if (age < FORGOTTEN_NS || age < 4 * sums->hold_ns_max)
		return buffer->with_error && has_lost_failed(group) ? FATE_FAILED : FATE_FINE;
	if (buffer->with_error)
		return FATE_FAILED;
	if (sums->returned <= sums->filled)
		return sums->held == sums->provided ? FATE_ALL : FATE_FINE;
	if (stream && stream->ends > buffer->stream_ends && others)
		return FATE_CLOSED;
	if (others < (uint64_t)ROUNDS * (sums->provided - sums->held + 1))
		return FATE_FINE;
	return buffer->is_unnamed ? FATE_UNNAMED : FATE_FORGOTTEN;
}
