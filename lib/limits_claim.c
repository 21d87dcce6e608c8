// SPDX-License-Identifier: MIT
/*
 * A study of buffer pools, made before there was anything to measure with, guessed what registering
 * would cost and gain. What does this kernel say to each guess?
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"
#include "limits_kernel.h"
#include "limits_measure.h"
#include "limits_search.h"
#include "limits_stage.h"
#include "limits_table.h"
#include "limits_worker.h"

#define HUGE_BYTES (2U << 20)

/* A verdict with its figure; what is measured may turn out otherwise another time. */
static int claim(struct limits_answer *answer, enum limits_verdict verdict, uint64_t figure)
{
	answer->how = LIMITS_MEASURED;
	answer->verdict = verdict;
	answer->has_value = true;
	answer->value = figure;
	return 0;
}

static int cannot_tell(struct limits_answer *answer, const char *why)
{
	answer->how = LIMITS_MEASURED;
	answer->verdict = LIMITS_CANNOT_TELL;
	snprintf(answer->note, sizeof(answer->note), "%s", why);
	return 0;
}

/* Two things measured in turns, so that what the machine does besides falls on both. */
#define TURNS 11

struct turns {
	uint64_t a[TURNS];
	uint64_t b[TURNS];
};

/* b in thousandths of a, turn by turn. */
static struct limits_spread compare_turns(const struct turns *t)
{
	uint64_t ratios[TURNS];

	for (int i = 0; i < TURNS; i++)
		ratios[i] = t->b[i] * 1000 / (t->a[i] ? t->a[i] : 1);
	return limits_spread(ratios, TURNS);
}

static int register_table(int fd, const struct iovec *iov, unsigned int nr)
{
	return limits_register(fd, IORING_REGISTER_BUFFERS, iov, nr);
}

