// SPDX-License-Identifier: MIT
/* What has the kernel booked since it was read last? */
#include <stdlib.h>
#include <string.h>

#include "casebook_parts.h"

#define LOAD(from)      __atomic_load_n(from, __ATOMIC_ACQUIRE)
#define STORE(to, what) __atomic_store_n(to, what, __ATOMIC_RELEASE)

static bool has_room(struct casebook *book, const struct book_view *view)
{
	if (!book->groups_of)
		book->groups_of = calloc(view->max_sums, sizeof(struct case_group *));
	if (!book->streams_of)
		book->streams_of = calloc(view->nr_streams, sizeof(uint32_t));
	if (book->groups_of && book->streams_of)
		return true;
	book->out_of_memory = true;
	return false;
}

/* ---- flows */

static void add_flow(struct casebook *book, struct case_group *group, const struct book_flow *flow)
{
	if (casebook_grow(book, (void **)&group->flows, group->nr_flows, sizeof(*flow)))
		group->flows[group->nr_flows++] = *flow;
}

/* The last one may have grown since it was read. */
static void read_block(struct casebook *book, struct case_group *group,
		       const struct book_block *block, uint32_t nr)
{
	if (group->flow && group->nr_flows)
		group->flows[group->nr_flows - 1] = block->flows[group->flow - 1];
	for (; group->flow < nr && !book->out_of_memory; group->flow++)
		add_flow(book, group, &block->flows[group->flow]);
}

static void free_block(struct book_block *block)
{
	block->nr = block->next = 0;
	STORE(&block->is_used, 0);
}

static void read_flows(struct casebook *book, struct case_group *group)
{
	struct book_sums *sums = &book->view.sums[group->book - 1];
	uint32_t at = group->block ? group->block : LOAD(&sums->first_block);

	while (at) {
		struct book_block *block = &book->view.blocks[at - 1];
		uint32_t next = LOAD(&block->next);

		group->block = at;
		read_block(book, group, block, LOAD(&block->nr));
		if (!next)
			return;
		/* nobody writes to it any more */
		free_block(block);
		group->flow = 0;
		at = next;
	}
}

/* ---- groups */

static bool is_there(const struct book_sums *sums)
{
	return LOAD(&sums->state) != BOOK_FREE && LOAD(&sums->ring_id);
}

/* Whether an earlier ring at this address had such a group, which is not known here yet. */
static bool has_earlier(const struct casebook *book, const struct book_sums *sums)
{
	for (uint32_t at = 0; at < book->view.nr_sums; at++) {
		const struct book_sums *other = &book->view.sums[at];

		if (!book->groups_of[at] && is_there(other) && other->ring_id == sums->ring_id &&
		    other->bgid == sums->bgid && other->first_ns < sums->first_ns)
			return true;
	}
	return false;
}

/* NULL: not yet, for what is known under this name is another's. */
static struct case_group *bind(struct casebook *book, uint32_t at)
{
	const struct book_sums *sums = &book->view.sums[at];
	struct case_group *group;

	if (has_earlier(book, sums))
		return NULL;
	group = casebook_get(book, sums->ring_id, sums->bgid);
	/* on the same ring: it was gone for so long that its account was given up */
	if (group && group->book && LOAD(&book->view.sums[group->book - 1].state) == BOOK_SHUT) {
		casebook_set_aside(book, group);
		group = casebook_get(book, sums->ring_id, sums->bgid);
	}
	if (!group || group->book)
		return NULL;
	group->book = at + 1;
	group->block = group->flow = group->episode = 0;
	book->groups_of[at] = group;
	return group;
}

static void read_sums(struct casebook *book, uint32_t at)
{
	struct book_sums *sums = &book->view.sums[at];
	struct case_group *group = book->groups_of[at];
	uint32_t entries;

	if (!is_there(sums))
		return;
	/* the record that tells of a new ring at this address may be still to come */
	if (!group && sums->first_ns <= book->told_ns)
		group = bind(book, at);
	if (!group)
		return;
	entries = group->sums.entries;
	/* before it is read: what is added meanwhile takes this back */
	group->is_settled =
		!group->is_live && __atomic_exchange_n(&sums->is_read, 1, __ATOMIC_SEQ_CST) == 1;
	group->sums = *sums;
	if (!group->sums.entries)
		group->sums.entries = entries;
	if (!group->tgid)
		group->tgid = group->sums.tgid;
	read_flows(book, group);
}

/* They are used one after the other, and more may be by now than at the last reading. */
static void note_used(struct casebook *book)
{
	struct book_view *view = &book->view;

	while (view->nr_sums < view->max_sums &&
	       LOAD(&view->sums[view->nr_sums].state) != BOOK_FREE)
		view->nr_sums++;
}

static bool meet_some(struct casebook *book, uint64_t ring_id, uint64_t before_ns)
{
	bool any = false;

	for (uint32_t at = 0; book->groups_of && at < book->view.nr_sums; at++) {
		const struct book_sums *sums = &book->view.sums[at];

		if (!book->groups_of[at] && is_there(sums) && sums->ring_id == ring_id &&
		    sums->first_ns < before_ns)
			any |= bind(book, at) != NULL;
	}
	return any;
}

/* They lie in any order: an earlier one makes way for a later one. */
void casebook_meet(struct casebook *book, uint64_t ring_id, uint64_t before_ns)
{
	note_used(book);
	while (meet_some(book, ring_id, before_ns))
		;
}

/* ---- streams */

static struct book_stream *own_stream(struct casebook *book, struct case_group *group, uint32_t at)
{
	uint32_t *index = &book->streams_of[at];

