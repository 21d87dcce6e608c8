// SPDX-License-Identifier: MIT
/* What is concluded from totals alone, and what is not? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "diagnose.h"
#include "model.h"

#define MS          UINT64_C(1000000)
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define U           REC_UNKNOWN_U32

struct totals {
	const char *name;
	const char *want; /* the code; NULL: nothing */
	uint32_t entries, available, held;
	enum group_kind kind;
	uint64_t taken, returned, starved;
	uint64_t hold_p50_ns, hold_max_ns, stuck, oldest_ns;
};

static const struct totals cases[] = {
	{"sound", NULL, 64, 60, 4, GROUP_RING, 1000, 1060, 0, MS, 2 * MS, 0, MS},
	{"nothing is known", NULL, 64, U, U, GROUP_RING, COUNT_UNKNOWN, COUNT_UNKNOWN,
	 COUNT_UNKNOWN, COUNT_UNKNOWN, COUNT_UNKNOWN, COUNT_UNKNOWN, COUNT_UNKNOWN},
	{"never filled", "never-filled", 64, 0, 0, GROUP_RING, 0, 0, 3, 0, 0, 0, 0},
	{"never returned", "never-returned", 64, 0, 64, GROUP_RING, 64, 64, 3, 0, 0, 64, 5000 * MS},
	{"small", "pool-too-small", 64, 10, 54, GROUP_RING, 1000, 1010, 5, MS, 2 * MS, 0, MS},
	{"slow", "consumer-slow", 64, 10, 54, GROUP_RING, 1000, 1010, 5, 30 * MS, 50 * MS, 0, MS},
	{"lazy", "lazy-fill", 64, 2, 14, GROUP_RING, 1000, 1002, 5, MS, 2 * MS, 0, MS},
	{"a legacy group has no slots", "pool-too-small", 0, 2, 14, GROUP_LEGACY, 1000, 1002, 5, MS,
	 2 * MS, 0, MS},
	{"forgotten", "leak", 64, 60, 4, GROUP_RING, 9000, 9060, 0, MS, 2 * MS, 4, 3000 * MS},
	{"most forgotten", "leak", 64, 4, 60, GROUP_RING, 9000, 9004, 8, MS, 2 * MS, 60, 3000 * MS},
	{"others are held as long", NULL, 64, 60, 4, GROUP_RING, 9000, 9060, 0, MS, 1000 * MS, 4,
	 3000 * MS},
	{"others did not go round", NULL, 64, 60, 4, GROUP_RING, 100, 160, 0, MS, 2 * MS, 4,
	 3000 * MS},
	{"overfilled", "overfilled", 4, 6, 0, GROUP_RING, 0, 6, 0, 0, 0, 0, 0},
	{"tail behind head", "tail-back", 16, 65534, 0, GROUP_RING, 20, 18, 0, 0, 0, 0, 0},
};

static const char *found(const struct totals *totals, struct diagnosis *diagnosis)
{
	struct ring_rec ring = {.ring_id = 1, .tgid = 7, .fd = 3};
	struct group_rec group = {.ring_id = 1,
				  .bgid = 5,
				  .kind = totals->kind,
				  .entries = totals->entries,
				  .available = totals->available,
				  .held = totals->held};
	struct group_counts counts = {0};
	struct sample sample = {.at_ns = MS,
				.backend = BACKEND_ITER_TP,
				.rings = &ring,
				.nr_rings = 1,
				.groups = &group,
				.nr_groups = 1,
				.counts = &counts};
	struct model *model = model_new();

	counts.total[COUNT_TAKEN] = totals->taken;
	counts.total[COUNT_RETURNED] = totals->returned;
	counts.total[COUNT_STARVED] = totals->starved;
	counts.gauge[GAUGE_HOLD_P50_NS] = totals->hold_p50_ns;
	counts.gauge[GAUGE_HOLD_P99_NS] = totals->hold_max_ns;
	counts.gauge[GAUGE_HOLD_MAX_NS] = totals->hold_max_ns;
	counts.gauge[GAUGE_STUCK] = totals->stuck;
	counts.gauge[GAUGE_OLDEST_HELD_NS] = totals->oldest_ns;
	assert_non_null(model);
	assert_int_equal(model_update(model, &sample), 0);
	assert_int_equal(diagnose_model(model, diagnosis), 0);
	model_free(model);
	assert_true(diagnosis->nr <= 1);
	return diagnosis->nr ? complaint_texts[diagnosis->findings[0].complaint].code : "nothing";
}

static void by_totals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++) {
		const char *want = cases[i].want ? cases[i].want : "nothing";
		struct diagnosis diagnosis;
		const char *code = found(&cases[i], &diagnosis);

		if (strcmp(code, want) != 0)
			fail_msg("%s: %s, not %s", cases[i].name, code, want);
		if (diagnosis.nr) {
			assert_int_equal(diagnosis.findings[0].tgid, 7);
			assert_int_equal(diagnosis.findings[0].bgid, 5);
			assert_true(diagnosis.findings[0].evidence[0]);
		}
		diagnosis_done(&diagnosis);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(by_totals)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
