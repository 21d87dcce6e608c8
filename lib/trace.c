// SPDX-License-Identifier: MIT
/* What happened to whom? Finds the ring of each record, and the words for numbers. */
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 256

/* Open addressing; ring_id 0 is a free slot. */
struct trace {
	struct trace_ring *rings;
	size_t nr_slots; /* a power of two, at most half of them used */
	size_t nr_rings;
	uint32_t ordinals; /* given so far */
};

struct trace *trace_new(void)
{
	struct trace *trace = calloc(1, sizeof(*trace));

	if (!trace)
		return NULL;
	trace->nr_slots = FIRST_SLOTS;
	trace->rings = calloc(trace->nr_slots, sizeof(*trace->rings));
	if (trace->rings)
		return trace;
	free(trace);
	return NULL;
}

void trace_free(struct trace *trace)
{
	if (!trace)
		return;
	free(trace->rings);
	free(trace);
}

/* ---- rings */

/* The ring's slot, or the free one where it belongs. */
static struct trace_ring *find(struct trace_ring *rings, size_t nr_slots, uint64_t ring_id)
{
	size_t slot = (size_t)((ring_id * 0x9e3779b97f4a7c15ULL) >> 32) & (nr_slots - 1);

	while (rings[slot].ring_id && rings[slot].ring_id != ring_id)
		slot = (slot + 1) & (nr_slots - 1);
	return &rings[slot];
}

static int grow(struct trace *trace)
{
	size_t nr_slots = trace->nr_slots * 2;
	struct trace_ring *rings = calloc(nr_slots, sizeof(*rings));

	if (!rings)
		return -ENOMEM;
	for (size_t i = 0; i < trace->nr_slots; i++) {
		if (trace->rings[i].ring_id)
			*find(rings, nr_slots, trace->rings[i].ring_id) = trace->rings[i];
	}
	free(trace->rings);
	trace->rings = rings;
	trace->nr_slots = nr_slots;
	return 0;
}

/* A new ring at its address, whatever was there before. NULL: no memory. */
static struct trace_ring *add(struct trace *trace, uint64_t ring_id)
{
	struct trace_ring *ring;

	if (trace->nr_rings * 2 >= trace->nr_slots && grow(trace))
		return NULL;
	ring = find(trace->rings, trace->nr_slots, ring_id);
	trace->nr_rings += ring->ring_id == 0;
	*ring = (struct trace_ring){.ring_id = ring_id, .ordinal = ++trace->ordinals, .fd = -1};
	return ring;
}

/* The ring at this address; a new one if there is none yet. NULL: no memory. */
static struct trace_ring *find_or_add(struct trace *trace, uint64_t ring_id)
{
	struct trace_ring *ring = find(trace->rings, trace->nr_slots, ring_id);

	return ring->ring_id ? ring : add(trace, ring_id);
}

int trace_meet(struct trace *trace, const struct sample *sample)
{
	for (size_t i = 0; i < sample->nr_rings; i++) {
		const struct ring_rec *rec = &sample->rings[i];
		struct trace_ring *ring = find_or_add(trace, rec->ring_id);

		if (!ring)
			return -ENOMEM;
		ring->tgid = rec->tgid;
		ring->fd = rec->fd;
		memcpy(ring->comm, rec->comm, sizeof(rec->comm));
	}
	return 0;
}

static int meet_new(struct trace *trace, const struct trace_rec *rec)
{
	struct trace_ring *ring = add(trace, rec->ring_id);

	if (!ring)
		return -ENOMEM;
	ring->tgid = rec->tgid;
	ring->fd = rec->fd;
	memcpy(ring->comm, rec->comm, sizeof(rec->comm));
	return 0;
}

/* ---- names */

static const char *const kind_names[] = {
	[TRACE_REGISTER] = "register",   [TRACE_UNREGISTER] = "unregister",
	[TRACE_FILL] = "fill",           [TRACE_SELECT] = "select",
	[TRACE_BUNDLE] = "bundle",       [TRACE_PARTIAL] = "partial",
	[TRACE_RETURN] = "return",       [TRACE_STARVE] = "starve",
	[TRACE_MSHOT_END] = "mshot-end", [TRACE_OVERFLOW] = "overflow",
};

#define NR_KINDS (sizeof(kind_names) / sizeof(kind_names[0]))

const char *trace_kind_name(enum trace_kind kind)
{
	return (size_t)kind < NR_KINDS ? kind_names[kind] : "?";
}

int trace_kind_find(const char *name)
{
	for (size_t i = 0; i < NR_KINDS; i++)
		if (strcmp(name, kind_names[i]) == 0)
			return (int)i;
	return -1;
}

const char *trace_cause_name(enum starve_cause cause)
{
	static const char *const names[] = {
		[STARVE_NO_GROUP] = "no-group",
		[STARVE_NEVER_FILLED] = "never-filled",
		[STARVE_UNPUBLISHED] = "unpublished",
		[STARVE_EMPTY_AT_ISSUE] = "empty-at-issue",
		[STARVE_EMPTY_AT_DATA] = "empty-at-data",
		[STARVE_UNREGISTERED] = "unregistered",
		[STARVE_NOT_EMPTY] = "not-empty",
	};

	return (size_t)cause < sizeof(names) / sizeof(names[0]) ? names[cause] : "?";
}

/* Values of enum io_uring_op, which never change. */
const char *trace_operation_name(unsigned int opcode)
{
	static const char *const names[] = {
		[1] = "readv", [10] = "recvmsg",   [22] = "read",           [26] = "send",
		[27] = "recv", [46] = "uring-cmd", [49] = "read-multishot", [64] = "uring-cmd128",
	};

	return opcode < sizeof(names) / sizeof(names[0]) ? names[opcode] : NULL;
}

/* ---- events */

int trace_read(struct trace *trace, const struct trace_rec *rec, struct trace_event *event)
{
	struct trace_ring *ring;

	if (rec->kind == TRACE_CREATE)
		return meet_new(trace, rec);
	if (rec->kind >= NR_KINDS || !rec->ring_id)
		return 0;
	ring = find_or_add(trace, rec->ring_id);
	if (!ring)
		return -ENOMEM;
	if (!ring->tgid)
		ring->tgid = rec->tgid;
	event->rec = rec;
	event->ring = ring;
	return 1;
}

bool trace_is_error(const struct trace_rec *rec)
{
	return rec->res < 0 || rec->kind == TRACE_OVERFLOW;
}
