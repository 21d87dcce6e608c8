/* SPDX-License-Identifier: MIT */
/* What the parts of the casebook need of each other. */
#ifndef BUFSCOPE_CASEBOOK_PARTS_H
#define BUFSCOPE_CASEBOOK_PARTS_H

#include "casebook.h"

/* Room for one more; false: out of memory. */
bool casebook_grow(struct casebook *book, void **array, size_t nr, size_t size);

/* The index of groups, anew. False: out of memory. */
bool casebook_enter_groups(struct casebook *book);

/* The group, a new one if there was none. NULL: out of memory. */
struct case_group *casebook_get(struct casebook *book, uint64_t ring_id, uint32_t bgid);

void casebook_note_ring(struct casebook *book, const struct ring_rec *rec);

/* A sample has come, by which the kernel has taken so many buffers: as many as were told? */
void casebook_compare(struct case_group *group, const struct group_counts *counts, uint64_t at_ns);

/* The groups of an earlier ring at this address, of which only the kernel's books tell as yet. */
void casebook_meet(struct casebook *book, uint64_t ring_id, uint64_t before_ns);

/* A ring was made. */
void casebook_on_create(struct casebook *book, const struct trace_rec *rec);

/* A ring was registered in memory of the program. Returns whether another may have lain there. */
bool casebook_on_memory(struct casebook *book, uint64_t addr, uint32_t entries);

/* A request on a registered buffer failed. */
void casebook_on_table(struct casebook *book, const struct trace_rec *rec);

/* The groups and what is told of them so far go on under a name that no ring has. */
void casebook_set_aside(struct casebook *book, struct case_group *group);

/* What was made before that time every later sample has seen. */
void casebook_age_births(struct casebook *book, uint64_t at_ns);

/* Whether a sample of that time cannot have seen this ring, but one that was there before. */
bool casebook_is_newer(const struct casebook *book, uint64_t ring_id, uint64_t at_ns);

#endif
