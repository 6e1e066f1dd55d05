// RE2 behind the C interface of regex.h. No exception leaves this file.
#include "base/regex/regex.h"

#include <re2/re2.h>

#include <algorithm>
#include <memory>
#include <new>
#include <string>

struct weir_regex {
    weir_regex(re2::StringPiece pattern, const re2::RE2::Options &options) : re2(pattern, options)
    {
    }
    re2::RE2 re2;
};

static re2::RE2::Options
make_options()
{
    re2::RE2::Options options;
    options.set_encoding(re2::RE2::Options::EncodingUTF8);
    options.set_dot_nl(true);
    options.set_log_errors(false);
    options.set_max_mem(WEIR_REGEX_MEMORY_MAX);
    return options;
}

extern "C" enum weir_err
weir_regex_new(const char *pattern, size_t size, struct weir_regex **out)
{
    try {
        auto regex = std::make_unique<weir_regex>(re2::StringPiece(pattern, size), make_options());
        if (!regex->re2.ok())
            return weir_fail(WEIR_INVALID, 0, "%s", regex->re2.error().c_str());
        *out = regex.release();
        return WEIR_OK;
    } catch (const std::bad_alloc &) {
        return weir_fail(WEIR_NOMEM, 0, "no memory for a regular expression of %zu bytes", size);
    }
}

extern "C" void
weir_regex_free(struct weir_regex *regex)
{
    delete regex;
}

// Matches all of text; RE2 may want memory for states it has not met before.
static enum weir_err
match(const re2::RE2 &re2, const char *text, size_t size, re2::StringPiece *found, int count,
    bool *out)
{
    try {
        *out = re2.Match(
            re2::StringPiece(text, size), 0, size, re2::RE2::ANCHOR_BOTH, found, count);
        return WEIR_OK;
    } catch (const std::bad_alloc &) {
        return weir_fail(WEIR_NOMEM, 0, "no memory to match a regular expression");
    }
}

extern "C" enum weir_err
weir_regex_matches(const struct weir_regex *regex, const char *text, size_t size, bool *out)
{
    return match(regex->re2, text, size, nullptr, 0, out);
}

extern "C" enum weir_err
weir_regex_parts(const struct weir_regex *regex, const char *text, size_t size,
    struct weir_regex_part parts[WEIR_REGEX_GROUPS_MAX], bool *out)
{
    re2::StringPiece found[WEIR_REGEX_GROUPS_MAX];
    int count = std::min(regex->re2.NumberOfCapturingGroups() + 1, WEIR_REGEX_GROUPS_MAX);
    enum weir_err err = match(regex->re2, text, size, found, count, out);
    if (err == WEIR_OK && *out)
        for (int i = 0; i < WEIR_REGEX_GROUPS_MAX; i++)
            parts[i] = {found[i].data(), found[i].size()};
    return err;
}

extern "C" int
weir_regex_group(const struct weir_regex *regex, const char *name, size_t size)
{
    for (const auto &group : regex->re2.NamedCapturingGroups())
        if (group.first.size() == size && group.first.compare(0, size, name, size) == 0)
            return group.second;
    return -1;
}
