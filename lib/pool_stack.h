/* SPDX-License-Identifier: MIT */
/* The free buffers of a pool of which the program picks: the one that came last goes first. */
#ifndef BUFSCOPE_POOL_STACK_H
#define BUFSCOPE_POOL_STACK_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

struct pool_stack {
	uint16_t *bids;
	uint16_t *place; /* by bid: where it lies in bids, if it does */
	uint32_t nr;
};

static inline void pool_stack_push(struct pool_stack *stack, uint32_t bid)
{
	stack->place[bid] = (uint16_t)stack->nr;
	stack->bids[stack->nr++] = (uint16_t)bid;
}

/* There is one. */
static inline uint32_t pool_stack_pop(struct pool_stack *stack)
{
	return stack->bids[--stack->nr];
}

/* It is there. */
static inline void pool_stack_remove(struct pool_stack *stack, uint32_t bid)
{
	uint16_t last = stack->bids[--stack->nr];

	stack->bids[stack->place[bid]] = last;
	stack->place[last] = stack->place[bid];
}

static inline void pool_stack_done(struct pool_stack *stack)
{
	free(stack->bids);
	free(stack->place);
	stack->bids = stack->place = NULL;
}

/* Holds the bids below nr, the lowest on top; room for so many. 0 or -ENOMEM with nothing left. */
static inline int pool_stack_init(struct pool_stack *stack, uint32_t nr, uint32_t room)
{
	stack->bids = calloc(room, sizeof(*stack->bids));
	stack->place = calloc(room, sizeof(*stack->place));
	stack->nr = 0;
	if (!stack->bids || !stack->place) {
		pool_stack_done(stack);
		return -ENOMEM;
	}
	while (nr)
		pool_stack_push(stack, --nr);
	return 0;
}

#endif
