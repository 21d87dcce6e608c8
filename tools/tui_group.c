// SPDX-License-Identifier: MIT
/* What is there to see of one group? */
#include "tui_group.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../lib/condition.h"
#include "../lib/hist.h"
#include "../lib/text.h"
#include "../lib/trace.h"
#include "tui_cells.h"

#define ROWS(table)   (sizeof(table) / sizeof((table)[0]))
#define FACT_COLS     11  /* of their names */
#define FINDING_LINES 2   /* of each finding of the doctor */
#define TWO_COLUMNS   110 /* cells from which on blocks stand side by side */

/* What every block is drawn from. */
struct scene {
	const struct tui_frame *frame;
	const struct model_group *group;
	const struct detail *detail; /* NULL: of this group and moment there is none */
};

static void say(struct rect at, int row, enum tui_color color, const char *text)
{
	if (row < at.rows)
		draw_text(cell_line(at, row), color, ALIGN_LEFT, text);
}

static bool is_live(const struct scene *scene)
{
	return scene->group->span.life == LIFE_LIVE;
}

/* A cell of the registry. */
static const char *cell(const struct scene *scene, const char *key, char *out)
{
	struct field_row row = {.ring = scene->group->ring, .group = scene->group};
	const struct field *field = field_find(FIELDS_GROUP, key);

	return field_cell(field ? field : field_find(FIELDS_EYES, key), &row, out);
}

/* ---- facts */

static const struct {
	const char *words;
	struct {
		const char *name, *key;
	} cells[5];
} facts[] = {
	{"level",
	 {{"has", "available"},
	  {"of", "entries"},
	  {"held", "held"},
	  {"lowest", "low_water"},
	  {"empty in", "empty_in_ns"}}},
	{"a second",
	 {{"taken", "taken_per_s"},
	  {"returned", "returned_per_s"},
	  {"starved", "starved_per_s"},
	  {"bytes", "bytes_per_s"}}},
	{"in all",
	 {{"taken", "taken_total"},
	  {"returned", "returned_total"},
	  {"starved", "starved_total"},
	  {"empty", "empty_ns_total"}}},
	{"hold time",
	 {{"oldest", "oldest_held_ns"},
	  {"stuck", "stuck"},
	  {"p99", "hold_p99_ns"},
	  {"half", "hold_p50_ns"},
	  {"longest", "hold_max_ns"}}},
};

/* What has no room is left out whole: half a number is another one. */
static void draw_fact(const struct scene *scene, struct rect at, int row, size_t n)
{
	size_t room = at.cols > 1 ? (size_t)at.cols - 1 : 0;
	char text[512], more[FIELD_CELL_MAX], value[FIELD_CELL_MAX];

	snprintf(text, sizeof(text), "%-*s", FACT_COLS, facts[n].words);
	for (size_t i = 0; i < 5 && facts[n].cells[i].name; i++) {
		snprintf(more, sizeof(more), "%s%s %.20s", i ? "  " : "", facts[n].cells[i].name,
			 cell(scene, facts[n].cells[i].key, value));
		if (strlen(text) + strlen(more) > room)
			break;
		strcat(text, more);
	}
	say(at, row, C_NORMAL, text);
}

static void draw_memory(const struct scene *scene, struct rect at, int row)
{
	static const char *const kinds[] = {
		[GROUP_RING] = "ring in user memory",
		[GROUP_MMAP] = "ring in kernel memory",
		[GROUP_INC] = "incremental ring in user memory",
		[GROUP_INC_MMAP] = "incremental ring in kernel memory",
		[GROUP_LEGACY] = "list of provided buffers",
	};
	__u32 kind = scene->group->rec.kind;
	char text[256], bytes[FIELD_CELL_MAX], own[FIELD_CELL_MAX], aligned[32] = "";

	if (scene->detail && scene->detail->alignment) {
		char size[16];

		snprintf(aligned, sizeof(aligned), " aligned to %s",
			 text_bytes(size, sizeof(size), scene->detail->alignment));
	}
	snprintf(text, sizeof(text), "%-*s%s of %.20s, buffers of %.20s", FACT_COLS, "memory",
		 kind < ROWS(kinds) ? kinds[kind] : "unknown kind", cell(scene, "mem_bytes", own),
		 cell(scene, "buf_bytes", bytes));
	if (strlen(text) + strlen(aligned) < (size_t)at.cols)
		strcat(text, aligned);
	say(at, row, C_NORMAL, text);
}

