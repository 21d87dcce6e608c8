/* SPDX-License-Identifier: MIT */
/*
 * Which slot of a bounded table is to be used again? Knows slots only, neither what is in them nor
 * what a hit or a miss costs. Pure, but for the memory that evict_new() takes.
 */
#ifndef BUFSCOPE_EVICT_H
#define BUFSCOPE_EVICT_H

#include <stdint.h>

#include "bufscope.h"

struct evict;

/* Slots 0 ... nr - 1, all free, 1 <= nr <= 32768. NULL: no memory. */
struct evict *evict_new(enum bs_evict policy, uint32_t nr);
void evict_free(struct evict *evict);

/* A slot to fill: a free one while there is one, else one that is not pinned; -1: none. */
int evict_choose(struct evict *evict);

/* What evict_choose() answered now holds something new. */
void evict_fill(struct evict *evict, uint32_t slot);

/* What evict_choose() answered stays empty. */
void evict_empty(struct evict *evict, uint32_t slot);

/* What the slot holds was used again. */
void evict_touch(struct evict *evict, uint32_t slot);

/* A pinned slot is not chosen. */
void evict_pin(struct evict *evict, uint32_t slot);
void evict_unpin(struct evict *evict, uint32_t slot);

/* Whether the slot was filled before: then what it held gives way. */
int evict_is_filled(const struct evict *evict, uint32_t slot);

#endif
