// SPDX-License-Identifier: MIT
/* How do questions become a report, and how is a report written down and read again? */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/text.h"
#include "limits_report.h"

#define SCHEMA "bufscope.limits/1"

/* ---- asking */

static bool is_wanted(const struct limits_choice *choice, const struct limits_probe *probe)
{
	if (probe->level > choice->level)
		return false;
	if (choice->call && (!probe->call || strcmp(probe->call, choice->call) != 0))
		return false;
	for (int i = 0; i < choice->nr_prefixes; i++) {
		if (strncmp(probe->key, choice->prefixes[i], strlen(choice->prefixes[i])) == 0)
			return true;
	}
	return choice->nr_prefixes == 0;
}

int limits_report_plan(struct limits_report *report, const struct limits_choice *choice)
{
	const struct limits_section *const *sections = limits_sections();
	size_t most = 1;

	for (size_t s = 0; sections[s]; s++)
		most += sections[s]->nr;
	report->rows = calloc(most, sizeof(*report->rows));
	if (!report->rows)
		return -ENOMEM;
	for (size_t s = 0; sections[s]; s++) {
		for (size_t i = 0; i < sections[s]->nr; i++) {
			if (!is_wanted(choice, &sections[s]->probes[i]))
				continue;
			report->rows[report->nr].section = sections[s];
			report->rows[report->nr++].probe = &sections[s]->probes[i];
		}
	}
	return 0;
}

static void describe_asker(struct limits_report *report)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
	struct utsname uts;

	uname(&uts);
	snprintf(report->kernel, sizeof(report->kernel), "%s", uts.release);
	getrlimit(RLIMIT_MEMLOCK, &limit);
	report->has_memlock = limit.rlim_cur != RLIM_INFINITY;
	report->memlock_bytes = limit.rlim_cur;
	report->uid = geteuid();
	report->at_ns = clock_ns(CLOCK_MONOTONIC);
	report->wall_ns = clock_ns(CLOCK_REALTIME);
}

static bool is_too_late(const struct limits_report *report, const struct limits_row *row,
			enum limits_level level)
{
	uint64_t past_ns = clock_ns(CLOCK_MONOTONIC) - report->at_ns;

	return row->section->measures && past_ns / 1000000 > limits_time_ms(level);
}

int limits_report_ask(struct limits_report *report, const struct limits_opts *opts,
		      void (*progress)(const struct limits_report *report, size_t done))
{
	describe_asker(report);
	report->level = opts->level;
	report->max_bytes = opts->max_bytes ? opts->max_bytes : limits_budget();
	for (size_t i = 0; i < report->nr; i++) {
		struct limits_row *row = &report->rows[i];
		int err;

		if (progress)
			progress(report, i);
		if (is_too_late(report, row, opts->level)) {
			snprintf(row->answer.note, sizeof(row->answer.note), "no time was left");
			continue;
		}
		err = limits_ask(row->probe, opts, &row->answer);
		if (err)
			return err;
	}
	if (progress)
		progress(report, report->nr);
	return 0;
}

/* ---- writing */

static void put_text(struct json_object *j, const char *key, const char *text)
{
	json_object_object_add(j, key, text ? json_object_new_string(text) : NULL);
}

static void put_number(struct json_object *j, const char *key, bool known, uint64_t value)
{
	json_object_object_add(j, key, known ? json_object_new_uint64(value) : NULL);
}

static struct json_object *points_to_json(const struct limits_row *row)
{
	struct json_object *points = json_object_new_array();

	for (size_t i = 0; i < row->answer.nr_points; i++) {
		const struct limits_point *point = &row->answer.points[i];
		struct json_object *j = json_object_new_object();

		put_number(j, "at", true, point->at);
		for (size_t c = 0; c < LIMITS_MAX_COLUMNS && row->probe->columns[c]; c++)
			put_number(j, row->probe->columns[c], true, point->y[c]);
		json_object_array_add(points, j);
	}
	return points;
}

static struct json_object *row_to_json(const struct limits_row *row)
{
	const struct limits_probe *probe = row->probe;
	const struct limits_answer *a = &row->answer;
	struct json_object *j = json_object_new_object();

