// SPDX-License-Identifier: MIT
/* What is there to know of a ring, or of a process, besides its groups? */
#include "tui_about.h"

#include <stdio.h>
#include <string.h>

#include "../lib/text.h"
#include "tui_cells.h"

#define GAUGE_AT   40 /* cells before a gauge */
#define GAUGE_COLS 40
#define RING_LINES 5
#define MAP_LINES  6 /* of the table of fixed buffers, at most */

static void say(struct rect at, int row, enum tui_color color, const char *text)
{
	if (row < at.rows)
		draw_text(cell_line(at, row), color, ALIGN_LEFT, text);
}

/* Words, and how full it is, if there is room for both. */
static void say_filled(struct rect at, int row, const char *text, double filled)
{
	struct span bar = cell_line(at, row);

	say(at, row, C_NORMAL, text);
	bar.x += GAUGE_AT;
	bar.cols -= GAUGE_AT + 1;
	if (bar.cols > GAUGE_COLS)
		bar.cols = GAUGE_COLS;
	if (row < at.rows && bar.cols >= 8 && text_width(text) < GAUGE_AT)
		draw_bar(bar, &(struct draw_bar){.filled = filled > 1 ? 1 : filled,
						 .mark = -1,
						 .color = filled > 0.9   ? C_BAD
							  : filled > 0.5 ? C_WARN
									 : C_GOOD});
}

/* ---- a ring */

static const struct closeup *closeup_of(const struct tui_frame *frame)
{
	const struct closeup *closeup = frame->closeup;
	uint32_t ordinal = tui_state_here(frame->state)->subject.ordinal;

	return closeup && closeup->ordinal == ordinal && closeup->has_slots ? closeup : NULL;
}

/* Slots in a row, rows, and slots that share a cell. */
struct map {
	size_t cols, rows, each;
};

static struct map map_of(const struct closeup *closeup, int cols)
{
	struct map map = {.cols = cols > 3 ? (size_t)cols - 2 : 1, .each = 1};
	size_t room = map.cols * MAP_LINES;

	map.each = (closeup->nr_slots + room - 1) / room;
	if (map.each)
		map.rows = (closeup->nr_slots + map.each * map.cols - 1) / (map.each * map.cols);
	return map;
}

int about_ring_lines(const struct tui_frame *frame)
{
	const struct closeup *closeup = closeup_of(frame);

	if (!closeup || closeup->nr_slots == 0)
		return RING_LINES;
	return RING_LINES + 1 + (int)map_of(closeup, frame->cols).rows;
}

/* Requests in flight as a digit, '+' for more than nine of them. */
static void draw_slots(const struct closeup *closeup, struct span span, const struct map *map,
		       size_t first)
{
	for (size_t i = 0; i < map->cols && first + i * map->each < closeup->nr_slots; i++) {
		struct span cell = {.y = span.y, .x = span.x + (int)i, .cols = 1};
		char letter[2] = {' ', '\0'};
		uint64_t bytes;
		uint32_t busy = closeup_busiest(closeup, first + i * map->each, map->each, &bytes);

		letter[0] = busy > 9 ? '+' : busy > 0 ? (char)('0' + busy) : bytes ? '.' : ' ';
		draw_text(cell, busy ? C_WARN : C_GOOD, ALIGN_LEFT, letter);
	}
}

/* The slot that most requests use, for those who cannot count cells. */
static void say_busiest(const struct closeup *closeup, char *out, size_t size)
{
	size_t at = 0;
	char bytes[16];

	for (size_t i = 1; i < closeup->nr_slots; i++)
		if (closeup->slots[i].in_flight > closeup->slots[at].in_flight)
			at = i;
	out[0] = '\0';
	if (closeup->slots[at].in_flight == REC_UNKNOWN_U32)
		snprintf(out, size, "; this kernel does not tell which are in use");
	else if (closeup->slots[at].in_flight > 0)
		snprintf(out, size, "; busiest %zu: %u requests, %s", at,
			 closeup->slots[at].in_flight,
			 text_bytes(bytes, sizeof(bytes), closeup->slots[at].bytes));
}

static void draw_table(const struct closeup *closeup, struct rect at)
{
	struct map map = map_of(closeup, at.cols);
	char text[192], busiest[96], scale[48] = "";

	if (map.each > 1)
		snprintf(scale, sizeof(scale), "; a cell is the busiest of %zu", map.each);
	say_busiest(closeup, busiest, sizeof(busiest));
	snprintf(text, sizeof(text), "fixed buffers  . idle  1-9 + requests in flight%s%s", busiest,
		 scale);
	say(at, 0, C_ACCENT, text);
	for (size_t row = 0; row < map.rows && (int)row + 1 < at.rows; row++)
		draw_slots(closeup, cell_line(at, (int)row + 1), &map, row * map.cols * map.each);
}

/* Head and tail run free, what lies between is queued. */
static void draw_queues(struct rect at, const struct model_ring *ring)
{
	struct field_row row = {.ring = ring};
	const struct ring_rec *rec = &ring->rec;
	uint32_t submitted = rec->sq_tail - rec->sq_head, completed = rec->cq_tail - rec->cq_head;
	char text[FIELD_CELL_MAX + 64], overflow[FIELD_CELL_MAX];

	snprintf(text, sizeof(text), "submissions %u/%u", submitted, rec->sq_entries);
	say_filled(at, 1, text, rec->sq_entries ? (double)submitted / rec->sq_entries : 0);
	snprintf(text, sizeof(text), "completions %u/%u  overflow %s", completed, rec->cq_entries,
		 field_cell(field_find(FIELDS_RING, "cq_overflow"), &row, overflow));
	say_filled(at, 2, text, rec->cq_entries ? (double)completed / rec->cq_entries : 0);
	if (rec->cq_overflow > 0 && at.rows > 2)
		draw_text((struct span){at.y + 2, at.x, 1}, C_BAD, ALIGN_LEFT, "!");
}