/* "08:53:11, 3m ago" of a moment that this model has lived through. */
static const char *say_moment(const struct model *model, uint64_t at_ns, char out[48])
{
	uint64_t age = model->at_ns > at_ns ? model->at_ns - at_ns : 0;
	time_t wall = (time_t)((model->wall_ns - age) / 1000000000);
	struct tm tm = {0};
	char when[16] = "", ago[16];

	if (localtime_r(&wall, &tm))
		strftime(when, sizeof(when), "%H:%M:%S", &tm);
	snprintf(out, 48, "%s, %s ago", when, text_span(ago, sizeof(ago), age));
	return out;
}

/* Who registered it, and when, as far as it was seen. */
static void draw_origin(const struct scene *scene, struct rect at, int row)
{
	const struct model_group *group = scene->group;
	const struct model *model = scene->frame->model;
	const struct observe_origin *origin =
		scene->detail && scene->detail->has_origin ? &scene->detail->origin : NULL;
	const struct ring_rec *ring = &group->ring->rec;
	char text[256], more[64], when[48], name[FIELD_CELL_MAX];
	size_t used;

	if (origin)
		snprintf(text, sizeof(text), "%-*sby %.40s %u/%u, %s", FACT_COLS, "registered",
			 text_escape(name, sizeof(name), origin->comm), origin->tgid, origin->tid,
			 say_moment(model, origin->at_ns, when));
	else
		snprintf(text, sizeof(text), "%-*sby -, before %s%s", FACT_COLS, "registered",
			 group->span.came ? "" : "watching began, ",
			 say_moment(model, group->span.born_ns, when));
	used = (size_t)snprintf(more, sizeof(more), "; ring of thread %u, user %u", ring->tid,
				ring->uid);
	if (strlen(text) + used < (size_t)at.cols)
		strcat(text, more);
	say(at, row, C_NORMAL, text);
}

static void draw_facts(const struct scene *scene, struct rect at)
{
	const struct model_group *group = scene->group;
	const char *state = is_live(scene) ? condition_name(group->condition) : "gone";
	struct span gauge = cell_line(at, 0);
	int row = 1;

	say(at, 0, is_live(scene) ? cell_color(group->condition) : C_DIM, state);
	gauge.x += FACT_COLS;
	gauge.cols -= FACT_COLS + 1;
	cell_level(gauge, group, scene->frame->model);
	for (size_t n = 0; n < ROWS(facts); n++)
		draw_fact(scene, at, row++, n);
	draw_memory(scene, at, row++);
	draw_origin(scene, at, row++);
}

/* ---- the level over the last looks, as high as there is room */

static void draw_chart(const struct scene *scene, struct rect at)
{
	const struct model *model = scene->frame->model;
	struct span chart = {.y = at.y + 1, .x = at.x + 8, .cols = at.cols - 9};
	struct span label = {.y = at.y + 1, .x = at.x + 1, .cols = 6};
	unsigned int nr = MODEL_HISTORY;
	char text[96], span[16];

	while (nr > 1 && model_past_ns(model, nr - 1) == 0)
		nr--;
	text_span(span, sizeof(span), model->at_ns - model_past_ns(model, nr - 1));
	snprintf(text, sizeof(text), "available, the last %s; ! where requests starved", span);
	say(at, 0, C_ACCENT, text);
	if (chart.cols > MODEL_HISTORY)
		chart.cols = MODEL_HISTORY;
	snprintf(text, sizeof(text), "%u", scene->group->rec.entries);
	draw_text(label, C_DIM, ALIGN_RIGHT, text);
	label.y = at.y + at.rows - 1;
	if (at.rows > 2)
		draw_text(label, C_DIM, ALIGN_RIGHT, "0");
	cell_history(chart, at.rows - 1, scene->group, model);
}

