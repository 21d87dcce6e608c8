// SPDX-License-Identifier: MIT
/* Does it fit? Three children: one forecasts, one does it, one looks for the most that fits. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "clock.h"
#include "limits_child.h"
#include "limits_meter.h"
#include "limits_preflight.h"
#include "limits_search.h"

/* A page that is pinned more often than this comes near the end of its reference counter. */
#define MOST_PINS    100000
#define SETTLE_TRIES 6

/* ---- doing it */

/* Memory and room for all of a plan; what is mapped goes with the process. */
struct site {
	struct limits_plan plan;
	struct io_uring *rings;
	uint32_t nr_open;
	void *group_memory;
	char *memory; /* of so many buffers, which lie over each other beyond */
	uint64_t nr_real;
	struct iovec *iov;
	struct limits_outcome outcome;
};

static uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

static uint64_t pages_of(uint64_t bytes)
{
	return round_up(bytes, limits_page_size()) / limits_page_size();
}

/* Buffers of their own, as far as allowed; if not even one is, one over little memory. */
static int place_buffers(struct site *s, uint64_t max_bytes)
{
	uint64_t step = round_up(s->plan.buf_bytes, limits_page_size()), distinct;
	uint64_t wanted = (uint64_t)s->plan.rings * s->plan.buffers;

	if (!wanted)
		return 0;
	s->nr_real = wanted < max_bytes / step ? wanted : max_bytes / step;
	distinct = s->nr_real ? s->nr_real * step : LIMITS_PATCH_BYTES;
	s->outcome.shared_pages = s->nr_real < wanted;
	if (wanted > UINT64_MAX / step || wanted * step / distinct > MOST_PINS ||
	    wanted * pages_of(step) > max_bytes / LIMITS_PIN_BYTES)
		return -EFBIG;
	s->memory = s->nr_real ? limits_map_filled(distinct, false) : limits_map_patchwork(step);
	s->nr_real += s->nr_real == 0;
	return s->memory ? 0 : -ENOMEM;
}

static int open_site(struct site *s, const struct limits_plan *plan, uint64_t max_bytes)
{
	int err;

	*s = (struct site){.plan = *plan};
	err = place_buffers(s, max_bytes);
	if (err)
		return err;
	s->rings = limits_map(((size_t)plan->rings + 1) * sizeof(*s->rings));
	s->iov = limits_map(((size_t)plan->buffers + 1) * sizeof(*s->iov));
	s->group_memory = limits_map_filled(plan->entries * sizeof(struct io_uring_buf) + 1, false);
	return s->rings && s->iov && s->group_memory ? 0 : -ENOMEM;
}

static void close_rings(struct site *s)
{
	while (s->nr_open > 0)
		io_uring_queue_exit(&s->rings[--s->nr_open]);
}

static int refuse(struct site *s, enum limits_part part, int err)
{
	s->outcome.err = -err;
	s->outcome.part = part;
	return err;
}