	if (!*index) {
		if (group->nr_streams >= CASE_STREAMS ||
		    !casebook_grow(book, (void **)&group->streams, group->nr_streams,
				   sizeof(struct book_stream)))
			return NULL;
		*index = ++group->nr_streams;
	}
	return &group->streams[*index - 1];
}

static void read_streams(struct casebook *book)
{
	for (uint32_t at = 0; at < book->view.nr_streams; at++) {
		const struct book_stream *stream = &book->view.streams[at];
		uint32_t number = LOAD(&stream->group);
		struct case_group *group = number ? book->groups_of[number - 1] : NULL;
		struct book_stream *own;

		if (!group || !LOAD(&stream->ring_id))
			continue;
		own = own_stream(book, group, at);
		if (!own)
			continue;
		*own = *stream;
		own->group = at + 1;
	}
}

/* Of a position there the index here. */
static uint32_t index_of(const struct casebook *book, const struct case_group *group, uint32_t at)
{
	if (at >= book->view.nr_streams || book->view.streams[at].group != group->book)
		return BOOK_NO_STREAM;
	return book->streams_of[at] - 1;
}

/* ---- episodes */

/* Of the last one more may be known by now. */
static void read_last_episode(const struct casebook *book, struct case_group *group)
{
	struct book_episode *own;

	if (!group->episode)
		return;
	own = &group->episodes[group->nr_episodes - 1];
	*own = book->view.episodes[group->episode - 1];
	own->top = index_of(book, group, own->top);
}

static void read_episodes(struct casebook *book)
{
	for (; book->nr_read < book->view.nr_episodes; book->nr_read++) {
		const struct book_episode *episode = &book->view.episodes[book->nr_read];
		uint32_t number = LOAD(&episode->group);
		struct case_group *group = number ? book->groups_of[number - 1] : NULL;

		if (!group) /* it is being written, or its group will be known soon */
			return;
		read_last_episode(book, group);
		if (!casebook_grow(book, (void **)&group->episodes, group->nr_episodes,
				   sizeof(*episode)))
			return;
		group->nr_episodes++;
		group->episode = book->nr_read + 1;
		read_last_episode(book, group);
	}
}

/* ---- buffers */

/* As it is at one moment. */
static void read_buffer(const struct book_buffer *from, struct book_buffer *to)
{
	struct book_buffer before;

	do {
		memcpy(&before, from, sizeof(before));
		__atomic_thread_fence(__ATOMIC_ACQ_REL);
		memcpy(to, from, sizeof(*to));
		__atomic_thread_fence(__ATOMIC_ACQ_REL);
	} while (before.since_ns != from->since_ns || before.place != from->place ||
		 before.stream != from->stream || before.bytes != from->bytes);
}

static void read_buffers(struct casebook *book, struct case_group *group)
{
	uint64_t stretch = group->sums.stretch;
	uint32_t nr = stretch_nr(stretch), first = stretch_first(stretch);
	struct book_buffer *own;

	if ((uint64_t)first + nr > book->view.nr_buffers)
		return;
	own = realloc(group->buffers, (nr + 1UL) * sizeof(*own));
	if (!own) {
		book->out_of_memory = true;
		return;
	}
	group->buffers = own;
	group->nr_buffers = nr;
	for (uint32_t i = 0; i < nr; i++) {
		read_buffer(&book->view.buffers[first + i], &own[i]);
		own[i].stream = index_of(book, group, own[i].stream);
	}
}

/* ---- what is shut */

/* After its last reading. A group whose ring is not known to be gone waits for that. */
static bool is_done(const struct casebook *book, const struct case_group *group)
{
	const struct book_sums *sums = &book->view.sums[group->book - 1];

	return group->sums.state == BOOK_SHUT && group->ring_id != sums->ring_id;
}

static void forget_streams(struct casebook *book, const struct case_group *group)
{
	for (uint32_t i = 0; i < group->nr_streams; i++) {
		uint32_t at = group->streams[i].group - 1;
		struct book_stream *stream = &book->view.streams[at];
		uint32_t number = stream->group;

		book->streams_of[at] = 0;
		group->streams[i].group = 0;
		memset(stream, 0, sizeof(*stream));
		stream->group = number;
		STORE(&stream->group, 0);
	}
}

static void forget_book(struct casebook *book, struct case_group *group)
{
	struct book_sums *sums = &book->view.sums[group->book - 1];

	forget_streams(book, group);
	if (sums->block)
		free_block(&book->view.blocks[sums->block - 1]);
	book->groups_of[group->book - 1] = NULL;
	group->book = group->block = group->flow = group->episode = 0;
	memset(sums, 0, sizeof(*sums));
}

static void read_rest(struct casebook *book, struct case_group *group, bool is_end)
{
	bool is_incremental = group->sums.kind == GROUP_INC || group->sums.kind == GROUP_INC_MMAP;

	read_last_episode(book, group);
	/* of what was read whole the place may be another's by now */
	if (!group->is_settled && (is_end || is_incremental || !group->is_live))
		read_buffers(book, group);
	casebook_count_held(group);
	if (is_done(book, group))
		forget_book(book, group);
}

void casebook_read(struct casebook *book, const struct book_view *view, bool is_end)
{
	book->view = *view;
	if (!has_room(book, view))
		return;
	for (uint32_t at = 0; at < view->nr_sums; at++)
		read_sums(book, at);
	read_streams(book);
	read_episodes(book);
	for (uint32_t at = 0; at < view->nr_sums; at++) {
		if (book->groups_of[at])
			read_rest(book, book->groups_of[at], is_end);
	}
}
