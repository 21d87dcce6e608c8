// SPDX-License-Identifier: MIT
/* Which columns are there, what is each called, and where does its content come from? */
#include "fields.h"

#include <stdio.h>
#include <string.h>

#include "condition.h"
#include "names.h"
#include "text.h"

/* ---- rings */

static struct value known_of_ring(const struct field_row *row, __u32 v)
{
	return v == REC_UNKNOWN_U32 ? model_unknown : model_value(&row->ring->span, v);
}

#define RING_NUMBER(name, expression)                                                              \
	static struct value name(const struct field_row *row)                                      \
	{                                                                                          \
		return known_of_ring(row, row->ring->expression);                                  \
	}

RING_NUMBER(tgid, rec.tgid)
RING_NUMBER(tid, rec.tid)
RING_NUMBER(uid, rec.uid)
RING_NUMBER(ordinal, ordinal)
RING_NUMBER(sq_entries, rec.sq_entries)
RING_NUMBER(cq_entries, rec.cq_entries)
RING_NUMBER(sq_head, rec.sq_head)
RING_NUMBER(sq_tail, rec.sq_tail)
RING_NUMBER(cq_head, rec.cq_head)
RING_NUMBER(cq_tail, rec.cq_tail)
RING_NUMBER(cq_overflow, rec.cq_overflow)
RING_NUMBER(sightings, rec.sightings)
RING_NUMBER(nr_groups, rec.nr_groups)
RING_NUMBER(table_entries, rec.table_entries)
RING_NUMBER(table_registered, rec.table_registered)
RING_NUMBER(table_in_flight, rec.table_in_flight)

static struct value table_bytes(const struct field_row *row)
{
	return model_value(&row->ring->span, (double)row->ring->rec.table_bytes);
}

static struct value fd(const struct field_row *row)
{
	if (row->ring->rec.fd < 0)
		return model_unknown;
	return model_value(&row->ring->span, row->ring->rec.fd);
}

static const char *comm(const struct field_row *row, char *out, size_t size)
{
	snprintf(out, size, "%.*s", REC_COMM_LEN, row->ring->rec.comm);
	return out;
}

static const char *print_name(uint32_t number, char *out, size_t size)
{
	const char *text = names_text(number);

	if (!text)
		return NULL;
	snprintf(out, size, "%s", text);
	return out;
}

static const char *table_name(const struct field_row *row, char *out, size_t size)
{
	return print_name(row->ring->rec.table_name, out, size);
}

/* "4711/7", or "4711/-" if no file descriptor shows it. */
static const char *owner(const struct field_row *row, char *out, size_t size)
{
	if (row->ring->rec.fd < 0)
		snprintf(out, size, "%u/-", row->ring->rec.tgid);
	else
		snprintf(out, size, "%u/%d", row->ring->rec.tgid, row->ring->rec.fd);
	return out;
}

/* "3/1024": slots in use and slots, "-" without a table. */
static const char *fixed(const struct field_row *row, char *out, size_t size)
{
	const struct ring_rec *rec = &row->ring->rec;

	if (rec->table_entries == 0 || rec->table_entries == REC_UNKNOWN_U32)
		return NULL;
	if (rec->table_registered == REC_UNKNOWN_U32)
		snprintf(out, size, "?/%u", rec->table_entries);
	else
		snprintf(out, size, "%u/%u", rec->table_registered, rec->table_entries);
	return out;
}

static size_t add_name(char *out, size_t size, size_t used, const char *name)
{
	if (used < size)
		snprintf(out + used, size - used, "%s%s", used ? " " : "", name);
	return used + strlen(out + used);
}

static const char *setup_flags(const struct field_row *row, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned int bit = 0; bit < 32; bit++) {
		const char *name = sample_setup_flag_name(bit);
		char unnamed[16];

		if (!(row->ring->rec.setup_flags >> bit & 1))
			continue;
		snprintf(unnamed, sizeof(unnamed), "%#x", 1U << bit);
		used = add_name(out, size, used, name ? name : unnamed);
	}
	return out;
}

