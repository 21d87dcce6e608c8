// SPDX-License-Identifier: MIT
/* Which fixed buffers of a ring are in use, and what of its user's locked memory is a process'? */
#include "closeup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void closeup_ask(struct observe *observe, const struct model_ring *ring)
{
	observe_tell_fixed(observe, ring ? ring->rec.ring_id : 0);
}

int closeup_ring(struct closeup *closeup, const struct observe *observe,
		 const struct model_ring *ring)
{
	const struct fixed_slot *slots;
	size_t nr = 0;

	closeup->ordinal = ring ? ring->ordinal : 0;
	closeup->has_slots = false;
	if (!ring)
		return 0;
	if (!closeup->slots)
		closeup->slots = calloc(MAX_FIXED_SLOTS, sizeof(*closeup->slots));
	if (!closeup->slots)
		return -ENOMEM;
	slots = observe_fixed(observe, &nr);
	if (!slots)
		return 0;
	memcpy(closeup->slots, slots, nr * sizeof(*slots));
	closeup->nr_slots = nr;
	closeup->has_slots = true;
	return 0;
}

/* All rings of a process charge the same user, or nobody. NULL: it has none. */
static const struct ring_rec *ring_of(const struct sample *sample, uint32_t tgid)
{
	const struct ring_rec *found = NULL;

	for (size_t i = 0; i < sample->nr_rings; i++)
		if (sample->rings[i].tgid == tgid &&
		    (!found || found->charged_uid == REC_UNKNOWN_U32))
			found = &sample->rings[i];
	return found;
}

void closeup_process(struct closeup *closeup, const struct sample *sample, uint32_t tgid,
		     bool is_whole)
{
	const struct ring_rec *ring = tgid ? ring_of(sample, tgid) : NULL;
	struct memlock_account account = {.only_tgid = tgid};

	closeup->tgid = tgid;
	closeup->has_rings = ring != NULL;
	closeup->is_charged = ring && ring->charged_uid != REC_UNKNOWN_U32;
	if (!closeup->is_charged)
		return;
	account.uid = ring->charged_uid;
	if (!closeup->has_charging)
		closeup->has_charging = memlock_charging_learn(&closeup->charging) == 0;
	account.charging = closeup->charging;
	memlock_count(sample, &account, &closeup->own);
	account.only_tgid = 0;
	closeup->has_user = is_whole;
	memlock_count(sample, &account, &closeup->user);
	closeup->has_limit = memlock_limit_of((pid_t)tgid, &closeup->limit_bytes) == 0;
}

uint32_t closeup_busiest(const struct closeup *closeup, size_t first, size_t nr, uint64_t *bytes)
{
	uint32_t most = 0;

	*bytes = 0;
	for (size_t i = first; i < first + nr && i < closeup->nr_slots; i++) {
		const struct fixed_slot *slot = &closeup->slots[i];

		*bytes += slot->bytes;
		if (slot->bytes && slot->in_flight != REC_UNKNOWN_U32 && slot->in_flight > most)
			most = slot->in_flight;
	}
	return most;
}

void closeup_done(struct closeup *closeup)
{
	free(closeup->slots);
	memset(closeup, 0, sizeof(*closeup));
}