static int register_groups(struct site *s, const struct io_uring *ring)
{
	struct bs_buf_reg reg = {
		.ring_addr = s->plan.flags & IOU_PBUF_RING_MMAP ? 0 : (uintptr_t)s->group_memory,
		.ring_entries = s->plan.entries,
		.flags = s->plan.flags,
	};

	for (uint32_t i = 0; s->plan.entries && i < s->plan.groups; i++) {
		int err;

		reg.bgid = (uint16_t)i;
		err = limits_register(ring->ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
		if (err)
			return refuse(s, PART_GROUP, err);
	}
	return 0;
}

static int open_rings(struct site *s, uint32_t nr)
{
	while (s->nr_open < nr) {
		struct io_uring *ring = &s->rings[s->nr_open];
		int err = io_uring_queue_init(s->plan.sq_entries, ring, 0);

		s->outcome.ring = s->nr_open;
		if (err)
			return refuse(s, PART_RING, err);
		s->nr_open++;
		err = register_groups(s, ring);
		if (err)
			return err;
	}
	return 0;
}

static int register_table(struct site *s, uint32_t ring, uint32_t nr)
{
	uint64_t step = round_up(s->plan.buf_bytes, limits_page_size());
	uint64_t first = (uint64_t)ring * s->plan.buffers;

	for (uint32_t i = 0; i < nr; i++) {
		s->iov[i].iov_base = s->memory + (first + i) % s->nr_real * step;
		s->iov[i].iov_len = s->plan.buf_bytes;
	}
	return limits_register(s->rings[ring].ring_fd, IORING_REGISTER_BUFFERS, s->iov, nr);
}

/* All tables with nr buffers each, or none. */
static int register_tables(struct site *s, uint32_t nr)
{
	uint32_t done;
	int err = 0;

	for (done = 0; nr > 0 && done < s->nr_open; done++) {
		err = register_table(s, done, nr);
		if (err)
			break;
	}
	if (!err)
		return 0;
	s->outcome.ring = done;
	while (done-- > 0)
		limits_register(s->rings[done].ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
	return refuse(s, PART_BUFFERS, err);
}

static int do_plan(struct site *s)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	int err = open_rings(s, s->plan.rings);

	if (!err)
		err = register_tables(s, s->plan.buffers);
	if (!err)
		s->outcome = (struct limits_outcome){
			.shared_pages = s->outcome.shared_pages,
			.register_ns = clock_ns(CLOCK_MONOTONIC) - start,
		};
	s->outcome.tried = true;
	return err;
}

/*
 * Memory of rings that are closed, those of the forecast too, comes back late. What was tried
 * meanwhile is closed as late again, so that each wait is longer than the one before.
 */
static void settle_after(int tries)
{
	for (int i = 0; i < 1 << tries; i++)
		limits_settle();
}

static int run_outcome(void *box)
{
	struct limits_preflight *p = box;
	struct site s;
	int err = open_site(&s, &p->plan, p->max_bytes);

	for (int i = 0; i < SETTLE_TRIES && !err; i++) {
		if (do_plan(&s) != -ENOMEM)
			break;
		close_rings(&s);
		settle_after(i);
	}
	p->outcome = s.outcome;
	close_rings(&s);
	return err == -EFBIG ? 0 : err;
}

/* ---- the most that fits */

static int try_buffers(void *ctx, uint64_t nr)
{
	struct site *s = ctx;
	int err = register_tables(s, (uint32_t)nr);

	for (uint32_t i = 0; !err && nr > 0 && i < s->nr_open; i++)
		limits_register(s->rings[i].ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
	return err;
}

/* Memory bounds it, too, though nothing refuses before it is used. */
static uint32_t bound_by_memory(const struct limits_preflight *p)
{
	uint64_t each = p->plan.rings * round_up(p->plan.buf_bytes, limits_page_size());
	uint64_t most = p->forecast.memory_free / each;

	return most < p->plan.buffers ? (uint32_t)most : p->plan.buffers;
}

/* Rings and groups, or as many rings as there can be. */
static bool has_all_rings(struct site *s, struct limits_plan *largest)
{
	for (int i = 0; i < SETTLE_TRIES; i++) {
		if (open_rings(s, s->plan.rings) == 0)
			return true;
		largest->rings = s->outcome.part == PART_RING ? s->nr_open : s->nr_open - 1;
		largest->buffers = 0;
		close_rings(s);
		settle_after(i);
	}
	return false;
}

static int run_largest(void *box)
{
	struct limits_preflight *p = box;
	struct site s;
	struct limits_search search = {.try_value = try_buffers, .ctx = &s, .first = 1};
	struct limits_edge edge = {0};
	int err;

	p->largest = p->plan;
	if (p->plan.buffers)
		p->largest.buffers = bound_by_memory(p);
	err = open_site(&s, &p->largest, p->max_bytes);
	if (!err && has_all_rings(&s, &p->largest) && p->plan.buffers) {
		search.last = p->largest.buffers;
		search.top_first = true;
		if (search.last)
			edge = limits_search(&search);
		p->largest.buffers = edge.any ? (uint32_t)edge.value : 0;
	}
	p->has_largest = !err;
	close_rings(&s);
	return err == -EFBIG ? 0 : err;
}

/* ---- forecast */

/*
 * One ring, with as many groups and buffers as are soon registered and leave half of what
 * memlock admits.
 */
static struct limits_plan sample_of(const struct limits_preflight *p)
{
	const struct limits_forecast *f = &p->forecast;
	struct limits_plan sample = p->plan;
	uint64_t bytes = 32U << 20;

	if (f->memlock_applies && (f->memlock_limit - f->memlock_used) / 2 < bytes)
		bytes = (f->memlock_limit - f->memlock_used) / 2;
	sample.rings = 1;
	sample.groups = sample.groups < 64 ? sample.groups : 64;
	if (sample.buffers && sample.buffers > bytes / sample.buf_bytes)
		sample.buffers = (uint32_t)(bytes / sample.buf_bytes);
	/* One at least, unless memlock would refuse it. */
	if (p->plan.buffers && !sample.buffers && !f->memlock_applies)
		sample.buffers = 1;
	return sample;
}

static uint64_t scale(uint64_t ns, uint32_t from, uint32_t to)
{
	return from ? ns * to / from : 0;
}

/* How long the sample takes, and what that makes for the plan. */
static int forecast_time(struct limits_preflight *p)
{
	struct limits_plan sample = sample_of(p);
	struct limits_forecast *f = &p->forecast;
	uint64_t start, ring_ns, tables_ns;
	struct site s;
	int err = open_site(&s, &sample, p->max_bytes);

	start = clock_ns(CLOCK_MONOTONIC);
	if (!err)
		err = open_rings(&s, 1);
	ring_ns = clock_ns(CLOCK_MONOTONIC) - start;
	start = clock_ns(CLOCK_MONOTONIC);
	if (!err)
		err = register_tables(&s, sample.buffers);
	tables_ns = clock_ns(CLOCK_MONOTONIC) - start;
	close_rings(&s);
	limits_settle();
	if (s.outcome.part == PART_NONE && err)
		return err;
	/* What memlock refuses is forecast from the charges. */
	if (err && (err != -ENOMEM || !f->memlock_applies)) {
		f->err = -err;
		f->err_part = s.outcome.part;
	}
	if (!err && (sample.buffers || !p->plan.buffers))
		f->register_ns = p->plan.rings *
				 (ring_ns + scale(tables_ns, sample.buffers, p->plan.buffers));
	return 0;
}

/* Does the kernel take a table of so many slots at all? Empty ones cost nothing. */
static int forecast_slots(struct limits_preflight *p)
{
	struct limits_forecast *f = &p->forecast;
	struct iovec *iov = calloc((size_t)p->plan.buffers + 1, sizeof(*iov));
	struct io_uring ring;
	int err = iov ? limits_ring_open(&ring) : -ENOMEM;

	if (!err && p->plan.buffers) {
		f->err = -limits_register(ring.ring_fd, IORING_REGISTER_BUFFERS, iov,
					  p->plan.buffers);
		f->err_part = f->err ? PART_BUFFERS : PART_NONE;
		io_uring_queue_exit(&ring);
	}
	free(iov);
	return err;
}

static uint64_t group_pages(const struct limits_plan *plan)
{
	if (!plan->entries)
		return 0;
	return plan->groups * pages_of(plan->entries * sizeof(struct io_uring_buf));
}

struct charges {
	uint64_t used; /* by this user, without what measuring takes */
	uint64_t ring;
	uint64_t group_page; /* per page of a group's ring */
	uint64_t page;       /* per page of a registered buffer */
};

static int measure_charges(const struct limits_plan *plan, struct charges *c)
{
	struct bs_buf_reg reg = {.ring_entries = 256, .flags = plan->flags};
	void *memory = limits_map_filled(limits_page_size(), false);
	struct io_uring same, ring;
	struct limits_meter meter = {0};
	uint64_t at[4] = {0};
	int err = memory ? limits_meter_open(&meter) : -ENOMEM;

	if (!(plan->flags & IOU_PBUF_RING_MMAP))
		reg.ring_addr = (uintptr_t)memory;
	if (!err)
		err = limits_meter_read(&meter, &at[0]);
	if (!err)
		err = limits_ring_open(&same); /* what the meter's own ring takes */
	if (!err)
		err = limits_meter_read(&meter, &at[1]);
	if (!err)
		err = io_uring_queue_init(plan->sq_entries, &ring, 0);
	if (!err)
		err = limits_meter_read(&meter, &at[2]);
	if (!err && plan->entries)
		err = limits_register(ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
	if (!err)
		err = limits_meter_read(&meter, &at[3]);
	if (err)
		return err;
	*c = (struct charges){
		.used = 2 * at[0] - at[1],
		.ring = at[2] - at[1],
		.group_page = at[3] - at[2],
		.page = meter.page_charge,
	};
	return 0;
}

static int forecast_memlock(struct limits_preflight *p)
{
	const struct limits_plan *plan = &p->plan;
	struct limits_forecast *f = &p->forecast;
	struct rlimit limit;
	struct charges c;
	int err = measure_charges(plan, &c);

	if (err == -EPERM)
		return 0;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return -errno;
	f->memlock_applies = true;
	f->memlock_limit = limit.rlim_cur;
	/* Without room even to measure, there is none for the plan; other errors show again. */
	if (err) {
		f->memlock_used = f->memlock_limit;
		f->memlock_need = plan->rings * limits_page_size();
		return 0;
	}
	f->memlock_used = c.used;
	f->memlock_need = plan->rings * (c.ring + group_pages(plan) * c.group_page +
					 plan->buffers * pages_of(plan->buf_bytes) * c.page);
	return 0;
}

static void forecast_memory(struct limits_preflight *p)
{
	const struct limits_plan *plan = &p->plan;
	uint64_t pages = group_pages(plan) + plan->buffers * pages_of(plan->buf_bytes);

	p->forecast.memory_need = plan->rings * pages * limits_page_size();
	p->forecast.memory_free = limits_available();
}

static int run_forecast(void *box)
{
	struct limits_preflight *p = box;
	struct limits_forecast *f = &p->forecast;
	int err = forecast_memlock(p);

	forecast_memory(p);
	if (!err)
		err = forecast_slots(p);
	if (!err && !f->err)
		err = forecast_time(p);
	if (err == -EFBIG)
		err = 0;
	f->fits = !f->err && f->memory_need <= f->memory_free &&
		  (!f->memlock_applies || f->memlock_used + f->memlock_need <= f->memlock_limit);
	return err;
}

/* ---- all three */

static int run(int (*step)(void *box), struct limits_preflight *p, unsigned int patience_ms)
{
	struct limits_child child = {
		.run = step,
		.box = p,
		.box_bytes = sizeof(*p),
		.patience_ms = patience_ms,
	};
	int err = limits_child_run(&child);

	if (err)
		return err;
	return child.fate == FATE_DONE ? child.result : -ECHILD;
}

int limits_preflight(const struct limits_plan *plan, const struct limits_opts *opts,
		     struct limits_preflight *p)
{
	unsigned int patience_ms = opts->patience_ms ? opts->patience_ms : 60000;
	int err;

	*p = (struct limits_preflight){
		.plan = *plan,
		.max_bytes = opts->max_bytes ? opts->max_bytes : limits_budget(),
	};
	err = run(run_forecast, p, patience_ms);
	if (!err)
		err = run(run_outcome, p, patience_ms);
	if (!err && (!p->forecast.fits || p->outcome.err))
		err = run(run_largest, p, patience_ms);
	return err;
}