static int drop_table(int fd)
{
	return limits_register(fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
}

/* nr times the same buffer. */
static struct iovec *repeat_buffer(void *memory, size_t bytes, unsigned int nr)
{
	struct iovec *iov = calloc(nr, sizeof(*iov));

	for (unsigned int i = 0; iov && i < nr; i++)
		iov[i] = (struct iovec){memory, bytes};
	return iov;
}

/* ---- "1024 buffers per ring" */

static int try_slots(void *ctx, uint64_t nr)
{
	const struct io_uring *ring = ctx;
	struct iovec *iov = calloc(nr, sizeof(*iov));
	int err = iov ? register_table(ring->ring_fd, iov, (unsigned int)nr) : -ENOMEM;

	free(iov);
	return err ? err : drop_table(ring->ring_fd);
}

static int ask_count(const struct limits_env *env, struct limits_answer *answer)
{
	struct io_uring ring;
	const struct limits_search search = {
		.try_value = try_slots,
		.ctx = &ring,
		.first = 1,
		.last = 1 << 20,
	};
	int err = limits_ring_open(&ring);
	struct limits_edge edge;

	(void)env;
	if (err)
		return err;
	edge = limits_search(&search);
	if (!edge.any)
		return -ENODATA;
	snprintf(answer->note, sizeof(answer->note), "a ring's table takes %llu buffers",
		 (unsigned long long)edge.value);
	claim(answer, edge.value == 1024 ? LIMITS_HOLDS : LIMITS_HOLDS_NOT, edge.value);
	answer->how = LIMITS_TRIED;
	return 0;
}

/* ---- "1-10 us per registered buffer" */

/* Time per buffer of a table of nr. */
static int measure_register(int fd, size_t bytes, unsigned int nr, struct limits_spread *each_ns)
{
	enum { ROUNDS = 21 };
	void *memory = limits_map_filled(bytes, false);
	struct iovec *iov = memory ? repeat_buffer(memory, bytes, nr) : NULL;
	uint64_t ns[ROUNDS];
	int err = iov ? 0 : -ENOMEM;

	for (int i = 0; i < ROUNDS && !err; i++) {
		uint64_t start = clock_ns(CLOCK_MONOTONIC);

		err = register_table(fd, iov, nr);
		ns[i] = (clock_ns(CLOCK_MONOTONIC) - start) / nr;
		if (!err)
			err = drop_table(fd);
	}
	free(iov);
	if (!err)
		*each_ns = limits_spread(ns, ROUNDS);
	return err;
}

/* One size that is surely outside refutes it, all must be inside to hold. */
static enum limits_verdict judge_sizes(const struct limits_spread *sizes, size_t nr)
{
	enum limits_verdict verdict = LIMITS_HOLDS;

	for (size_t i = 0; i < nr && verdict != LIMITS_HOLDS_NOT; i++) {
		enum limits_verdict one = limits_spread_in(&sizes[i], 1000, 10000);

		if (one != LIMITS_HOLDS)
			verdict = one;
	}
	return verdict;
}

static int ask_register(const struct limits_env *env, struct limits_answer *answer)
{
	struct limits_spread small, middle, large;
	struct io_uring ring;
	int err = limits_ring_open(&ring);

	(void)env;
	if (!err)
		err = measure_register(ring.ring_fd, 4096, 64, &small);
	if (!err)
		err = measure_register(ring.ring_fd, 65536, 64, &middle);
	if (!err)
		err = measure_register(ring.ring_fd, 1 << 20, 4, &large);
	if (err)
		return err;
	snprintf(answer->note, sizeof(answer->note),
		 "%llu ns for 4K, %llu ns for 64K, %llu ns for 1M: it is the pages that cost",
		 (unsigned long long)small.middle, (unsigned long long)middle.middle,
		 (unsigned long long)large.middle);
	return claim(answer, judge_sizes((struct limits_spread[]){small, middle, large}, 3),
		     small.middle);
}

/* ---- "100-200 bytes of kernel memory each" */

static int ask_bytes(const struct limits_env *env, struct limits_answer *answer)
{
	const struct limits_section *memory = &limits_memory_section;
	struct limits_env theirs = *env;
	struct limits_spread spread;

	for (size_t i = 0; i < memory->nr; i++) {
		int err;

		if (strcmp(memory->probes[i].key, "memory.fixed_4k") != 0)
			continue;
		theirs.arg = memory->probes[i].arg;
		err = memory->probes[i].ask(&theirs, answer);
		if (err || !answer->has_value)
			return cannot_tell(answer, "too few buffers could be had to show them in "
						   "the kernel's counters");
		snprintf(answer->note, sizeof(answer->note),
			 "a registered buffer of 4K takes %llu bytes",
			 (unsigned long long)answer->value);
		/* The counters of three rounds: an eighth either way is their grain. */
		spread = (struct limits_spread){answer->value - answer->value / 8, answer->value,
						answer->value + answer->value / 8};
		return claim(answer, limits_spread_in(&spread, 100, 200), answer->value);
	}
	return -ENODATA;
}

/* ---- reads, many at a time */

struct reads {
	struct io_uring ring;
	int file;
	char *memory;
	size_t bytes;       /* of one read */
	unsigned int slots; /* of the table; 0: reads into memory that is not registered */
	bool scattered;     /* over all slots, else slot 0 */
	uint32_t random;
};

#define BATCH 64

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8;
}

static void prepare_read(struct reads *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);
	uint32_t slot = r->scattered ? next_random(&r->random) % r->slots : 0;

	if (r->slots)
		io_uring_prep_read_fixed(sqe, r->file, r->memory, (unsigned int)r->bytes, 0,
					 (int)slot);
	else
		io_uring_prep_read(sqe, r->file, r->memory, (unsigned int)r->bytes, 0);
}