	put_text(j, "key", probe->key);
	put_text(j, "section", row->section->name);
	put_text(j, "question", probe->detail ? probe->detail : probe->question);
	put_text(j, "call", probe->call);
	put_text(j, "reference", probe->reference);
	if (limits_is_curve(probe))
		json_object_object_add(j, "points", points_to_json(row));
	else
		put_number(j, "value", a->has_value, a->value);
	put_text(j, "unit", probe->unit);
	put_text(j, "verdict", limits_verdict_name(a->verdict));
	put_text(j, "errno_past", a->errno_past ? text_errno(a->errno_past) : NULL);
	put_text(j, "bound_by", limits_bound_name(a->bound_by));
	put_text(j, "how", limits_how_name(a->how));
	put_text(j, "note", a->note[0] ? a->note : NULL);
	return j;
}

void limits_report_json(const struct limits_report *report, FILE *out)
{
	struct json_object *doc = json_object_new_object();
	struct json_object *limits = json_object_new_array(), *costs = json_object_new_array();

	for (size_t i = 0; i < report->nr; i++) {
		const struct limits_row *row = &report->rows[i];

		json_object_array_add(limits_is_curve(row->probe) ? costs : limits,
				      row_to_json(row));
	}
	put_text(doc, "schema", SCHEMA);
	put_text(doc, "kernel", report->kernel);
	put_number(doc, "at_ns", true, report->at_ns);
	put_number(doc, "wall_ns", true, report->wall_ns);
	put_number(doc, "uid", true, report->uid);
	put_number(doc, "memlock_bytes", report->has_memlock, report->memlock_bytes);
	put_number(doc, "max_memory_bytes", report->max_bytes > 0, report->max_bytes);
	json_object_object_add(doc, "limits", limits);
	json_object_object_add(doc, "costs", costs);
	fprintf(out, "%s\n",
		json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PRETTY |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(doc);
}

/* ---- reading */

/* A file may come from anywhere: text that would have to be escaped was never written by us. */
static const char *get_text(struct json_object *j, const char *key)
{
	struct json_object *value = NULL;
	char escaped[512];
	const char *text;

	json_object_object_get_ex(j, key, &value);
	if (!json_object_is_type(value, json_type_string))
		return NULL;
	text = json_object_get_string(value);
	return strcmp(text_escape(escaped, sizeof(escaped), text), text) == 0 ? text : NULL;
}

static bool get_number(struct json_object *j, const char *key, uint64_t *out)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(j, key, &value);
	if (!json_object_is_type(value, json_type_int))
		return false;
	*out = json_object_get_uint64(value);
	return true;
}

/* The number that a word was written for; 0 if it is not one of them. */
static unsigned int find_word(const char *word, const char *(*name)(unsigned int), unsigned int nr)
{
	for (unsigned int i = 0; word && i < nr; i++) {
		const char *candidate = name(i);

		if (candidate && strcmp(candidate, word) == 0)
			return i;
	}
	return 0;
}

static const char *how_name(unsigned int i)
{
	return limits_how_name(i);
}

static const char *bound_name(unsigned int i)
{
	return limits_bound_name(i);
}

static const char *verdict_name(unsigned int i)
{
	return limits_verdict_name(i);
}

static const char *errno_name(unsigned int i)
{
	return i ? text_errno((int)i) : NULL;
}

static const struct limits_probe *find_probe(const char *key, const struct limits_section **section)
{
	const struct limits_section *const *sections = limits_sections();

	for (size_t s = 0; sections[s]; s++) {
		for (size_t i = 0; i < sections[s]->nr; i++) {
			if (strcmp(sections[s]->probes[i].key, key) != 0)
				continue;
			*section = sections[s];
			return &sections[s]->probes[i];
		}
	}
	return NULL;
}

/* A key that this version does not ask about: what the file says of it must do. */
static int adopt_probe(struct json_object *j, struct limits_row *row)
{
	static const char *const words[] = {"key", "section", "question", "how"};
	struct limits_section *section;
	struct limits_probe *probe;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!get_text(j, words[i]))
			return -EBADMSG;
	}
	section = calloc(1, sizeof(*section));
	probe = calloc(1, sizeof(*probe));
	if (!section || !probe) {
		free(section);
		free(probe);
		return -ENOMEM;
	}
	section->name = section->title = get_text(j, "section");
	*probe = (struct limits_probe){
		.key = get_text(j, "key"),
		.question = get_text(j, "question"),
		.unit = get_text(j, "unit"),
		.call = get_text(j, "call"),
		.reference = get_text(j, "reference"),
	};
	section->probes = probe;
	row->section = section;
	row->probe = probe;
	return 0;
}

