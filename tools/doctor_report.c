// SPDX-License-Identifier: MIT
/* How are findings told? */
#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>

#include "../lib/text.h"
#include "doctor.h"
#include "json_write.h"

#define COLUMNS 78
#define INDENT  12

/* "  label     text", wrapped. */
static void put_part(FILE *file, const char *label, const char *text)
{
	char safe[1200];
	const char *rest = text_escape(safe, sizeof(safe), text);

	fprintf(file, "  %-*s", INDENT - 2, label);
	for (;;) {
		const char *line = rest;
		size_t bytes = text_wrap(&rest, COLUMNS - INDENT);

		fprintf(file, "%.*s\n", (int)bytes, line);
		if (!*rest)
			return;
		fprintf(file, "%*s", INDENT, "");
	}
}

static uint32_t ordinal_of(const struct casebook *book, uint64_t ring_id)
{
	for (size_t i = 0; i < book->nr_rings; i++) {
		if (book->rings[i].ring_id == ring_id)
			return (uint32_t)i + 1;
	}
	return 0;
}

static void put_where(FILE *file, const struct consultation *c, const struct finding *finding)
{
	const struct ring_rec *ring = casebook_ring(&c->book, finding->ring_id);
	char where[160] = "";
	size_t used = 0;

	if (finding->tgid)
		used += (size_t)snprintf(where, sizeof(where), "process %u", finding->tgid);
	if (ring)
		used += (size_t)snprintf(where + used, sizeof(where) - used, " (%.16s)",
					 ring->comm);
	if (ring && ring->fd >= 0)
		used += (size_t)snprintf(where + used, sizeof(where) - used, ", ring fd %d",
					 ring->fd);
	if (finding->bgid != REC_UNKNOWN_U32)
		snprintf(where + used, sizeof(where) - used, ", group %u", finding->bgid);
	if (where[0])
		put_part(file, "where", where);
}

static void put_finding(FILE *file, const struct consultation *c, const struct finding *finding)
{
	const struct complaint_text *text = &complaint_texts[finding->complaint];

	fprintf(file, "\n%s %s: %s\n", severity_name(text->severity), text->code, text->title);
	put_where(file, c, finding);
	put_part(file, "evidence", finding->evidence);
	put_part(file, "cause", text->cause);
	put_part(file, "change", text->cure);
	if (finding->advice[0])
		put_part(file, "size", finding->advice);
	put_part(file, "sure", confidence_name(finding->confidence));
	if (text->reference)
		put_part(file, "see", text->reference);
}

/* ---- what could not be seen */

static void put_blind(FILE *file, const struct doctor_blind *blind, bool has_groups)
{
	const char *none = "nothing that counts";
	bool any = false;

	fputs("\nnot seen:", file);
	if (blind->records_lost) {
		fprintf(file,
			"\n  %" PRIu64 " events were lost for want of room: no finding is certain",
			blind->records_lost);
		any = true;
	}
	for (int i = 0; i < LOSS_MAX; i++) {
		if (!blind->losses[i])
			continue;
		fprintf(file, "\n  %" PRIu64 " %s", blind->losses[i],
			sample_loss_name((enum sample_loss)i));
		any = true;
	}
	if (blind->early_groups) {
		fprintf(file,
			"\n  %u groups were there before: what they had lent then, and the "
			"addresses of their rings",
			blind->early_groups);
		any = true;
	}
	if (blind->unread_groups) {
		fprintf(file, "\n  the ring memory of %u groups, which came and went between looks",
			blind->unread_groups);
		any = true;
	}
	if (blind->legacy_groups) {
		fprintf(file, "\n  the buffers of %u legacy groups: they are in the kernel alone",
			blind->legacy_groups);
		any = true;
	}
	if (blind->maps_unread) {
		fputs("\n  the mappings of some processes, so that addresses were not compared",
		      file);
		any = true;
	}
	if (blind->out_of_memory) {
		fputs("\n  parts of the books, for want of memory", file);
		any = true;
	}
	if (!has_groups)
		none = "no buffer group was there";
	fprintf(file, "%s%s\n", any ? "" : " ", any ? "" : none);
}

