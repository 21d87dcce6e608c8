// SPDX-License-Identifier: MIT
/* How is a single event told, in a line of text or of JSON, fast? */
#include "trace_line.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "../lib/text.h"
#include "json_write.h"
#include "out.h"

#define NS_PER_S UINT64_C(1000000000)

/* ---- which parts an event has */

static bool has_request(enum trace_kind kind)
{
	return kind == TRACE_SELECT || kind == TRACE_BUNDLE || kind == TRACE_PARTIAL ||
	       kind == TRACE_STARVE || kind == TRACE_MSHOT_END || kind == TRACE_OVERFLOW;
}

static bool has_buffers(enum trace_kind kind)
{
	return kind == TRACE_FILL || kind == TRACE_SELECT || kind == TRACE_BUNDLE ||
	       kind == TRACE_PARTIAL || kind == TRACE_RETURN || kind == TRACE_OVERFLOW;
}

static bool is_registration(enum trace_kind kind)
{
	return kind == TRACE_REGISTER || kind == TRACE_UNREGISTER;
}

static bool has_bytes(const struct trace_rec *rec)
{
	return has_request(rec->kind) && rec->res >= 0 && !(rec->flags & TRACE_CONTINUED);
}

/* ---- text; printf would take longer than all the rest of an event's way */

#define PIECE_MAX 256

/* A line, or one cell of it. What does not fit is cut off. */
struct piece {
	size_t used;
	char text[PIECE_MAX];
};

static void add(struct piece *piece, const char *text, size_t length)
{
	if (length > sizeof(piece->text) - piece->used)
		length = sizeof(piece->text) - piece->used;
	memcpy(piece->text + piece->used, text, length);
	piece->used += length;
}

static void add_text(struct piece *piece, const char *text)
{
	add(piece, text, strlen(text));
}

static void add_number(struct piece *piece, uint64_t value, unsigned int base)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	add(piece, digits + at, sizeof(digits) - at);
}

static void add_blanks(struct piece *piece, size_t nr)
{
	static const char blanks[] = "                ";

	add(piece, blanks, nr < sizeof(blanks) - 1 ? nr : sizeof(blanks) - 1);
}

/* `columns` is what the cell takes on a terminal. */
static void put_left(struct piece *line, const struct piece *cell, size_t columns, size_t width)
{
	add(line, cell->text, cell->used);
	add_blanks(line, columns < width ? width - columns + 1 : 1);
}

static void put_right(struct piece *line, const struct piece *cell, size_t width)
{
	add_blanks(line, cell->used < width ? width - cell->used : 0);
	add(line, cell->text, cell->used);
	add_blanks(line, 1);
}

static void put_number(struct piece *line, bool is_known, uint64_t value, size_t width)
{
	struct piece cell;

	cell.used = 0;
	if (is_known)
		add_number(&cell, value, 10);
	else
		add_text(&cell, "-");
	put_right(line, &cell, width);
}

static void put_word(struct piece *line, const char *word, size_t width)
{
	size_t length = strlen(word);

	add(line, word, length);
	add_blanks(line, length < width ? width - length + 1 : 1);
}

/* "HH:MM:SS.", of the clock on the wall. */
static void add_clock(struct piece *cell, uint64_t wall_ns)
{
	time_t wall = (time_t)(wall_ns / NS_PER_S);
	struct tm tm;

	if (localtime_r(&wall, &tm))
		cell->used += strftime(cell->text, sizeof(cell->text), "%H:%M:%S.", &tm);
}

static void put_time(struct piece *line, const struct trace_lines *lines, uint64_t at_ns)
{
	uint64_t ns = at_ns > lines->start_ns ? at_ns - lines->start_ns : 0;
	struct piece cell, micros;

	cell.used = micros.used = 0;
	if (lines->wall_ns) {
		ns = at_ns + lines->wall_ns;
		add_clock(&cell, ns);
	} else {
		add_number(&cell, ns / NS_PER_S, 10);
		add_text(&cell, ".");
	}
	/* a one in front keeps the zeros */
	add_number(&micros, 1000000 + ns % NS_PER_S / 1000, 10);
	add(&cell, micros.text + 1, micros.used - 1);
	put_right(line, &cell, lines->wall_ns ? 15 : 11);
}

