/* SPDX-License-Identifier: MIT */
/*
 * The clock that runs a BPF program again and again, on one CPU: what it reads is the memory of
 * all. Used by accounts.c alone.
 */
#ifndef BUFSCOPE_TICK_H
#define BUFSCOPE_TICK_H

#include <stdint.h>

struct bpf_program;
struct tick;

/* Begins at once, every ns. NULL with errno. */
struct tick *tick_open(const struct bpf_program *program, uint64_t ns);

/*
 * Moves it to where least was done since the last call, if that is worth it: what it takes is taken
 * from whoever runs there. To be called now and then; count: of ticks so far, to know whether they
 * come there.
 */
void tick_settle(struct tick *tick, uint64_t count);

/* NULL is accepted, here and above. */
void tick_close(struct tick *tick);

#endif
