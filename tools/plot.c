// SPDX-License-Identifier: MIT
/* How do curves become a picture? Scales, ticks and paths, written as SVG by hand. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/text.h"
#include "plot.h"

/* In pixels of the SVG's own coordinates. */
enum {
	MARGIN = 24,
	HEAD = 64,
	PANEL_W = 440,
	PANEL_H = 300,
	GAP = 20,
	LEFT = 64, /* inside a panel, around the curves */
	RIGHT = 16,
	TOP = 34,
	BOTTOM = 44,
	LEGEND_ROW = 17,
};

#define MAX_TICKS 8

struct scale {
	double low, high; /* log2 of the values on a logarithmic axis */
	bool is_log;
	double from, to; /* pixels */
	double ticks[MAX_TICKS];
	size_t nr_ticks;
};

struct canvas {
	FILE *out;
	const struct plot *plot;
	struct scale x, y;
	double left, top, right, bottom; /* of the area of the curves */
};

/* ---- text */

static void put_escaped(FILE *out, const char *text)
{
	char clean[256];

	for (const char *c = text_escape(clean, sizeof(clean), text); *c; c++) {
		switch (*c) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(*c, out);
		}
	}
}

/* One line of text; `attributes` come from this file. */
static void put_text(FILE *out, double x, double y, const char *attributes, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
	put_escaped(out, text);
	fputs("</text>\n", out);
}

static void format_number(double value, double step, const char *suffixes, char *out, size_t size)
{
	char suffix[2] = "";

	while (value >= step && *suffixes) {
		value /= step;
		suffix[0] = *suffixes++;
	}
	snprintf(out, size, "%.*f", value == floor(value) ? 0 : 1, value);
	snprintf(out + strlen(out), size - strlen(out), "%s", suffix);
}

static char *format_tick(const struct plot_axis *axis, double value, char *out, size_t size)
{
	static const char *const spans[] = {"ns", "\302\265s", "ms", "s"};
	size_t unit = 0;

	switch (axis->unit) {
	case PLOT_NUMBER:
		format_number(value, 1000, "kMGT", out, size);
		break;
	case PLOT_BINARY:
	case PLOT_BYTES:
		format_number(value, 1024, "KMGT", out, size);
		break;
	case PLOT_NS:
		while (value >= 1000 && unit < 3) {
			value /= 1000;
			unit++;
		}
		snprintf(out, size, "%.*f%s", value == floor(value) ? 0 : 1, value,
			 value > 0 ? spans[unit] : "");
		break;
	}
	return out;
}

/* ---- scales */

static double place(const struct scale *s, double value)
{
	double at = s->is_log ? log2(value < 1 ? 1 : value) : value;

	return s->from + (at - s->low) / (s->high - s->low) * (s->to - s->from);
}

static bool is_binary(const struct plot_axis *axis)
{
	return axis->unit == PLOT_BINARY || axis->unit == PLOT_BYTES;
}

/* Powers of two or ten, every so many that the axis is not crowded. */
static void mark_log(struct scale *s, const struct plot_axis *axis)
{
	double unit = is_binary(axis) ? 1 : log2(10);
	double first = ceil(s->low / unit - 1e-9), last = floor(s->high / unit + 1e-9);
	double every = ceil((last - first + 1) / 6);

	if (every < 1)
		every = 1;
	for (double i = first; i <= last && s->nr_ticks < MAX_TICKS; i += every)
		s->ticks[s->nr_ticks++] = is_binary(axis) ? exp2(i) : pow(10, i);
}

/* 1, 2 or 5 times a power of ten; binary axes 1, 2, 4 ... */
static double pick_step(const struct plot_axis *axis, double range)
{
	double rough = range / 5, power, rest;

	if (is_binary(axis))
		return exp2(ceil(log2(rough < 1 ? 1 : rough)));
	power = pow(10, floor(log10(rough)));
	rest = rough / power;
	return power * (rest <= 1 ? 1 : rest <= 2 ? 2 : rest <= 5 ? 5 : 10);
}

static void mark_linear(struct scale *s, const struct plot_axis *axis)
{
	double step = pick_step(axis, s->high - s->low);

	for (double v = ceil(s->low / step) * step; v <= s->high + step / 1000; v += step) {
		if (s->nr_ticks < MAX_TICKS)
			s->ticks[s->nr_ticks++] = v;
	}
}

/* Room for min ... max: whole powers on a logarithmic axis, from 0 on a linear one. */
static void fit(struct scale *s, const struct plot_axis *axis, double min, double max)
{
	double unit = is_binary(axis) ? 1 : log2(10);

	s->is_log = axis->is_log;
	s->nr_ticks = 0;
	s->low = min < 0 ? min : 0;
	s->high = max > s->low ? max : s->low + 1;
	if (!s->is_log) {
		double step = pick_step(axis, s->high - s->low);

		s->high = ceil(s->high / step - 1e-9) * step;
		mark_linear(s, axis);
		return;
	}
	s->low = floor(log2(min < 1 ? 1 : min) / unit + 1e-9) * unit;
	s->high = ceil(log2(max < 1 ? 1 : max) / unit - 1e-9) * unit;
	if (s->high <= s->low)
		s->high = s->low + unit;
	mark_log(s, axis);
}

