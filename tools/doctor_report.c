// SPDX-License-Identifier: MIT
/* A report for people, who may have been woken by it. */
#include <inttypes.h>
#include <string.h>

#include "../lib/text.h"
#include "doctor.h"

#define COLUMNS     78
#define INDENT      12
#define MOST_PLACES 3 /* of one complaint that are told in full */

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

/* In one piece, however long: it will be copied. */
static void put_link(FILE *file, const char *address)
{
	fprintf(file, "  %-*s%s\n", INDENT - 2, "see", address);
}

/* "  text", wrapped. */
static void put_item(FILE *file, const char *text)
{
	const char *rest = text;

	for (const char *lead = "  "; *rest; lead = "    ") {
		const char *line = rest;
		size_t bytes = text_wrap(&rest, COLUMNS - 4);

		fprintf(file, "%s%.*s\n", lead, (int)bytes, line);
	}
}

static const char *plural(uint64_t nr)
{
	return nr == 1 ? "" : "s";
}

/* ---- findings */

static void name_place(char *text, size_t size, const struct doctor_entry *entry)
{
	size_t used = 0;

	text[0] = '\0';
	if (entry->tgid)
		used += (size_t)snprintf(text, size, "process %u", entry->tgid);
	if (entry->comm[0])
		used += (size_t)snprintf(text + used, size - used, "%s(%s)", used ? " " : "",
					 entry->comm);
	if (entry->fd >= 0)
		used += (size_t)snprintf(text + used, size - used, "%sring fd %d", used ? ", " : "",
					 entry->fd);
	if (entry->bgid != REC_UNKNOWN_U32)
		snprintf(text + used, size - used, "%sgroup %u", used ? ", " : "", entry->bgid);
}

static void put_place(FILE *file, const struct doctor_entry *entry)
{
	char where[160];

	name_place(where, sizeof(where), entry);
	if (where[0])
		put_part(file, "where", where);
	put_part(file, "evidence", entry->evidence);
	if (entry->size[0])
		put_part(file, "size", entry->size);
}

static void put_title(FILE *file, const struct doctor_entry *entry)
{
	const char *title = entry->complaint < 0 ? NULL : complaint_texts[entry->complaint].title;
	char code[128];

	fprintf(file, "%s %s (%s%s)%s%s\n", severity_name(entry->severity),
		text_escape(code, sizeof(code), entry->code), confidence_name(entry->confidence),
		entry->since == SINCE_NEW      ? "; new"
		: entry->since == SINCE_BEFORE ? "; as before"
					       : "",
		title ? ": " : "", title ? title : "");
}

static bool is_together(const struct doctor_entry *a, const struct doctor_entry *b)
{
	return strcmp(a->code, b->code) == 0 && a->since == b->since &&
	       a->confidence == b->confidence;
}

/* Those that differ in their place alone, as one. Returns how many they are. */
static size_t put_findings(FILE *file, const struct doctor_list *list, size_t from)
{
	const struct doctor_entry *first = &list->at[from];
	size_t nr = 1;

	while (from + nr < list->nr && is_together(first, first + nr))
		nr++;
	fputc('\n', file);
	put_title(file, first);
	for (size_t i = 0; i < nr && i < MOST_PLACES; i++)
		put_place(file, first + i);
	if (nr > MOST_PLACES)
		fprintf(file, "  %-*sthe same of %zu more group%s (-j lists all)\n", INDENT - 2,
			"and", nr - MOST_PLACES, plural(nr - MOST_PLACES));
	if (first->complaint < 0)
		return nr;
	put_part(file, "cause", complaint_texts[first->complaint].cause);
	put_part(file, "change", complaint_texts[first->complaint].cure);
	if (complaint_texts[first->complaint].reference)
		put_link(file, complaint_texts[first->complaint].reference);
	return nr;
}

static void put_gone(FILE *file, const struct doctor_list *gone)
{
	char where[160];

	if (!gone->nr)
		return;
	fputs("\nno longer found:\n", file);
	for (size_t i = 0; i < gone->nr; i++) {
		fputs("  ", file);
		put_title(file, &gone->at[i]);
		name_place(where, sizeof(where), &gone->at[i]);
		put_part(file, "", where);
		put_part(file, "", gone->at[i].evidence);
	}
}

/* ---- why requests starved */

static void put_causes(FILE *file, const struct shortage *shortage)
{
	for (int i = 0; i < STARVE_CAUSES; i++) {
		if (shortage->causes[i])
			fprintf(file, "  %8" PRIu64 "  %s\n", shortage->causes[i],
				shortage_cause_text((enum starve_cause)i));
	}
	for (int i = 0; i < SHORT_CONTEXTS; i++) {
		if (shortage->contexts[i])
			fprintf(file, "            when empty, %" PRIu64 ": %s\n",
				shortage->contexts[i],
				shortage_context_text((enum shortage_context)i));
	}
}

