/* SPDX-License-Identifier: MIT */
/* What the parts of the casebook need of each other. */
#ifndef BUFSCOPE_CASEBOOK_PARTS_H
#define BUFSCOPE_CASEBOOK_PARTS_H

#include "casebook.h"

/* Room for one more; false: out of memory. */
bool casebook_grow(struct casebook *book, void **array, size_t nr, size_t size);

/* The index of groups, anew. False: out of memory. */
bool casebook_enter_groups(struct casebook *book);

void casebook_note_ring(struct casebook *book, const struct ring_rec *rec);

/* A ring was made. */
void casebook_on_create(struct casebook *book, const struct trace_rec *rec);

/* A request on a registered buffer failed. */
void casebook_on_table(struct casebook *book, const struct trace_rec *rec);

/* Whether a sample of that time cannot have seen this ring, but one that was there before. */
bool casebook_is_newer(const struct casebook *book, uint64_t ring_id, uint64_t at_ns);

#endif
