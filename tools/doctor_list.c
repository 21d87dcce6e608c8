// SPDX-License-Identifier: MIT
/* What was found, as it is told: now, in an earlier report, and what has changed between them? */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

#define SCHEMA "bufscope.doctor/1"

uint32_t doctor_ring_ordinal(const struct casebook *book, uint64_t ring_id)
{
	for (size_t i = 0; i < book->nr_rings; i++) {
		if (book->rings[i].ring_id == ring_id)
			return (uint32_t)i + 1;
	}
	return 0;
}

static void make_entry(struct doctor_entry *entry, const struct casebook *book,
		       const struct finding *finding)
{
	const struct complaint_text *text = &complaint_texts[finding->complaint];
	const struct ring_rec *ring = casebook_ring(book, finding->ring_id);

	entry->complaint = finding->complaint;
	entry->severity = text->severity;
	entry->confidence = finding->confidence;
	entry->tgid = finding->tgid;
	entry->fd = ring ? ring->fd : -1;
	entry->ring = doctor_ring_ordinal(book, finding->ring_id);
	entry->bgid = finding->bgid;
	snprintf(entry->code, sizeof(entry->code), "%s", text->code);
	if (ring)
		memcpy(entry->comm, ring->comm, sizeof(ring->comm));
	memcpy(entry->evidence, finding->evidence, sizeof(entry->evidence));
	memcpy(entry->size, finding->advice, sizeof(entry->size));
}

int doctor_list_make(struct doctor_list *list, const struct consultation *c)
{
	list->nr = 0;
	list->at = calloc(c->diagnosis.nr + 1, sizeof(*list->at));
	if (!list->at)
		return -ENOMEM;
	for (size_t i = 0; i < c->diagnosis.nr; i++)
		make_entry(&list->at[list->nr++], &c->book, &c->diagnosis.findings[i]);
	return 0;
}

/* ---- an earlier report: nothing in it is trusted */

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return "";
	return json_object_get_string(value);
}

static uint32_t u32_of(struct json_object *object, const char *key, uint32_t unknown)
{
	struct json_object *value = NULL;
	int64_t number;

	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_int))
		return unknown;
	number = json_object_get_int64(value);
	return number < 0 || number >= UINT32_MAX ? unknown : (uint32_t)number;
}

static void read_entry(struct doctor_entry *entry, struct json_object *object)
{
	const char *severity = text_of(object, "severity");
	const char *confidence = text_of(object, "confidence");
	uint32_t fd = u32_of(object, "fd", INT32_MAX);

	snprintf(entry->code, sizeof(entry->code), "%s", text_of(object, "code"));
	snprintf(entry->comm, sizeof(entry->comm), "%s", text_of(object, "comm"));
	snprintf(entry->evidence, sizeof(entry->evidence), "%s", text_of(object, "evidence"));
	snprintf(entry->size, sizeof(entry->size), "%s", text_of(object, "size"));
	entry->complaint = complaint_find(entry->code);
	for (int i = SEVERITY_INFO; i <= SEVERITY_CRIT; i++) {
		if (strcmp(severity, severity_name((enum severity)i)) == 0)
			entry->severity = (enum severity)i;
	}
	for (int i = CONFIDENCE_POSSIBLE; i <= CONFIDENCE_CERTAIN; i++) {
		if (strcmp(confidence, confidence_name((enum confidence)i)) == 0)
			entry->confidence = (enum confidence)i;
	}
	entry->tgid = u32_of(object, "tgid", 0);
	entry->fd = fd < INT32_MAX ? (int32_t)fd : -1;
	entry->ring = u32_of(object, "ring", 0);
	entry->bgid = u32_of(object, "bgid", REC_UNKNOWN_U32);
}

static int read_entries(struct doctor_list *list, struct json_object *document)
{
	struct json_object *findings = NULL;
	size_t nr;

	if (strcmp(text_of(document, "schema"), SCHEMA) != 0 ||
	    !json_object_object_get_ex(document, "findings", &findings) ||
	    !json_object_is_type(findings, json_type_array))
		return -EBADMSG;
	nr = json_object_array_length(findings);
	list->at = calloc(nr + 1, sizeof(*list->at));
	if (!list->at)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		struct json_object *object = json_object_array_get_idx(findings, i);

		if (json_object_is_type(object, json_type_object))
			read_entry(&list->at[list->nr++], object);
	}
	return 0;
}

int doctor_list_read(struct doctor_list *list, const char *path)
{
	struct json_object *document;
	FILE *file = fopen(path, "re");
	int err;

	list->at = NULL;
	list->nr = 0;
	if (!file) {
		cmd_error("cannot read '%s': %s", path, strerror(errno));
		return EXIT_FAILED;
	}
	fclose(file);
	document = json_object_from_file(path);
	err = document ? read_entries(list, document) : -EBADMSG;
	json_object_put(document);
	if (!err)
		return EXIT_OK;
	if (err == -ENOMEM)
		cmd_error("out of memory");
	else
		cmd_error("'%s' is no report of 'doctor -j'", path);
	return EXIT_FAILED;
}

/* ---- what has changed */

static bool is_same(const struct doctor_entry *a, const struct doctor_entry *b)
{
	return strcmp(a->code, b->code) == 0 && a->bgid == b->bgid && strcmp(a->comm, b->comm) == 0;
}

static bool has(const struct doctor_list *list, const struct doctor_entry *entry)
{
	for (size_t i = 0; i < list->nr; i++) {
		if (is_same(&list->at[i], entry))
			return true;
	}
	return false;
}

size_t doctor_compare(struct doctor_list *now, struct doctor_list *before)
{
	size_t gone = 0;

	for (size_t i = 0; i < now->nr; i++)
		now->at[i].since = has(before, &now->at[i]) ? SINCE_BEFORE : SINCE_NEW;
	for (size_t i = 0; i < before->nr; i++) {
		struct doctor_entry entry = before->at[i];

		if (has(now, &entry))
			continue;
		before->at[i] = before->at[gone];
		before->at[gone++] = entry;
	}
	return gone;
}

void doctor_list_done(struct doctor_list *list)
{
	free(list->at);
	list->at = NULL;
	list->nr = 0;
}
