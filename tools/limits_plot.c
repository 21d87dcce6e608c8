// SPDX-License-Identifier: MIT
/* Which curves of a report belong into one picture, and how are they named there? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "limits_report.h"
#include "plot.h"

#define MAX_SERIES 6
#define MAX_PANELS 32

/* A curve's column under a name. */
struct line {
	const char *key;
	const char *column;
	const char *name;
};

struct panel {
	const char *title;
	struct line lines[MAX_SERIES];
};

static const struct panel panels[] = {
	{"Registering a buffer ring",
	 {{"cost.pbuf_ring", "register_ns", "4K pages"},
	  {"cost.pbuf_ring_thp", "register_ns", "huge page"},
	  {"cost.pbuf_ring_hugetlb", "register_ns", "hugetlb"},
	  {"cost.pbuf_ring_mmap", "register_ns", "kernel memory (mmap)"}}},
	{"Unregistering a buffer ring",
	 {{"cost.pbuf_ring", "unregister_ns", "4K pages"},
	  {"cost.pbuf_ring_thp", "unregister_ns", "huge page"},
	  {"cost.pbuf_ring_hugetlb", "unregister_ns", "hugetlb"},
	  {"cost.pbuf_ring_mmap", "unregister_ns", "kernel memory (mmap)"}}},
	{"Many buffers of 4K",
	 {{"cost.fixed_count", "register_ns", "register a table"},
	  {"cost.fixed_count", "unregister_ns", "unregister it"},
	  {"cost.fixed_clone", "clone_ns", "clone it"},
	  {"cost.legacy", "provide_ns", "provide legacy buffers"},
	  {"cost.legacy", "remove_ns", "remove them"}}},
	{"Registering one buffer, by size",
	 {{"cost.fixed_bytes", "register_ns", "4K pages"},
	  {"cost.fixed_bytes_thp", "register_ns", "huge pages"},
	  {"cost.fixed_bytes_hugetlb", "register_ns", "hugetlb"},
	  {"cost.fixed_untouched", "register_ns", "never touched before"},
	  {"cost.fixed_update", "fill_ns", "into a slot of a table"}}},
	{"A ring, by size",
	 {{"cost.ring_sq", "create_ns", "create, SQ entries"},
	  {"cost.ring_cq", "create_ns", "create, CQ entries"},
	  {"cost.ring_sq", "close_ns", "close, SQ entries"},
	  {"cost.ring_cq", "close_ns", "close, CQ entries"}}},
	{"The first receive and the next",
	 {{"cost.first_use", "first_ns", "buffer never touched"},
	  {"cost.first_use", "next_ns", "buffer used before"}}},
};

struct picture {
	const struct limits_report *report;
	struct plot plots[MAX_PANELS];
	size_t nr;
	struct plot_series series[MAX_PANELS][MAX_SERIES];
	char titles[MAX_PANELS][96];
};

static const struct limits_row *find_curve(const struct limits_report *report, const char *key)
{
	for (size_t i = 0; i < report->nr; i++) {
		const struct limits_row *row = &report->rows[i];

		if (limits_is_curve(row->probe) && strcmp(row->probe->key, key) == 0)
			return row->answer.nr_points ? row : NULL;
	}
	return NULL;
}

static int find_column(const struct limits_row *row, const char *column)
{
	for (int c = 0; c < LIMITS_MAX_COLUMNS && row->probe->columns[c]; c++) {
		if (strcmp(row->probe->columns[c], column) == 0)
			return c;
	}
	return -1;
}

static enum plot_unit unit_of(const char *name)
{
	size_t len = name ? strlen(name) : 0;

	if (len > 3 && strcmp(name + len - 3, "_ns") == 0)
		return PLOT_NS;
	if (len >= 5 && strcmp(name + len - 5, "bytes") == 0)
		return PLOT_BYTES;
	return PLOT_BINARY;
}

static struct plot_axis axis_of(const char *name, const char *title)
{
	return (struct plot_axis){.title = title, .unit = unit_of(name), .is_log = true};
}