static size_t count_groups(const struct casebook *book)
{
	size_t nr = 0;

	for (size_t i = 0; i < book->nr_groups; i++)
		nr += book->groups[i]->is_sampled || book->groups[i]->entries;
	return nr;
}

void doctor_text(FILE *file, const struct consultation *c)
{
	const struct casebook *book = &c->book;
	size_t groups = count_groups(book);
	char span[16];

	fprintf(file, "watched %s: %zu ring%s, %zu group%s (%s); %zu finding%s\n",
		text_span(span, sizeof(span), book->ended_ns - book->started_ns), book->nr_rings,
		book->nr_rings == 1 ? "" : "s", groups, groups == 1 ? "" : "s",
		sample_backend_name(c->backend), c->diagnosis.nr, c->diagnosis.nr == 1 ? "" : "s");
	for (size_t i = 0; i < c->diagnosis.nr; i++)
		put_finding(file, c, &c->diagnosis.findings[i]);
	put_blind(file, &c->blind, groups > 0);
}

/* ---- JSON */

static void json_finding(struct json *json, const struct consultation *c,
			 const struct finding *finding)
{
	const struct complaint_text *text = &complaint_texts[finding->complaint];
	const struct ring_rec *ring = casebook_ring(&c->book, finding->ring_id);

	json_open(json, NULL, '{');
	json_text(json, "code", text->code);
	json_text(json, "severity", severity_name(text->severity));
	if (finding->tgid)
		json_u64(json, "tgid", finding->tgid);
	else
		json_null(json, "tgid");
	if (ring && ring->fd >= 0)
		json_u64(json, "fd", (uint64_t)ring->fd);
	else
		json_null(json, "fd");
	if (ring)
		json_u64(json, "ring", ordinal_of(&c->book, finding->ring_id));
	else
		json_null(json, "ring");
	if (finding->bgid != REC_UNKNOWN_U32)
		json_u64(json, "bgid", finding->bgid);
	else
		json_null(json, "bgid");
	json_text(json, "evidence", finding->evidence);
	json_text(json, "cause", text->cause);
	json_text(json, "advice", text->cure);
	if (finding->advice[0])
		json_text(json, "size", finding->advice);
	else
		json_null(json, "size");
	json_text(json, "confidence", confidence_name(finding->confidence));
	if (text->reference)
		json_text(json, "reference", text->reference);
	else
		json_null(json, "reference");
	json_close(json, '}');
}

static void json_blind(struct json *json, const struct doctor_blind *blind)
{
	json_open(json, "not_seen", '{');
	json_u64(json, "records_lost", blind->records_lost);
	for (int i = 0; i < LOSS_MAX; i++)
		json_u64(json, sample_loss_name((enum sample_loss)i), blind->losses[i]);
	json_u64(json, "early_groups", blind->early_groups);
	json_u64(json, "unread_groups", blind->unread_groups);
	json_u64(json, "legacy_groups", blind->legacy_groups);
	json_close(json, '}');
}

void doctor_json(FILE *file, const struct consultation *c)
{
	struct json json = {.file = file};
	struct utsname uts = {0};

	uname(&uts);
	json_open(&json, NULL, '{');
	json_text(&json, "schema", "bufscope.doctor/1");
	json_text(&json, "kernel", uts.release);
	json_u64(&json, "at_ns", c->book.ended_ns);
	json_u64(&json, "watched_ns", c->book.ended_ns - c->book.started_ns);
	json_text(&json, "backend", sample_backend_name(c->backend));
	json_u64(&json, "rings", c->book.nr_rings);
	json_u64(&json, "groups", count_groups(&c->book));
	json_open(&json, "findings", '[');
	for (size_t i = 0; i < c->diagnosis.nr; i++)
		json_finding(&json, c, &c->diagnosis.findings[i]);
	json_close(&json, ']');
	json_blind(&json, &c->blind);
	json_close(&json, '}');
	fputc('\n', file);
}

void doctor_explain(FILE *file, int complaint)
{
	const struct complaint_text *text = &complaint_texts[complaint];

	fprintf(file, "%s (%s): %s\n", text->code, severity_name(text->severity), text->title);
	put_part(file, "cause", text->cause);
	put_part(file, "evidence", text->evidence);
	put_part(file, "change", text->cure);
	if (text->reference)
		put_part(file, "see", text->reference);
}