/* ---- how long buffers were held */

struct bins {
	unsigned int first, nr, step; /* in buckets */
	uint64_t most, all;
};

/* As many rows as there are, each of the same number of buckets: a power of two. */
static struct bins bins_of(const uint32_t *hold, unsigned int rows)
{
	struct bins bins = {.first = HOLD_BUCKETS, .step = 4};
	unsigned int end = 0;

	for (unsigned int i = 0; i < HOLD_BUCKETS; i++) {
		if (!hold[i])
			continue;
		bins.first = bins.first < i ? bins.first : i;
		end = i + 1;
	}
	if (end == 0)
		return (struct bins){0};
	while (bins.first / bins.step * bins.step + (uint64_t)bins.step * rows < end)
		bins.step *= 2;
	bins.first = bins.first / bins.step * bins.step;
	bins.nr = (end - bins.first + bins.step - 1) / bins.step;
	for (unsigned int i = bins.first, sum = 0; i < end; i++) {
		sum = (i - bins.first) % bins.step ? sum + hold[i] : hold[i];
		bins.most = sum > bins.most ? sum : bins.most;
		bins.all += hold[i];
	}
	return bins;
}

static void draw_bin(struct rect at, int row, const struct bins *bins, const uint32_t *hold)
{
	unsigned int first = bins->first + (unsigned int)(row - 1) * bins->step;
	struct span line = cell_line(at, row);
	struct span bar = {.y = line.y, .x = line.x + 24, .cols = line.cols - 25};
	char text[64], from[16], to[16], count[16];
	uint64_t sum = 0;

	for (unsigned int i = first; i < first + bins->step && i < HOLD_BUCKETS; i++)
		sum += hold[i];
	snprintf(text, sizeof(text), "%7s - %-7s %5s",
		 text_span(from, sizeof(from), hist_start_ns(first)),
		 text_span(to, sizeof(to), hist_start_ns(first + bins->step)),
		 text_count(count, sizeof(count), (double)sum));
	draw_text(line, C_NORMAL, ALIGN_LEFT, text);
	if (bar.cols > 0 && sum > 0)
		draw_bar(bar, &(struct draw_bar){.filled = (double)sum / (double)bins->most,
						 .mark = -1,
						 .color = C_GOOD});
}

static void draw_hold(const struct scene *scene, struct rect at)
{
	const struct detail *detail = scene->detail;
	struct bins bins;

	say(at, 0, C_ACCENT, "held for, buffers that came back");
	if (!detail || !detail->has_counts)
		return;
	bins = bins_of(detail->counts.hold, (unsigned int)at.rows - 1);
	if (bins.nr == 0)
		say(at, 1, C_DIM, "none came back since it is watched");
	for (unsigned int i = 0; i < bins.nr && (int)i + 1 < at.rows; i++)
		draw_bin(at, (int)i + 1, &bins, detail->counts.hold);
}

/* ---- each buffer */

static const struct {
	const char *letter;
	enum tui_color color;
} places[PLACES] = {
	[PLACE_UNKNOWN] = {" ", C_DIM},    [PLACE_IN_RING] = {".", C_GOOD},
	[PLACE_REQUEST] = {"r", C_ACCENT}, [PLACE_HELD] = {"h", C_WARN},
	[PLACE_STUCK] = {"S", C_BAD},
};

/* Buffers that were ever seen: the ledger may have room for more. */
static uint32_t buffers_of(const struct detail *detail)
{
	uint32_t nr = detail ? detail->counts.nr : 0;

	while (nr > 0 && detail_place(detail, nr - 1) == PLACE_UNKNOWN)
		nr--;
	return nr;
}