/* The points are the picture's, until free_points(). */
static int add_series(struct picture *pic, const struct limits_row *row, int column,
		      const char *name)
{
	struct plot *plot = &pic->plots[pic->nr];
	const struct limits_answer *a = &row->answer;
	struct plot_point *points = calloc(a->nr_points, sizeof(*points));

	if (!points)
		return -ENOMEM;
	for (size_t i = 0; i < a->nr_points; i++) {
		points[i].x = (double)a->points[i].at;
		points[i].y = (double)a->points[i].y[column];
	}
	pic->series[pic->nr][plot->nr++] =
		(struct plot_series){.name = name, .points = points, .nr = a->nr_points};
	plot->series = pic->series[pic->nr];
	return 0;
}

static int add_panel(struct picture *pic, const struct panel *panel)
{
	struct plot *plot = &pic->plots[pic->nr];
	int err = 0;

	plot->title = panel->title;
	for (size_t i = 0; !err && i < MAX_SERIES && panel->lines[i].key; i++) {
		const struct line *line = &panel->lines[i];
		const struct limits_row *row = find_curve(pic->report, line->key);
		int column = row ? find_column(row, line->column) : -1;

		if (column < 0)
			continue;
		plot->x = axis_of(row->probe->unit, row->probe->unit);
		plot->y = axis_of(line->column, NULL);
		err = add_series(pic, row, column, line->name);
	}
	pic->nr += plot->nr > 0;
	return err;
}

static bool has_panel(const char *key)
{
	for (size_t p = 0; p < sizeof(panels) / sizeof(*panels); p++) {
		for (size_t i = 0; i < MAX_SERIES && panels[p].lines[i].key; i++) {
			if (strcmp(panels[p].lines[i].key, key) == 0)
				return true;
		}
	}
	return false;
}

/* A curve that no panel names gets one of its own, its columns of one unit together. */
static int add_other(struct picture *pic, const struct limits_row *row)
{
	const char *const *columns = row->probe->columns;
	struct plot *plot = &pic->plots[pic->nr];
	int err = 0;

	snprintf(pic->titles[pic->nr], sizeof(pic->titles[0]), "%s", row->probe->question);
	plot->title = pic->titles[pic->nr];
	plot->x = axis_of(row->probe->unit, row->probe->unit);
	plot->y = axis_of(columns[0], NULL);
	for (int c = 0; !err && c < LIMITS_MAX_COLUMNS && columns[c]; c++) {
		if (unit_of(columns[c]) == unit_of(columns[0]))
			err = add_series(pic, row, c, columns[c]);
	}
	pic->nr++;
	return err;
}

static int collect(struct picture *pic)
{
	int err = 0;

	for (size_t p = 0; !err && p < sizeof(panels) / sizeof(*panels); p++)
		err = add_panel(pic, &panels[p]);
	for (size_t i = 0; !err && i < pic->report->nr && pic->nr < MAX_PANELS; i++) {
		const struct limits_row *row = &pic->report->rows[i];

		if (limits_is_curve(row->probe) && row->answer.nr_points &&
		    !has_panel(row->probe->key))
			err = add_other(pic, row);
	}
	return err;
}

static void free_points(struct picture *pic)
{
	for (size_t p = 0; p < MAX_PANELS; p++) {
		for (size_t i = 0; i < MAX_SERIES; i++)
			free((void *)pic->series[p][i].points);
	}
}

int limits_report_plot(const struct limits_report *report, FILE *out)
{
	struct picture *pic = calloc(1, sizeof(*pic));
	char subtitle[160];
	int err;

	if (!pic)
		return -ENOMEM;
	pic->report = report;
	err = collect(pic);
	if (!err && pic->nr == 0)
		err = -ENODATA;
	if (!err) {
		const struct plot_page page = {
			.title = "What registering costs",
			.subtitle = subtitle,
			.plots = pic->plots,
			.nr = pic->nr,
		};

		snprintf(subtitle, sizeof(subtitle), "kernel %s; medians", report->kernel);
		plot_svg(out, &page);
	}
	free_points(pic);
	free(pic);
	return err;
}