static bool has_spread(const struct plot_point *p)
{
	return p->low != 0 || p->high != 0;
}

struct extent {
	double x_min, x_max, y_min, y_max;
};

static void stretch(struct extent *e, const struct plot_point *p)
{
	e->x_min = fmin(e->x_min, p->x);
	e->x_max = fmax(e->x_max, p->x);
	e->y_min = fmin(e->y_min, has_spread(p) ? fmin(p->low, p->y) : p->y);
	e->y_max = fmax(e->y_max, has_spread(p) ? fmax(p->high, p->y) : p->y);
}

static bool fit_all(struct canvas *c)
{
	struct extent e = {INFINITY, -INFINITY, INFINITY, -INFINITY};
	const struct plot *plot = c->plot;

	for (size_t i = 0; i < plot->nr; i++) {
		for (size_t k = 0; k < plot->series[i].nr; k++)
			stretch(&e, &plot->series[i].points[k]);
	}
	if (e.x_min > e.x_max)
		return false;
	c->x = (struct scale){.from = c->left, .to = c->right};
	c->y = (struct scale){.from = c->bottom, .to = c->top};
	fit(&c->x, &plot->x, e.x_min, e.x_max);
	fit(&c->y, &plot->y, e.y_min, e.y_max);
	return true;
}

/* ---- one panel */

static void draw_axes(const struct canvas *c)
{
	char label[32];

	for (size_t i = 0; i < c->y.nr_ticks; i++) {
		double y = place(&c->y, c->y.ticks[i]);

		fprintf(c->out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", c->left, y,
			c->right);
		put_text(c->out, c->left - 6, y + 4, "class=\"tick\" text-anchor=\"end\"",
			 format_tick(&c->plot->y, c->y.ticks[i], label, sizeof(label)));
	}
	for (size_t i = 0; i < c->x.nr_ticks; i++) {
		double x = place(&c->x, c->x.ticks[i]);

		fprintf(c->out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", x, c->top,
			c->bottom);
		put_text(c->out, x, c->bottom + 16, "class=\"tick\" text-anchor=\"middle\"",
			 format_tick(&c->plot->x, c->x.ticks[i], label, sizeof(label)));
	}
	fprintf(c->out, "<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>\n", c->left, c->top,
		c->bottom, c->right);
	if (c->plot->x.title)
		put_text(c->out, (c->left + c->right) / 2, c->bottom + 34,
			 "class=\"label\" text-anchor=\"middle\"", c->plot->x.title);
	if (c->plot->y.title)
		put_text(c->out, c->left, c->top - 8, "class=\"label\" text-anchor=\"start\"",
			 c->plot->y.title);
}

static void draw_spread(const struct canvas *c, const struct plot_point *p, size_t colour)
{
	if (!has_spread(p))
		return;
	fprintf(c->out, "<path class=\"spread c%zu\" d=\"M%.1f %.1fV%.1f\"/>\n", colour,
		place(&c->x, p->x), place(&c->y, p->low), place(&c->y, p->high));
}

static void draw_series(const struct canvas *c, size_t index)
{
	const struct plot_series *s = &c->plot->series[index];
	size_t colour = index % PLOT_COLOURS;

	if (s->nr == 0)
		return;
	fprintf(c->out, "<path class=\"line c%zu\"%s d=\"", colour,
		index >= PLOT_COLOURS ? " stroke-dasharray=\"6 4\"" : "");
	for (size_t i = 0; i < s->nr; i++)
		fprintf(c->out, "%c%.1f %.1f", i ? 'L' : 'M', place(&c->x, s->points[i].x),
			place(&c->y, s->points[i].y));
	fputs("\"/>\n", c->out);
	for (size_t i = 0; i < s->nr; i++) {
		draw_spread(c, &s->points[i], colour);
		fprintf(c->out, "<circle class=\"dot c%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.4\"/>\n",
			colour, place(&c->x, s->points[i].x), place(&c->y, s->points[i].y));
	}
}

/* In the corner where curves that rise leave room: top left. */
static void draw_legend(const struct canvas *c)
{
	for (size_t i = 0; i < c->plot->nr; i++) {
		double y = c->top + 14 + (double)i * LEGEND_ROW;
		const struct plot_series *s = &c->plot->series[i];
		char name[128];

		fprintf(c->out, "<path class=\"line c%zu\"%s d=\"M%.1f %.1fh18\"/>\n",
			i % PLOT_COLOURS, i >= PLOT_COLOURS ? " stroke-dasharray=\"6 4\"" : "",
			c->left + 10, y - 4);
		snprintf(name, sizeof(name), "%s%s", s->name, s->nr ? "" : " (no figures)");
		put_text(c->out, c->left + 34, y, "class=\"key\"", name);
	}
}