static void put_ring(struct piece *line, const struct trace_ring *ring)
{
	char name[4 * REC_COMM_LEN + 1];
	struct piece cell;

	cell.used = 0;
	add_text(&cell, text_escape(name, sizeof(name), *ring->comm ? ring->comm : "-"));
	put_left(line, &cell, text_width(name), 12);
	cell.used = 0;
	if (ring->tgid)
		add_number(&cell, ring->tgid, 10);
	else
		add_text(&cell, "-");
	add_text(&cell, "/");
	if (ring->fd >= 0)
		add_number(&cell, (uint64_t)ring->fd, 10);
	else
		add_text(&cell, "-");
	put_left(line, &cell, cell.used, 9);
}

/* "17", "3-7", "5 of ?" where it is known how many but not which. */
/* Buffers that a record tells of: where the tail went back, none came back. */
static uint32_t nr_buffers(const struct trace_rec *rec)
{
	return rec->flags & TRACE_BACK ? 0 : rec->nr;
}

static void put_bids(struct piece *line, const struct trace_rec *rec)
{
	struct piece cell;

	cell.used = 0;
	if (!has_buffers(rec->kind) || !nr_buffers(rec)) {
		add_text(&cell, "-");
	} else if (rec->bid == REC_UNKNOWN_U32) {
		add_number(&cell, rec->nr, 10);
		add_text(&cell, " of ?");
	} else {
		add_number(&cell, rec->bid, 10);
		if (rec->nr > 1) {
			add_text(&cell, "-");
			add_number(&cell, rec->bid + rec->nr - 1, 10);
		}
	}
	put_left(line, &cell, cell.used, 9);
}

static void put_result(struct piece *line, const struct trace_rec *rec)
{
	struct piece cell;

	if (rec->res >= 0) {
		put_number(line, has_bytes(rec), (uint64_t)rec->res, 8);
		return;
	}
	cell.used = 0;
	add_text(&cell, text_errno(-rec->res));
	put_right(line, &cell, 8);
}

/* File, operation, user_data; a file of the ring's own table is "#3". */
static void put_request(struct piece *line, const struct trace_rec *rec)
{
	const char *operation = trace_operation_name(rec->opcode);
	struct piece cell;

	cell.used = 0;
	if (rec->fd >= 0) {
		add_text(&cell, rec->flags & TRACE_FIXED_FILE ? "#" : "");
		add_number(&cell, (uint64_t)rec->fd, 10);
	} else {
		add_text(&cell, "-");
	}
	put_right(line, &cell, 4);
	if (operation || !rec->opcode)
		put_word(line, operation ? operation : "-", 14);
	else
		put_number(line, true, rec->opcode, 0);
	add_text(line, "0x");
	add_number(line, rec->user_data, 16);
}

static void put_held(struct piece *line, const struct trace_rec *rec)
{
	char span[32];

	add_text(line, rec->nr > 1 ? "held for up to " : "held for ");
	add_text(line, text_span(span, sizeof(span), rec->held_ns));
}

static void put_remark(struct piece *line, const struct trace_rec *rec)
{
	if (rec->kind == TRACE_STARVE) {
		add_text(line, " ");
		add_text(line, trace_cause_name(rec->cause));
	}
	if (rec->flags & TRACE_BACK) {
		add_text(line, "the tail went back by ");
		add_number(line, rec->nr, 10);
	}
	if (rec->flags & TRACE_CONTINUED)
		add_text(line, " continued");
	if (rec->held_ns)
		put_held(line, rec);
	if (rec->kind != TRACE_REGISTER)
		return;
	if (rec->res == 0)
		put_word(line, sample_kind_name(rec->group_kind), 0);
	add_number(line, rec->nr, 10);
	add_text(line, " entries");
}