static const char *seen(const struct field_row *row, char *out, size_t size)
{
	static const char *const names[] = {"fd", "registered", "task"};
	size_t used = 0;

	out[0] = '\0';
	for (unsigned int bit = 0; bit < 3; bit++)
		if (row->ring->rec.seen >> bit & 1)
			used = add_name(out, size, used, names[bit]);
	return out;
}

/* ---- groups */

static struct value group_value(const struct field_row *row, double v)
{
	return model_value(&row->group->span, v);
}

static const char *kind(const struct field_row *row, char *out, size_t size)
{
	const char *name = sample_kind_name((enum group_kind)row->group->rec.kind);

	if (!name)
		return NULL;
	snprintf(out, size, "%s", name);
	return out;
}

static const char *name(const struct field_row *row, char *out, size_t size)
{
	return print_name(row->group->rec.name, out, size);
}

static struct value bgid(const struct field_row *row)
{
	return group_value(row, row->group->rec.bgid);
}

/* A legacy group is a list: it has no slots, no head, no tail. */
#define SLOT_NUMBER(name)                                                                          \
	static struct value name(const struct field_row *row)                                      \
	{                                                                                          \
		if (row->group->rec.kind == GROUP_LEGACY)                                          \
			return model_unknown;                                                      \
		return group_value(row, row->group->rec.name);                                     \
	}

SLOT_NUMBER(entries)
SLOT_NUMBER(head)
SLOT_NUMBER(tail)

static struct value available(const struct field_row *row)
{
	return model_available(row->group);
}

static struct value held(const struct field_row *row)
{
	return model_held(row->group);
}

static struct value held_at_least(const struct field_row *row)
{
	const struct group_rec *rec = &row->group->rec;

	if (rec->held != REC_UNKNOWN_U32 || !rec->held_least)
		return model_unknown;
	return group_value(row, rec->held_least - 1);
}

/*
 * Without the ring's memory at hand only a bound is known, and only of a ring not overfilled; with
 * it another, if there are more buffers than slots to remember them.
 */
static const char *held_bound(const struct field_row *row, char *out, size_t size)
{
	const struct group_rec *rec = &row->group->rec;

	if (rec->held == REC_UNKNOWN_U32 && rec->held_least) {
		snprintf(out, size, ">=%u", rec->held_least - 1);
		return out;
	}
	if (rec->held != REC_UNKNOWN_U32 || rec->kind == GROUP_LEGACY ||
	    rec->available > rec->entries)
		return NULL;
	snprintf(out, size, "<=%u", rec->entries - rec->available);
	return out;
}

static struct value buf_bytes(const struct field_row *row)
{
	__u32 bytes = row->group->rec.buf_bytes;

	return bytes == 0 || bytes == REC_UNKNOWN_U32 ? model_unknown : group_value(row, bytes);
}

static struct value mem_bytes(const struct field_row *row)
{
	return group_value(row, (double)row->group->rec.mem_bytes);
}

static struct value raw_flags(const struct field_row *row)
{
	return group_value(row, row->group->rec.raw_flags);
}

static struct value wraps(const struct field_row *row)
{
	return group_value(row, (double)row->group->wraps);
}

#define COUNTER(name, counter)                                                                     \
	static struct value name##_total(const struct field_row *row)                              \
	{                                                                                          \
		return model_total(row->group, counter);                                           \
	}                                                                                          \
	static struct value name##_per_s(const struct field_row *row)                              \
	{                                                                                          \
		return model_rate(row->group, counter);                                            \
	}

COUNTER(taken, COUNT_TAKEN)
COUNTER(returned, COUNT_RETURNED)
COUNTER(selected, COUNT_SELECTED)
COUNTER(starved, COUNT_STARVED)
COUNTER(bytes, COUNT_BYTES)
COUNTER(partial, COUNT_PARTIAL)
COUNTER(mshot_ended, COUNT_MSHOT_ENDED)

#define KBUF_TOTAL(name, counter)                                                                  \
	static struct value kbuf_##name##_total(const struct field_row *row)                       \
	{                                                                                          \
		return model_total(row->group, counter);                                           \
	}