static void read_points(struct json_object *j, struct limits_row *row)
{
	struct limits_answer *a = &row->answer;
	struct json_object *points = NULL;
	size_t nr;

	json_object_object_get_ex(j, "points", &points);
	if (!json_object_is_type(points, json_type_array))
		return;
	nr = json_object_array_length(points);
	for (size_t i = 0; i < nr && i < LIMITS_MAX_POINTS; i++) {
		struct json_object *point = json_object_array_get_idx(points, i);
		struct limits_point *p = &a->points[a->nr_points];

		if (!get_number(point, "at", &p->at))
			continue;
		for (size_t c = 0; c < LIMITS_MAX_COLUMNS && row->probe->columns[c]; c++)
			get_number(point, row->probe->columns[c], &p->y[c]);
		a->nr_points++;
	}
}

static int read_row(struct json_object *j, struct limits_row *row)
{
	const char *key = get_text(j, "key"), *note = get_text(j, "note");
	struct limits_answer *a = &row->answer;

	if (!key)
		return -EBADMSG;
	row->probe = find_probe(key, &row->section);
	if (!row->probe) {
		int err = adopt_probe(j, row);

		if (err)
			return err;
	}
	a->has_value = get_number(j, "value", &a->value);
	a->how = find_word(get_text(j, "how"), how_name, LIMITS_LATE + 1);
	a->bound_by = find_word(get_text(j, "bound_by"), bound_name, LIMITS_BY_PROBE + 1);
	a->verdict = find_word(get_text(j, "verdict"), verdict_name, LIMITS_HOLDS_NOT + 1);
	a->errno_past = (int)find_word(get_text(j, "errno_past"), errno_name, 4096);
	snprintf(a->note, sizeof(a->note), "%s", note ? note : "");
	read_points(j, row);
	return 0;
}

static int read_rows(struct json_object *doc, const char *list, struct limits_report *report)
{
	struct json_object *rows = NULL;
	struct limits_row *grown;
	size_t nr;

	json_object_object_get_ex(doc, list, &rows);
	if (!json_object_is_type(rows, json_type_array))
		return -EBADMSG;
	nr = json_object_array_length(rows);
	grown = realloc(report->rows, (report->nr + nr + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	report->rows = grown;
	for (size_t i = 0; i < nr; i++) {
		int err;

		report->rows[report->nr] = (struct limits_row){0};
		err = read_row(json_object_array_get_idx(rows, i), &report->rows[report->nr]);
		if (err)
			return err;
		report->nr++;
	}
	return 0;
}

static int read_document(struct json_object *doc, struct limits_report *report)
{
	const char *schema = get_text(doc, "schema"), *kernel = get_text(doc, "kernel");
	int err;

	if (!schema || strcmp(schema, SCHEMA) != 0 || !kernel)
		return -EBADMSG;
	snprintf(report->kernel, sizeof(report->kernel), "%s", kernel);
	get_number(doc, "at_ns", &report->at_ns);
	get_number(doc, "wall_ns", &report->wall_ns);
	get_number(doc, "uid", &report->uid);
	report->has_memlock = get_number(doc, "memlock_bytes", &report->memlock_bytes);
	get_number(doc, "max_memory_bytes", &report->max_bytes);
	err = read_rows(doc, "limits", report);
	return err ? err : read_rows(doc, "costs", report);
}

int limits_report_read(struct limits_report *report, const char *path)
{
	FILE *f = fopen(path, "re");
	int err;

	if (!f)
		return -errno;
	report->document = json_object_from_fd(fileno(f));
	fclose(f);
	if (!report->document)
		return -EBADMSG;
	err = read_document(report->document, report);
	if (err)
		limits_report_done(report);
	return err;
}

void limits_report_done(struct limits_report *report)
{
	for (size_t i = 0; i < report->nr; i++) {
		const struct limits_section *section = NULL;

		if (find_probe(report->rows[i].probe->key, &section))
			continue;
		free((void *)report->rows[i].probe);
		free((void *)report->rows[i].section);
	}
	free(report->rows);
	json_object_put(report->document);
	*report = (struct limits_report){0};
}