/* Letters in a row, of a part so wide: however narrow a terminal is made, one. */
static uint32_t map_cols(int cols)
{
	return cols > 2 ? (uint32_t)cols - 2 : 1;
}

static void draw_map_title(const struct scene *scene, struct rect at, uint32_t nr, uint32_t each)
{
	size_t count[PLACES] = {0};
	char text[160], scale[48] = "";

	for (uint32_t bid = 0; bid < nr; bid++)
		count[detail_place(scene->detail, bid)]++;
	if (each > 1)
		snprintf(scale, sizeof(scale), "; a letter is the worst of %u", each);
	snprintf(text, sizeof(text),
		 "buffers  . ring %zu  r request %zu  h held %zu  S too long %zu",
		 count[PLACE_IN_RING], count[PLACE_REQUEST], count[PLACE_HELD], count[PLACE_STUCK]);
	if (strlen(text) >= (size_t)at.cols)
		snprintf(text, sizeof(text), "buffers  . %zu  r %zu  h %zu  S %zu",
			 count[PLACE_IN_RING], count[PLACE_REQUEST], count[PLACE_HELD],
			 count[PLACE_STUCK]);
	if (strlen(text) + strlen(scale) < (size_t)at.cols)
		strcat(text, scale);
	say(at, 0, C_ACCENT, text);
}

static void draw_map(const struct scene *scene, struct rect at)
{
	uint32_t nr = scene->detail && scene->detail->has_counts ? buffers_of(scene->detail) : 0;
	uint32_t cols = map_cols(at.cols);
	uint32_t room = (uint32_t)(at.rows - 1) * cols;
	uint32_t each = room ? (nr + room - 1) / room : 1;

	if (nr == 0) {
		say(at, 0, C_ACCENT, "buffers");
		return;
	}
	draw_map_title(scene, at, nr, each);
	for (uint32_t i = 0; i * each < nr; i++) {
		enum buffer_place place = detail_worst(scene->detail, i * each, each);
		struct span at_cell = {.y = at.y + 1 + (int)(i / cols),
				       .x = at.x + 1 + (int)(i % cols),
				       .cols = 1};

		draw_text(at_cell, places[place].color, ALIGN_LEFT, places[place].letter);
	}
}

/* ---- who holds them */

static void draw_holder(const struct scene *scene, struct rect at, int row,
			const struct holder *holder, uint64_t selected)
{
	const char *operation = trace_operation_name(holder->opcode);
	char what[32];
	struct span line = cell_line(at, row);
	struct span bar = {.y = line.y, .x = line.x + 61, .cols = line.cols - 62};
	char text[128], fd[24] = "-", taken[16] = "-", share[16] = "-", starved[16] = "-";

	if (holder->fd >= 0)
		snprintf(fd, sizeof(fd), "%s%d", holder->is_fixed ? "#" : "", holder->fd);
	if (holder->selected != COUNT_UNKNOWN) {
		text_count(taken, sizeof(taken), (double)holder->selected);
		text_count(starved, sizeof(starved), (double)holder->starved);
	}
	if (selected > 0 && holder->selected != COUNT_UNKNOWN)
		snprintf(share, sizeof(share), "%.0f%%",
			 100.0 * (double)holder->selected / (double)selected);
	if (operation)
		snprintf(what, sizeof(what), "%s", operation);
	else if (holder->fd < 0 && holder->selected != COUNT_UNKNOWN)
		snprintf(what, sizeof(what), "data 0x%llx", (unsigned long long)holder->user_data);
	else
		snprintf(what, sizeof(what), holder->fd < 0 ? "taken before" : "-");
	snprintf(text, sizeof(text), "%6s %-18.18s %6u %8s %6s %8s", fd, what, holder->held, taken,
		 share, starved);
	draw_text(line, holder->held ? C_NORMAL : C_DIM, ALIGN_LEFT, text);
	if (bar.cols > 0 && scene->group->rec.entries && holder->held)
		draw_bar(bar, &(struct draw_bar){.filled = (double)holder->held /
							   scene->group->rec.entries,
						 .mark = -1,
						 .color = C_WARN});
}

