#define _GNU_SOURCE
#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void tally_start(struct tally *tally, const struct expectation *expectation, unsigned requests,
                 unsigned endpoints)
{
    *tally = (struct tally){.expectation = expectation, .requests = requests,
                            .endpoints = endpoints};
    tally->state = calloc(requests, 1);
    if (tally->state == NULL) {
        fprintf(stderr, "no memory for %u requests\n", requests);
        exit(2);
    }
    tally->started = now();
}

void tally_sent(struct tally *tally)
{
    tally->state[tally->sent++] = OUTSTANDING;
}

unsigned tally_outstanding(const struct tally *tally)
{
    return tally->sent - tally->answered - tally->given_up;
}

static void complain(struct tally *tally, const char *fault, const char *answer, size_t length)
{
    if (tally->wrong++ == 0)
        fprintf(stderr, "first wrong answer: %s\n%.*s\n", fault, (int)length, answer);
}

long tally_answer(struct tally *tally, const char *answer, size_t length)
{
    long number = answer_number(answer, length);
    if (number < 0 || number >= tally->sent) {
        complain(tally, "no Via branch of ours", answer, length);
        return -1;
    }
    unsigned char *state = &tally->state[number];
    if (*state == ANSWERED) {
        complain(tally, "a second answer to one request", answer, length);
        return -1;
    }
    if (*state == GIVEN_UP)
        tally->given_up--;
    *state = ANSWERED;
    tally->answered++;
    const char *fault = answer_fault(tally->expectation, answer, length, (unsigned)number,
                                     endpoint_for((unsigned)number, tally->endpoints));
    if (fault != NULL)
        complain(tally, fault, answer, length);
    return number;
}

void tally_give_up(struct tally *tally)
{
    for (unsigned i = 0; i < tally->sent; i++)
        if (tally->state[i] == OUTSTANDING) {
            tally->state[i] = GIVEN_UP;
            tally->given_up++;
        }
}

void tally_print(const struct tally *tally)
{
    printf("{\"requests\": %u, \"answered\": %u, \"wrong\": %u, \"lost\": %u, \"seconds\": %.6f}\n",
           tally->requests, tally->answered, tally->wrong, tally->requests - tally->answered,
           now() - tally->started);
}
