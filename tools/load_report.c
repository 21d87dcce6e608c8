// SPDX-License-Identifier: MIT
/* What did the workload do, as a table for people and as JSON for programs? */
#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>

#include "../lib/sample.h"
#include "../lib/text.h"
#include "load.h"

/* What is counted and what follows from it; what is no column stands elsewhere in the text. */
struct figures {
	uint64_t selected, partial, taken, returned, starved, mshot_ended, bytes;
	uint64_t head, tail, available, held, armed;
};

static const struct {
	const char *key;
	const char *title;
	size_t offset;
} columns[] = {
	{"selected_total", "SELECTED", offsetof(struct figures, selected)},
	{"partial_total", "PARTIAL", offsetof(struct figures, partial)},
	{"taken_total", "TAKEN", offsetof(struct figures, taken)},
	{"returned_total", "RETURNED", offsetof(struct figures, returned)},
	{"starved_total", "STARVED", offsetof(struct figures, starved)},
	{"mshot_ended_total", "ENDED", offsetof(struct figures, mshot_ended)},
	{"bytes_total", "BYTES", offsetof(struct figures, bytes)},
	{"head", "HEAD", offsetof(struct figures, head)},
	{"tail", "TAIL", offsetof(struct figures, tail)},
	{"available", "AVAIL", offsetof(struct figures, available)},
	{"held", "HELD", offsetof(struct figures, held)},
	{"armed", "ARMED", offsetof(struct figures, armed)},
};

#define NR_COLUMNS (sizeof(columns) / sizeof(columns[0]))
#define NS_PER_S   1000000000.0

static uint64_t value(const struct figures *figures, size_t column)
{
	uint64_t out;

	memcpy(&out, (const char *)figures + columns[column].offset, sizeof(out));
	return out;
}

static void read_figures(const struct load_truth *truth, size_t group, struct figures *out)
{
	struct load_counts counts;

	load_truth_read(&truth->groups[group], &counts);
	*out = (struct figures){
		.selected = counts.selected,
		.partial = counts.partial,
		.taken = counts.taken,
		.returned = counts.returned,
		.starved = counts.starved,
		.mshot_ended = counts.mshot_ended,
		.bytes = counts.bytes,
		.head = (uint16_t)counts.taken,
		.tail = (uint16_t)counts.returned,
		.available = counts.returned - counts.taken,
		.held = truth->opts->buffers - (counts.returned - counts.taken),
		.armed = counts.armed,
	};
}

static uint64_t elapsed(const struct load_truth *truth, uint64_t at_ns, bool final)
{
	uint64_t end = at_ns;

	for (uint32_t i = 0; final && i < truth->nr_rings; i++) {
		if (i == 0 || truth->rings[i].end_ns > end)
			end = truth->rings[i].end_ns;
	}
	return end > truth->start_ns ? end - truth->start_ns : 1;
}

static uint64_t selected_total(const struct load_truth *truth)
{
	size_t nr = (size_t)truth->nr_rings * truth->opts->nr_groups;
	uint64_t sum = 0;

	for (size_t i = 0; i < nr; i++) {
		struct figures figures;

		read_figures(truth, i, &figures);
		sum += figures.selected;
	}
	return sum;
}

/* Buffers that are not in a ring have no head and no tail. */
static bool is_known(const struct load_opts *opts, size_t column)
{
	size_t offset = columns[column].offset;

	return opts->kind != BS_POOL_LEGACY || (offset != offsetof(struct figures, head) &&
						offset != offsetof(struct figures, tail));
}

/* ---- text */

/* Columns that can only be zero for what was asked are left out. */
static bool is_shown(const struct load_opts *opts, size_t column, bool final)
{
	switch (columns[column].offset) {
	case offsetof(struct figures, partial):
		return opts->kind == BS_POOL_INC;
	case offsetof(struct figures, mshot_ended):
		return opts->op->multishot;
	case offsetof(struct figures, armed):
		return opts->wait || !final;
	default:
		return is_known(opts, column);
	}
}

