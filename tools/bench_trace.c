// SPDX-License-Identifier: MIT
/*
 * Where do access traces come from? Which buffer is used at each step: made here, after patterns of
 * programs, or read from what somebody recorded of one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define ACCESSES 100000u
#define BUFFERS  1024u

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

/* ---- made */

/* A pool used first in, first out by a copy: all buffers in turn. */
static void sequential_copy(uint16_t *trace)
{
	for (uint32_t i = 0; i < ACCESSES; i++)
		trace[i] = (uint16_t)(i % BUFFERS);
}

/* Eight workers, each in its eighth, with two buffers at a time that it uses again and again. */
static void parallel_regions(uint16_t *trace)
{
	for (uint32_t i = 0; i < ACCESSES; i++) {
		uint32_t worker = draw(8), step = i / 64;

		trace[i] = (uint16_t)(worker * 128 + (step + draw(2)) % 128);
	}
}

/* A pool used last in, first out: a few buffers on top, now and then a burst that goes deep. */
static void many_small_files(uint16_t *trace)
{
	for (uint32_t i = 0; i < ACCESSES;) {
		uint32_t depth = draw(100) == 0 ? BUFFERS / 2 : 1 + draw(8);

		for (uint32_t j = 0; j < depth && i < ACCESSES; j++)
			trace[i++] = (uint16_t)j;
	}
}