KBUF_TOTAL(picked, COUNT_KBUF_PICKED)
KBUF_TOTAL(starved, COUNT_KBUF_STARVED)
KBUF_TOTAL(taken, COUNT_KBUF_TAKEN)
KBUF_TOTAL(selected, COUNT_KBUF_SELECTED)
KBUF_TOTAL(recycled, COUNT_KBUF_RECYCLED)
KBUF_TOTAL(dropped, COUNT_KBUF_DROPPED)
KBUF_TOTAL(registered, COUNT_KBUF_REGISTERED)
KBUF_TOTAL(unregistered, COUNT_KBUF_UNREGISTERED)

static struct value double_returned_total(const struct field_row *row)
{
	return model_total(row->group, COUNT_DOUBLE_RETURNED);
}

static struct value empty_ns_total(const struct field_row *row)
{
	return model_total(row->group, COUNT_EMPTY_NS);
}

#define GAUGE(name, gauge)                                                                         \
	static struct value name(const struct field_row *row)                                      \
	{                                                                                          \
		return model_gauge(row->group, gauge);                                             \
	}

GAUGE(low_water, GAUGE_LOW_WATER)
GAUGE(hold_p50_ns, GAUGE_HOLD_P50_NS)
GAUGE(hold_p90_ns, GAUGE_HOLD_P90_NS)
GAUGE(hold_p99_ns, GAUGE_HOLD_P99_NS)
GAUGE(hold_max_ns, GAUGE_HOLD_MAX_NS)
GAUGE(stuck, GAUGE_STUCK)
GAUGE(oldest_held_ns, GAUGE_OLDEST_HELD_NS)

static struct value empty_in_ns(const struct field_row *row)
{
	return model_empty_in(row->group);
}

static const char *state(const struct field_row *row, char *out, size_t size)
{
	if (row->group->span.life != LIFE_LIVE)
		return NULL;
	snprintf(out, size, "%s", condition_name(row->group->condition));
	return out;
}

/* "191/256": what the gauge shows in numbers. */
static const char *filled(const struct field_row *row, char *out, size_t size)
{
	const struct group_rec *rec = &row->group->rec;

	if (rec->available == REC_UNKNOWN_U32)
		return NULL;
	if (rec->kind == GROUP_LEGACY)
		snprintf(out, size, "%u/-", rec->available);
	else
		snprintf(out, size, "%u/%u", rec->available, rec->entries);
	return out;
}

/* ---- the registry; its order is that of JSON */

/* An identity or a rate is no metric: those who gather metrics make rates themselves. */
#define METRIC_BY_UNIT(unit_)                                                                      \
	((unit_) == UNIT_NUMBER || (unit_) == UNIT_PER_S ? METRIC_NONE : METRIC_VALUE)

#define NUMBER(name, title_, unit_, help_)                                                         \
	{                                                                                          \
		.key = #name, .title = (title_), .help = (help_), .type = FIELD_GAUGE,             \
		.unit = (unit_), .metric = METRIC_BY_UNIT(unit_), .number = (name)                 \
	}
#define TOTAL(name, title_, unit_, help_)                                                          \
	{                                                                                          \
		.key = #name, .title = (title_), .help = (help_), .type = FIELD_COUNTER,           \
		.unit = (unit_), .metric = METRIC_VALUE, .number = (name)                          \
	}
/* Numbers and texts that tell which row it is (METRIC_KEY) or more of it (METRIC_INFO). */
#define IDENTITY(name, title_, metric_, help_)                                                     \
	{                                                                                          \
		.key = #name, .title = (title_), .help = (help_), .type = FIELD_GAUGE,             \
		.unit = UNIT_NUMBER, .metric = (metric_), .number = (name)                         \
	}
#define LABEL(name, title_, metric_, help_)                                                        \
	{                                                                                          \
		.key = #name, .title = (title_), .help = (help_), .type = FIELD_LABEL,             \
		.metric = (metric_), .text = (name)                                                \
	}
#define NAMES(name, title_, help_)                                                                 \
	{                                                                                          \
		.key = #name, .title = (title_), .help = (help_), .type = FIELD_NAMES,             \
		.metric = METRIC_INFO, .text = (name)                                              \
	}