static void draw_holders(const struct scene *scene, struct rect at)
{
	const struct detail *detail = scene->detail;
	uint64_t selected = 0;
	char text[96];

	snprintf(text, sizeof(text), "%6s %-18s %6s %8s %6s %8s", "fd", "holder", "held",
		 "selected", "share", "starved");
	say(at, 0, C_ACCENT, text);
	if (!detail || (!detail->is_full && !detail->has_counts))
		return;
	for (size_t i = 0; i < detail->nr_holders; i++)
		if (detail->holders[i].selected != COUNT_UNKNOWN)
			selected += detail->holders[i].selected;
	for (size_t i = 0; i < detail->nr_holders && (int)i + 1 < at.rows; i++)
		draw_holder(scene, at, (int)i + 1, &detail->holders[i], selected);
	if (detail->nr_holders == 0)
		say(at, 1, C_DIM, "nobody took a buffer since it is watched");
}

/* ---- what happened last */

static void draw_event(const struct scene *scene, struct rect at, int row,
		       const struct trace_rec *rec)
{
	const struct model *model = scene->frame->model;
	const char *operation = trace_operation_name(rec->opcode);
	int64_t ago = (int64_t)(scene->detail->at_ns - rec->at_ns);
	int64_t wall = (int64_t)model->wall_ns - ago;
	time_t seconds = (time_t)(wall / 1000000000);
	char text[192], when[16] = "", fd[24] = "", bid[24] = "", what[48] = "";
	struct tm tm = {0};

	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%H:%M:%S", &tm);
	if (rec->fd >= 0 && rec->kind != TRACE_REGISTER)
		snprintf(fd, sizeof(fd), "fd %d", rec->fd);
	if (rec->kind == TRACE_STARVE)
		snprintf(bid, sizeof(bid), "%u times", rec->nr);
	else if (rec->bid != REC_UNKNOWN_U32)
		snprintf(bid, sizeof(bid), rec->nr > 1 ? "bid %u+%u" : "bid %u", rec->bid,
			 rec->nr - 1);
	if (rec->kind == TRACE_STARVE)
		snprintf(what, sizeof(what), "%s", trace_cause_name((enum starve_cause)rec->cause));
	else if (rec->res < 0)
		snprintf(what, sizeof(what), "-%s", text_errno(-rec->res));
	snprintf(text, sizeof(text), "%s.%03u %-10s %-12s %-8s %-16s %s", when,
		 (unsigned int)(wall / 1000000 % 1000), trace_kind_name((enum trace_kind)rec->kind),
		 bid, fd, operation ? operation : "", what);
	say(at, row, trace_is_error(rec) ? C_BAD : C_NORMAL, text);
}

static void draw_events(const struct scene *scene, struct rect at)
{
	const struct detail *detail = scene->detail;
	char text[96];

	snprintf(text, sizeof(text), "what happened last, to each buffer");
	if (detail && detail->unfit)
		snprintf(text, sizeof(text),
			 "what happened last; there was no room for %llu groups",
			 (unsigned long long)detail->unfit);
	else if (detail && detail->lost)
		snprintf(text, sizeof(text), "what happened last; %llu records were lost",
			 (unsigned long long)detail->lost);
	say(at, 0, C_ACCENT, text);
	for (size_t i = 0; detail && i < detail->nr_events && (int)i + 1 < at.rows; i++)
		draw_event(scene, at, (int)i + 1, &detail->events[i]);
}

/* ---- the doctor, and what would have to be done to see more */

