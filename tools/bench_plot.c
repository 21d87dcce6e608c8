// SPDX-License-Identifier: MIT
/*
 * Which curves of a bench belong into one picture? By queue depth and by size where these were
 * measured; of each other case the rounds one after the other, so that the noise is seen.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench_plot.h"
#include "plot.h"

#define MAX_PANELS 24u

struct family {
	const char *title, *axis;
	enum plot_unit unit;
	const char *cases[3]; /* by ascending x */
};

static const struct family families[] = {
	{"Reads of 4 KiB, by queue depth",
	 "operations in flight",
	 PLOT_NUMBER,
	 {"file.4K.qd1", "file.4K.qd32", "file.4K.qd128"}},
	{"Reads, by size", "bytes", PLOT_BYTES, {"file.4K.qd32", "file.64K.qd32", "file.1M.qd4"}},
};

struct picture {
	const struct bench_table *tables;
	size_t nr_tables;
	struct plot plots[MAX_PANELS];
	struct plot_series series[MAX_PANELS][BENCH_MAX_STRATEGIES];
	struct plot_point points[MAX_PANELS][BENCH_MAX_STRATEGIES][BENCH_MAX_ROUNDS];
	size_t nr;
};

static const struct bench_table *table_of(const struct picture *pic, const char *key)
{
	for (size_t i = 0; i < pic->nr_tables; i++) {
		if (strcmp(pic->tables[i].work->key, key) == 0)
			return &pic->tables[i];
	}
	return NULL;
}

/* By hand only the baseline: what stands beside the others is in the table. */
static bool is_drawn(const struct bench_row *row)
{
	return !row->err && (row->strategy->kind >= 0 || row->strategy->hand == HAND_PLAIN);
}

static void add_point(struct picture *pic, size_t s, const struct bench_row *row,
		      struct plot_point point)
{
	struct plot_series *series = &pic->series[pic->nr][s];

	series->name = row->strategy->key;
	series->points = pic->points[pic->nr][s];
	pic->points[pic->nr][s][series->nr++] = point;
}

static void add_family_case(struct picture *pic, const struct bench_table *table,
			    enum plot_unit unit)
{
	size_t s = 0;

	for (size_t i = 0; i < table->nr; i++) {
		const struct bench_row *row = &table->rows[i];
		struct bench_spread cpu = BENCH_FIGURE(row, table->rounds, cpu_ns);

		if (!is_drawn(row))
			continue;
		add_point(pic, s++, row,
			  (struct plot_point){unit == PLOT_BYTES ? table->work->bytes
								 : table->work->depth,
					      cpu.median, cpu.low, cpu.high});
	}
	pic->plots[pic->nr].nr = s > pic->plots[pic->nr].nr ? s : pic->plots[pic->nr].nr;
}

static void end_panel(struct picture *pic, const char *title, const char *axis, enum plot_unit unit)
{
	struct plot *plot = &pic->plots[pic->nr];

	plot->title = title;
	plot->x = (struct plot_axis){axis, unit, unit == PLOT_BYTES};
	plot->y = (struct plot_axis){"CPU time of an operation", PLOT_NS, true};
	plot->series = pic->series[pic->nr++];
}

/* Only with all its cases: else the same strategy would not be the same series. */
static void add_family(struct picture *pic, const struct family *family)
{
	for (size_t i = 0; i < 3; i++) {
		const struct bench_table *table = table_of(pic, family->cases[i]);

		if (!table)
			return;
		for (size_t r = 0; r < table->nr; r++) {
			if (table->rows[r].err)
				return;
		}
	}
	for (size_t i = 0; i < 3; i++)
		add_family_case(pic, table_of(pic, family->cases[i]), family->unit);
	end_panel(pic, family->title, family->axis, family->unit);
}

static void add_rounds(struct picture *pic, const struct bench_table *table)
{
	size_t s = 0;

	for (size_t i = 0; i < table->nr; i++) {
		const struct bench_row *row = &table->rows[i];

		if (!is_drawn(row))
			continue;
		for (uint32_t r = 0; r < table->rounds; r++)
			add_point(pic, s, row,
				  (struct plot_point){.x = r + 1, .y = row->rounds[r].cpu_ns});
		s++;
	}
	pic->plots[pic->nr].nr = s;
	end_panel(pic, table->work->key, "round", PLOT_NUMBER);
}

int bench_plot(FILE *out, const struct bench_table *tables, size_t nr)
{
	struct picture *pic = calloc(1, sizeof(*pic));
	struct plot_page page = {
		.title = "CPU time of an operation, by where its buffer comes from",
		.subtitle = "medians and middle halves; other cases round by round"};

	if (!pic)
		return -ENOMEM;
	pic->tables = tables;
	pic->nr_tables = nr;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		add_family(pic, &families[i]);
	for (size_t i = 0; i < nr && pic->nr < MAX_PANELS; i++) {
		if (tables[i].work->source != BENCH_IDLE)
			add_rounds(pic, &tables[i]);
	}
	page.plots = pic->plots;
	page.nr = pic->nr;
	if (pic->nr)
		plot_svg(out, &page);
	free(pic);
	return page.nr ? 0 : -ENODATA;
}