#define PROCESS                                                                                    \
	{                                                                                          \
		.key = "tgid", .title = "PID", .help = "process that shows the ring",              \
		.type = FIELD_GAUGE, .unit = UNIT_NUMBER, .metric = METRIC_KEY, .label = "pid",    \
		.number = tgid                                                                     \
	}
#define ORDINAL                                                                                    \
	{                                                                                          \
		.key = "ring", .title = "RING",                                                    \
		.help = "small number of the ring within this run", .type = FIELD_GAUGE,           \
		.unit = UNIT_NUMBER, .metric = METRIC_SPARE, .number = ordinal                     \
	}

static const struct field group_fields[] = {
	PROCESS,
	LABEL(comm, "PROCESS", METRIC_KEY, "its name"),
	IDENTITY(fd, "FD", METRIC_KEY, "file descriptor of the ring"),
	ORDINAL,
	IDENTITY(bgid, "BGID", METRIC_KEY, "buffer group id"),
	LABEL(kind, "KIND", METRIC_KEY, "ring, mmap, inc, inc-mmap or legacy"),
	LABEL(name, "NAME", METRIC_INFO, "what the program calls it, by libbufscope"),
	NUMBER(entries, "ENTRIES", UNIT_COUNT, "slots of the buffer ring"),
	NUMBER(head, "HEAD", UNIT_NUMBER, "next slot the kernel takes from, modulo 65536"),
	NUMBER(tail, "TAIL", UNIT_NUMBER, "next slot the program fills, modulo 65536"),
	NUMBER(available, "AVAIL", UNIT_COUNT, "buffers the kernel can pick now"),
	{.key = "held",
	 .title = "HELD",
	 .help = "buffers taken and not yet returned",
	 .type = FIELD_GAUGE,
	 .unit = UNIT_COUNT,
	 .metric = METRIC_VALUE,
	 .number = held,
	 .text = held_bound},
	NUMBER(held_at_least, "HELD>=", UNIT_COUNT, "where held is not known: at least so many"),
	NUMBER(buf_bytes, "BUF", UNIT_BYTES, "size of the largest buffer seen in the ring"),
	NUMBER(mem_bytes, "MEMORY", UNIT_BYTES, "memory of the ring itself, buffers not counted"),
	NUMBER(raw_flags, "FLAGS", UNIT_NUMBER, "flag bits of the kernel that are not understood"),
	TOTAL(taken_total, "TAKEN", UNIT_COUNT, "buffers that left the group"),
	TOTAL(returned_total, "RETURNED", UNIT_COUNT, "buffers put into the group, first fill too"),
	TOTAL(starved_total, "STARVED", UNIT_COUNT, "requests that ended with ENOBUFS"),
	TOTAL(selected_total, "SELECTED", UNIT_COUNT, "completions that named a buffer"),
	TOTAL(bytes_total, "BYTES", UNIT_BYTES, "sum of the results of these"),
	TOTAL(partial_total, "PARTIAL", UNIT_COUNT, "of these: the buffer stayed in use"),
	TOTAL(mshot_ended_total, "MSHOT-END", UNIT_COUNT, "multishot requests that ended"),
	TOTAL(double_returned_total, "TWICE", UNIT_COUNT, "returns of what was in the group"),
	NUMBER(low_water, "LOW", UNIT_COUNT, "fewest available ever seen"),
	TOTAL(empty_ns_total, "EMPTY", UNIT_NS, "time without any available"),
	NUMBER(hold_p50_ns, "HOLD50", UNIT_NS, "half of the buffers came back sooner"),
	NUMBER(hold_p90_ns, "HOLD90", UNIT_NS, "nine of ten came back sooner"),
	NUMBER(hold_p99_ns, "HOLD99", UNIT_NS, "99 of 100 came back sooner"),
	NUMBER(hold_max_ns, "HOLDMAX", UNIT_NS, "longest time until a buffer came back"),
	NUMBER(stuck, "STUCK", UNIT_COUNT, "buffers held for too long"),
	NUMBER(oldest_held_ns, "OLDEST", UNIT_NS, "age of the oldest one held"),
	NUMBER(taken_per_s, "TAKE/s", UNIT_PER_S, "buffers taken per second"),
	NUMBER(returned_per_s, "RET/s", UNIT_PER_S, "buffers returned per second"),
	NUMBER(starved_per_s, "STARVE/s", UNIT_PER_S, "requests starved per second"),
	NUMBER(selected_per_s, "SELECT/s", UNIT_PER_S, "completions with a buffer per second"),
	NUMBER(bytes_per_s, "BYTES/s", UNIT_PER_S, "bytes delivered per second"),
	NUMBER(partial_per_s, "PARTIAL/s", UNIT_PER_S, "partial completions per second"),
	NUMBER(mshot_ended_per_s, "MEND/s", UNIT_PER_S, "multishot requests ended per second"),
	NUMBER(empty_in_ns, "EMPTYIN", UNIT_NS, "time until it is empty, while it drains"),
	LABEL(state, "STATE", METRIC_NONE, "idle, calm, tight, leaking or starving"),
	TOTAL(wraps, "WRAPS", UNIT_COUNT,
	      "intervals in which head or tail may have wrapped unseen"),
	TOTAL(kbuf_picked_total, "KPICK", UNIT_COUNT, "times that a request was given a buffer"),
	TOTAL(kbuf_starved_total, "KSTARVE", UNIT_COUNT, "times that a request was given none"),
	TOTAL(kbuf_taken_total, "KTAKEN", UNIT_COUNT, "buffers that left the group"),
	TOTAL(kbuf_selected_total, "KSELECT", UNIT_COUNT,
	      "times that a completion was given buffers"),
	TOTAL(kbuf_recycled_total, "KRECYC", UNIT_COUNT, "picks that were put back unused"),
	TOTAL(kbuf_dropped_total, "KDROP", UNIT_COUNT, "legacy buffers let go of unnamed"),
	TOTAL(kbuf_registered_total, "KREG", UNIT_COUNT, "times that it was registered"),
	TOTAL(kbuf_unregistered_total, "KUNREG", UNIT_COUNT, "times that it was unregistered"),
};

