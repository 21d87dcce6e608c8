/* SPDX-License-Identifier: MIT */
/*
 * What samples mean over time: which group is which from one sample to the next, how fast, how low,
 * who came and who went. Pure: knows no clock (time is the sample's stamp), no kernel, no output.
 *
 * Views read a const model. A filter or a sort order never changes it.
 */
#ifndef BUFSCOPE_MODEL_H
#define BUFSCOPE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sample.h"

#define MODEL_HISTORY 60 /* samples that a group remembers */
#define MODEL_SLOTS   64 /* where they lie: a power of two, and a bit each in a mask */
#define MODEL_LINGER  5  /* samples for which what is gone is still shown */

/* A number that may not be known; exact up to 2^53. */
struct value {
	double v;
	enum { VALUE_UNKNOWN, VALUE_KNOWN, VALUE_STALE } state;
	bool in_doubt; /* may be short by multiples of 65536: a 16-bit counter may have wrapped
			  unseen */
};

enum model_life {
	LIFE_LIVE,
	LIFE_UNSEEN, /* not in the last sample, but that sample has gaps */
	LIFE_GONE,   /* closed, unregistered, or its process is gone */
};

/* How a group is doing, the worst last; see condition.c. */
enum condition {
	CONDITION_IDLE,     /* nothing moves */
	CONDITION_CALM,     /* it moves, and there is enough */
	CONDITION_TIGHT,    /* nearly or lately empty, or about to be */
	CONDITION_LEAKING,  /* buffers are held for too long */
	CONDITION_STARVING, /* requests found it empty */
};

/* Common to rings and groups: when. */
struct model_span {
	enum model_life life;
	bool is_new;           /* came after the first sample, and in the last one */
	bool came;             /* came after the first sample: its beginning was seen */
	unsigned int absences; /* samples since it was last seen */
	uint64_t born_ns;      /* stamp of the sample that first showed it */
	uint64_t seen_ns;      /* and of the one that last did */
};

struct model_group {
	struct model_ring *ring;
	struct group_rec rec; /* as last seen */
	struct model_span span;
	uint64_t total[COUNT_MAX]; /* COUNT_UNKNOWN; read through model_total() */
	double rate[COUNT_MAX];    /* negative: unknown; read through model_rate() */
	uint64_t gauge[GAUGE_MAX];
	uint64_t moved_ns;    /* stamp of the last sample that saw it change; 0: none did */
	uint64_t empty_in_ns; /* if it goes on like this; COUNT_UNKNOWN: it is not draining */
	enum condition condition;
	uint64_t wraps;   /* intervals in which taken or returned may be short by 65536 */
	bool has_wrapped; /* in the last interval */
	uint32_t available[MODEL_SLOTS]; /* by sample number; read through model_past_available() */
	uint64_t starved_mask;           /* bit per slot: starved in that interval */
	uint64_t empty_mask;             /* and was empty in it, or at its end */
};

struct model_ring {
	uint32_t ordinal; /* from 1; never used again in this model */
	struct ring_rec rec;
	struct model_span span;
	struct model_group **groups; /* by bgid; what is gone included */
	size_t nr_groups;
};

struct model {
	uint64_t samples; /* taken in so far */
	uint64_t at_ns;   /* stamps of the last one */
	uint64_t wall_ns;
	uint64_t interval_ns;          /* between the last two; 0: there is only one */
	uint64_t past_ns[MODEL_SLOTS]; /* stamps by sample number; read through model_past_ns() */
	enum sample_backend backend;
	uint64_t losses[LOSS_MAX];
	uint64_t wraps;            /* over all groups, gone ones included */
	struct model_ring **rings; /* by (tgid, fd); what is gone included */
	size_t nr_rings;
	size_t live_rings, live_groups;
	bool has_names; /* a program tells what it calls one of these groups */
};

/* NULL with errno ENOMEM. */
struct model *model_new(void);

/* NULL is accepted. */
void model_free(struct model *model);

/*
 * Takes in the next sample, which must be sorted. 0; -EINVAL if its stamp is before the last one's
 * (nothing changed); -ENOMEM (the model has forgotten everything).
 */
int model_update(struct model *model, const struct sample *sample);

struct value model_available(const struct model_group *group);
struct value model_held(const struct model_group *group);
struct value model_total(const struct model_group *group, enum group_counter counter);
struct value model_rate(const struct model_group *group, enum group_counter counter);
struct value model_gauge(const struct model_group *group, enum group_gauge gauge);

/* `v`, known or stale as that which it belongs to. */
struct value model_value(const struct model_span *span, double v);
extern const struct value model_unknown;

/* How long until it is empty at the trend of the last looks; unknown when it is not draining. */
struct value model_empty_in(const struct model_group *group);

/* Stamp of the sample `back` samples ago; 0 if there was none or it is forgotten. */
uint64_t model_past_ns(const struct model *model, unsigned int back);

/* `back` samples ago, 0 is the last one; REC_UNKNOWN_U32 if not seen then. */
uint32_t model_past_available(const struct model *model, const struct model_group *group,
			      unsigned int back);

/* Whether requests starved between that sample and the one before it. */
bool model_past_starved(const struct model *model, const struct model_group *group,
			unsigned int back);

/* Whether none was available then, or for some time between that sample and the one before it. */
bool model_past_empty(const struct model *model, const struct model_group *group,
		      unsigned int back);

/* NULL: there is none, or it is forgotten. */
const struct model_ring *model_find_ring(const struct model *model, uint32_t ordinal);

/* By identity; of two that share it the one that lives. NULL: none. */
const struct model_group *model_find(const struct model *model, uint32_t ordinal, uint32_t bgid);

#endif