/* NULL: nothing is missing. */
static const char *advice(const struct scene *scene)
{
	if (scene->frame->state->is_replay)
		return "a recording holds no single buffers and events";
	if (!is_live(scene))
		return NULL;
	if (scene->frame->state->is_held && !scene->detail)
		return "single buffers and events are those of the present: Space goes on";
	if (!scene->detail || !scene->detail->has_counts)
		return "press e to follow this group in full: who holds what, for how long, why";
	return scene->detail->is_full ? NULL
				      : "press e for what doctor says, and what happened last";
}

static enum tui_color color_of_severity(enum severity severity)
{
	return severity == SEVERITY_CRIT ? C_BAD : severity == SEVERITY_WARN ? C_WARN : C_NORMAL;
}

/* In FINDING_LINES at most; returns how many these were. */
static int say_wrapped(struct rect at, int row, enum tui_color color, const char *text)
{
	size_t columns = at.cols > 2 ? (size_t)at.cols - 2 : 1;
	int lines = 0;

	while (*text && lines < FINDING_LINES) {
		char words[FIELD_CELL_MAX];
		const char *start = text;
		size_t length = text_wrap(&text, columns);

		snprintf(words, sizeof(words), "%s%.*s", lines ? " " : "", (int)length, start);
		say(at, row + lines++, color, words);
	}
	return lines;
}

static void draw_findings(const struct scene *scene, struct rect at)
{
	const struct detail *detail = scene->detail;
	const char *missing = advice(scene);
	int row = 1;

	say(at, 0, C_ACCENT, "doctor");
	if (missing)
		row += say_wrapped(at, row, C_WARN, missing);
	for (size_t i = 0; detail && i < detail->nr_findings; i++) {
		const struct finding *finding = &detail->findings[i];
		const struct complaint_text *texts = &complaint_texts[finding->complaint];
		char text[EVIDENCE_BYTES + 64], safe[FIELD_CELL_MAX];

		snprintf(text, sizeof(text), "%s: %s", texts->code, finding->evidence);
		row += say_wrapped(at, row, color_of_severity(texts->severity),
				   text_escape(safe, sizeof(safe), text));
	}
	if (detail && detail->is_full && detail->nr_findings == 0)
		say(at, row, C_GOOD, "nothing found so far");
}

/* ---- all of it */

enum block { FACTS, FINDINGS, HOLDERS, CHART, MAP, HOLD, EVENTS, BLOCKS };

static void (*const draw_block[BLOCKS])(const struct scene *scene, struct rect at) = {
	[FACTS] = draw_facts,   [FINDINGS] = draw_findings, [HOLDERS] = draw_holders,
	[CHART] = draw_chart,   [MAP] = draw_map,           [HOLD] = draw_hold,
	[EVENTS] = draw_events,
};

static int at_least_one(size_t nr, int most)
{
	return nr == 0 ? 1 : nr < (size_t)most ? (int)nr : most;
}

static size_t lines_of_findings(const struct scene *scene, int cols)
{
	const char *missing = advice(scene);
	size_t lines = missing ? strlen(missing) / (cols > 2 ? (size_t)cols - 2 : 1) + 1 : 0;

	return lines + (scene->detail ? scene->detail->nr_findings : 0) * FINDING_LINES;
}

static struct layout_want want_of(const struct scene *scene, enum block block, int cols)
{
	const struct detail *detail = scene->detail;
	bool has_detail = detail && detail->has_counts;
	uint32_t buffers = has_detail ? buffers_of(detail) : 0;
	struct layout_want want = {.min = 2, .priority = (int)block};

	switch (block) {
	case FACTS:
		want = (struct layout_want){5, 7, 0};
		break;
	case FINDINGS:
		want.max = 1 + at_least_one(lines_of_findings(scene, cols), 8);
		break;
	case HOLDERS:
		want.max = has_detail ? 1 + at_least_one(detail->nr_holders, 10) : 0;
		break;
	case CHART:
		want = (struct layout_want){4, 9, 1};
		break;
	case MAP:
		want.max = buffers ? 1 + at_least_one((buffers - 1) / map_cols(cols) + 1, 12) : 0;
		break;
	case HOLD:
		want.max = has_detail ? 9 : 0;
		break;
	default:
		want.max = detail && detail->is_full ? 1 + at_least_one(detail->nr_events, 40) : 0;
		break;
	}
	if (want.min > want.max)
		want.min = want.max;
	return want;
}

