#define _GNU_SOURCE
#include "template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char NUMBER_SLOT[] = "@@@@@@@@";
static const char ENDPOINT_SLOT[] = "######";
static const char BRANCH[] = "branch=z9hG4bK";

static _Noreturn void refuse(const char *path, const char *why)
{
    fprintf(stderr, "%s: %s\n", path, why);
    exit(2);
}

static int find_slots(const struct template *template, const char *slot, size_t *offsets,
                      const char *path)
{
    int found = 0;
    const char *at = template->text;
    while ((at = strstr(at, slot)) != NULL) {
        if (found == MAX_SLOTS)
            refuse(path, "too many slots");
        offsets[found++] = (size_t)(at - template->text);
        at += strlen(slot);
    }
    return found;
}

void template_read(struct template *template, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        refuse(path, "cannot be opened");
    template->length = fread(template->text, 1, MESSAGE_ROOM - 1, file);
    if (!feof(file) && fgetc(file) != EOF)
        refuse(path, "too long");
    fclose(file);
    template->text[template->length] = '\0';
    template->numbers = find_slots(template, NUMBER_SLOT, template->number_at, path);
    template->endpoints = find_slots(template, ENDPOINT_SLOT, template->endpoint_at, path);
}

void expectation_read(struct expectation *expectation, const char *path)
{
    template_read(&expectation->template, path);
    const char *text = expectation->template.text;
    const char *end = strchr(text, '\n');
    if (end == NULL)
        refuse(path, "has no line for the status");
    expectation->status_length = (size_t)(end - text);
    for (const char *start = end + 1; *start != '\0'; start = end + 1) {
        end = strchr(start, '\n');
        const char *colon = strchr(start, ':');
        if (end == NULL || colon == NULL || colon > end || (*start != '=' && *start != '^'))
            refuse(path, "has a line that is no =Name: value or ^Name: value");
        if (expectation->line_count == MAX_LINES)
            refuse(path, "has too many lines");
        struct line *line = &expectation->lines[expectation->line_count++];
        const char *value = colon + 1 + strspn(colon + 1, " ");
        line->exact = *start == '=';
        line->name_at = (size_t)(start + 1 - text);
        line->name_length = (size_t)(colon - start - 1);
        line->value_at = (size_t)(value - text);
        line->value_length = (size_t)(end - value);
    }
}

static void put_digits(char *out, int width, unsigned value)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
}

size_t template_fill(const struct template *template, char *out, unsigned number,
                     unsigned endpoint)
{
    memcpy(out, template->text, template->length);
    for (int i = 0; i < template->numbers; i++)
        put_digits(out + template->number_at[i], 8, FIRST_NUMBER + number);
    for (int i = 0; i < template->endpoints; i++)
        put_digits(out + template->endpoint_at[i], 6, endpoint);
    return template->length;
}

long answer_number(const char *answer, size_t length)
{
    const char *at = memmem(answer, length, BRANCH, sizeof BRANCH - 1);
    if (at == NULL || (size_t)(answer + length - at) < sizeof BRANCH - 1 + 8)
        return -1;
    long value = 0;
    for (int i = 0; i < 8; i++) {
        char digit = at[sizeof BRANCH - 1 + (size_t)i];
        if (digit < '0' || digit > '9')
            return -1;
        value = value * 10 + (digit - '0');
    }
    return value - FIRST_NUMBER;
}

const char *answer_fault(const struct expectation *expectation, const char *answer, size_t length,
                         unsigned number, unsigned endpoint)
{
    char want[MESSAGE_ROOM];
    int seen[MAX_LINES] = {0};
    template_fill(&expectation->template, want, number, endpoint);
    if (length < expectation->status_length ||
        memcmp(answer, want, expectation->status_length) != 0)
        return "another status";
    const char *end = answer + length;
    const char *start = memmem(answer, length, "\r\n", 2);
    while (start != NULL && (start += 2) < end) {
        const char *stop = memmem(start, (size_t)(end - start), "\r\n", 2);
        if (stop == NULL)
            return "no empty line at its end";
        if (stop == start)
            break; /* the end of the header */
        const char *colon = memchr(start, ':', (size_t)(stop - start));
        if (colon == NULL)
            return "a line that is no header field";
        size_t name_length = (size_t)(colon - start);
        const char *value = colon + 1;
        while (value < stop && *value == ' ')
            value++;
        size_t value_length = (size_t)(stop - value);
        for (int i = 0; i < expectation->line_count; i++) {
            const struct line *line = &expectation->lines[i];
            if (line->name_length != name_length ||
                strncasecmp(start, want + line->name_at, name_length) != 0)
                continue;
            if (value_length < line->value_length ||
                (line->exact && value_length != line->value_length) ||
                memcmp(value, want + line->value_at, line->value_length) != 0)
                return "a header field with another value";
            seen[i]++;
        }
        start = stop;
    }
    for (int i = 0; i < expectation->line_count; i++)
        if (seen[i] != 1)
            return "a header field missing or repeated";
    return NULL;
}
