/* The account of a run: each request is outstanding, answered once, or lost. Wrong answers and
 * answers to nothing are counted, and the first of them is shown. */
#ifndef TALLY_H
#define TALLY_H

#include <stddef.h>

#include "template.h"

struct tally {
    const struct expectation *expectation;
    unsigned char *state; /* one of the values below for each request */
    unsigned requests, endpoints;
    unsigned sent, answered, given_up, wrong;
    double started;
};

enum { NOT_SENT, OUTSTANDING, ANSWERED, GIVEN_UP };

double now(void); /* monotonic, seconds */
void tally_start(struct tally *tally, const struct expectation *expectation, unsigned requests,
                 unsigned endpoints);
void tally_sent(struct tally *tally); /* the next request has gone */
unsigned tally_outstanding(const struct tally *tally);

/* Takes note of an answer; returns the number of its request, or -1 when it is to none that
 * waits for one. */
long tally_answer(struct tally *tally, const char *answer, size_t length);

/* Nothing comes any more: what is outstanding is lost, unless it comes after all. */
void tally_give_up(struct tally *tally);

/* The result as one line of JSON on standard output; the program's exit status is always 0 when
 * it got this far: whoever reads the line judges. */
void tally_print(const struct tally *tally);

#endif
