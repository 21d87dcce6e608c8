// SPDX-License-Identifier: MIT
/* Is a plot a complete document whose curves stay inside their panel, whatever it is given? */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "plot.h"

static char *render(const struct plot_page *page)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	plot_svg(out, page);
	fclose(out);
	return text;
}

static char *render_one(const struct plot *plot)
{
	const struct plot_page page = {.title = "t", .plots = plot, .nr = 1};

	return render(&page);
}

static size_t count(const char *text, const char *part)
{
	size_t nr = 0;

	while ((text = strstr(text, part))) {
		nr++;
		text++;
	}
	return nr;
}

static const struct plot_point rising[] = {
	{.x = 1, .y = 100},
	{.x = 64, .y = 1500},
	{.x = 32768, .y = 17000, .low = 9000, .high = 30000},
};

static void test_curve(void **state)
{
	const struct plot_series series[] = {{"register", rising, 3}, {"unregister", rising, 2}};
	const struct plot plot = {
		"costs", {"entries", PLOT_BINARY, true}, {"time", PLOT_NS, true}, series, 2};
	char *svg = render_one(&plot);

	(void)state;
	assert_int_equal(count(svg, "<circle"), 5);
	assert_int_equal(count(svg, "class=\"spread"), 1);
	assert_int_equal(count(svg, "<svg "), 1);
	assert_int_equal(count(svg, "</svg>"), 1);
	assert_int_equal(count(svg, "<g>"), count(svg, "</g>"));
	assert_non_null(strstr(svg, ">32K</text>"));
	assert_non_null(strstr(svg, ">10\302\265s</text>"));
	assert_non_null(strstr(svg, ">unregister</text>"));
	free(svg);
}

/* Every dot lies within the drawing, for scales of any sort and values of any size. */
static void test_inside(void **state)
{
	static const double values[] = {0, 1, 3, 1e3, 1e9, 1e18};
	const size_t nr = sizeof(values) / sizeof(*values);

	(void)state;
	for (size_t i = 0; i < nr * nr * 4; i++) {
		struct plot_point p[2] = {{.x = 1, .y = values[i % nr]},
					  {.x = 2, .y = values[i / nr % nr]}};
		const struct plot_series series = {"s", p, 2};
		const struct plot plot = {
			"p",
			{NULL, i & 1 ? PLOT_BINARY : PLOT_NUMBER, i / nr / nr & 1},
			{NULL, i & 1 ? PLOT_BYTES : PLOT_NS, i / nr / nr & 2},
			&series,
			1,
		};
		char *svg = render_one(&plot);
		double cx, cy;

		for (const char *at = svg; (at = strstr(at, "cx=\"")); at++) {
			assert_int_equal(sscanf(at, "cx=\"%lf\" cy=\"%lf\"", &cx, &cy), 2);
			assert_true(cx >= 24 && cx <= 24 + 440 && cy >= 64 && cy <= 72 + 300);
		}
		assert_null(strstr(svg, "nan"));
		assert_null(strstr(svg, "inf"));
		free(svg);
	}
}

static void test_nothing(void **state)
{
	const struct plot_series none = {"absent", NULL, 0};
	const struct plot plots[] = {{"empty", {0}, {0}, NULL, 0},
				     {"no points", {0}, {0}, &none, 1}};
	const struct plot_page page = {.title = "t", .plots = plots, .nr = 2};
	const struct plot_page bare = {.title = "nothing at all"};
	char *svg = render(&page);

	(void)state;
	assert_int_equal(count(svg, "<circle"), 0);
	assert_non_null(strstr(svg, "absent (no figures)"));
	free(svg);
	svg = render(&bare);
	assert_non_null(strstr(svg, "</svg>"));
	free(svg);
}

static void test_escaped(void **state)
{
	const struct plot_series series = {"a<b>&\"c\"\033[31m", rising, 1};
	const struct plot plot = {"</svg><script>", {0}, {0}, &series, 1};
	char *svg = render_one(&plot);

	(void)state;
	assert_null(strstr(svg, "<script"));
	assert_null(strchr(svg, '\033'));
	assert_non_null(strstr(svg, "a&lt;b&gt;&amp;&quot;c&quot;"));
	assert_int_equal(count(svg, "</svg>"), 1);
	free(svg);
}

/* More series than colours are told apart by their dashes. */
static void test_many(void **state)
{
	struct plot_series series[PLOT_COLOURS + 1];
	struct plot plot = {"many", {0}, {0}, series, PLOT_COLOURS + 1};
	char *svg;

	(void)state;
	for (size_t i = 0; i < plot.nr; i++)
		series[i] = (struct plot_series){"s", rising, 2};
	svg = render_one(&plot);
	assert_int_equal(count(svg, "stroke-dasharray"), 2);
	free(svg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_curve),   cmocka_unit_test(test_inside),
		cmocka_unit_test(test_nothing), cmocka_unit_test(test_escaped),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