static uint16_t zipf_rank(void)
{
	static double sums[BUFFERS];
	double at;
	uint32_t low = 0, high = BUFFERS - 1;

	for (uint32_t i = 0; !sums[BUFFERS - 1] && i < BUFFERS; i++)
		sums[i] = (i ? sums[i - 1] : 0) + 1.0 / (i + 1);
	at = sums[BUFFERS - 1] * draw(1u << 30) / (1u << 30);
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (sums[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return (uint16_t)(low * 389 % BUFFERS); /* ranks do not lie side by side */
}

static void zipf(uint16_t *trace)
{
	for (uint32_t i = 0; i < ACCESSES; i++)
		trace[i] = zipf_rank();
}

/* The same, with somebody who reads everything once from time to time. */
static void zipf_and_scan(uint16_t *trace)
{
	for (uint32_t i = 0; i < ACCESSES; i++)
		trace[i] = i / BUFFERS % 5 == 4 ? (uint16_t)(i % BUFFERS) : zipf_rank();
}

/* Tasks that keep their buffers move between two workers; the trace is one worker's ring. */
static void task_migration(uint16_t *trace)
{
	uint32_t first = 0;

	for (uint32_t i = 0; i < ACCESSES; i++) {
		if (i % 500 == 0)
			first = draw(BUFFERS);
		trace[i] = (uint16_t)((first + draw(48)) % BUFFERS);
	}
}

static const struct {
	const char *name;
	void (*fill)(uint16_t *trace);
} traces[] = {
	{"sequential copy", sequential_copy},   {"parallel regions", parallel_regions},
	{"many small files", many_small_files}, {"zipf", zipf},
	{"zipf and scan", zipf_and_scan},       {"task migration", task_migration},
};

#define NR_MADE (sizeof(traces) / sizeof(traces[0]))

static int make(size_t i, struct bench_trace *out)
{
	*out = (struct bench_trace){.name = traces[i].name, .nr = ACCESSES, .buffers = BUFFERS};
	out->bids = calloc(ACCESSES, sizeof(*out->bids));
	if (!out->bids)
		return -ENOMEM;
	seed = 1;
	traces[i].fill(out->bids);
	return 0;
}

/* ---- recorded */

#define MAX_BUFFERS 32768u
#define SLOTS       (4 * MAX_BUFFERS)

/* What was recorded calls buffers by whatever name; here they are numbered as they come. */
struct numbering {
	char *words[MAX_BUFFERS];
	uint16_t slots[SLOTS]; /* by hash, open addressing; number + 1 */
	uint32_t nr;
};

static uint32_t hash(const char *word)
{
	uint64_t h = 0;

	while (*word)
		h = (h ^ (unsigned char)*word++) * 0x100000001b3u;
	return (uint32_t)(h >> 20 ^ h) % SLOTS;
}

static int number_of(struct numbering *n, const char *word)
{
	uint32_t slot = hash(word);

	for (; n->slots[slot]; slot = (slot + 1) % SLOTS)
		if (!strcmp(n->words[n->slots[slot] - 1], word))
			return n->slots[slot] - 1;
	if (n->nr == MAX_BUFFERS)
		return -E2BIG;
	n->words[n->nr] = strdup(word);
	if (!n->words[n->nr])
		return -ENOMEM;
	n->slots[slot] = (uint16_t)++n->nr;
	return (int)n->nr - 1;
}

static int add(struct bench_trace *trace, int number)
{
	if (trace->nr == BENCH_MAX_ACCESSES)
		return -E2BIG;
	if (!(trace->nr & (trace->nr - 1))) { /* twice the room at each power of two */
		size_t room = trace->nr ? 2 * (size_t)trace->nr : 1;
		uint16_t *bids = realloc(trace->bids, room * sizeof(*bids));

		if (!bids)
			return -ENOMEM;
		trace->bids = bids;
	}
	trace->bids[trace->nr++] = (uint16_t)number;
	return 0;
}

/* The first word of each line; empty lines and those that begin with # say nothing. */
static int read_lines(FILE *file, struct numbering *n, struct bench_trace *trace)
{
	char *line = NULL, *rest;
	size_t room = 0;
	int err = 0;

	errno = 0;
	while (!err && getline(&line, &room, file) > 0) {
		const char *word = strtok_r(line, " \t\r\n", &rest);

		if (!word || *word == '#')
			continue;
		err = number_of(n, word);
		if (err >= 0)
			err = add(trace, err);
	}
	if (!err && ferror(file))
		err = errno ? -errno : -EIO;
	free(line);
	return err;
}

static int read_trace(FILE *file, struct bench_trace *out)
{
	struct numbering *n = calloc(1, sizeof(*n));
	int err = n ? read_lines(file, n, out) : -ENOMEM;

	for (uint32_t i = 0; n && i < n->nr; i++)
		free(n->words[i]);
	if (!err) {
		out->buffers = n->nr;
		err = n->nr > 1 ? 0 : -ENODATA;
	}
	free(n);
	if (err)
		bench_trace_done(out);
	return err;
}

int bench_trace_read(const char *path, struct bench_trace *out)
{
	FILE *file = fopen(path, "re");
	int err;

	*out = (struct bench_trace){.name = "recorded"};
	if (!file)
		return -errno;
	err = read_trace(file, out);
	fclose(file);
	return err;
}

/* ---- recorded, and built in: where they come from is said in them */

#define BUILT_IN(symbol, path) #symbol ": .incbin \"" path "\"\n.byte 0\n"

__asm__(".pushsection .rodata\n" /* strings */
	BUILT_IN(bench_git, "tests/data/evict-git.txt")
		BUILT_IN(bench_sqlite, "tests/data/evict-sqlite.txt") ".popsection\n");

extern const char bench_git[], bench_sqlite[];

static const struct {
	const char *name, *text;
} recorded[] = {{"git (recorded)", bench_git}, {"SQLite (recorded)", bench_sqlite}};

const size_t bench_nr_traces = NR_MADE + sizeof(recorded) / sizeof(recorded[0]);

int bench_trace_get(size_t i, struct bench_trace *out)
{
	const char *text;
	FILE *file;
	int err;

	if (i < NR_MADE)
		return make(i, out);
	*out = (struct bench_trace){.name = recorded[i - NR_MADE].name};
	text = recorded[i - NR_MADE].text;
	file = fmemopen((void *)text, strlen(text), "r");
	if (!file)
		return -errno;
	err = read_trace(file, out);
	fclose(file);
	return err;
}

void bench_trace_done(struct bench_trace *trace)
{
	free(trace->bids);
	*trace = (struct bench_trace){0};
}
