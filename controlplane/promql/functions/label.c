/* label: label_replace and label_join: a label of each row anew. */
#include "base/regex/regex.h"
#include "base/utf8.h"
#include "controlplane/promql/functions/call.h"

#include <string.h>

/* Any UTF-8 but none at all. */
static bool
is_label_name(struct weir_promql_text name)
{
    return name.size > 0 && weir_utf8_valid((const uint8_t *)name.data, name.size);
}

static enum weir_err
fail_with(struct weir_promql_call *call, const char *problem, struct weir_promql_text text)
{
    return weir_promql_fail(call->query, WEIR_INVALID,
        weir_promql_format(&call->query->arena, "%s in %s(): %.*s", problem, call->function->name,
            (int)text.size, text.data));
}

/* Gives a row's label its value. A name that is given stays, even where one was to go. */
static enum weir_err
set_label(struct weir_promql_call *call, struct weir_promql_row *row, struct weir_promql_text name,
    struct weir_promql_text value)
{
    if (weir_promql_text_equal(name, WEIR_PROMQL_NAME))
        row->drop_name = false;
    return weir_promql_labelset_with(&call->query->sets, row->labels, name, value, &row->labels);
}

/* A text under way: measured where data is NULL, then written. */
struct writer {
    char *data;
    uint32_t size;
};

static void
write_text(struct writer *writer, const char *data, size_t size)
{
    if (writer->data != NULL && size > 0)
        memcpy(writer->data + writer->size, data, size);
    writer->size += (uint32_t)size;
}

static bool
is_name_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
        (byte >= '0' && byte <= '9') || byte == '_' || (byte & 0x80) != 0;
}

/* Takes "name" or "{name}" off the front of what follows a $; false where there is none. */
static bool
next_group(struct weir_promql_text *rest, struct weir_promql_text *name)
{
    uint32_t brace = rest->size > 0 && rest->data[0] == '{', size = 0;
    while (brace + size < rest->size && is_name_byte(rest->data[brace + size]))
        size++;
    uint32_t used = brace + size;
    if (size == 0 || (brace == 1 && (used == rest->size || rest->data[used] != '}')))
        return false;
    *name = (struct weir_promql_text){rest->data + brace, size};
    used += brace;
    *rest = (struct weir_promql_text){rest->data + used, rest->size - used};
    return true;
}

/* Number of the group that a name means; -1: none. 1 is one, 01 is a name. */
static int
group_number(const struct weir_regex *regex, struct weir_promql_text name)
{
    int number = 0;
    bool is_number = name.data[0] != '0' || name.size == 1;
    for (uint32_t i = 0; is_number && i < name.size; i++) {
        is_number = name.data[i] >= '0' && name.data[i] <= '9' && number < 1000;
        number = number * 10 + (name.data[i] - '0');
    }
    return is_number ? number : weir_regex_group(regex, name.data, name.size);
}

/* Writes the replacement: $1, $name, ${name}; $$ is one $; a group that took no part is empty. */
static void
expand(struct writer *writer, struct weir_promql_text template, const struct weir_regex *regex,
    const struct weir_regex_part parts[WEIR_REGEX_GROUPS_MAX])
{
    while (template.size > 0) {
        const char *dollar = memchr(template.data, '$', template.size);
        size_t before = dollar == NULL ? template.size : (size_t)(dollar - template.data);
        struct weir_promql_text name;
        write_text(writer, template.data, before);
        if (dollar == NULL)
            return;
        before++;
        template = (struct weir_promql_text){
            template.data + before, (uint32_t)(template.size - before)};
        if (template.size > 0 && template.data[0] == '$') {
            write_text(writer, "$", 1);
            template = (struct weir_promql_text){template.data + 1, template.size - 1};
        } else if (!next_group(&template, &name)) {
            write_text(writer, "$", 1);
        } else {
            int number = group_number(regex, name);
            if (number >= 0 && number < WEIR_REGEX_GROUPS_MAX && parts[number].data != NULL)
                write_text(writer, parts[number].data, parts[number].size);
        }
    }
}

