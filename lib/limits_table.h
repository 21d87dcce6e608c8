/* SPDX-License-Identifier: MIT */
/* The sections of the table of probes; each is defined in the file of its subject. */
#ifndef BUFSCOPE_LIMITS_TABLE_H
#define BUFSCOPE_LIMITS_TABLE_H

#include "limits.h"

extern const struct limits_section limits_setup_section;
extern const struct limits_section limits_ring_section;
extern const struct limits_section limits_legacy_section;
extern const struct limits_section limits_fixed_section;
extern const struct limits_section limits_request_section;
extern const struct limits_section limits_memlock_section;
extern const struct limits_section limits_capacity_section;
extern const struct limits_section limits_multishot_section;
extern const struct limits_section limits_bundle_section;
extern const struct limits_section limits_inc_section;
extern const struct limits_section limits_account_section;
extern const struct limits_section limits_cost_section;
extern const struct limits_section limits_memory_section;
extern const struct limits_section limits_worker_section;
extern const struct limits_section limits_claim_section;

/* Several files of scenes, one table. */
#define LIMITS_BEHAVIOUR_TITLE "behaviour: the kernel or me?"

#define LIMITS_NR(array) (sizeof(array) / sizeof(*(array)))

#endif