static const struct field ring_fields[] = {
	PROCESS,
	IDENTITY(tid, "TID", METRIC_INFO, "thread that made it, as far as the kernel tells"),
	IDENTITY(uid, "UID", METRIC_INFO, "its user"),
	LABEL(comm, "PROCESS", METRIC_KEY, "its name"),
	IDENTITY(fd, "FD", METRIC_KEY, "file descriptor of the ring"),
	ORDINAL,
	NUMBER(sq_entries, "SQ", UNIT_COUNT, "slots of the submission queue"),
	NUMBER(cq_entries, "CQ", UNIT_COUNT, "slots of the completion queue"),
	NUMBER(sq_head, "SQ-HEAD", UNIT_NUMBER, "submissions the kernel has consumed"),
	NUMBER(sq_tail, "SQ-TAIL", UNIT_NUMBER, "submissions the program has written"),
	NUMBER(cq_head, "CQ-HEAD", UNIT_NUMBER, "completions the program has consumed"),
	NUMBER(cq_tail, "CQ-TAIL", UNIT_NUMBER, "completions the kernel has written"),
	TOTAL(cq_overflow, "OVERFLOW", UNIT_COUNT, "completions that found the queue full"),
	NAMES(setup_flags, "FLAGS", "flags that the ring was set up with"),
	NAMES(seen, "SEEN", "how the ring was found: fd, registered, task"),
	NUMBER(sightings, "FDS", UNIT_COUNT, "file descriptors that show it, over all processes"),
	NUMBER(nr_groups, "GROUPS", UNIT_COUNT, "buffer groups on it, hidden ones too"),
};

