// SPDX-License-Identifier: MIT
/* How does a report look to people? One table a subject, no line over 80 columns. */
#include <inttypes.h>
#include <string.h>

#include "../lib/text.h"
#include "limits_report.h"

#define WIDTH 79

static const char *or_dash(const char *text)
{
	return text ? text : "-";
}

/* Breaks at blanks; every line is indented. */
static void print_wrapped(FILE *out, int indent, const char *text)
{
	int room = WIDTH - indent;

	while (*text) {
		int len = (int)strlen(text), cut = len;

		if (len > room) {
			for (cut = room; cut > 0 && text[cut] != ' '; cut--)
				;
			if (cut == 0)
				cut = room;
		}
		fprintf(out, "%*s%.*s\n", indent, "", cut, text);
		text += cut;
		while (*text == ' ')
			text++;
	}
}

static void format_value(const struct limits_row *row, char *out, size_t size)
{
	const struct limits_answer *a = &row->answer;
	const char *verdict = limits_verdict_name(a->verdict), *unit = row->probe->unit;

	if (!a->has_value)
		snprintf(out, size, "%s", or_dash(verdict));
	else if (unit && strcmp(unit, "mask") == 0)
		snprintf(out, size, "0x%" PRIx64, a->value);
	else
		snprintf(out, size, "%" PRIu64 " %s", a->value, unit ? unit : "");
}

static void print_remarks(FILE *out, const struct limits_row *row, bool verbose)
{
	const struct limits_answer *a = &row->answer;
	bool odd = a->how == LIMITS_DIED || a->how == LIMITS_LATE || a->how == LIMITS_FAILED ||
		   a->how == LIMITS_NOT_ASKED;

	if (verbose) {
		fprintf(out, "    %s\n", row->probe->key);
		if (row->probe->detail)
			print_wrapped(out, 4, row->probe->detail);
	}
	if (a->note[0] && (verbose || odd))
		print_wrapped(out, 4, a->note);
}

static void print_answer(FILE *out, const struct limits_row *row, bool verbose)
{
	const struct limits_answer *a = &row->answer;
	char value[48];

	format_value(row, value, sizeof(value));
	fprintf(out, "  %-26s %-16s %-10s %-14s %s\n", row->probe->question, value,
		a->errno_past ? text_errno(a->errno_past) : "-",
		or_dash(limits_bound_name(a->bound_by)), or_dash(limits_how_name(a->how)));
	print_remarks(out, row, verbose);
}

/* A verdict is nothing without its evidence. */
static void print_judgement(FILE *out, const struct limits_row *row, bool verbose)
{
	const struct limits_answer *a = &row->answer;
	const char *verdict = limits_verdict_name(a->verdict);

	fprintf(out, "  %-44s %-12s %s\n", row->probe->question,
		verdict ? verdict : or_dash(limits_how_name(a->how)),
		row->probe->reference ? row->probe->reference : "");
	if (verbose)
		print_remarks(out, row, true);
	else if (a->note[0])
		print_wrapped(out, 4, a->note);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && strcmp(text + len - end_len, end) == 0;
}

/* Columns say their unit by how they end. */
static void format_cell(const char *column, uint64_t value, char *out, size_t size)
{
	if (ends_with(column, "_ns"))
		text_span(out, size, value);
	else if (ends_with(column, "_bytes"))
		text_bytes(out, size, value);
	else
		snprintf(out, size, "%" PRIu64, value);
}

static void print_column(FILE *out, const char *column)
{
	size_t len = strlen(column) - (ends_with(column, "_ns") ? 3 : 0) -
		     (ends_with(column, "_bytes") ? 6 : 0);
	char title[32];

	snprintf(title, sizeof(title), "%.*s", (int)len, column);
	for (char *p = strchr(title, '_'); p; p = strchr(p, '_'))
		*p = ' ';
	fprintf(out, " %14s", title);
}

static void print_curve(FILE *out, const struct limits_row *row, bool verbose)
{
	const char *const *columns = row->probe->columns;
	const struct limits_answer *a = &row->answer;
	char cell[32];

	fprintf(out, "  %s\n", row->probe->question);
	print_remarks(out, row, verbose);
	if (a->nr_points == 0) {
		fprintf(out, "    %s %s\n", or_dash(limits_how_name(a->how)),
			a->errno_past ? text_errno(a->errno_past) : "");
		return;
	}
	fprintf(out, "    %12s", or_dash(row->probe->unit));
	for (size_t c = 0; c < LIMITS_MAX_COLUMNS && columns[c]; c++)
		print_column(out, columns[c]);
	fputc('\n', out);
	for (size_t i = 0; i < a->nr_points; i++) {
		fprintf(out, "    %12" PRIu64, a->points[i].at);
		for (size_t c = 0; c < LIMITS_MAX_COLUMNS && columns[c]; c++) {
			format_cell(columns[c], a->points[i].y[c], cell, sizeof(cell));
			fprintf(out, " %14s", cell);
		}
		fputc('\n', out);
	}
	if (a->errno_past)
		fprintf(out, "    %12s %14s %s\n", "past it", text_errno(a->errno_past),
			a->bound_by == LIMITS_BY_MEMLOCK ? limits_bound_name(a->bound_by) : "");
}

static void print_heading(FILE *out, const struct limits_row *row)
{
	fprintf(out, "\n%s\n", row->section->title);
	if (!row->section->judges && !limits_is_curve(row->probe))
		fprintf(out, "  %-26s %-16s %-10s %-14s %s\n", "QUESTION", "ANSWER", "PAST IT",
			"SET BY", "HOW");
}

void limits_report_text(const struct limits_report *report, bool verbose, FILE *out)
{
	const char *title = "";
	char memlock[16] = "unlimited", most[16];

	if (report->has_memlock)
		text_bytes(memlock, sizeof(memlock), report->memlock_bytes);
	fprintf(out, "kernel %s, uid %" PRIu64 ", memlock %s", report->kernel, report->uid,
		memlock);
	if (report->max_bytes) {
		text_bytes(most, sizeof(most), report->max_bytes);
		fprintf(out, ", %s at most for a question", most);
	}
	fputc('\n', out);
	for (size_t i = 0; i < report->nr; i++) {
		const struct limits_row *row = &report->rows[i];

		if (strcmp(row->section->title, title) != 0)
			print_heading(out, row);
		title = row->section->title;
		if (limits_is_curve(row->probe))
			print_curve(out, row, verbose);
		else if (row->section->judges)
			print_judgement(out, row, verbose);
		else
			print_answer(out, row, verbose);
	}
}
