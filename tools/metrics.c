// SPDX-License-Identifier: MIT
/* How is a model written for those who gather metrics from many machines? */
#include "metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fields.h"
#include "../lib/hist.h"
#include "../lib/text.h"
#include "../lib/trace.h"

#define NAME_MAX_BYTES 64
#define LABELS_MAX     4096 /* of one row: no text of a field reaches that, escaped */

const char *metrics_content_type(enum metrics_format format)
{
	return format == METRICS_OPEN ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				      : "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- labels */

struct labels {
	char at[LABELS_MAX];
	size_t used;
};

static void labels_add(struct labels *labels, const char *text, size_t length)
{
	if (labels->used + length >= sizeof(labels->at))
		return;
	memcpy(labels->at + labels->used, text, length);
	labels->used += length;
	labels->at[labels->used] = '\0';
}

/*
 * What the format reserves is escaped as it says; what a terminal would obey, and bytes that are no
 * UTF-8, become \xNN, so that reading the page with eyes is safe.
 */
static void labels_add_escaped(struct labels *labels, const char *raw)
{
	while (*raw) {
		const char *next = raw;
		uint32_t point = text_next(&next);
		char code[8];

		if (point == '\n') {
			labels_add(labels, "\\n", 2);
		} else if (point == '\\' || point == '"') {
			labels_add(labels, point == '"' ? "\\\"" : "\\\\", 2);
		} else if (point != TEXT_INVALID && !text_is_harmful(point)) {
			labels_add(labels, raw, (size_t)(next - raw));
		} else {
			for (; raw < next; raw++) {
				snprintf(code, sizeof(code), "\\\\x%02x", (unsigned char)*raw);
				labels_add(labels, code, strlen(code));
			}
		}
		raw = next;
	}
}

static void labels_add_pair(struct labels *labels, const char *name, const char *value)
{
	labels_add(labels, labels->used ? "," : "{", 1);
	labels_add(labels, name, strlen(name));
	labels_add(labels, "=\"", 2);
	labels_add_escaped(labels, value);
	labels_add(labels, "\"", 1);
}

/* False: what this field says of the row is not known. */
static bool labels_add_field(struct labels *labels, const struct field *field,
			     const struct field_row *row)
{
	const char *name = field->label ? field->label : field->key;
	struct value value = field->number ? field->number(row) : model_unknown;
	char raw[FIELD_CELL_MAX];
	const char *text = NULL;

	if (value.state != VALUE_UNKNOWN) {
		snprintf(raw, sizeof(raw), "%" PRIu64, (uint64_t)value.v);
		text = raw;
	} else if (field->text) {
		text = field->text(row, raw, sizeof(raw));
	}
	/* An empty label is the same as none. */
	if (text && *text)
		labels_add_pair(labels, name, text);
	return text != NULL;
}

/* Adds what tells of a row which one it is, or (METRIC_INFO) what else it is. How many there were.
 */
static size_t labels_add_row(struct labels *labels, enum field_set set, const struct field_row *row,
			     enum field_metric metric)
{
	bool was_known = true;
	size_t nr, added = 0;
	const struct field *fields = fields_of(set, &nr);

	for (size_t i = 0; i < nr; i++) {
		enum field_metric kind = fields[i].metric;

		if (kind == METRIC_SPARE && metric == METRIC_KEY)
			kind = was_known ? METRIC_NONE : METRIC_KEY;
		if (kind != metric)
			continue;
		was_known = labels_add_field(labels, &fields[i], row);
		added += was_known;
	}
	return added;
}

static void labels_end(struct labels *labels)
{
	if (labels->used)
		labels_add(labels, "}", 1);
}

/* ---- rows: what is told of, each with its labels made once */

struct row {
	struct field_row fields;
	size_t labels; /* where they begin in the text of all */
};

struct rows {
	enum field_set set; /* that has their keys */
	struct row *at;
	size_t nr, left_out;
	char *text;
	size_t used, room;
};

static int rows_keep_labels(struct rows *rows, const struct labels *labels)
{
	size_t length = labels->used + 1;

	if (rows->used + length > rows->room) {
		size_t room = rows->room * 2 + LABELS_MAX;
		char *text = realloc(rows->text, room);

		if (!text)
			return -ENOMEM;
		rows->text = text;
		rows->room = room;
	}
	memcpy(rows->text + rows->used, labels->at, length);
	rows->used += length;
	return 0;
}

/* There is room in `at`. */
static int rows_add(struct rows *rows, const struct field_row *fields)
{
	struct labels labels = {.used = 0};
	struct row *row = &rows->at[rows->nr];

	row->fields = *fields;
	row->labels = rows->used;
	labels_add_row(&labels, rows->set, fields, METRIC_KEY);
	labels_end(&labels);
	rows->nr++;
	return rows_keep_labels(rows, &labels);
}

static int rows_begin(struct rows *rows, enum field_set set, size_t most)
{
	memset(rows, 0, sizeof(*rows));
	rows->set = set;
	rows->at = calloc(most + 1, sizeof(*rows->at));
	return rows->at ? 0 : -ENOMEM;
}

static void rows_done(struct rows *rows)
{
	free(rows->at);
	free(rows->text);
}

static int rows_add_within(struct rows *rows, const struct field_row *fields, size_t limit)
{
	if (rows->nr < limit)
		return rows_add(rows, fields);
	rows->left_out++;
	return 0;
}

/* ---- a page */

struct page {
	FILE *file;
	const struct model *model;
	const struct metrics_opts *opts;
	struct rows rings, groups;
};

/*
 * A descriptor may be closed and given to another ring while they are looked for: two rings would
 * have the same labels, which nobody who gathers metrics accepts. The first stands.
 */
static bool is_told(const struct rows *rings, const struct model_ring *ring)
{
	const struct ring_rec *last = rings->nr ? &rings->at[rings->nr - 1].fields.ring->rec : NULL;

	return last && ring->rec.fd >= 0 && last->fd == ring->rec.fd &&
	       last->tgid == ring->rec.tgid;
}

static int gather_groups(struct page *page, const struct model_ring *ring, size_t limit)
{
	struct field_row row = {.ring = ring};
	int err = 0;

	for (size_t i = 0; i < ring->nr_groups && !err; i++) {
		row.group = ring->groups[i];
		if (row.group->span.life == LIFE_LIVE)
			err = rows_add_within(&page->groups, &row, limit);
	}
	return err;
}

static int gather_rows(struct page *page)
{
	const struct model *model = page->model;
	size_t limit = page->opts->limit;
	int err = rows_begin(&page->rings, FIELDS_RING,
			     model->live_rings < limit ? model->live_rings : limit);

	if (!err)
		err = rows_begin(&page->groups, FIELDS_GROUP,
				 model->live_groups < limit ? model->live_groups : limit);
	for (size_t i = 0; i < model->nr_rings && !err; i++) {
		struct field_row row = {.ring = model->rings[i]};
		bool stands_twice;

		if (row.ring->span.life != LIFE_LIVE)
			continue;
		stands_twice = is_told(&page->rings, row.ring);
		err = rows_add_within(&page->rings, &row, stands_twice ? 0 : limit);
		if (!err)
			err = gather_groups(page, row.ring, stands_twice ? 0 : limit);
	}
	return err;
}

/* ---- families: all samples of one stand together, behind what it is */

enum type {
	TYPE_GAUGE,
	TYPE_COUNTER,
	TYPE_INFO,
	TYPE_HISTOGRAM,
};

struct family {
	const char *name; /* without what its type adds */
	enum type type;
	enum field_unit unit;
	const char *help;
	bool has_begun;
};

static const char *suffix_of(enum type type)
{
	static const char *const suffixes[] = {
		[TYPE_GAUGE] = "",
		[TYPE_COUNTER] = "_total",
		[TYPE_INFO] = "_info",
		[TYPE_HISTOGRAM] = "_bucket",
	};

	return suffixes[type];
}

/* Before the first sample: a family without any is not there. */
static void begin_family(const struct page *page, struct family *family)
{
	static const char *const types[] = {"gauge", "counter", "info", "histogram"};
	bool is_open = page->opts->format == METRICS_OPEN;
	/* The older format knows no info, and takes each sample's name for that of its family. */
	enum type type = !is_open && family->type == TYPE_INFO ? TYPE_GAUGE : family->type;
	const char *suffix = is_open || type == TYPE_HISTOGRAM ? "" : suffix_of(family->type);

	if (family->has_begun)
		return;
	family->has_begun = true;
	fprintf(page->file, "# HELP %s%s %s\n", family->name, suffix, family->help);
	fprintf(page->file, "# TYPE %s%s %s\n", family->name, suffix, types[type]);
	if (is_open && family->unit == UNIT_NS)
		fprintf(page->file, "# UNIT %s seconds\n", family->name);
	else if (is_open && family->unit == UNIT_BYTES)
		fprintf(page->file, "# UNIT %s bytes\n", family->name);
}

/* Nanoseconds become seconds without a loss. Returns out. */
static const char *print_seconds(uint64_t ns, char out[40])
{
	int length = snprintf(out, 40, "%" PRIu64 ".%09" PRIu64, ns / 1000000000, ns % 1000000000);

	while (out[length - 1] == '0')
		out[--length] = '\0';
	if (out[length - 1] == '.')
		out[--length] = '\0';
	return out;
}

/* Of labels and value; with `more` before the end of the labels, or NULL. */
static void put_line(const struct page *page, const struct family *family, const char *labels,
		     const char *more)
{
	int length = (int)strlen(labels) - (more ? 1 : 0);

	fputs(family->name, page->file);
	fputs(suffix_of(family->type), page->file);
	fprintf(page->file, "%.*s%s%s", length, labels, more ? more : "", more ? "}" : "");
}

static void put_sample(const struct page *page, struct family *family, const char *labels,
		       uint64_t value)
{
	char seconds[40];

	begin_family(page, family);
	put_line(page, family, labels, NULL);
	if (family->unit == UNIT_NS)
		fprintf(page->file, " %s\n", print_seconds(value, seconds));
	else
		fprintf(page->file, " %" PRIu64 "\n", value);
}

/* A count of its own for each `more`, which begins with a comma. */
static void put_part(const struct page *page, struct family *family, const char *labels,
		     const char *more, uint64_t value)
{
	begin_family(page, family);
	put_line(page, family, labels, more);
	fprintf(page->file, " %" PRIu64 "\n", value);
}

/* The name of a family: the key, with the unit that metrics are in. */
static const char *name_family(const char *subject, const struct field *field, char *out)
{
	size_t length = strlen(field->key);
	static const char total[] = "_total", ns[] = "_ns";
	const char *unit = "";

	if (length >= sizeof(total) && strcmp(field->key + length + 1 - sizeof(total), total) == 0)
		length -= sizeof(total) - 1;
	if (field->unit == UNIT_NS && length >= sizeof(ns)) {
		length -= sizeof(ns) - 1;
		unit = "_seconds";
	}
	snprintf(out, NAME_MAX_BYTES, "bufscope_%s_%.*s%s", subject, (int)length, field->key, unit);
	return out;
}

static const char *labels_of(const struct rows *rows, size_t i)
{
	return rows->text + rows->at[i].labels;
}

/* A ring without a table of fixed buffers has nothing to tell of it. */
static bool is_there(enum field_set set, const struct field_row *row)
{
	__u32 entries = row->ring->rec.table_entries;

	return set != FIELDS_TABLE || (entries > 0 && entries != REC_UNKNOWN_U32);
}

static void put_family(const struct page *page, const struct rows *rows, struct family *family,
		       const struct field *field, enum field_set set)
{
	for (size_t i = 0; i < rows->nr; i++) {
		struct value value = field->number(&rows->at[i].fields);

		if (value.state == VALUE_KNOWN && is_there(set, &rows->at[i].fields))
			put_sample(page, family, labels_of(rows, i), (uint64_t)value.v);
	}
}

/* What a row is besides its key, said once: to be joined by whoever wants it. */
static void put_info(const struct page *page, const struct rows *rows, enum field_set set,
		     struct family *family)
{
	for (size_t i = 0; i < rows->nr; i++) {
		struct labels labels = {.used = 0};

		if (!is_there(set, &rows->at[i].fields))
			continue;
		labels_add_row(&labels, rows->set, &rows->at[i].fields, METRIC_KEY);
		if (labels_add_row(&labels, set, &rows->at[i].fields, METRIC_INFO) == 0)
			continue;
		labels_end(&labels);
		put_sample(page, family, labels.at, 1);
	}
}

static void put_set(const struct page *page, const struct rows *rows, enum field_set set,
		    const char *subject)
{
	char name[NAME_MAX_BYTES];
	struct family info = {name, TYPE_INFO, UNIT_COUNT, "what else is known of it", false};
	size_t nr;
	const struct field *fields = fields_of(set, &nr);

	snprintf(name, sizeof(name), "bufscope_%s", subject);
	put_info(page, rows, set, &info);
	for (size_t i = 0; i < nr; i++) {
		const struct field *field = &fields[i];
		struct family family = {.unit = field->unit, .help = field->help};

		if (field->metric != METRIC_VALUE)
			continue;
		family.type = field->type == FIELD_COUNTER ? TYPE_COUNTER : TYPE_GAUGE;
		family.name = name_family(subject, field, name);
		put_family(page, rows, &family, field, set);
	}
}

/* ---- what full accounting knows besides */

/* Whether the ledger is there is seen by its first buffer. */
static bool read_detail(const struct page *page, const struct row *row,
			struct observe_detail *detail, struct bid_state *first)
{
	const struct metrics_opts *opts = page->opts;

	memset(detail, 0, sizeof(*detail));
	detail->bids = first;
	detail->max = 1;
	return opts->detail && opts->detail(opts->context, &row->fields.group->rec, detail) == 0;
}

/* Each bucket has all that is below its end. These are each four times the one before. */
#define FIRST_END  5 /* 1.024 us: hist_start_ns() is a power of two at each fourth */
#define ENDS_APART 8

static void put_holds_of(const struct page *page, struct family *family, const char *labels,
			 const uint32_t hold[HOLD_BUCKETS])
{
	char seconds[40], more[64];
	uint64_t below = 0;

	for (unsigned int i = 0; i < HOLD_BUCKETS; i++) {
		bool is_end = i >= FIRST_END && (i - FIRST_END) % ENDS_APART == 0;

		if (is_end && hist_start_ns(i) < UINT64_C(100000000000)) {
			print_seconds(hist_start_ns(i), seconds);
			snprintf(more, sizeof(more), ",le=\"%s\"", seconds);
			put_part(page, family, labels, more, below);
		}
		below += hold[i];
	}
	put_part(page, family, labels, ",le=\"+Inf\"", below);
}

static void put_holds(const struct page *page)
{
	struct family family = {"bufscope_group_hold_seconds", TYPE_HISTOGRAM, UNIT_NS,
				"how long buffers were held until they came back", false};
	struct observe_detail detail;
	struct bid_state first;

	for (size_t i = 0; i < page->groups.nr; i++)
		if (read_detail(page, &page->groups.at[i], &detail, &first) && detail.nr > 0)
			put_holds_of(page, &family, labels_of(&page->groups, i), detail.hold);
}

static void put_causes(const struct page *page)
{
	struct family family = {"bufscope_group_starved_by_cause", TYPE_COUNTER, UNIT_COUNT,
				"requests that ended with ENOBUFS, by what was seen at that moment",
				false};
	struct observe_detail detail;
	struct bid_state first;
	char more[64];

	for (size_t i = 0; i < page->groups.nr; i++) {
		if (!read_detail(page, &page->groups.at[i], &detail, &first))
			continue;
		for (int c = 0; c < STARVE_CAUSES; c++) {
			if (!detail.causes[c])
				continue;
			snprintf(more, sizeof(more), ",cause=\"%s\"",
				 trace_cause_name((enum starve_cause)c));
			put_part(page, &family, labels_of(&page->groups, i), more,
				 detail.causes[c]);
		}
	}
}

/* ---- what is told of the whole */

static const char *depth_of(enum sample_backend backend)
{
	static const char *const depths[] = {
		[BACKEND_ITER] = "snapshot",
		[BACKEND_ITER_TICK] = "light",
		[BACKEND_ITER_TP] = "full",
		[BACKEND_ITER_TP_KBUF] = "full",
	};

	return depths[backend];
}

static void put_program(const struct page *page)
{
	struct family build = {"bufscope_build", TYPE_INFO, UNIT_COUNT,
			       "the program, and the kernel that it looks at", false};
	struct family watch = {"bufscope_watch", TYPE_INFO, UNIT_COUNT,
			       "what the numbers rest on: snapshots, light or full accounting",
			       false};
	struct labels labels = {.used = 0};

	labels_add_pair(&labels, "version", page->opts->version);
	labels_add_pair(&labels, "kernel", page->opts->kernel);
	labels_end(&labels);
	put_sample(page, &build, labels.at, 1);
	labels.used = 0;
	labels_add_pair(&labels, "depth", depth_of(page->model->backend));
	labels_add_pair(&labels, "backend", sample_backend_name(page->model->backend));
	labels_end(&labels);
	put_sample(page, &watch, labels.at, 1);
}

static void put_what(const struct page *page, struct family *family, const char *what,
		     uint64_t value)
{
	struct labels labels = {.used = 0};

	labels_add_pair(&labels, "what", what);
	labels_end(&labels);
	put_sample(page, family, labels.at, value);
}

static void put_sums(const struct page *page)
{
	const struct model *model = page->model;
	struct family rings = {"bufscope_rings", TYPE_GAUGE, UNIT_COUNT,
			       "rings that there are, told of or not", false};
	struct family groups = {"bufscope_groups", TYPE_GAUGE, UNIT_COUNT,
				"buffer groups that there are, told of or not", false};
	struct family left_out = {"bufscope_left_out", TYPE_GAUGE, UNIT_COUNT,
				  "of these: not told of, for they are too many", false};
	struct family lost = {"bufscope_lost", TYPE_COUNTER, UNIT_COUNT,
			      "what could not be seen or told apart since the start, by what",
			      false};

	put_sample(page, &rings, "", model->live_rings);
	put_sample(page, &groups, "", model->live_groups);
	put_what(page, &left_out, "rings", page->rings.left_out);
	put_what(page, &left_out, "groups", page->groups.left_out);
	for (enum sample_loss loss = 0; loss < LOSS_MAX; loss++)
		if (sample_can_lose(loss, model->backend))
			put_what(page, &lost, sample_loss_name(loss), model->losses[loss]);
	put_what(page, &lost, "wraps", model->wraps);
}

static void put_self(const struct page *page, const struct metrics_self *self)
{
	const struct {
		struct family family;
		uint64_t value;
	} all[] = {
		{{"bufscope_look_seconds", TYPE_GAUGE, UNIT_NS, "what the last look took", false},
		 self->look_ns},
		{{"bufscope_looks", TYPE_COUNTER, UNIT_COUNT, "looks at the kernel", false},
		 self->looks},
		{{"bufscope_scrapes", TYPE_COUNTER, UNIT_COUNT, "answers with metrics", false},
		 self->scrapes},
		{{"process_cpu_seconds", TYPE_COUNTER, UNIT_NS, "processor time of bufscope itself",
		  false},
		 self->cpu_ns},
		{{"process_resident_memory_bytes", TYPE_GAUGE, UNIT_BYTES,
		  "memory of bufscope itself", false},
		 self->resident_bytes},
		{{"process_start_time_seconds", TYPE_GAUGE, UNIT_NS,
		  "when bufscope was started, since 1970", false},
		 self->started_ns},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct family family = all[i].family;

		put_sample(page, &family, "", all[i].value);
	}
}

int metrics_write(FILE *file, const struct model *model, const struct metrics_opts *opts)
{
	struct page page = {.file = file, .model = model, .opts = opts};
	int err = gather_rows(&page);

	if (!err) {
		put_program(&page);
		put_sums(&page);
		put_set(&page, &page.rings, FIELDS_RING, "ring");
		put_set(&page, &page.rings, FIELDS_TABLE, "table");
		put_set(&page, &page.groups, FIELDS_GROUP, "group");
		put_causes(&page);
		put_holds(&page);
		if (opts->self)
			put_self(&page, opts->self);
		if (opts->format == METRICS_OPEN)
			fputs("# EOF\n", file);
	}
	rows_done(&page.rings);
	rows_done(&page.groups);
	return err;
}
