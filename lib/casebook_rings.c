// SPDX-License-Identifier: MIT
/* Which rings are there, where do their queues lie, and what failed on them besides groups? */
#include <string.h>

#include "casebook_parts.h"

const struct ring_rec *casebook_ring(const struct casebook *book, uint64_t ring_id)
{
	for (size_t i = 0; i < book->nr_rings; i++) {
		if (book->rings[i].ring_id == ring_id)
			return &book->rings[i];
	}
	return NULL;
}

/*
 * A new ring at the address of an old one: what is known of that one goes on under a name that no
 * ring has, for addresses are not small.
 */
static void bury_ring(struct casebook *book, const struct trace_rec *rec)
{
	uint64_t name = book->nr_buried + 1;
	bool any = false;

	for (size_t i = 0; i < book->nr_groups; i++) {
		/* what the kernel has booked of the new one may be known before this */
		if (book->groups[i]->ring_id != rec->ring_id ||
		    book->groups[i]->sums.first_ns > rec->at_ns)
			continue;
		book->groups[i]->ring_id = name;
		book->groups[i]->is_gone |= book->groups[i]->is_live;
		book->groups[i]->is_live = false;
		any = true;
	}
	for (size_t i = 0; i < book->nr_rings; i++) {
		if (book->rings[i].ring_id != rec->ring_id)
			continue;
		book->rings[i].ring_id = name;
		any = true;
	}
	for (size_t i = 0; i < book->nr_tables; i++) {
		if (book->tables[i].ring_id != rec->ring_id)
			continue;
		book->tables[i].ring_id = name;
		any = true;
	}
	for (size_t i = 0; i < book->nr_queues;) {
		if (book->queues[i].ring_id == rec->ring_id)
			book->queues[i] = book->queues[--book->nr_queues];
		else
			i++;
	}
	book->nr_buried += any;
	book->last = NULL;
	if (any)
		casebook_enter_groups(book);
}

void casebook_set_aside(struct casebook *book, struct case_group *group)
{
	const struct ring_rec *ring = casebook_ring(book, group->ring_id);
	struct ring_rec copy = ring ? *ring : (struct ring_rec){.tgid = group->tgid, .fd = -1};

	copy.ring_id = group->ring_id = ++book->nr_buried;
	group->is_gone |= group->is_live;
	group->is_live = false;
	casebook_note_ring(book, &copy);
	book->last = NULL;
	casebook_enter_groups(book);
}

void casebook_note_ring(struct casebook *book, const struct ring_rec *rec)
{
	for (size_t i = 0; i < book->nr_rings; i++) {
		if (book->rings[i].ring_id == rec->ring_id) {
			book->rings[i] = *rec;
			return;
		}
	}
	if (casebook_grow(book, (void **)&book->rings, book->nr_rings, sizeof(*rec)))
		book->rings[book->nr_rings++] = *rec;
}

static void note_queues(struct casebook *book, const struct trace_rec *rec)
{
	if (!rec->user_data ||
	    !casebook_grow(book, (void **)&book->queues, book->nr_queues, sizeof(*book->queues)))
		return;
	book->queues[book->nr_queues++] = (struct case_queues){
		.ring_id = rec->ring_id,
		.sq = rec->user_data,
		.sq_bytes = rec->nr,
		.cq = rec->held_ns,
		.cq_bytes = rec->extra,
	};
}

void casebook_on_table(struct casebook *book, const struct trace_rec *rec)
{
	struct case_table *table = NULL;
	uint64_t start = rec->held_ns;

	/* it fits: whatever failed, it was not this */
	if (rec->bid < rec->available && start && rec->user_data >= start &&
	    rec->user_data + rec->nr <= start + rec->extra)
		return;
	for (size_t i = 0; i < book->nr_tables; i++) {
		if (book->tables[i].ring_id == rec->ring_id)
			table = &book->tables[i];
	}
	if (!table) {
		if (!casebook_grow(book, (void **)&book->tables, book->nr_tables, sizeof(*table)))
			return;
		table = &book->tables[book->nr_tables++];
		*table = (struct case_table){.ring_id = rec->ring_id};
	}
	/* kernels that look at the table when a request is issued tell it then, and as completed */
	if (rec->fd < 0 && rec->bid >= rec->available && table->refused) {
		table->refused--;
		return;
	}
	table->refused += rec->fd >= 0;
	table->count++;
	table->last = *rec;
}

#define MOST_MEMORIES 4096 /* each registration asks for all of them */

bool casebook_on_memory(struct casebook *book, uint64_t addr, uint32_t entries)
{
	const struct case_memory memory = {addr, addr + entries * sizeof(struct ring_slot)};

	if (book->nr_memories == MOST_MEMORIES)
		return true;
	/* processes are not told apart: one has the memory that its parent had */
	for (size_t i = 0; i < book->nr_memories; i++) {
		struct case_memory *other = &book->memories[i];

		if (memory.start >= other->end || memory.end <= other->start)
			continue;
		other->start = memory.start < other->start ? memory.start : other->start;
		other->end = memory.end > other->end ? memory.end : other->end;
		return true;
	}
	if (casebook_grow(book, (void **)&book->memories, book->nr_memories, sizeof(memory)))
		book->memories[book->nr_memories++] = memory;
	return false;
}

bool casebook_is_blank(const struct casebook *book, const struct case_group *group)
{
	bool is_kernels = group->sums.kind == GROUP_MMAP || group->sums.kind == GROUP_INC_MMAP;

	if (!group->sums.is_whole || book->lost_lives)
		return false;
	return is_kernels || (book->from_birth && group->ring_addr && !group->is_reused);
}

static void note_birth(struct casebook *book, const struct trace_rec *rec)
{
	if (casebook_grow(book, (void **)&book->births, book->nr_births, sizeof(*book->births)))
		book->births[book->nr_births++] = (struct case_birth){rec->ring_id, rec->at_ns};
}

void casebook_age_births(struct casebook *book, uint64_t at_ns)
{
	size_t nr = 0;

	for (size_t i = 0; i < book->nr_births; i++) {
		if (book->births[i].at_ns > at_ns)
			book->births[nr++] = book->births[i];
	}
	book->nr_births = nr;
}

void casebook_on_create(struct casebook *book, const struct trace_rec *rec)
{
	struct ring_rec ring = {.ring_id = rec->ring_id, .tgid = rec->tgid, .fd = rec->fd};

	casebook_meet(book, rec->ring_id, rec->at_ns);
	bury_ring(book, rec);
	memcpy(ring.comm, rec->comm, sizeof(ring.comm));
	casebook_note_ring(book, &ring);
	note_queues(book, rec);
	note_birth(book, rec);
}

/* Whether a sample of that time cannot have seen this ring, but one that was there before. */
bool casebook_is_newer(const struct casebook *book, uint64_t ring_id, uint64_t at_ns)
{
	for (size_t i = 0; i < book->nr_births; i++) {
		if (book->births[i].ring_id == ring_id && book->births[i].at_ns > at_ns)
			return true;
	}
	return false;
}