static void measure(const struct load_truth *truth, int *widths)
{
	size_t nr = (size_t)truth->nr_rings * truth->opts->nr_groups;

	for (size_t c = 0; c < NR_COLUMNS; c++)
		widths[c] = (int)strlen(columns[c].title);
	for (size_t i = 0; i < nr; i++) {
		struct figures figures;

		read_figures(truth, i, &figures);
		for (size_t c = 0; c < NR_COLUMNS; c++) {
			int width = snprintf(NULL, 0, "%" PRIu64, value(&figures, c));

			if (width > widths[c])
				widths[c] = width;
		}
	}
}

static void print_extras(FILE *out, const struct load_truth *truth, size_t group)
{
	const struct load_group_truth *g = &truth->groups[group];
	uint16_t bgid = truth->opts->bgids[group % truth->opts->nr_groups];
	struct load_counts counts;
	char text[4][16];

	load_truth_read(g, &counts);
	if (counts.leaked) {
		fprintf(out, "      group %u leaked:", bgid);
		for (uint64_t i = 0; i < counts.leaked; i++)
			fprintf(out, " %u", g->leaked_bids[i]);
		fputc('\n', out);
	}
	if (g->hold.max) {
		fprintf(out, "      group %u held: p50 %s, p90 %s, p99 %s, max %s\n", bgid,
			text_span(text[0], sizeof(text[0]), g->hold.p50),
			text_span(text[1], sizeof(text[1]), g->hold.p90),
			text_span(text[2], sizeof(text[2]), g->hold.p99),
			text_span(text[3], sizeof(text[3]), g->hold.max));
	}
	if (g->is_exhausted)
		fprintf(out, "      group %u ran dry for good\n", bgid);
	if (g->check == CHECK_DIFFERS)
		fprintf(out, "      group %u: the kernel's head differs\n", bgid);
}

static void print_ring(FILE *out, const struct load_truth *truth, uint32_t ring, const int *widths,
		       bool final)
{
	const struct load_opts *opts = truth->opts;

	fprintf(out, "ring %u/%d\n BGID", truth->rings[ring].tgid, truth->rings[ring].fd);
	for (size_t c = 0; c < NR_COLUMNS; c++) {
		if (is_shown(opts, c, final))
			fprintf(out, " %*s", widths[c], columns[c].title);
	}
	fputc('\n', out);
	for (uint32_t i = 0; i < opts->nr_groups; i++) {
		size_t group = (size_t)ring * opts->nr_groups + i;
		struct figures figures;

		read_figures(truth, group, &figures);
		fprintf(out, "%5u", opts->bgids[i]);
		for (size_t c = 0; c < NR_COLUMNS; c++) {
			if (is_shown(opts, c, final))
				fprintf(out, " %*" PRIu64, widths[c], value(&figures, c));
		}
		fputc('\n', out);
		print_extras(out, truth, group);
	}
}

void load_report_text(FILE *out, const struct load_truth *truth, uint64_t at_ns, bool final)
{
	const struct load_opts *opts = truth->opts;
	uint64_t ns = elapsed(truth, at_ns, final);
	uint64_t selected = selected_total(truth);
	int widths[NR_COLUMNS];
	char rate[16], bytes[16];

	fprintf(out, "%s, %s: %u buffers of %s per group, messages of %u bytes\n", opts->op->name,
		load_kind_name(opts->kind), opts->buffers,
		text_bytes(bytes, sizeof(bytes), opts->buf_bytes), opts->message_bytes);
	measure(truth, widths);
	for (uint32_t i = 0; i < truth->nr_rings; i++)
		print_ring(out, truth, i, widths, final);
	fprintf(out, "%" PRIu64 " selected in %.3f s, %s/s\n", selected, (double)ns / NS_PER_S,
		text_count(rate, sizeof(rate), (double)selected * NS_PER_S / (double)ns));
}

/* ---- JSON */

static void print_leaked(FILE *out, const struct load_group_truth *g)
{
	struct load_counts counts;

	load_truth_read(g, &counts);
	fputs(",\"leaked\":[", out);
	for (uint64_t i = 0; i < counts.leaked; i++)
		fprintf(out, "%s%u", i ? "," : "", g->leaked_bids[i]);
	fputc(']', out);
}

