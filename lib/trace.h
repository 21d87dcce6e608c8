/* SPDX-License-Identifier: MIT */
/*
 * The events of a trace, as people know them: rings by process, descriptor and ordinal, kinds,
 * operations and causes by name. Pure; where records come from is observe.h's business.
 */
#ifndef BUFSCOPE_TRACE_H
#define BUFSCOPE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/record.h"
#include "sample.h"

/* The kinds that are shown, a bit per enum trace_kind: those before the ones that never are. */
#define TRACE_SHOWN ((1U << TRACE_CREATE) - 1)

struct trace;

/* A ring that was found by a sample, or seen when it was made. */
struct trace_ring {
	uint64_t ring_id;
	uint32_t ordinal; /* from 1, in the order of their finding; never used again */
	uint32_t tgid;    /* 0: not known */
	int32_t fd;       /* -1: not known, or there is none */
	char comm[REC_COMM_LEN + 1];
};

/* One event; valid until the next call on its trace. */
struct trace_event {
	const struct trace_rec *rec;
	const struct trace_ring *ring;
};

/* NULL with errno. */
struct trace *trace_new(void);

/* NULL is accepted. */
void trace_free(struct trace *trace);

/* Makes the rings of a sample known. 0 or -ENOMEM. */
int trace_meet(struct trace *trace, const struct sample *sample);

/*
 * 1 and *event filled, 0 if the record is of a kind that is not shown (a new ring is taken in),
 * -ENOMEM. *rec must outlive *event.
 */
int trace_read(struct trace *trace, const struct trace_rec *rec, struct trace_event *event);

/* "register", "select", "mshot-end", ...; those that are shown. */
const char *trace_kind_name(enum trace_kind kind);

/* By that name; -1 if there is none. */
int trace_kind_find(const char *name);

/* "empty-at-data", ...; */
const char *trace_cause_name(enum starve_cause cause);

/* "recv", "read-multishot", ... of those that select buffers; NULL for others. */
const char *trace_operation_name(unsigned int opcode);

/* Whether the event tells that something went wrong. */
bool trace_is_error(const struct trace_rec *rec);

#endif
