// SPDX-License-Identifier: MIT
/* Which events of a trace make a hold, and how is a timeline of holds and levels written? */
#include "trace_timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/text.h"
#include "json_write.h"

#define FIRST_SLOTS 64
#define NR_BIDS     65536U
#define LANE_WORDS  (NR_BIDS / 64)

/*
 * No two tracks share an id, of whatever group: readers know threads by their own. That of a
 * group's events is the group's, which makes it the main thread; its lanes follow.
 */
#define TIDS_OF_GROUP (1U + NR_BIDS)
#define FIRST_LANE    1U

/* A buffer that is with the program. */
struct hold {
	uint64_t since_ns; /* 0: it is not */
	uint64_t taken_ns; /* the same, but for what was told late: when that was */
	uint32_t lane;
	int32_t fd;
	int32_t bytes; /* -1: not known, as one of several */
	uint8_t opcode;
};

struct track {
	uint64_t key;      /* ring's ordinal and bgid */
	uint32_t pid;      /* the "process" in the document, and the "thread" of its events */
	uint32_t nr_lanes; /* that have a name */
	uint32_t available;
	uint64_t last_ns; /* of this group: records of several processors may be out of order */
	struct hold *holds;
	uint32_t nr_holds;
	uint64_t lanes[LANE_WORDS]; /* a bit per lane in use */
	uint64_t ended[LANE_WORDS]; /* of these: its hold ended at ended_ns */
	uint64_t ended_ns;
};

struct timeline {
	struct json json;
	uint64_t start_ns;
	struct track **tracks; /* open addressing */
	size_t nr_slots;       /* a power of two, at most half of them used */
	size_t nr_tracks;
};

struct timeline *timeline_open(FILE *file, uint64_t start_ns)
{
	struct timeline *timeline = calloc(1, sizeof(*timeline));

	if (!timeline)
		return NULL;
	timeline->nr_slots = FIRST_SLOTS;
	timeline->tracks = calloc(timeline->nr_slots, sizeof(struct track *));
	if (!timeline->tracks) {
		free(timeline);
		return NULL;
	}
	timeline->start_ns = start_ns;
	timeline->json.file = file;
	/*
	 * The form that readers take for whole without its end, should nobody come to write that.
	 * "displayTimeUnit", of the other form, makes some take microseconds for nanoseconds.
	 */
	json_open(&timeline->json, NULL, '[');
	return timeline;
}

/* ---- the document's events */

static void begin(struct timeline *timeline, const char *phase, const char *name, uint32_t pid)
{
	struct json *json = &timeline->json;

	putc_unlocked('\n', json->file);
	json_open(json, NULL, '{');
	json_text(json, "ph", phase);
	json_text(json, "name", name);
	json_u64(json, "pid", pid);
}

static void put_time(struct timeline *timeline, uint64_t at_ns)
{
	uint64_t ns = at_ns > timeline->start_ns ? at_ns - timeline->start_ns : 0;

	json_thousandths(&timeline->json, "ts", ns);
}

static void end(struct timeline *timeline)
{
	json_close(&timeline->json, '}');
}

/* "process_name", "thread_name": how the user interface calls a track. */
static void put_label(struct timeline *timeline, const char *what, uint32_t tid, const char *label)
{
	begin(timeline, "M", what, tid - tid % TIDS_OF_GROUP);
	json_u64(&timeline->json, "tid", tid);
	json_open(&timeline->json, "args", '{');
	json_text(&timeline->json, "name", label);
	end(timeline);
	end(timeline);
}

static void put_names(struct timeline *timeline, const struct track *track,
		      const struct trace_event *event)
{
	const struct trace_ring *ring = event->ring;
	char label[96], fd[16] = "-";

	if (ring->fd >= 0)
		snprintf(fd, sizeof(fd), "%d", ring->fd);
	snprintf(label, sizeof(label), "%s %u/%s group %u", *ring->comm ? ring->comm : "?",
		 ring->tgid, fd, event->rec->bgid);
	put_label(timeline, "process_name", track->pid, label);
	put_label(timeline, "thread_name", track->pid, "events");
}

/* What is of no group, at the end, on a track of its own. */
static void put_remark(struct timeline *timeline, const char *remark, uint64_t at_ns,
		       uint64_t events)
{
	uint32_t pid = (uint32_t)++timeline->nr_tracks * TIDS_OF_GROUP;

	put_label(timeline, "process_name", pid, remark);
	put_label(timeline, "thread_name", pid, "events");
	begin(timeline, "i", events ? "lost" : "end", pid);
	json_u64(&timeline->json, "tid", pid);
	json_text(&timeline->json, "s", "t");
	put_time(timeline, at_ns);
	if (events) {
		json_open(&timeline->json, "args", '{');
		json_u64(&timeline->json, "events", events);
		end(timeline);
	}
	end(timeline);
}

static void put_available(struct timeline *timeline, struct track *track, uint32_t available)
{
	if (available == REC_UNKNOWN_U32 || available == track->available)
		return;
	track->available = available;
	begin(timeline, "C", "available", track->pid);
	put_time(timeline, track->last_ns);
	json_open(&timeline->json, "args", '{');
	json_u64(&timeline->json, "buffers", available);
	end(timeline);
	end(timeline);
}

