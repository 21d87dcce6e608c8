// SPDX-License-Identifier: MIT
/* Who holds which buffer, and under what circumstances did buffers run out? */
#include "casebook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "casebook_parts.h"
#include "hist.h"

#define CQE_BUFFER_FLAG 1
#define CQE_MORE_FLAG   2
#define CQE_SOCK_FLAG   4

#define NO_STREAM 0xffffffffU
#define NO_BUFS   (-105)

#define OP_RECVMSG 10
#define OP_PROVIDE 31
#define OP_REMOVE  32

#define CLOSED_NS    250000000ULL  /* after its stream ended a buffer has had its time */
#define FORGOTTEN_NS 1000000000ULL /* and at least so long when the stream lives */
#define ROUNDS       4             /* the others went round so often meanwhile */

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

static struct case_group *get_group(struct casebook *book, uint64_t ring_id, uint32_t bgid)
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
static struct case_buffer *get_buffer(struct casebook *book, struct case_group *group, uint32_t bid)
{
	struct case_buffer *more;
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

static uint32_t get_stream(struct casebook *book, struct case_group *group,
			   const struct trace_rec *rec)
{
	bool is_fixed = rec->flags & TRACE_FIXED_FILE;
	struct case_stream *stream;

	for (uint32_t i = group->nr_streams; i-- > 0;) {
		stream = &group->streams[i];
		if (rec->fd >= 0 ? stream->fd == rec->fd && stream->is_fixed == is_fixed
				 : stream->user_data == rec->user_data)
			return i;
	}
	if (group->nr_streams >= CASE_STREAMS ||
	    !casebook_grow(book, (void **)&group->streams, group->nr_streams, sizeof(*stream)))
		return NO_STREAM;
	stream = &group->streams[group->nr_streams];
	memset(stream, 0, sizeof(*stream));
	stream->fd = rec->fd;
	stream->is_fixed = is_fixed;
	stream->user_data = rec->user_data;
	return group->nr_streams++;
}

static void log_flow(struct casebook *book, struct case_group *group, enum case_flow_kind kind,
		     const struct trace_rec *rec)
{
	struct case_flow *last = group->nr_flows ? &group->flows[group->nr_flows - 1] : NULL;
	uint32_t nr = kind == FLOW_STARVE || !rec->nr ? 1 : rec->nr;

	if (last && last->kind == kind && kind != FLOW_STARVE && rec->at_ns - last->at_ns < 1000 &&
	    last->nr + nr < 1U << 29) {
		last->nr += nr;
		return;
	}
	if (group->nr_flows >= CASE_FLOWS ||
	    !casebook_grow(book, (void **)&group->flows, group->nr_flows, sizeof(*last)) ||
	    !group->flows) {
		group->flows_full = true;
		return;
	}
	group->flows[group->nr_flows++] =
		(struct case_flow){.at_ns = rec->at_ns, .nr = nr & 0x3fffffff, .kind = kind};
}

/* ---- buffers come and go */

static void leave(struct case_group *group, const struct case_buffer *buffer)
{
	group->held--;
	if (buffer->stream < group->nr_streams && group->streams[buffer->stream].held)
		group->streams[buffer->stream].held--;
}

struct taking {
	uint32_t stream;
	bool is_unnamed;
	bool with_error;
};

static void take_one(struct casebook *book, struct case_group *group, uint32_t bid,
		     const struct trace_rec *rec, const struct taking *taking)
{
	struct case_buffer *buffer = get_buffer(book, group, bid);

	if (!buffer)
		return;
	if (buffer->place == BUFFER_UNKNOWN)
		group->provided++;
	if (buffer->place == BUFFER_HELD) {
		leave(group, buffer);
		if (group->kind != GROUP_LEGACY && buffer->owed < UINT8_MAX && !buffer->owed++) {
			group->owed++;
			group->owed_bid = bid;
		}
	}
	buffer->place = BUFFER_HELD;
	buffer->since_ns = rec->at_ns;
	buffer->returns_then = group->returned;
	buffer->stream = taking->stream;
	buffer->stream_ends =
		taking->stream < group->nr_streams ? group->streams[taking->stream].ends : 0;
	buffer->is_unnamed = taking->is_unnamed;
	buffer->with_error = taking->with_error;
	buffer->bytes = 0;
	group->taken++;
	group->held++;
	if (group->held > group->peak_held)
		group->peak_held = group->held;
	if (taking->stream < group->nr_streams)
		group->streams[taking->stream].held++;
}

/*
 * Two processors may tell a return and the next taking of the same buffer in the wrong order: then
 * it is held when its return is told.
 */
static void return_one(struct casebook *book, struct case_group *group, uint32_t bid,
		       const struct trace_rec *rec)
{
	struct case_buffer *buffer = get_buffer(book, group, bid);
	uint64_t age;

	if (!buffer)
		return;
	if (buffer->owed && buffer->place == BUFFER_HELD) {
		group->owed -= !--buffer->owed;
		return;
	}
	if (buffer->place == BUFFER_UNKNOWN) {
		if (group->entries && group->provided >= group->entries &&
		    group->kind != GROUP_LEGACY) {
			group->alien_returns++;
			group->alien_bid = bid;
		}
		group->provided++;
		group->filled++;
	} else if (buffer->place == BUFFER_IN && group->kind != GROUP_LEGACY) {
		group->double_returns++;
		group->double_bid = bid;
	} else if (buffer->place == BUFFER_HELD) {
		age = rec->at_ns > buffer->since_ns ? rec->at_ns - buffer->since_ns : 0;
		group->hold[hist_bucket(age)]++;
		if (age > group->hold_ns_max)
			group->hold_ns_max = age;
		leave(group, buffer);
	}
	buffer->place = BUFFER_IN;
	buffer->since_ns = rec->at_ns;
	buffer->bytes = 0;
}

/* Until now everything stayed out. */
static void end_episode(struct case_group *group, uint64_t at_ns)
{
	struct case_episode *episode;

	if (!group->in_episode)
		return;
	episode = &group->episodes[group->nr_episodes - 1];
	if (at_ns > episode->at_ns)
		episode->age_ns += at_ns - episode->at_ns;
	group->in_episode = false;
}

static void on_return(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	struct trace_rec back = *rec;
	uint64_t filled = group->filled;

	group->quiet.looks = 0;
	if (rec->flags & TRACE_BACK) {
		group->backs++;
		group->back_by = rec->nr;
		group->back_to = rec->available;
		return;
	}
	if (rec->bid != REC_UNKNOWN_U32) {
		for (uint32_t i = 0; i < rec->nr; i++)
			return_one(book, group, (rec->bid + i) & 0xffff, rec);
	}
	/* the fill is no return of what was taken */
	back.nr -= (uint32_t)(group->filled - filled);
	group->returned += rec->nr;
	end_episode(group, rec->at_ns);
	for (uint32_t i = 0; i < group->nr_streams; i++)
		group->streams[i].spins = 0;
	if (back.nr && rec->kind == TRACE_RETURN)
		log_flow(book, group, FLOW_RETURN, &back);
}

/* ---- starving */

static int by_age(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void describe(struct casebook *book, struct case_group *group, struct case_episode *episode)
{
	uint64_t *ages = calloc(group->held + 1UL, sizeof(*ages));
	uint32_t nr = 0;

	if (!ages) {
		book->out_of_memory = true;
		return;
	}
	for (uint32_t bid = 0; bid < group->nr_buffers && nr < group->held; bid++) {
		if (group->buffers[bid].place == BUFFER_HELD)
			ages[nr++] = episode->at_ns - group->buffers[bid].since_ns;
	}
	qsort(ages, nr, sizeof(*ages), by_age);
	episode->age_ns = nr ? ages[nr / 2] : 0;
	free(ages);
	episode->provided = group->provided;
	episode->held = group->held;
	for (uint32_t i = 0; i < group->nr_streams; i++) {
		episode->streams += group->streams[i].held > 0;
		if (group->streams[i].held <= episode->top_held)
			continue;
		episode->top_held = group->streams[i].held;
		episode->top = i;
	}
}

static void on_empty(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	struct case_episode *episode;

	if (group->in_episode && group->nr_episodes) {
		group->episodes[group->nr_episodes - 1].starves++;
		return;
	}
	group->in_episode = true;
	if (group->nr_episodes >= CASE_EPISODES ||
	    !casebook_grow(book, (void **)&group->episodes, group->nr_episodes, sizeof(*episode))) {
		group->lost_episodes++;
		group->in_episode = false;
		return;
	}
	episode = &group->episodes[group->nr_episodes++];
	memset(episode, 0, sizeof(*episode));
	episode->at_ns = rec->at_ns;
	episode->starves = 1;
	episode->at_issue = rec->cause == STARVE_EMPTY_AT_ISSUE;
	describe(book, group, episode);
}

static void on_starve(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	uint32_t at = get_stream(book, group, rec);
	struct case_stream *stream = at == NO_STREAM ? NULL : &group->streams[at];

	group->quiet.looks = 0;
	if (rec->cause < STARVE_CAUSES)
		group->causes[rec->cause]++;
	if (stream) {
		stream->starved++;
		stream->starved_ns = rec->at_ns;
		stream->plain = 0;
		if (rec->cause == STARVE_EMPTY_AT_ISSUE && ++stream->spins > stream->most_spins)
			stream->most_spins = stream->spins;
	}
	if (rec->cause == STARVE_EMPTY_AT_ISSUE || rec->cause == STARVE_EMPTY_AT_DATA) {
		on_empty(book, group, rec);
		/* trying again in vain is no further demand */
		if (!stream || stream->spins < 2)
			log_flow(book, group, FLOW_STARVE, rec);
	}
}

/* ---- completions */

static void note_end(struct case_group *group, uint32_t at, const struct trace_rec *rec)
{
	struct case_stream *stream = &group->streams[at];

	if (rec->cqe_flags & CQE_MORE_FLAG)
		return;
	/* without a file it may be of a request whose submission was not seen */
	if (rec->fd >= 0 && group->open)
		group->open--;
	if (rec->kind == TRACE_DONE && rec->res != NO_BUFS) {
		stream->ends++;
		stream->ended_ns = 0;
		return;
	}
	/* a completion that overflowed does not tell its request: every one looks like multishot */
	if (!(rec->flags & TRACE_MULTISHOT) || (stream->submitted && !stream->is_multishot))
		return;
	stream->ended_ns = rec->at_ns;
	stream->ended_res = rec->res;
	stream->ended_with_buffer = rec->cqe_flags & CQE_BUFFER_FLAG && rec->available == 0;
}

static void add_bytes(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	struct case_buffer *buffer = get_buffer(book, group, rec->bid);

	if (buffer && rec->res > 0)
		buffer->bytes += (uint64_t)rec->res;
}

static void on_select(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	uint32_t at = get_stream(book, group, rec);
	struct taking taking = {.stream = at, .with_error = rec->res < 0};
	bool is_rest = rec->flags & TRACE_CONTINUED;
	unsigned int log = 0;

	group->quiet.looks = 0;
	group->kind = rec->group_kind;
	group->after_last += !group->open && group->is_whole && !is_rest;
	if (at != NO_STREAM) {
		group->streams[at].selected += !is_rest;
		if (!is_rest)
			note_end(group, at, rec);
	}
	if (!is_rest) {
		while (log < 32 && rec->res > 0 && (uint32_t)rec->res >> log)
			log++;
		group->sizes[log]++;
	}
	if (rec->kind == TRACE_PARTIAL) {
		add_bytes(book, group, rec);
		return;
	}
	if (rec->kind == TRACE_SELECT && rec->res > group->most_res)
		group->most_res = rec->res;
	group->named += rec->nr;
	group->bundles += rec->kind == TRACE_BUNDLE && !is_rest;
	for (uint32_t i = 0; i < rec->nr && rec->bid != REC_UNKNOWN_U32; i++) {
		taking.is_unnamed = i > 0 || is_rest;
		take_one(book, group, (rec->bid + i) & 0xffff, rec, &taking);
	}
	log_flow(book, group, FLOW_TAKE, rec);
}

static void on_done(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	uint32_t at;

	group->quiet.looks = 0;
	if (rec->flags & TRACE_REFUSED) {
		group->mistake = (struct case_mistake){
			.count = group->mistake.count + 1,
			.opcode = rec->opcode,
			.sqe_flags = (uint8_t)rec->available,
			.ioprio = (uint16_t)rec->nr,
			.res = rec->res,
		};
		return;
	}
	if (rec->opcode == OP_PROVIDE || rec->opcode == OP_REMOVE) {
		if (group->kind != GROUP_LEGACY && group->entries) {
			group->refused_legacy++;
			group->refused_res = rec->res;
		}
		return;
	}
	group->efaults += rec->res == -EFAULT;
	if (rec->res == -EFAULT && rec->opcode == OP_RECVMSG && rec->extra) {
		group->cut_short.count++;
		group->cut_short.left = rec->extra;
	}
	if (rec->res == 0 && rec->cqe_flags & CQE_SOCK_FLAG)
		group->phantom_ends++;
	at = get_stream(book, group, rec);
	if (at != NO_STREAM)
		note_end(group, at, rec);
}

void casebook_closed(struct case_group *group, uint32_t at, uint64_t at_ns)
{
	struct case_stream *stream = &group->streams[at];

	if (!group->closed.count++)
		group->closed.first_ns = at_ns;
	group->closed.fd = stream->fd;
	stream->starved_ns = stream->ended_ns = 0;
}

static void on_submit(struct casebook *book, struct case_group *group, const struct trace_rec *rec)
{
	uint32_t at = get_stream(book, group, rec);
	struct case_stream *stream;

	if (at == NO_STREAM)
		return;
	stream = &group->streams[at];
	group->quiet.looks = 0;
	/* the same number, another file */
	if (stream->starved_ns && stream->inode && rec->extra && rec->extra != stream->inode)
		casebook_closed(group, at, rec->at_ns);
	group->closed.after += group->closed.count > 0;
	stream->starved_ns = 0;
	stream->inode = rec->extra;
	group->open++;
	stream->user_data = rec->user_data;
	stream->submitted++;
	stream->plain = 0;
	stream->submit_ns = rec->at_ns;
	stream->ended_ns = 0;
	stream->opcode = rec->opcode;
	stream->is_multishot = rec->flags & TRACE_MULTISHOT;
}

/* On the ring, by a file that received by selection before. */
static void on_plain(struct casebook *book, const struct trace_rec *rec)
{
	bool is_fixed = rec->flags & TRACE_FIXED_FILE;

	for (size_t i = 0; i < book->nr_groups; i++) {
		struct case_group *group = book->groups[i];

		/* 0 is what an entry says that says nothing */
		if (rec->bgid && group->ring_id == rec->ring_id && group->bgid == rec->bgid &&
		    group->is_whole)
			group->unselected++;
		for (uint32_t j = 0; group->ring_id == rec->ring_id && j < group->nr_streams; j++) {
			struct case_stream *stream = &group->streams[j];

			if (stream->fd != rec->fd || stream->is_fixed != is_fixed)
				continue;
			stream->ended_ns = stream->starved_ns = 0;
			if (!stream->plain++)
				stream->plain_ns = rec->at_ns;
		}
	}
}

/* ---- the group itself */

/* A new life: what the old group's buffers were is of no interest any more. */
static void begin(struct case_group *group)
{
	free(group->buffers);
	group->buffers = NULL;
	group->nr_buffers = 0;
	group->provided = group->held = group->owed = 0;
	group->is_whole = false;
	group->named = 0;
	memset(&group->quiet, 0, sizeof(group->quiet));
	end_episode(group, 0);
	for (uint32_t i = 0; i < group->nr_streams; i++)
		group->streams[i].held = 0;
	lint_done(&group->lint);
}

static void on_register(struct case_group *group, const struct trace_rec *rec)
{
	if (rec->res < 0) {
		group->refusal.count++;
		group->refusal.addr = rec->user_data;
		group->refusal.entries = rec->nr;
		group->refusal.res = rec->res;
		return;
	}
	begin(group);
	/* requests of an earlier group of this id would draw from this one */
	group->is_whole = !group->open;
	group->kind = rec->group_kind;
	group->entries = rec->nr;
	group->ring_addr = rec->group_kind == GROUP_MMAP || rec->group_kind == GROUP_INC_MMAP
				   ? 0
				   : rec->user_data;
}

/* What the record says of a group that is known by now. */
static void note_in_group(struct casebook *book, struct case_group *group,
			  const struct trace_rec *rec)
{
	switch ((enum trace_kind)rec->kind) {
	case TRACE_REGISTER:
		on_register(group, rec);
		break;
	case TRACE_UNREGISTER:
		if (!rec->res)
			begin(group);
		break;
	case TRACE_FILL:
	case TRACE_RETURN:
		group->kind = rec->group_kind;
		on_return(book, group, rec);
		break;
	case TRACE_SELECT:
	case TRACE_BUNDLE:
	case TRACE_PARTIAL:
		on_select(book, group, rec);
		break;
	case TRACE_STARVE:
		on_starve(book, group, rec);
		if (group->nr_streams)
			note_end(group, get_stream(book, group, rec), rec);
		break;
	case TRACE_OVERFLOW:
		group->overflows += rec->cqe_flags & CQE_BUFFER_FLAG;
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
	group = get_group(book, rec->ring_id, rec->bgid);
	if (!group)
		return;
	if (!group->first_ns)
		group->first_ns = rec->at_ns;
	if (rec->tgid && rec->kind != TRACE_RETURN && rec->kind != TRACE_FILL && !group->tgid)
		group->tgid = rec->tgid;
	note_in_group(book, group, rec);
}

/*
 * After which what is under way in the kernel's threads is through, too: a time, for on a busy
 * machine looks are seldom, and three of them, so that it is not one pause of the looker's own.
 */
#define QUIET_NS    900000000ULL
#define QUIET_LOOKS 3
#define STILL_NS    200000000ULL

static bool is_incremental(const struct case_group *group)
{
	return group->kind == GROUP_INC || group->kind == GROUP_INC_MMAP;
}

/*
 * The kernel moves the address of the entry that it fills; by how much between two quiet moments
 * is compared with what was received meanwhile.
 */
static void compare_cursor(struct case_group *group)
{
	const struct ring_slot *slot = &group->lint.first;
	struct case_quiet *quiet = &group->quiet;
	const struct case_buffer *buffer;
	int64_t moved, received;

	if (!is_incremental(group) || !group->lint.has_first || slot->bid >= group->nr_buffers)
		return;
	buffer = &group->buffers[slot->bid];
	if (quiet->at.addr && quiet->at.bid == slot->bid && quiet->at_since == buffer->since_ns &&
	    buffer->place == BUFFER_IN && slot->addr >= quiet->at.addr) {
		moved = (int64_t)(slot->addr - quiet->at.addr);
		received = (int64_t)(buffer->bytes - quiet->at_bytes);
		if (moved != received) {
			quiet->astray = moved - received;
			quiet->astray_bid = slot->bid;
		}
	}
	quiet->at = *slot;
	quiet->at_bytes = buffer->bytes;
	quiet->at_since = buffer->since_ns;
}

/* Nothing was told between this sample and the last but `looks` of them. */
static void compare(struct case_group *group, uint64_t taken, uint64_t at_ns)
{
	struct case_quiet *quiet = &group->quiet;
	uint64_t quiet_ns;

	if (taken != quiet->taken)
		quiet->looks = 0;
	quiet->taken = taken;
	if (!quiet->looks++)
		quiet->since_ns = at_ns;
	quiet_ns = at_ns - quiet->since_ns;
	if (quiet_ns >= STILL_NS) {
		quiet->owed = group->owed;
		compare_cursor(group);
	}
	if (quiet->looks < QUIET_LOOKS || quiet_ns < QUIET_NS || taken == COUNT_UNKNOWN ||
	    !group->is_whole || group->bundles || (uint32_t)group->most_res > group->lint.buf_bytes)
		return;
	quiet->untold = taken > group->named ? taken - group->named : 0;
	quiet->unfounded = group->named > taken ? group->named - taken : 0;
}

static void see_group(struct case_group *group, const struct sample *sample, size_t at)
{
	const struct group_rec *rec = &sample->groups[at];
	bool is_empty = rec->available == 0;

	group->rec = *rec;
	group->is_sampled = group->is_live = true;
	group->kind = rec->kind;
	group->entries = rec->entries;
	group->seen_ns = sample->at_ns;
	if (!is_empty || !group->open)
		group->empty_since = 0;
	else if (!group->empty_since)
		group->empty_since = sample->at_ns;
	else if (sample->at_ns - group->empty_since > group->waited.ns) {
		group->waited.ns = sample->at_ns - group->empty_since;
		group->waited.open = group->open;
		group->waited.held = group->held;
	}
	if (sample->counts && rec->kind != GROUP_LEGACY)
		compare(group, sample->counts[at].total[COUNT_TAKEN], sample->at_ns);
}

void casebook_sample(struct casebook *book, const struct sample *sample)
{
	book->ended_ns = sample->at_ns;
	for (size_t i = 0; i < book->nr_groups; i++)
		book->groups[i]->is_live = false;
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
		group = get_group(book, ring_id, sample->groups[i].bgid);
		if (!group)
			return;
		if (ring)
			group->tgid = ring->tgid;
		see_group(group, sample, i);
	}
}

/* ---- judgement that needs the books alone */

enum case_fate casebook_fate(const struct case_group *group, uint32_t bid)
{
	const struct case_buffer *buffer = &group->buffers[bid];
	const struct case_stream *stream =
		buffer->stream < group->nr_streams ? &group->streams[buffer->stream] : NULL;
	uint64_t age, others;

	if (buffer->place != BUFFER_HELD || group->seen_ns <= buffer->since_ns)
		return FATE_FINE;
	age = group->seen_ns - buffer->since_ns;
	others = group->returned - buffer->returns_then;
	if (age < CLOSED_NS || age < 4 * group->hold_ns_max)
		return FATE_FINE;
	if (buffer->with_error && age >= FORGOTTEN_NS)
		return FATE_FAILED;
	if (age < FORGOTTEN_NS)
		return FATE_FINE;
	if (group->returned <= group->filled)
		return group->held == group->provided ? FATE_ALL : FATE_FINE;
	if (stream && stream->ends > buffer->stream_ends && others)
		return FATE_CLOSED;
	if (others < (uint64_t)ROUNDS * (group->provided - group->held + 1))
		return FATE_FINE;
	return buffer->is_unnamed ? FATE_UNNAMED : FATE_FORGOTTEN;
}