static void put_starved(FILE *file, const struct casebook *book)
{
	size_t nr = 0, more = 0;

	for (size_t i = 0; i < book->nr_groups; i++) {
		const struct case_group *group = book->groups[i];
		const struct ring_rec *ring = casebook_ring(book, group->ring_id);
		struct doctor_entry entry = {
			.tgid = group->tgid, .fd = ring ? ring->fd : -1, .bgid = group->bgid};
		struct shortage shortage;
		char where[160];

		shortage_of(group, &shortage);
		if (!shortage.starves)
			continue;
		if (++nr > MOST_PLACES) {
			more++;
			continue;
		}
		name_place(where, sizeof(where), &entry);
		fprintf(file, "\nstarved, each under one cause: %" PRIu64 " request%s of %s\n",
			shortage.starves, plural(shortage.starves), where);
		put_causes(file, &shortage);
	}
	if (more)
		fprintf(file, "\nstarved, too: requests of %zu more group%s (-j lists all)\n", more,
			plural(more));
}

/* ---- what could not be seen */

static const char *loss_text(enum sample_loss loss)
{
	static const char *const texts[] = {
		[LOSS_RINGS] = "rings: there are more than there is room for",
		[LOSS_GROUPS] = "groups: there are more than there is room for",
		[LOSS_WALK] = "walks over the kernel's structures: they changed meanwhile",
		[LOSS_UNATTRIBUTED] = "completions with a buffer: they found the queue full, or "
				      "their requests are from before the watch, and no group "
				      "fits",
		[LOSS_GUESSED] = "completions were given to one of several groups that fit: their "
				 "requests are from before the watch",
		[LOSS_ACCOUNTS] = "groups were not counted for want of room",
		[LOSS_LEDGERS] = "groups: which buffers they have, for want of room",
		[LOSS_REQUESTS] = "requests were forgotten for want of room: the files of their "
				  "completions",
		[LOSS_HIDDEN] = "requests take a buffer of a legacy group and complete silently: "
				"which",
		[LOSS_BIDS] = "returns were overwritten before they were read: which buffers",
		[LOSS_CALLS] =
			"calls of the kernel's buffer functions, of which no return was seen",
		[LOSS_PROCESSES] = "processes, and what they started, for want of room: there are "
				   "more than can be followed",
		[LOSS_EVENTS] = "events that the kernel did not deliver: no finding is certain",
	};

	_Static_assert(sizeof(texts) / sizeof(texts[0]) == LOSS_MAX, "each loss has a text");
	return texts[loss];
}

struct blind_writer {
	FILE *file;
	bool any;
};

static void put_unseen(struct blind_writer *to, uint64_t nr, const char *what)
{
	char line[256];

	if (!nr)
		return;
	if (!to->any)
		fputs("\nnot seen:\n", to->file);
	to->any = true;
	snprintf(line, sizeof(line), "%" PRIu64 " %s", nr, what);
	put_item(to->file, line);
}

static void put_groups(struct blind_writer *to, uint64_t nr, const char *what)
{
	char text[200];

	snprintf(text, sizeof(text), "%s %s", nr == 1 ? "group" : "groups", what);
	put_unseen(to, nr, text);
}

static void put_hidden(struct blind_writer *to, bool is_hidden, const char *what)
{
	if (!is_hidden)
		return;
	if (!to->any)
		fputs("\nnot seen:\n", to->file);
	to->any = true;
	put_item(to->file, what);
}

/* Looks are meant to be a tenth of a second apart. */
#define LONG_GAP_NS 500000000ULL

static void put_gap(struct blind_writer *to, uint64_t gap_ns)
{
	char what[192], span[16];

	if (gap_ns < LONG_GAP_NS)
		return;
	snprintf(
		what, sizeof(what),
		"what lay in rings, and which files were open, for up to %s at a time: the machine "
		"was too busy to look more often",
		text_span(span, sizeof(span), gap_ns));
	put_hidden(to, true, what);
}

static void put_blind(FILE *file, const struct doctor_blind *blind, bool has_groups)
{
	struct blind_writer to = {.file = file};

	put_hidden(&to, blind->no_events,
		   "single events: a recording has totals alone, so who took what, why requests "
		   "starved and what lies in the rings is not known");
	put_hidden(&to, blind->no_starves,
		   "starves and hold times: the recording was not made with --full");
	put_unseen(&to, blind->records_lost,
		   "events were lost, they came faster than they were read or booked: where some "
		   "may be missing, leaks, double returns and what was not asked for again were "
		   "not judged, and no finding is certain");
	for (int i = 0; i < LOSS_MAX; i++)
		put_unseen(&to, blind->losses[i], loss_text((enum sample_loss)i));
	put_groups(&to, blind->early_groups,
		   "from before the watch: since when what was lent then was out (of legacy "
		   "groups: what), and the addresses of the rings");
	put_groups(&to, blind->unread_groups,
		   "gone between two looks, or with rings out of reach (some over 256 entries on "
		   "old kernels): what lay in the rings");
	put_groups(&to, blind->legacy_groups,
		   "of the legacy kind: buffers lie in the kernel, where no memory tells of them");
	put_gap(&to, blind->gap_ns);
	put_hidden(&to, blind->maps_unread,
		   "the mappings of some processes (not permitted): whether addresses are valid");
	put_hidden(&to, blind->out_of_memory, "parts of the books, for want of memory");
	if (to.any)
		return;
	fprintf(file, "\nnot seen: nothing; %s\n",
		has_groups ? "every event was followed and every ring read"
			   : "no buffer group was there");
}