static void put_operation(struct json *json, uint8_t opcode, int32_t fd)
{
	const char *operation = trace_operation_name(opcode);

	if (operation)
		json_text(json, "operation", operation);
	if (fd >= 0)
		json_u64(json, "fd", (uint64_t)fd);
}

static void put_instant(struct timeline *timeline, const struct track *track,
			const struct trace_rec *rec)
{
	struct json *json = &timeline->json;

	begin(timeline, "i", trace_kind_name(rec->kind), track->pid);
	json_u64(json, "tid", track->pid);
	json_text(json, "s", "t");
	put_time(timeline, track->last_ns);
	json_open(json, "args", '{');
	put_operation(json, rec->opcode, rec->fd);
	if (rec->res < 0)
		json_text(json, "error", text_errno(-rec->res));
	if (rec->kind == TRACE_STARVE)
		json_text(json, "cause", trace_cause_name(rec->cause));
	if (rec->kind == TRACE_REGISTER)
		json_u64(json, "entries", rec->nr);
	end(timeline);
	end(timeline);
}

static void put_hold(struct timeline *timeline, const struct track *track, uint32_t bid,
		     const char *remark)
{
	const struct hold *hold = &track->holds[bid];
	struct json *json = &timeline->json;
	char name[16];

	snprintf(name, sizeof(name), "bid %u", bid);
	begin(timeline, "X", name, track->pid);
	json_u64(json, "tid", track->pid + FIRST_LANE + hold->lane);
	put_time(timeline, hold->since_ns);
	json_thousandths(json, "dur", track->last_ns - hold->since_ns);
	json_open(json, "args", '{');
	put_operation(json, hold->opcode, hold->fd);
	if (hold->bytes >= 0)
		json_u64(json, "bytes", (uint64_t)hold->bytes);
	if (remark)
		json_text(json, "end", remark);
	end(timeline);
	end(timeline);
}

/* ---- holds */

/*
 * A return that was found by the next taking has its time. Viewers whose times are fractions of a
 * microsecond may take two slices that meet for nested ones: a lane rests until time has gone on.
 */
static void free_ended(struct track *track)
{
	for (uint32_t word = 0; word <= track->nr_lanes / 64 && word < LANE_WORDS; word++) {
		track->lanes[word] &= ~track->ended[word];
		track->ended[word] = 0;
	}
}

static uint32_t take_lane(struct track *track)
{
	uint32_t word = 0;
	uint32_t lane;

	if (track->last_ns > track->ended_ns || track->nr_lanes == NR_BIDS)
		free_ended(track);
	while (word < LANE_WORDS - 1 && track->lanes[word] == UINT64_MAX)
		word++;
	/* there are as many lanes as bids, and each bid takes one at most */
	lane = word * 64 + (uint32_t)__builtin_ctzll(~track->lanes[word]);
	track->lanes[word] |= UINT64_C(1) << (lane % 64);
	return lane;
}

static void end_hold(struct timeline *timeline, struct track *track, uint32_t bid,
		     const char *remark)
{
	struct hold *hold;

	if (bid >= track->nr_holds || !track->holds[bid].since_ns)
		return;
	hold = &track->holds[bid];
	put_hold(timeline, track, bid, remark);
	if (track->last_ns > track->ended_ns)
		free_ended(track);
	track->ended[hold->lane / 64] |= UINT64_C(1) << (hold->lane % 64);
	track->ended_ns = track->last_ns;
	hold->since_ns = 0;
}

static void end_all_holds(struct timeline *timeline, struct track *track, const char *remark)
{
	for (uint32_t bid = 0; bid < track->nr_holds; bid++)
		end_hold(timeline, track, bid, remark);
}

static int make_room(struct track *track, uint32_t bid)
{
	uint32_t nr = track->nr_holds ? track->nr_holds : 64;
	struct hold *holds;

	while (nr <= bid)
		nr *= 2;
	if (nr == track->nr_holds)
		return 0;
	holds = realloc(track->holds, nr * sizeof(*holds));
	if (!holds)
		return -ENOMEM;
	memset(holds + track->nr_holds, 0, (nr - track->nr_holds) * sizeof(*holds));
	track->holds = holds;
	track->nr_holds = nr;
	return 0;
}

/* A buffer that is taken a second time came back in between, in an event that was lost. */
static int begin_hold(struct timeline *timeline, struct track *track, uint32_t bid,
		      const struct trace_rec *rec)
{
	char label[24];
	uint32_t lane;

	if (make_room(track, bid))
		return -ENOMEM;
	end_hold(timeline, track, bid, "return not seen");
	lane = take_lane(track);
	track->holds[bid] = (struct hold){.since_ns = track->last_ns,
					  .taken_ns = rec->at_ns,
					  .lane = lane,
					  .fd = rec->fd,
					  .bytes = rec->kind == TRACE_SELECT ? rec->res : -1,
					  .opcode = rec->opcode};
	if (rec->flags & TRACE_FIXED_FILE)
		track->holds[bid].fd = -1;
	for (; track->nr_lanes <= lane; track->nr_lanes++) {
		snprintf(label, sizeof(label), "held %u", track->nr_lanes + 1);
		put_label(timeline, "thread_name", track->pid + FIRST_LANE + track->nr_lanes,
			  label);
	}
	return 0;
}