static void print_hold(FILE *out, const struct load_opts *opts, const struct load_group_truth *g)
{
	if (!opts->measure_hold || !g->hold.max) {
		fputs(",\"hold_p50_ns\":null,\"hold_p90_ns\":null,\"hold_p99_ns\":null,"
		      "\"hold_max_ns\":null",
		      out);
		return;
	}
	fprintf(out,
		",\"hold_p50_ns\":%" PRIu64 ",\"hold_p90_ns\":%" PRIu64 ",\"hold_p99_ns\":%" PRIu64
		",\"hold_max_ns\":%" PRIu64,
		g->hold.p50, g->hold.p90, g->hold.p99, g->hold.max);
}

static void print_group_json(FILE *out, const struct load_truth *truth, size_t group)
{
	static const char *const checks[] = {"null", "true", "false"};
	const struct load_group_truth *g = &truth->groups[group];
	const struct load_opts *opts = truth->opts;
	size_t ring = group / opts->nr_groups;
	struct figures figures;

	read_figures(truth, group, &figures);
	fprintf(out,
		"{\"tgid\":%u,\"fd\":%d,\"ring\":%zu,\"bgid\":%u,\"kind\":\"%s\",\"entries\":%u,"
		"\"buffers\":%u,\"buf_bytes\":%u",
		truth->rings[ring].tgid, truth->rings[ring].fd, ring,
		opts->bgids[group % opts->nr_groups], load_kind_name(opts->kind),
		truth->rings[ring].slots, opts->buffers, opts->buf_bytes);
	for (size_t c = 0; c < NR_COLUMNS; c++) {
		if (is_known(opts, c))
			fprintf(out, ",\"%s\":%" PRIu64, columns[c].key, value(&figures, c));
		else
			fprintf(out, ",\"%s\":null", columns[c].key);
	}
	print_leaked(out, g);
	print_hold(out, opts, g);
	fprintf(out, ",\"exhausted\":%s,\"head_agrees\":%s}", g->is_exhausted ? "true" : "false",
		checks[g->check]);
}

static void print_ring_json(FILE *out, const struct load_truth *truth, uint32_t ring)
{
	const struct load_ring_truth *r = &truth->rings[ring];
	const char *comma = "";

	fprintf(out,
		"{\"tgid\":%u,\"tid\":%u,\"fd\":%d,\"ring\":%u,\"sq_entries\":%u,\"cq_entries\":%u,"
		"\"setup_flags\":[",
		r->tgid, r->tid, r->fd, ring, r->sq_entries, r->cq_entries);
	for (unsigned int bit = 0; bit < 32; bit++) {
		const char *name = sample_setup_flag_name(bit);

		if (!(r->setup_flags >> bit & 1) || !name)
			continue;
		fprintf(out, "%s\"%s\"", comma, name);
		comma = ",";
	}
	fputs("]}", out);
}

static const char *kernel_release(void)
{
	static struct utsname names;

	/* Made by the kernel's build, it has no quotes, backslashes or control bytes. */
	return uname(&names) == 0 ? names.release : "";
}

void load_report_json(FILE *out, const struct load_truth *truth, uint64_t at_ns, bool final)
{
	size_t nr = (size_t)truth->nr_rings * truth->opts->nr_groups;
	uint64_t ns = elapsed(truth, at_ns, final);
	uint64_t selected = selected_total(truth);

	fprintf(out,
		"{\"schema\":\"bufscope.load/1\",\"kernel\":\"%s\",\"at_ns\":%" PRIu64
		",\"final\":%s,\"op\":\"%s\",\"elapsed_ns\":%" PRIu64 ",\"selected_total\":%" PRIu64
		",\"selected_per_s\":%.0f,\"rings\":[",
		kernel_release(), at_ns, final ? "true" : "false", truth->opts->op->name, ns,
		selected, (double)selected * NS_PER_S / (double)ns);
	for (uint32_t i = 0; i < truth->nr_rings; i++) {
		fputs(i ? "," : "", out);
		print_ring_json(out, truth, i);
	}
	fputs("],\"groups\":[", out);
	for (size_t i = 0; i < nr; i++) {
		fputs(i ? "," : "", out);
		print_group_json(out, truth, i);
	}
	fputs("]}\n", out);
}