static const struct field table_fields[] = {
	{.key = "entries",
	 .title = "SLOTS",
	 .help = "slots of the fixed-buffer table",
	 .type = FIELD_GAUGE,
	 .unit = UNIT_COUNT,
	 .metric = METRIC_VALUE,
	 .number = table_entries},
	{.key = "registered",
	 .title = "FIXED",
	 .help = "slots with a buffer",
	 .type = FIELD_GAUGE,
	 .unit = UNIT_COUNT,
	 .metric = METRIC_VALUE,
	 .number = table_registered},
	{.key = "in_flight",
	 .title = "BUSY",
	 .help = "requests that use one of these now",
	 .type = FIELD_GAUGE,
	 .unit = UNIT_COUNT,
	 .metric = METRIC_VALUE,
	 .number = table_in_flight},
	{.key = "bytes",
	 .title = "PINNED",
	 .help = "memory of these buffers",
	 .type = FIELD_GAUGE,
	 .unit = UNIT_BYTES,
	 .metric = METRIC_VALUE,
	 .number = table_bytes},
	{.key = "name",
	 .title = "NAME",
	 .help = "what the program calls them, by libbufscope",
	 .type = FIELD_LABEL,
	 .metric = METRIC_INFO,
	 .text = table_name},
};

static const struct field eye_fields[] = {
	LABEL(owner, "RING", METRIC_NONE, "process and file descriptor of the ring"),
	LABEL(fixed, "FIXED", METRIC_NONE, "fixed buffers registered, and slots for them"),
	{.key = "filled",
	 .title = "AVAIL/SIZE",
	 .help = "buffers the kernel can pick now, and slots of the ring",
	 .type = FIELD_GAUGE,
	 .text = filled},
};

/* ---- reading the registry */

const struct field *fields_of(enum field_set set, size_t *nr)
{
	static const struct {
		const struct field *fields;
		size_t nr;
	} sets[] = {
		[FIELDS_GROUP] = {group_fields, sizeof(group_fields) / sizeof(group_fields[0])},
		[FIELDS_RING] = {ring_fields, sizeof(ring_fields) / sizeof(ring_fields[0])},
		[FIELDS_TABLE] = {table_fields, sizeof(table_fields) / sizeof(table_fields[0])},
		[FIELDS_EYES] = {eye_fields, sizeof(eye_fields) / sizeof(eye_fields[0])},
	};

	*nr = sets[set].nr;
	return sets[set].fields;
}

const struct field *field_find(enum field_set set, const char *key)
{
	size_t nr;
	const struct field *fields = fields_of(set, &nr);

	for (size_t i = 0; i < nr; i++)
		if (strcmp(fields[i].key, key) == 0)
			return &fields[i];
	return NULL;
}

bool field_is_number(const struct field *field)
{
	return field->type == FIELD_GAUGE || field->type == FIELD_COUNTER;
}

/* As printf would; a screen of 65536 groups has a million of these. */
static void print_decimal(uint64_t value, char *out)
{
	char digits[24];
	size_t nr = 0;

	do
		digits[nr++] = (char)('0' + value % 10);
	while (value /= 10);
	while (nr > 0)
		*out++ = digits[--nr];
	*out = '\0';
}

static void print_number(enum field_unit unit, struct value value, char *out)
{
	const size_t size = FIELD_CELL_MAX - 1; /* the mark of doubt has its place */

	if (unit == UNIT_NUMBER || (unit == UNIT_COUNT && value.v < 100000))
		print_decimal((uint64_t)value.v, out);
	else if (unit == UNIT_BYTES)
		text_bytes(out, size, (uint64_t)value.v);
	else if (unit == UNIT_NS)
		text_span(out, size, (uint64_t)value.v);
	else
		text_count(out, size, value.v);
	if (value.in_doubt)
		strcat(out, "?");
}

char *field_cell(const struct field *field, const struct field_row *row, char *out)
{
	struct value value = field->number ? field->number(row) : model_unknown;
	char raw[FIELD_CELL_MAX];
	const char *text;

	if (value.state != VALUE_UNKNOWN) {
		print_number(field->unit, value, out);
		return out;
	}
	text = field->text ? field->text(row, raw, sizeof(raw)) : NULL;
	if (text)
		return text_escape(out, FIELD_CELL_MAX, text);
	strcpy(out, "-");
	return out;
}