/*
 * A processor that was stopped in the middle of a look tells of returns when the buffers have been
 * taken again already: by their time they are not of the holds that began since.
 */
static bool is_of_earlier(const struct track *track, uint32_t bid, const struct trace_rec *rec)
{
	return bid < track->nr_holds && rec->at_ns < track->holds[bid].taken_ns;
}

static int add_buffers(struct timeline *timeline, struct track *track, const struct trace_rec *rec)
{
	bool is_taken = rec->kind == TRACE_SELECT || rec->kind == TRACE_BUNDLE;
	int err = 0;

	if (rec->bid == REC_UNKNOWN_U32)
		return 0;
	for (uint32_t i = 0; i < rec->nr && !err; i++) {
		uint32_t bid = (rec->bid + i) % NR_BIDS;

		if (is_taken)
			err = begin_hold(timeline, track, bid, rec);
		else if (!is_of_earlier(track, bid, rec))
			end_hold(timeline, track, bid, NULL);
	}
	return err;
}

/* ---- groups */

static struct track **find_slot(struct track **tracks, size_t nr_slots, uint64_t key)
{
	size_t slot = (size_t)((key * 0x9e3779b97f4a7c15ULL) >> 32) & (nr_slots - 1);

	while (tracks[slot] && tracks[slot]->key != key)
		slot = (slot + 1) & (nr_slots - 1);
	return &tracks[slot];
}

static int grow(struct timeline *timeline)
{
	size_t nr_slots = timeline->nr_slots * 2;
	struct track **tracks = calloc(nr_slots, sizeof(struct track *));

	if (!tracks)
		return -ENOMEM;
	for (size_t i = 0; i < timeline->nr_slots; i++) {
		if (timeline->tracks[i])
			*find_slot(tracks, nr_slots, timeline->tracks[i]->key) =
				timeline->tracks[i];
	}
	free(timeline->tracks);
	timeline->tracks = tracks;
	timeline->nr_slots = nr_slots;
	return 0;
}

static struct track *track_of(struct timeline *timeline, const struct trace_event *event)
{
	uint64_t key = (uint64_t)event->ring->ordinal << 16 | event->rec->bgid;
	struct track **slot, *track;

	if (timeline->nr_tracks * 2 >= timeline->nr_slots && grow(timeline))
		return NULL;
	slot = find_slot(timeline->tracks, timeline->nr_slots, key);
	track = *slot;
	if (track)
		return track;
	track = calloc(1, sizeof(*track));
	if (!track)
		return NULL;
	track->key = key;
	track->pid = (uint32_t)++timeline->nr_tracks * TIDS_OF_GROUP;
	track->available = REC_UNKNOWN_U32;
	put_names(timeline, track, event);
	*slot = track;
	return track;
}

int timeline_add(struct timeline *timeline, const struct trace_event *event)
{
	const struct trace_rec *rec = event->rec;
	struct track *track = track_of(timeline, event);
	bool is_late;
	int err = 0;

	if (!track)
		return -ENOMEM;
	/* Of a processor that was stopped between looking and telling: the level has changed since.
	 */
	is_late = rec->at_ns < track->last_ns;
	if (!is_late)
		track->last_ns = rec->at_ns;
	switch (rec->kind) {
	case TRACE_SELECT:
	case TRACE_BUNDLE:
	case TRACE_FILL:
	case TRACE_RETURN:
		if (!(rec->flags & TRACE_BACK))
			err = add_buffers(timeline, track, rec);
		break;
	case TRACE_PARTIAL:
		break;
	case TRACE_UNREGISTER:
		if (rec->res == 0)
			end_all_holds(timeline, track, "unregistered");
		put_instant(timeline, track, rec);
		break;
	default:
		put_instant(timeline, track, rec);
	}
	if (!is_late)
		put_available(timeline, track, rec->available);
	return err;
}

void timeline_close(struct timeline *timeline, uint64_t end_ns, uint64_t lost)
{
	if (!timeline)
		return;
	for (size_t i = 0; i < timeline->nr_slots; i++) {
		struct track *track = timeline->tracks[i];

		if (!track)
			continue;
		if (end_ns > track->last_ns)
			track->last_ns = end_ns;
		end_all_holds(timeline, track, "still held");
		free(track->holds);
		free(track);
	}
	/* Readers that know the kind of a document from its first event refuse one without. */
	if (lost)
		put_remark(timeline, "events were lost", end_ns, lost);
	else if (!timeline->nr_tracks)
		put_remark(timeline, "no buffer group was seen", end_ns, 0);
	json_close(&timeline->json, ']');
	putc_unlocked('\n', timeline->json.file);
	free(timeline->tracks);
	free(timeline);
}