static enum weir_err
replace(struct weir_promql_call *call, const struct weir_regex *regex, struct weir_promql_row *row)
{
    struct weir_promql_text source =
        weir_promql_labelset_get(row->labels, weir_promql_argument_text(call, 3));
    struct weir_promql_text template = weir_promql_argument_text(call, 2);
    struct weir_regex_part parts[WEIR_REGEX_GROUPS_MAX];
    bool matches;
    const char *text = source.data == NULL ? "" : source.data;
    enum weir_err err = weir_regex_parts(regex, text, source.size, parts, &matches);
    if (err != WEIR_OK || !matches)
        return err;
    struct writer writer = {0};
    expand(&writer, template, regex, parts);
    writer.data = weir_promql_query_alloc(call->query, writer.size + (size_t)1);
    if (writer.data == NULL)
        return WEIR_NOMEM;
    writer.size = 0;
    expand(&writer, template, regex, parts);
    return set_label(call, row, weir_promql_argument_text(call, 1),
        (struct weir_promql_text){writer.data, writer.size});
}

static enum weir_err
replace_all(
    struct weir_promql_call *call, const struct weir_regex *regex, struct weir_promql_sink *sink)
{
    struct weir_promql_table table;
    enum weir_err err = weir_promql_argument_table(call, 0, &table);
    for (uint32_t i = 0; err == WEIR_OK && i < table.count; i++)
        err = replace(call, regex, &table.rows[i]);
    if (err == WEIR_OK)
        err = weir_promql_table_merge(call->query, &table);
    return err == WEIR_OK ? weir_promql_table_push(&table, sink) : err;
}

enum weir_err
weir_promql_whole_label_replace(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    struct weir_promql_text pattern = weir_promql_argument_text(call, 4);
    struct weir_promql_text name = weir_promql_argument_text(call, 1);
    struct weir_regex *regex;
    enum weir_err err = weir_regex_new(pattern.data, pattern.size, &regex);
    if (err == WEIR_INVALID)
        return fail_with(call, "invalid regular expression", pattern);
    if (err != WEIR_OK)
        return err;
    err = is_label_name(name) ? replace_all(call, regex, sink)
                                        : fail_with(call, "invalid destination label name", name);
    weir_regex_free(regex);
    return err;
}

/* The values of the source labels, the separator between them. */
static void
join_values(struct writer *writer, const struct weir_promql_call *call,
    const struct weir_promql_labelset *labels)
{
    struct weir_promql_text separator = weir_promql_argument_text(call, 2);
    for (uint32_t i = 3; i < call->node->call.arguments.count; i++) {
        struct weir_promql_text value =
            weir_promql_labelset_get(labels, weir_promql_argument_text(call, i));
        if (i > 3)
            write_text(writer, separator.data, separator.size);
        write_text(writer, value.data, value.size);
    }
}

static enum weir_err
join(struct weir_promql_call *call, struct weir_promql_row *row)
{
    struct writer writer = {0};
    join_values(&writer, call, row->labels);
    writer.data = weir_promql_query_alloc(call->query, writer.size + (size_t)1);
    if (writer.data == NULL)
        return WEIR_NOMEM;
    writer.size = 0;
    join_values(&writer, call, row->labels);
    return set_label(call, row, weir_promql_argument_text(call, 1),
        (struct weir_promql_text){writer.data, writer.size});
}

enum weir_err
weir_promql_whole_label_join(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    for (uint32_t i = 3; i < call->node->call.arguments.count; i++)
        if (!is_label_name(weir_promql_argument_text(call, i)))
            return fail_with(
                call, "invalid source label name", weir_promql_argument_text(call, i));
    if (!is_label_name(weir_promql_argument_text(call, 1)))
        return fail_with(
            call, "invalid destination label name", weir_promql_argument_text(call, 1));
    struct weir_promql_table table;
    enum weir_err err = weir_promql_argument_table(call, 0, &table);
    for (uint32_t i = 0; err == WEIR_OK && i < table.count; i++)
        err = join(call, &table.rows[i]);
    if (err == WEIR_OK)
        err = weir_promql_table_merge(call->query, &table);
    return err == WEIR_OK ? weir_promql_table_push(&table, sink) : err;
}