static int read_batch(struct reads *r)
{
	int err;

	for (int i = 0; i < BATCH; i++)
		prepare_read(r);
	err = io_uring_submit_and_wait(&r->ring, BATCH);
	for (int i = 0; err >= 0 && i < BATCH; i++) {
		struct io_uring_cqe *cqe;

		err = io_uring_wait_cqe(&r->ring, &cqe);
		if (err)
			return err;
		if (cqe->res != (int)r->bytes)
			err = cqe->res < 0 ? cqe->res : -EIO;
		io_uring_cqe_seen(&r->ring, cqe);
	}
	return err < 0 ? err : 0;
}

/*
 * Processor time of one read, without what a disk takes: the median of batches, in tenths of ns.
 * Few of them where they are slow.
 */
static int time_reads(struct reads *r, uint64_t *tenths)
{
	enum { ROUNDS = 31, FEWEST = 3, MOST_NS = 10000000 };
	uint64_t ns[ROUNDS], begin = clock_ns(CLOCK_MONOTONIC);
	size_t nr = 0;

	do {
		uint64_t start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		int err = read_batch(r);

		if (err)
			return err;
		ns[nr++] = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
	} while (nr < ROUNDS && (nr < FEWEST || clock_ns(CLOCK_MONOTONIC) - begin < MOST_NS));
	*tenths = limits_median(ns, nr) * 10 / BATCH;
	return 0;
}

/* A table as large as can be had, all of its slots the same memory; r->slots says how large. */
static int fill_table(struct reads *r, unsigned int most)
{
	int err = -ENOMEM;

	for (r->slots = most; r->slots > 0 && err; r->slots /= err ? 2 : 1) {
		struct iovec *iov = repeat_buffer(r->memory, r->bytes, r->slots);

		err = iov ? register_table(r->ring.ring_fd, iov, r->slots) : -ENOMEM;
		free(iov);
	}
	return err;
}

static int open_reads(struct reads *r, int file, size_t bytes)
{
	*r = (struct reads){.file = file, .bytes = bytes, .random = 1};
	r->memory = limits_map_filled(bytes, false);
	if (file < 0 || !r->memory)
		return file < 0 ? file : -ENOMEM;
	if (pwrite(file, r->memory, bytes, 0) != (ssize_t)bytes)
		return -EIO;
	return io_uring_queue_init(BATCH, &r->ring, 0);
}

