/* Text with numbers in it.
 *
 * What is sent and what is expected back is written in Python (benchmarks/messages.py); these
 * programs only put numbers into it: "@@@@@@@@" becomes the request's number, eight digits from
 * 10000000 on, and "######" the number of the endpoint that it asks for. Both have a fixed width,
 * so that filling in a template is one memcpy and a few digits. */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

enum { FIRST_NUMBER = 10000000, MESSAGE_ROOM = 8192, MAX_SLOTS = 16, MAX_LINES = 16 };

struct template {
    char text[MESSAGE_ROOM];
    size_t length;
    size_t number_at[MAX_SLOTS], endpoint_at[MAX_SLOTS];
    int numbers, endpoints;
};

/* What an answer must look like. The first line of the file is the start of the status line. Each
 * other line begins with '=' (a header field that must be exactly this) or '^' (one whose value
 * must begin like this); a field that is named here must occur once. */
struct expectation {
    struct template template;
    struct line {
        size_t name_at, name_length, value_at, value_length;
        bool exact;
    } lines[MAX_LINES];
    int line_count;
    size_t status_length;
};

/* Both end the program with a message when the file cannot be used. */
void template_read(struct template *template, const char *path);
void expectation_read(struct expectation *expectation, const char *path);

/* Fill in: returns the length; `out` has room for MESSAGE_ROOM. */
size_t template_fill(const struct template *template, char *out, unsigned number,
                     unsigned endpoint);

/* The number of the request that this answer is for, by the branch of its topmost Via, counted
 * from 0; -1 when there is none. */
long answer_number(const char *answer, size_t length);

/* NULL when the answer is as expected, else what is wrong with it. */
const char *answer_fault(const struct expectation *expectation, const char *answer, size_t length,
                         unsigned number, unsigned endpoint);

/* The endpoint that a request asks for: neighbours in time are not neighbours in the table. */
static inline unsigned endpoint_for(unsigned number, unsigned endpoints)
{
    return (unsigned)((number * 2654435761ull >> 7) % endpoints);
}

#endif