void trace_line_text(const struct trace_lines *lines, const struct trace_event *event)
{
	const struct trace_rec *rec = event->rec;
	struct piece line;

	line.used = 0;
	put_time(&line, lines, rec->at_ns);
	put_ring(&line, event->ring);
	put_number(&line, true, rec->bgid, 5);
	put_word(&line, trace_kind_name(rec->kind), 10);
	put_bids(&line, rec);
	put_result(&line, rec);
	put_number(&line, rec->available != REC_UNKNOWN_U32, rec->available, 5);
	put_number(&line, rec->tid, rec->tid, 7);
	if (has_request(rec->kind))
		put_request(&line, rec);
	put_remark(&line, rec);
	while (line.used == sizeof(line.text) || line.text[line.used - 1] == ' ')
		line.used--;
	line.text[line.used++] = '\n';
	fwrite_unlocked(line.text, 1, line.used, lines->file);
}

void trace_line_titles(const struct trace_lines *lines)
{
	fprintf(lines->file, "%*s %-12s %-9s %5s %-10s %-9s %8s %5s %7s %4s %-14s %s\n",
		lines->wall_ns ? 15 : 11, "TIME", "PROCESS", "RING", "BGID", "EVENT", "BID",
		"RESULT", "AVAIL", "TID", "FD", "OPERATION", "USER_DATA");
}

/* ---- JSON */

static void json_if(struct json *json, const char *key, bool is_known, uint64_t value)
{
	if (is_known)
		json_u64(json, key, value);
	else
		json_null(json, key);
}

static void json_begin(struct json *json, const struct trace_lines *lines, uint64_t at_ns)
{
	json_open(json, NULL, '{');
	json_text(json, "schema", "bufscope.trace/1");
	json_text(json, "kernel", lines->kernel);
	json_u64(json, "at_ns", at_ns);
}

static void json_end(struct json *json)
{
	json_close(json, '}');
	putc_unlocked('\n', json->file);
}

static void json_ring(struct json *json, const struct trace_event *event)
{
	const struct trace_ring *ring = event->ring;

	json_if(json, "tgid", ring->tgid, ring->tgid);
	json_if(json, "tid", event->rec->tid, event->rec->tid);
	if (*ring->comm)
		json_text(json, "comm", ring->comm);
	else
		json_null(json, "comm");
	json_if(json, "fd", ring->fd >= 0, (uint64_t)ring->fd);
	json_u64(json, "ring", ring->ordinal);
	json_u64(json, "bgid", event->rec->bgid);
}

static void json_error(struct json *json, const struct trace_rec *rec)
{
	if (rec->res < 0)
		json_text(json, "error", text_errno(-rec->res));
	else
		json_null(json, "error");
}

static void json_request(struct json *json, const struct trace_rec *rec)
{
	const char *operation = trace_operation_name(rec->opcode);
	bool is_fixed = rec->flags & TRACE_FIXED_FILE;

	json_if(json, "bytes", has_bytes(rec), (uint64_t)rec->res);
	json_error(json, rec);
	if (operation)
		json_text(json, "operation", operation);
	else
		json_if(json, "operation", rec->opcode, rec->opcode);
	json_if(json, "request_fd", rec->fd >= 0 && !is_fixed, (uint64_t)rec->fd);
	json_if(json, "request_file_index", rec->fd >= 0 && is_fixed, (uint64_t)rec->fd);
	json_u64(json, "user_data", rec->user_data);
}

static void json_registration(struct json *json, const struct trace_rec *rec)
{
	json_error(json, rec);
	if (rec->kind != TRACE_REGISTER)
		return;
	if (rec->res == 0)
		json_text(json, "kind", sample_kind_name(rec->group_kind));
	else
		json_null(json, "kind");
	json_u64(json, "entries", rec->nr);
}