static int open_memory(void)
{
	int fd = memfd_create("bufscope", MFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* ---- "lookup cost independent of count" */

static int open_lookup(struct reads *r, unsigned int slots)
{
	int err = open_reads(r, open_memory(), 64);

	r->scattered = true;
	return err ? err : fill_table(r, slots);
}

static int ask_lookup(const struct limits_env *env, struct limits_answer *answer)
{
	struct reads few, all;
	struct limits_spread ratio;
	struct turns t;
	uint64_t one, many;
	int err = open_lookup(&few, 1);

	(void)env;
	if (!err)
		err = open_lookup(&all, 16384);
	for (int i = 0; i < TURNS && !err; i++) {
		err = time_reads(&few, &t.a[i]);
		if (!err)
			err = time_reads(&all, &t.b[i]);
	}
	if (err)
		return err;
	ratio = compare_turns(&t);
	one = limits_median(t.a, TURNS);
	many = limits_median(t.b, TURNS);
	snprintf(answer->note, sizeof(answer->note),
		 "a read of 64 bytes: %llu.%llu ns from a table of 1, %llu.%llu ns over all of %u",
		 (unsigned long long)one / 10, (unsigned long long)one % 10,
		 (unsigned long long)many / 10, (unsigned long long)many % 10, all.slots);
	return claim(answer, limits_spread_in(&ratio, 0, 1100), many / 10);
}

/* ---- "lazily registered cost amortises" */

/* Past the page cache if some file system here can: there pages are pinned for each read. */
static int open_direct(void)
{
	static const char *const places[] = {".", "/var/tmp", "/tmp"};

	for (size_t i = 0; i < LIMITS_NR(places); i++) {
		int fd = open(places[i], O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);

		if (fd >= 0)
			return fd;
	}
	return open_memory();
}

struct lazy {
	struct turns t;             /* a use without and with registering, in tenths of ns */
	struct limits_spread price; /* of registering, in ns */
};

static int measure_lazy(int file, struct lazy *lazy)
{
	struct reads plain = {0}, fixed = {0};
	int err = open_reads(&plain, file, 65536);

	if (!err)
		err = open_reads(&fixed, file, 65536);
	if (!err)
		err = measure_register(fixed.ring.ring_fd, fixed.bytes, 1, &lazy->price);
	if (!err)
		err = fill_table(&fixed, 1);
	for (int i = 0; i < TURNS && !err; i++) {
		err = time_reads(&plain, &lazy->t.a[i]);
		if (!err)
			err = time_reads(&fixed, &lazy->t.b[i]);
	}
	return err;
}

/* Uses after which it has paid: 0 never, where a use gains nothing. */
static struct limits_spread count_uses(const struct lazy *lazy)
{
	uint64_t uses[TURNS];

	for (int i = 0; i < TURNS; i++) {
		uint64_t a = lazy->t.a[i], b = lazy->t.b[i];

		uses[i] = a > b ? lazy->price.middle * 10 / (a - b) + 1 : UINT64_MAX;
	}
	return limits_spread(uses, TURNS);
}

static int ask_lazy(const struct limits_env *env, struct limits_answer *answer)
{
	int file = open_direct();
	const char *how = file >= 0 && fcntl(file, F_GETFL) & O_DIRECT ? "direct" : "cached";
	struct limits_spread uses;
	struct lazy lazy;
	uint64_t plain, fixed;
	int err = measure_lazy(file, &lazy);

	(void)env;
	if (err)
		return err;
	uses = count_uses(&lazy);
	plain = limits_median(lazy.t.a, TURNS) / 10;
	fixed = limits_median(lazy.t.b, TURNS) / 10;
	snprintf(answer->note, sizeof(answer->note),
		 "a %s read of 64K: %llu ns plain, %llu ns registered, which takes %llu ns once",
		 how, (unsigned long long)plain, (unsigned long long)fixed,
		 (unsigned long long)lazy.price.middle);
	claim(answer, limits_spread_in(&uses, 0, 1000), uses.middle);
	answer->has_value = uses.middle != UINT64_MAX;
	return 0;
}

/* ---- "fair share per worker" */

/* Several times: who comes first takes all, but they may happen to run side by side. */
static int ask_share(const struct limits_env *env, struct limits_answer *answer)
{
	enum { TIMES = 5 };
	uint64_t percent[TIMES];
	struct limits_team team;
	struct limits_spread spread;

	for (int i = 0; i < TIMES; i++) {
		int err;

		team = (struct limits_team){
			.what = TEAM_BUFFERS,
			.workers = 4,
			.memlock_bytes = limits_team_memlock(),
			.max_bytes = env->max_bytes,
		};
		err = limits_team_run(&team);
		if (err)
			return err;
		percent[i] = team.most ? team.least * 100 / team.most : 100;
	}
	spread = limits_spread(percent, TIMES);
	snprintf(answer->note, sizeof(answer->note),
		 "of 4 workers under one memlock limit of %llu KiB one gets %llu buffers, one %llu",
		 (unsigned long long)team.memlock_bytes >> 10, (unsigned long long)team.most,
		 (unsigned long long)team.least);
	return claim(answer, limits_spread_in(&spread, 90, 100), team.least);
}

/* ---- "TLB pressure eased by huge pages" */

#define LINE 64

/* One cycle through all lines: the increment is odd, the factor 1 modulo 4. */
static void lay_walk(char *memory, size_t bytes)
{
	size_t nr = bytes / LINE;

	for (size_t i = 0; i < nr; i++)
		*(size_t *)(void *)(memory + i * LINE) = (i * 1664525 + 1013904223) & (nr - 1);
}

/* From line *at on, in an order that nothing foresees; of one step, in tenths of ns. */
static uint64_t time_walk(char *memory, size_t *at)
{
	enum { STEPS = 1 << 16 };
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	for (int i = 0; i < STEPS; i++)
		*at = *(volatile size_t *)(void *)(memory + *at * LINE);
	return (clock_ns(CLOCK_MONOTONIC) - start) * 10 / STEPS;
}

/* Huge pages in this process's mappings, in bytes. */
static uint64_t huge_bytes(void)
{
	unsigned long long kb, sum = 0;
	char line[256];
	FILE *f = fopen("/proc/self/smaps", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "AnonHugePages: %llu", &kb) == 1)
			sum += kb * 1024;
	}
	if (f)
		fclose(f);
	return sum;
}

