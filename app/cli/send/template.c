#include "app/cli/send/template.h"

#include "model/labels.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Memory of one template: labels in the form of the client library. */
struct scratch {
    struct weir_client_label *labels;
    struct weir_client_series *series;
    char *text;
    size_t label_count;
    size_t text_used;
    struct weir_client_label common[WEIR_LABELS_COUNT_MAX];
    size_t common_count;
};

static struct weir_client_label
put_label(struct scratch *scratch, const struct weir_label *label)
{
    char *name = scratch->text + scratch->text_used;
    char *value = name + label->name_size + 1;
    memcpy(name, label->name, label->name_size);
    memcpy(value, label->value, label->value_size);
    name[label->name_size] = value[label->value_size] = '\0';
    scratch->text_used += (size_t)label->name_size + label->value_size + 2;
    return (struct weir_client_label){name, value};
}

static bool
has_label(const uint8_t *labels, size_t size, const struct weir_client_label *label)
{
    struct weir_label found;
    return weir_labels_find(labels, size, label->name, &found) &&
        found.value_size == strlen(label->value) &&
        memcmp(found.value, label->value, found.value_size) == 0;
}

static enum weir_err
next_labels(struct weir_send_definitions *definitions, const uint8_t **labels, size_t *size)
{
    return weir_definition_next(
        definitions->labels, definitions->size, &definitions->at, labels, size);
}

/* The labels that the next `count` definitions all have. definitions: a copy, which is read. */
static size_t
common_labels(struct weir_send_definitions definitions, uint32_t count, struct scratch *scratch,
    struct weir_client_label *common)
{
    struct weir_label label;
    size_t common_count = 0;
    const uint8_t *labels;
    size_t size, place = 0;
    if (next_labels(&definitions, &labels, &size) != WEIR_OK)
        return 0;
    while (weir_labels_next(labels, size, &place, &label) == WEIR_OK)
        common[common_count++] = put_label(scratch, &label);
    for (uint32_t i = 1; i < count && next_labels(&definitions, &labels, &size) == WEIR_OK; i++) {
        size_t left = 0;
        for (size_t k = 0; k < common_count; k++)
            if (has_label(labels, size, &common[k]))
                common[left++] = common[k];
        common_count = left;
    }
    return common_count;
}

static bool
is_common(const struct weir_label *label, const struct weir_client_label *common, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(common[i].name) == label->name_size &&
            memcmp(common[i].name, label->name, label->name_size) == 0)
            return true;
    return false;
}

/* Splits the labels of the next `count` definitions into common ones and each series' own. */
static enum weir_err
fill(struct weir_send_definitions *definitions, uint32_t count, struct scratch *scratch)
{
    scratch->common_count = common_labels(*definitions, count, scratch, scratch->common);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *labels;
        size_t size, place = 0;
        struct weir_label label;
        struct weir_client_series *series = &scratch->series[i];
        *series = (struct weir_client_series){&scratch->labels[scratch->label_count], 0};
        if (next_labels(definitions, &labels, &size) != WEIR_OK)
            return weir_fail(WEIR_CORRUPT, 0, "labels");
        while (weir_labels_next(labels, size, &place, &label) == WEIR_OK) {
            if (is_common(&label, scratch->common, scratch->common_count))
                continue;
            scratch->labels[scratch->label_count++] = put_label(scratch, &label);
            series->label_count++;
        }
    }
    return WEIR_OK;
}

enum weir_err
weir_send_template_add(struct weir_client *client, struct weir_send_definitions *definitions,
    uint32_t count, uint16_t *id, int *result)
{
    /* a label takes 4 bytes more than its text, of which 2 are the zeros here; the common ones are
     * there once more */
    struct scratch scratch = {.labels = calloc(definitions->size / 4 + 1, sizeof *scratch.labels),
        .series = calloc(count, sizeof *scratch.series),
        .text = malloc(definitions->size + WEIR_LABELS_BYTES_MAX)};
    enum weir_err err = scratch.labels != NULL && scratch.series != NULL && scratch.text != NULL
        ? fill(definitions, count, &scratch)
        : weir_fail(WEIR_NOMEM, 0, "template");
    if (err == WEIR_OK)
        *result = weir_client_add_template(
            client, scratch.common, scratch.common_count, scratch.series, count, id);
    free(scratch.labels);
    free(scratch.series);
    free(scratch.text);
    if (err == WEIR_OK && *result == -EMSGSIZE)
        return weir_fail(WEIR_INVALID, 0, "the labels of a series fit no packet; --datagram");
    return err;
}
