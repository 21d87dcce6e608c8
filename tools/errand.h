/* SPDX-License-Identifier: MIT */
/*
 * Something that takes long, done by a thread of its own while its caller stays awake. One at a
 * time. What it works on is its own from errand_begin() to errand_end(); no lock is needed.
 */
#ifndef BUFSCOPE_ERRAND_H
#define BUFSCOPE_ERRAND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct errand {
	int over; /* for poll(): readable when errand_end() will not wait */
	bool is_out;
	void (*run)(void *context);
	void *context;
	uint64_t cpu_ns; /* that the last one took */
	pthread_t thread;
};

/* 0 or -errno. */
int errand_open(struct errand *errand);

/* Where no thread can be had it is done at once, and is over. */
void errand_begin(struct errand *errand, void (*run)(void *context), void *context);

/* Waits for its end, if one is out. */
void errand_end(struct errand *errand);

/* Waits as well. One that was never opened, all zeroes, is accepted. */
void errand_close(struct errand *errand);

#endif
