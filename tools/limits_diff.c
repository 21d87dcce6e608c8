// SPDX-License-Identifier: MIT
/* What does one kernel, or one user, answer differently from another? */
#include <inttypes.h>
#include <string.h>

#include "../lib/text.h"
#include "limits_report.h"

static const struct limits_row *find_row(const struct limits_report *report, const char *key)
{
	for (size_t i = 0; i < report->nr; i++) {
		if (strcmp(report->rows[i].probe->key, key) == 0)
			return &report->rows[i];
	}
	return NULL;
}

/* Timings and system-wide counters differ from run to run and say nothing. */
static bool is_comparable(const struct limits_row *row)
{
	return !limits_is_curve(row->probe) && row->answer.how != LIMITS_MEASURED;
}

static bool is_same(const struct limits_answer *a, const struct limits_answer *b)
{
	return a->how == b->how && a->has_value == b->has_value &&
	       (!a->has_value || a->value == b->value) && a->errno_past == b->errno_past &&
	       a->verdict == b->verdict && a->bound_by == b->bound_by;
}

/* The answer in a few words: "32768 EINVAL", "refused EEXIST", "absent". */
static char *describe(const struct limits_row *row, char *out, size_t size)
{
	const struct limits_answer *a;
	const char *word;

	if (!row) {
		snprintf(out, size, "not asked");
		return out;
	}
	a = &row->answer;
	word = limits_verdict_name(a->verdict);
	if (a->has_value)
		snprintf(out, size, "%" PRIu64, a->value);
	else
		snprintf(out, size, "%s", word ? word : limits_how_name(a->how));
	if (a->errno_past)
		snprintf(out + strlen(out), size - strlen(out), " %s", text_errno(a->errno_past));
	if (a->bound_by == LIMITS_BY_MEMLOCK)
		snprintf(out + strlen(out), size - strlen(out), " memlock");
	return out;
}

static void print_difference(const struct limits_row *old, const struct limits_row *new, FILE *out)
{
	char before[48], after[48];

	fprintf(out, "  %-32s %-22s %s\n", new ? new->probe->key : old->probe->key,
		describe(old, before, sizeof(before)), describe(new, after, sizeof(after)));
}

size_t limits_report_diff(const struct limits_report *old, const struct limits_report *new,
			  FILE *out)
{
	size_t differences = 0;

	fprintf(out, "  %-32s %-22s %s\n", "KEY", old->kernel, new->kernel);
	for (size_t i = 0; i < new->nr; i++) {
		const struct limits_row *row = &new->rows[i];
		const struct limits_row *was = find_row(old, row->probe->key);

		if (!is_comparable(row) || (was && is_same(&was->answer, &row->answer)))
			continue;
		if (was && !is_comparable(was))
			continue;
		print_difference(was, row, out);
		differences++;
	}
	for (size_t i = 0; i < old->nr; i++) {
		if (!is_comparable(&old->rows[i]) || find_row(new, old->rows[i].probe->key))
			continue;
		print_difference(&old->rows[i], NULL, out);
		differences++;
	}
	fprintf(out, "%zu answer%s differ%s\n", differences, differences == 1 ? "" : "s",
		differences == 1 ? "s" : "");
	return differences;
}
