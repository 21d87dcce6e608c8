/* SPDX-License-Identifier: MIT */
/*
 * The accounts that the event programs keep of each group: loads and attaches them at the depth
 * that is asked for, and joins what they counted to a sample. Used by observe.c alone.
 */
#ifndef BUFSCOPE_ACCOUNTS_H
#define BUFSCOPE_ACCOUNTS_H

#include "observe.h"
#include "tail.h"

struct accounts;

struct accounts_opts {
	const struct observe_opts *observe;
	uint32_t pid_level; /* of our pid namespace */
	int tgids;          /* the map of processes that are looked at */
};

/* NULL with errno. The caller explains. */
struct accounts *accounts_open(const struct accounts_opts *opts);

/*
 * Brings all accounts up to date, meets groups that the sample shows for the first time, and
 * fills sample->counts. The sample must be sorted. 0 or -errno.
 */
int accounts_join(struct accounts *accounts, struct sample *sample);

/* Whether the kernel's own functions are seen, too. */
bool accounts_see_functions(const struct accounts *accounts);

/* The file of the ring buffer with struct trace_rec; -1: there is no trace. */
int accounts_trace_fd(const struct accounts *accounts);
int accounts_trace(struct accounts *accounts, observe_take_fn *take, void *context);
uint64_t accounts_trace_lost(const struct accounts *accounts);
void accounts_trace_losses(const struct accounts *accounts, struct trace_lost lost[TRACE_KINDS]);

/* See observe.h. */
int accounts_books(const struct accounts *accounts, struct book_view *view);
void accounts_look(struct accounts *accounts);
int accounts_slots(struct accounts *accounts, const struct group_rec *group,
		   struct observe_slots *slots);
int accounts_detail(const struct accounts *accounts, const struct group_rec *group,
		    struct observe_detail *detail);
int accounts_origin(const struct accounts *accounts, const struct group_rec *group,
		    struct observe_origin *origin);
void accounts_ignore(struct accounts *accounts, uint32_t tgid);
/* Asks for the first page of a ring: a tail_ask_fn, whose context is the accounts. */
int accounts_find_page(void *context, struct ring_page *page);

/*
 * Sets or (NULL) ends the watch of a group's tail. Returns the program that is to be run at stores
 * to it, a file.
 */
int accounts_watch(struct accounts *accounts, const struct observe_watch *watch);

/* What the programs lost, since they run. */
void accounts_losses(const struct accounts *accounts, uint64_t losses[LOSS_MAX]);

/* NULL is accepted. */
void accounts_close(struct accounts *accounts);

#endif
