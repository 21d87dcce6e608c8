/* SPDX-License-Identifier: MIT */
/*
 * What may this user do on this kernel? A table of abilities, each tried once, when it is first
 * asked for, and never told from the kernel's version. Single-threaded; nothing is left behind.
 */
#ifndef BUFSCOPE_CAPS_H
#define BUFSCOPE_CAPS_H

#include <stdbool.h>
#include <stddef.h>

enum caps_state {
	CAPS_UNKNOWN, /* what it takes to try is missing */
	CAPS_NO,
	CAPS_YES,
};

struct caps_answer {
	enum caps_state state;
	int error;       /* errno of the refusal, 0: there was none */
	char detail[80]; /* a remark, or "" */
};

struct ability {
	const char *key;        /* stable, such as "pbuf_ring.mmap" */
	const char *what;       /* what one can do with it */
	const char *if_missing; /* what its absence costs */
	/* Finds out; the answer comes as unknown, without error or detail. */
	void (*ask)(const struct ability *ability, struct caps_answer *answer);
	const char *subject; /* what it is about: a tracepoint, a function */
	int arg;
};

struct caps_section {
	const char *title;
	const struct ability *abilities;
	size_t nr;
	bool is_paired; /* for each function two abilities, by fentry and by kprobe */
};

/* The whole table, NULL at its end. */
const struct caps_section *const *caps_sections(void);

/* Valid until the program ends. NULL: no ability has this key. */
const struct caps_answer *caps_ask(const char *key);

/* Whether the answer is yes; a key that does not exist is a no. */
bool caps_can(const char *key);

/* Key of the ability for want of which nothing can be watched. NULL: watching works. */
const char *caps_hindrance(void);

/* How a function of the kernel can be seen; fentry, which costs less, where both would do. */
enum caps_way {
	CAPS_NO_WAY,
	CAPS_BY_FENTRY,
	CAPS_BY_KPROBE,
};

/* `function` is one of the table. */
enum caps_way caps_way_into(const char *function);

/* Whether enough of them can be seen to count by. */
bool caps_can_see_functions(void);

/* The best of enum sample_backend that watching can rest on; -EOPNOTSUPP: none. */
int caps_backend(void);

/* "yes", "no", "unknown" */
const char *caps_state_name(enum caps_state state);

#endif