/* ---- what to do first */

static uint64_t starves_of(const struct casebook *book, const struct doctor_entry *entry)
{
	for (size_t i = 0; book && i < book->nr_groups; i++) {
		struct shortage shortage;

		if (book->groups[i]->bgid != entry->bgid ||
		    doctor_ring_ordinal(book, book->groups[i]->ring_id) != entry->ring)
			continue;
		shortage_of(book->groups[i], &shortage);
		return shortage.starves;
	}
	return 0;
}

/* The gravest of a group that starves, else the gravest. */
static const struct doctor_entry *first_to_mend(const struct doctor_list *list,
						const struct casebook *book)
{
	for (size_t i = 0; i < list->nr; i++) {
		if (list->at[i].severity != SEVERITY_INFO && starves_of(book, &list->at[i]))
			return &list->at[i];
	}
	return list->nr ? &list->at[0] : NULL;
}

bool doctor_summary(char *text, size_t size, const struct doctor_report *report)
{
	const struct casebook *book = report->consultation ? &report->consultation->book : NULL;
	const struct doctor_entry *entry = first_to_mend(report->now, book);
	const char *cure, *end;
	char where[160], starves[48] = "";
	uint64_t nr;

	if (!entry || entry->complaint < 0)
		return false;
	cure = entry->size[0] ? entry->size : complaint_texts[entry->complaint].cure;
	end = strstr(cure, ". ");
	nr = starves_of(book, entry);
	if (nr)
		snprintf(starves, sizeof(starves), " starves (%" PRIu64 " request%s)", nr,
			 plural(nr));
	name_place(where, sizeof(where), entry);
	snprintf(text, size, "%s%s: %s. %.*s", where, starves,
		 complaint_texts[entry->complaint].title,
		 (int)(end ? (size_t)(end - cure) + 1 : strlen(cure)), cure);
	return true;
}

/* The first line is what is read at three in the morning. */
static void put_summary(FILE *file, const struct doctor_report *report)
{
	char text[1024], safe[1200];
	const char *rest;

	if (!doctor_summary(text, sizeof(text), report))
		return;
	rest = text_escape(safe, sizeof(safe), text);
	while (*rest) {
		const char *line = rest;
		size_t bytes = text_wrap(&rest, COLUMNS);

		fprintf(file, "%.*s\n", (int)bytes, line);
	}
}

/* ---- the whole */

size_t doctor_count_groups(const struct casebook *book)
{
	size_t nr = 0;

	for (size_t i = 0; i < book->nr_groups; i++)
		nr += book->groups[i]->is_sampled || book->groups[i]->sums.entries ||
		      book->groups[i]->sums.provided;
	return nr;
}

static void put_head(FILE *file, const struct doctor_report *report)
{
	const struct consultation *c = report->consultation;
	size_t groups, new = 0;
	char span[16];

	for (size_t i = 0; i < report->now->nr; i++)
		new += report->now->at[i].since == SINCE_NEW;
	if (c) {
		groups = doctor_count_groups(&c->book);
		fprintf(file, "watched %s: %zu ring%s, %zu group%s (%s); ",
			text_span(span, sizeof(span), c->book.ended_ns - c->book.started_ns),
			c->book.nr_rings, plural(c->book.nr_rings), groups, plural(groups),
			sample_backend_name(c->backend));
	}
	fprintf(file, "%zu finding%s", report->now->nr, plural(report->now->nr));
	if (report->gone)
		fprintf(file, ", %zu new, %zu no longer there", new, report->gone->nr);
	fputc('\n', file);
}

void doctor_text(FILE *file, const struct doctor_report *report)
{
	const struct consultation *c = report->consultation;

	put_summary(file, report);
	put_head(file, report);
	for (size_t i = 0; i < report->now->nr;)
		i += put_findings(file, report->now, i);
	if (report->gone)
		put_gone(file, report->gone);
	if (!c)
		return;
	put_starved(file, &c->book);
	put_blind(file, &c->blind, doctor_count_groups(&c->book) > 0);
}

void doctor_explain(FILE *file, int complaint)
{
	const struct complaint_text *text = &complaint_texts[complaint];

	fprintf(file, "%s (%s): %s\n", text->code, severity_name(text->severity), text->title);
	put_part(file, "cause", text->cause);
	put_part(file, "evidence", text->evidence);
	put_part(file, "change", text->cure);
	if (text->reference)
		put_link(file, text->reference);
}
