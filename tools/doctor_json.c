// SPDX-License-Identifier: MIT
/* A report for programs. */
#include <sys/utsname.h>

#include "doctor.h"
#include "json_write.h"
#include "out.h"

static void number_or_null(struct json *json, const char *key, bool is_known, uint64_t value)
{
	if (is_known)
		json_u64(json, key, value);
	else
		json_null(json, key);
}

static void text_or_null(struct json *json, const char *key, const char *text)
{
	if (text && *text)
		json_text(json, key, text);
	else
		json_null(json, key);
}

static void write_entry(struct json *json, const struct doctor_entry *entry)
{
	const struct complaint_text *text =
		entry->complaint < 0 ? NULL : &complaint_texts[entry->complaint];

	json_open(json, NULL, '{');
	json_text(json, "code", entry->code);
	json_text(json, "severity", severity_name(entry->severity));
	number_or_null(json, "tgid", entry->tgid, entry->tgid);
	text_or_null(json, "comm", entry->comm);
	number_or_null(json, "fd", entry->fd >= 0, (uint64_t)entry->fd);
	number_or_null(json, "ring", entry->ring, entry->ring);
	number_or_null(json, "bgid", entry->bgid != REC_UNKNOWN_U32, entry->bgid);
	json_text(json, "evidence", entry->evidence);
	text_or_null(json, "cause", text ? text->cause : NULL);
	text_or_null(json, "advice", text ? text->cure : NULL);
	text_or_null(json, "size", entry->size);
	json_text(json, "confidence", confidence_name(entry->confidence));
	text_or_null(json, "reference", text ? text->reference : NULL);
	if (entry->since != SINCE_UNKNOWN)
		json_boolean(json, "is_new", entry->since == SINCE_NEW);
	json_close(json, '}');
}

static void write_list(struct json *json, const char *key, const struct doctor_list *list)
{
	json_open(json, key, '[');
	for (size_t i = 0; i < list->nr; i++)
		write_entry(json, &list->at[i]);
	json_close(json, ']');
}

/* ---- groups that starved */

static void write_sizing(struct json *json, const struct case_group *group)
{
	struct sizing sizing;

	if (sizing_of(group, &sizing)) {
		json_null(json, "sizing");
		return;
	}
	json_open(json, "sizing", '{');
	json_u64(json, "buffers", sizing.now);
	json_u64(json, "starved", sizing.seen);
	json_u64(json, "replayed", sizing.again);
	json_open(json, "tries", '[');
	for (uint32_t i = 0; i < sizing.nr_tries; i++) {
		json_open(json, NULL, '{');
		json_u64(json, "buffers", sizing.tries[i].buffers);
		json_u64(json, "starved", sizing.tries[i].starves);
		json_close(json, '}');
	}
	json_close(json, ']');
	number_or_null(json, "entries", sizing.entries, sizing.entries);
	number_or_null(json, "peak_out", sizing.entries, sizing.wanted);
	json_u64(json, "spare", sizing.spare);
	json_u64(json, "out_at_starve", sizing.at_starve);
	json_u64(json, "taken_after_it", sizing.after_it);
	json_u64(json, "arrivals_per_100ms", sizing.arrivals);
	json_u64(json, "hold_p50_ns", sizing.hold_p50_ns);
	json_u64(json, "hold_p99_ns", sizing.hold_p99_ns);
	number_or_null(json, "buf_bytes", sizing.buf_bytes, sizing.buf_bytes);
	json_close(json, '}');
}

/* Results of completions by size: each counts those below `below_bytes` and not below half. */
static void write_results(struct json *json, const struct case_group *group)
{
	json_open(json, "results", '[');
	for (int log = 0; log < 33; log++) {
		if (!group->sums.sizes[log])
			continue;
		json_open(json, NULL, '{');
		json_u64(json, "below_bytes", 1ULL << log);
		json_u64(json, "count", group->sums.sizes[log]);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void write_group(struct json *json, const struct casebook *book,
			const struct case_group *group)
{
	const struct ring_rec *ring = casebook_ring(book, group->ring_id);
	struct shortage shortage;

	shortage_of(group, &shortage);
	if (!shortage.starves)
		return;
	json_open(json, NULL, '{');
	number_or_null(json, "tgid", group->tgid, group->tgid);
	number_or_null(json, "fd", ring && ring->fd >= 0, ring ? (uint64_t)ring->fd : 0);
	number_or_null(json, "ring", ring, doctor_ring_ordinal(book, group->ring_id));
	json_u64(json, "bgid", group->bgid);
	json_u64(json, "starved", shortage.starves);
	json_open(json, "causes", '{');
	for (int i = 0; i < STARVE_CAUSES; i++)
		json_u64(json, shortage_cause_key((enum starve_cause)i), shortage.causes[i]);
	json_close(json, '}');
	json_open(json, "contexts", '{');
	for (int i = 0; i < SHORT_CONTEXTS; i++)
		json_u64(json, shortage_context_key((enum shortage_context)i),
			 shortage.contexts[i]);
	json_close(json, '}');
	write_sizing(json, group);
	write_results(json, group);
	json_close(json, '}');
}

static void write_blind(struct json *json, const struct doctor_blind *blind,
			enum sample_backend backend)
{
	json_open(json, "not_seen", '{');
	json_u64(json, "records_lost", blind->records_lost);
	out_losses(json, blind->losses, backend);
	json_u64(json, "early_groups", blind->early_groups);
	json_u64(json, "unread_groups", blind->unread_groups);
	json_u64(json, "legacy_groups", blind->legacy_groups);
	json_u64(json, "longest_gap_ns", blind->gap_ns);
	json_boolean(json, "single_events", blind->no_events);
	json_boolean(json, "starves", blind->no_starves);
	json_close(json, '}');
}

static void write_consultation(struct json *json, const struct consultation *c)
{
	json_u64(json, "at_ns", c->book.ended_ns);
	json_u64(json, "watched_ns", c->book.ended_ns - c->book.started_ns);
	json_text(json, "backend", sample_backend_name(c->backend));
	json_u64(json, "rings", c->book.nr_rings);
	json_u64(json, "groups", doctor_count_groups(&c->book));
	json_open(json, "starved", '[');
	for (size_t i = 0; i < c->book.nr_groups; i++)
		write_group(json, &c->book, c->book.groups[i]);
	json_close(json, ']');
	write_blind(json, &c->blind, c->backend);
}

void doctor_json(FILE *file, const struct doctor_report *report)
{
	struct json json = {.file = file};
	struct utsname uts = {0};
	char summary[1024];

	uname(&uts);
	json_open(&json, NULL, '{');
	json_text(&json, "schema", "bufscope.doctor/1");
	json_text(&json, "kernel", uts.release);
	if (report->consultation)
		write_consultation(&json, report->consultation);
	text_or_null(&json, "summary",
		     doctor_summary(summary, sizeof(summary), report) ? summary : NULL);
	write_list(&json, "findings", report->now);
	if (report->gone)
		write_list(&json, "gone", report->gone);
	json_close(&json, '}');
	fputc('\n', file);
}