void trace_line_json(const struct trace_lines *lines, const struct trace_event *event)
{
	const struct trace_rec *rec = event->rec;
	struct json json = {.file = lines->file};

	json_begin(&json, lines, rec->at_ns);
	json_text(&json, "event", trace_kind_name(rec->kind));
	json_ring(&json, event);
	json_if(&json, "available", rec->available != REC_UNKNOWN_U32, rec->available);
	if (has_buffers(rec->kind)) {
		json_if(&json, "bid", rec->bid != REC_UNKNOWN_U32, rec->bid);
		json_u64(&json, "buffers", nr_buffers(rec));
	}
	if (has_request(rec->kind))
		json_request(&json, rec);
	if (is_registration(rec->kind))
		json_registration(&json, rec);
	if (rec->kind == TRACE_STARVE)
		json_text(&json, "cause", trace_cause_name(rec->cause));
	if (rec->kind == TRACE_BUNDLE)
		json_boolean(&json, "continued", rec->flags & TRACE_CONTINUED);
	if (rec->flags & TRACE_BACK)
		json_u64(&json, "tail_back", rec->nr);
	if (rec->kind == TRACE_RETURN)
		json_if(&json, "hold_max_ns", rec->held_ns, rec->held_ns);
	if (rec->kind == TRACE_RETURN || rec->kind == TRACE_FILL)
		json_boolean(&json, "exact", rec->flags & TRACE_EXACT);
	json_end(&json);
}

static bool is_lost(const struct trace_end *end, int kind)
{
	return end->shown >> kind & 1 && end->lost[kind].records;
}

uint64_t trace_end_lost(const struct trace_end *end)
{
	uint64_t lost = 0;

	for (int kind = 0; kind < TRACE_KINDS; kind++)
		lost += is_lost(end, kind) ? end->lost[kind].records : 0;
	return lost;
}

void trace_line_end(FILE *file, const struct trace_end *end)
{
	const char *separator = " (";

	fprintf(file, "%" PRIu64 " event%s, %" PRIu64 " lost", end->events,
		end->events == 1 ? "" : "s", trace_end_lost(end));
	for (int kind = 0; kind < TRACE_KINDS; kind++) {
		if (!is_lost(end, kind))
			continue;
		fprintf(file, "%s%llu %s", separator, end->lost[kind].records,
			trace_kind_name((enum trace_kind)kind));
		separator = ", ";
	}
	fputs(*separator == ',' ? ")" : "", file);
	separator = "; not accounted for: ";
	for (int i = 0; i < LOSS_MAX; i++) {
		if (!end->losses[i])
			continue;
		fprintf(file, "%s%" PRIu64 " %s", separator, end->losses[i],
			sample_loss_name((enum sample_loss)i));
		separator = ", ";
	}
	fputc('\n', file);
}

void trace_line_json_end(const struct trace_lines *lines, const struct trace_end *end)
{
	struct json json = {.file = lines->file};

	json_begin(&json, lines, end->at_ns);
	json_text(&json, "event", "end");
	json_u64(&json, "events", end->events);
	json_u64(&json, "lost", trace_end_lost(end));
	json_open(&json, "lost_events", '{');
	for (int kind = 0; kind < TRACE_KINDS; kind++)
		if (is_lost(end, kind))
			json_u64(&json, trace_kind_name((enum trace_kind)kind),
				 end->lost[kind].records);
	json_close(&json, '}');
	json_open(&json, "lost_buffers", '{');
	for (int kind = 0; kind < TRACE_KINDS; kind++)
		if (is_lost(end, kind) && has_buffers((enum trace_kind)kind))
			json_u64(&json, trace_kind_name((enum trace_kind)kind),
				 end->lost[kind].buffers);
	json_close(&json, '}');
	json_open(&json, "losses", '{');
	out_losses(&json, end->losses, BACKEND_ITER_TP);
	json_close(&json, '}');
	json_end(&json);
}