static void draw_ring(struct rect at, const struct model_ring *ring)
{
	struct field_row row = {.ring = ring};
	char text[FIELD_CELL_MAX + 96], a[FIELD_CELL_MAX], b[FIELD_CELL_MAX], bytes[16];
	const struct ring_rec *rec = &ring->rec;

	field_cell(field_find(FIELDS_EYES, "owner"), &row, a);
	field_cell(field_find(FIELDS_RING, "comm"), &row, b);
	snprintf(text, sizeof(text), "ring %.20s of %.40s  thread %u  user %u%s", a, b, rec->tid,
		 rec->uid, ring->span.life == LIFE_GONE ? "  (closed)" : "");
	say(at, 0, ring->span.life == LIFE_LIVE ? C_ACCENT : C_DIM, text);
	draw_queues(at, ring);
	snprintf(text, sizeof(text), "fixed buffers %s  in flight %s  pinned %s",
		 field_cell(field_find(FIELDS_EYES, "fixed"), &row, a),
		 field_cell(field_find(FIELDS_TABLE, "in_flight"), &row, b),
		 text_bytes(bytes, sizeof(bytes), rec->table_bytes));
	say(at, 3, C_NORMAL, text);
	snprintf(text, sizeof(text), "flags %s",
		 field_cell(field_find(FIELDS_RING, "setup_flags"), &row, a));
	say(at, 4, C_NORMAL, text);
}

void about_ring(const struct tui_frame *frame, struct rect at)
{
	uint32_t ordinal = tui_state_here(frame->state)->subject.ordinal;
	const struct model_ring *ring = model_find_ring(frame->model, ordinal);
	const struct closeup *closeup = closeup_of(frame);
	struct rect below = {.y = at.y + RING_LINES, .x = at.x, .cols = at.cols};

	if (!ring) {
		say(at, 0, C_DIM, "this ring is gone, or was not there yet");
		return;
	}
	draw_ring(at, ring);
	below.rows = at.rows - RING_LINES;
	if (closeup && closeup->nr_slots > 0 && below.rows > 1)
		draw_table(closeup, below);
}

/* ---- a process */

static const char *say_bytes(uint64_t bytes, char out[16])
{
	return bytes == COUNT_UNKNOWN ? "-" : text_bytes(out, 16, bytes);
}

static void say_parts(struct rect at, int row, const char *whose,
		      const struct memlock_ledger *ledger)
{
	char text[256], bytes[16];
	size_t used = (size_t)snprintf(text, sizeof(text), "%-13s", whose);

	for (int part = 0; part < MEMLOCK_PARTS; part++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s %s  ",
					 memlock_part_name((enum memlock_part)part),
					 say_bytes(ledger->part[part], bytes));
	if (ledger->rest_bytes != COUNT_UNKNOWN)
		snprintf(text + used, sizeof(text) - used, "rest %s",
			 say_bytes(ledger->rest_bytes, bytes));
	say(at, row, C_NORMAL, text);
}

/* How much of its limit is left to a process: all of its user's processes use it up together. */
static void say_locked(struct rect at, int row, const struct closeup *closeup)
{
	uint64_t locked = closeup->user.locked_bytes, limit = closeup->limit_bytes;
	bool is_bound = closeup->has_limit && limit != UINT64_MAX && locked != COUNT_UNKNOWN;
	char text[128], a[16], b[16];

	snprintf(text, sizeof(text), "locked        user %u: %s of %s", closeup->user.uid,
		 say_bytes(locked, a),
		 !closeup->has_limit   ? "-"
		 : limit == UINT64_MAX ? "unlimited"
				       : text_bytes(b, sizeof(b), limit));
	if (is_bound && limit > 0)
		say_filled(at, row, text, (double)locked / (double)limit);
	else
		say(at, row, C_NORMAL, text);
}

void about_process(const struct tui_frame *frame, struct rect at)
{
	uint32_t tgid = tui_state_here(frame->state)->subject.tgid;
	const struct tui_totals *totals = &frame->state->totals;
	const struct closeup *closeup = frame->closeup;
	char text[128], fixed[16], rings[16];

	snprintf(text, sizeof(text), "process %u  fixed buffers pin %s  buffer rings take %s", tgid,
		 text_bytes(fixed, sizeof(fixed), totals->fixed_bytes),
		 text_bytes(rings, sizeof(rings), totals->ring_bytes));
	say(at, 0, C_ACCENT, text);
	if (!closeup || closeup->tgid != tgid) {
		say(at, 1, C_DIM, "locked        told of the present alone");
		return;
	}
	if (!closeup->is_charged) {
		say(at, 1, C_DIM,
		    closeup->has_rings ? "locked        its rings charge no user: CAP_IPC_LOCK"
				       : "locked        it has no ring any more");
		return;
	}
	say_locked(at, 1, closeup);
	say_parts(at, 2, "its rings", &closeup->own);
	if (closeup->has_user)
		say_parts(at, 3, "of its user", &closeup->user);
}