/* Some blocks, one under another, as many as there is room for. */
static void draw_stack(const struct scene *scene, struct rect at, const enum block *blocks,
		       size_t nr)
{
	struct layout_want wants[BLOCKS] = {0};
	int heights[BLOCKS], y = at.y;

	for (size_t i = 0; i < nr; i++)
		wants[i] = want_of(scene, blocks[i], at.cols);
	layout_share(at.rows, wants, nr, heights);
	for (size_t i = 0; i < nr; i++) {
		struct rect place = {.y = y, .x = at.x, .rows = heights[i], .cols = at.cols};

		if (heights[i] == 0)
			continue;
		draw_block[blocks[i]](scene, place);
		y += heights[i] + LAYOUT_GAP;
	}
}

static const enum block left[] = {FACTS, CHART, HOLD}, right[] = {FINDINGS, HOLDERS, MAP, EVENTS};
static const enum block single[] = {FACTS, FINDINGS, CHART, HOLDERS, MAP, HOLD, EVENTS};

static bool find(const struct tui_frame *frame, struct scene *scene)
{
	const struct row_id *id = &tui_state_here(frame->state)->subject;
	const struct detail *detail = frame->detail;

	scene->frame = frame;
	scene->group = model_find(frame->model, id->ordinal, id->bgid);
	if (detail && detail->ordinal == id->ordinal && detail->bgid == id->bgid)
		scene->detail = detail;
	return scene->group != NULL;
}

char *group_title(const struct tui_frame *frame, char *out, size_t size)
{
	char owner[FIELD_CELL_MAX], comm[FIELD_CELL_MAX], name[FIELD_CELL_MAX];
	struct scene scene = {0};
	bool is_found = find(frame, &scene);

	if (is_found && scene.group->rec.name)
		snprintf(out, size, " Group %u (%s) of ring %s, %s", scene.group->rec.bgid,
			 cell(&scene, "name", name), cell(&scene, "owner", owner),
			 cell(&scene, "comm", comm));
	else if (is_found)
		snprintf(out, size, " Group %u of ring %s, %s", scene.group->rec.bgid,
			 cell(&scene, "owner", owner), cell(&scene, "comm", comm));
	else
		snprintf(out, size, " Group");
	return out;
}

size_t group_blocks(const struct tui_frame *frame, struct rect at)
{
	struct scene scene = {0};
	size_t nr = 0;

	if (at.cols >= TWO_COLUMNS || !find(frame, &scene))
		return 1;
	for (size_t i = 0; i < BLOCKS; i++)
		nr += want_of(&scene, single[i], at.cols).max > 0;
	return nr;
}

void group_draw(const struct tui_frame *frame, struct rect at)
{
	struct rect half = at;
	struct scene scene = {0};
	enum block blocks[BLOCKS];
	size_t nr = 0, skip = tui_state_here(frame->state)->cursor;

	if (!find(frame, &scene)) {
		say(at, 0, C_DIM, "this group is gone, or was not there yet");
		return;
	}
	if (at.cols >= TWO_COLUMNS) {
		half.cols = at.cols / 2;
		draw_stack(&scene, half, left, ROWS(left));
		half.x = at.cols / 2;
		half.cols = at.cols - half.x;
		draw_stack(&scene, half, right, ROWS(right));
		return;
	}
	for (size_t i = 0; i < BLOCKS; i++) {
		if (want_of(&scene, single[i], at.cols).max == 0)
			continue;
		if (skip > 0)
			skip--;
		else
			blocks[nr++] = single[i];
	}
	draw_stack(&scene, at, blocks, nr);
}