static char *map_aligned(size_t bytes, bool huge)
{
	char *memory = limits_map(bytes + HUGE_BYTES);

	if (!memory)
		return NULL;
	memory += HUGE_BYTES - (uintptr_t)memory % HUGE_BYTES;
	limits_fill(memory, bytes, huge);
	return memory;
}

static int ask_tlb(const struct limits_env *env, struct limits_answer *answer)
{
	size_t bytes = 128U << 20, at_small = 0, at_huge = 0;
	uint64_t small, huge, before = huge_bytes();
	struct limits_spread ratio;
	char *in_small, *in_huge;
	struct turns t;

	while (bytes > env->max_bytes / 2)
		bytes /= 2;
	in_small = map_aligned(bytes, false);
	in_huge = map_aligned(bytes, true);
	if (!in_small || !in_huge)
		return -ENOMEM;
	if (huge_bytes() - before < bytes / 2)
		return cannot_tell(answer, "no huge pages are to be had here");
	lay_walk(in_small, bytes);
	lay_walk(in_huge, bytes);
	for (int i = 0; i < TURNS; i++) {
		t.a[i] = time_walk(in_small, &at_small);
		t.b[i] = time_walk(in_huge, &at_huge);
	}
	ratio = compare_turns(&t);
	small = limits_median(t.a, TURNS);
	huge = limits_median(t.b, TURNS);
	snprintf(answer->note, sizeof(answer->note),
		 "a random access to %zu MiB takes %llu.%llu ns in pages of 4K, %llu.%llu ns in "
		 "huge ones",
		 bytes >> 20, (unsigned long long)small / 10, (unsigned long long)small % 10,
		 (unsigned long long)huge / 10, (unsigned long long)huge % 10);
	return claim(answer, limits_spread_in(&ratio, 0, 900), huge / 10);
}

static const struct limits_probe probes[] = {
	{"claims.count", "a ring takes 1024 registered buffers", "buffers", ask_count},
	{"claims.share", "each worker has a fair share of the limit", "buffers", ask_share},
	{"claims.register", "registering takes 1-10us per buffer", "ns", ask_register,
	 .level = LIMITS_DEFAULT, .weight = 100},
	{"claims.bytes", "a buffer takes 100-200 bytes of the kernel", "bytes", ask_bytes,
	 .level = LIMITS_DEFAULT, .weight = 400},
	{"claims.lookup", "its lookup costs the same among many", "ns", ask_lookup,
	 .level = LIMITS_DEFAULT, .weight = 100},
	{"claims.lazy", "registering on first use pays", "uses", ask_lazy, .level = LIMITS_DEFAULT,
	 .weight = 200},
	{"claims.tlb", "huge pages ease the TLB", "ns", ask_tlb, .level = LIMITS_DEFAULT,
	 .weight = 1000},
};

const struct limits_section limits_claim_section = {
	.name = "claims",
	.title = "claims about registered buffers, measured",
	.probes = probes,
	.nr = LIMITS_NR(probes),
	.judges = true,
	.measures = true,
};