static void draw_plot(FILE *out, const struct plot *plot, double x, double y)
{
	struct canvas c = {
		.out = out,
		.plot = plot,
		.left = x + LEFT,
		.right = x + PANEL_W - RIGHT,
		.top = y + TOP + 16,
		.bottom = y + PANEL_H - BOTTOM,
	};

	fprintf(out,
		"<g>\n<rect class=\"panel\" x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\" "
		"rx=\"8\"/>\n",
		x, y, PANEL_W, PANEL_H);
	put_text(out, x + 14, y + 22, "class=\"name\"", plot->title);
	if (fit_all(&c)) {
		draw_axes(&c);
		for (size_t i = 0; i < plot->nr; i++)
			draw_series(&c, i);
	} else {
		put_text(out, x + PANEL_W / 2.0, y + PANEL_H / 2.0,
			 "class=\"label\" text-anchor=\"middle\"", "no figures");
	}
	draw_legend(&c);
	fputs("</g>\n", out);
}

/* ---- the page */

struct scheme {
	const char *ground, *panel, *ink, *soft, *grid;
	const char *colours[PLOT_COLOURS]; /* told apart by the colour-blind, too */
};

static const struct scheme light = {
	"#fff",    "#f7f8fa",
	"#1c2330", "#5c6675",
	"#dfe3e9", {"#0b63b6", "#c8500a", "#0a7f5c", "#a3338b", "#8a6a00", "#2b8fb3", "#5b5f66"},
};

static const struct scheme dark = {
	"#12161d", "#1a2029",
	"#e8ecf2", "#9aa6b5",
	"#2c3542", {"#6cb4ff", "#ff9a57", "#4fd1a5", "#ea8fd5", "#e6c34d", "#7fd6f2", "#b8bec8"},
};

/* Plain rules, no variables: viewers that are no browsers know no others. */
static void put_scheme(FILE *out, const struct scheme *s)
{
	fprintf(out,
		"text{fill:%s}.label,.tick,.sub{fill:%s}.key{stroke:%s}\n"
		".ground{fill:%s}.panel{fill:%s}.grid{stroke:%s}.axis{stroke:%s}\n",
		s->ink, s->soft, s->panel, s->ground, s->panel, s->grid, s->soft);
	for (int i = 0; i < PLOT_COLOURS; i++)
		fprintf(out, ".line.c%d,.spread.c%d{stroke:%s}.dot.c%d{fill:%s}\n", i, i,
			s->colours[i], i, s->colours[i]);
}

static void put_style(FILE *out)
{
	fputs("<style>\n"
	      "text{font:12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}\n"
	      ".title{font-size:19px;font-weight:600}.name{font-size:13.5px;font-weight:600}\n"
	      ".tick{font-size:11px}.key{font-size:11.5px;paint-order:stroke;stroke-width:3px;\n"
	      "stroke-linejoin:round}.grid,.axis{fill:none}.dot{stroke:none}\n"
	      ".line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\n"
	      ".spread{fill:none;stroke-width:5;stroke-opacity:.3}\n",
	      out);
	put_scheme(out, &light);
	fputs("@media (prefers-color-scheme:dark){\n", out);
	put_scheme(out, &dark);
	fputs("}\n</style>\n", out);
}

static void open_page(FILE *out, const struct plot_page *page, int width, int height)
{
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\" role=\"img\">\n<title>",
		width, height, width, height);
	put_escaped(out, page->title);
	fputs("</title>\n", out);
	put_style(out);
	fprintf(out, "<rect class=\"ground\" width=\"%d\" height=\"%d\"/>\n", width, height);
	put_text(out, MARGIN, 36, "class=\"title\"", page->title);
	if (page->subtitle)
		put_text(out, MARGIN, 56, "class=\"sub\"", page->subtitle);
}

void plot_svg(FILE *out, const struct plot_page *page)
{
	size_t columns = page->columns ? page->columns : 2;
	size_t rows = (page->nr + columns - 1) / columns;
	int width, height;

	if (page->nr < columns)
		columns = page->nr ? page->nr : 1;
	width = 2 * MARGIN + (int)columns * (PANEL_W + GAP) - GAP;
	height = HEAD + MARGIN + (int)rows * (PANEL_H + GAP);
	open_page(out, page, width, height);
	for (size_t i = 0; i < page->nr; i++) {
		size_t column = i % columns, row = i / columns;

		draw_plot(out, &page->plots[i], MARGIN + (double)column * (PANEL_W + GAP),
			  HEAD + 8 + (double)row * (PANEL_H + GAP));
	}
	fputs("</svg>\n", out);
}
