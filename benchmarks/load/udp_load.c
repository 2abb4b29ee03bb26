/* Closed-loop load over UDP: keeps so many requests outstanding until all are answered.
 *
 *     udp_load FD REQUEST EXPECTED REQUESTS ENDPOINTS OUTSTANDING
 *
 * FD is a bound and connected socket that the caller opened. Messages go and come in batches
 * (sendmmsg, recvmmsg), so that the load costs less than the server that it loads. Nothing is
 * retransmitted: a request without an answer is a lost one. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tally.h"

/* When one in TOO_MANY is lost, it is not worth waiting for the others. */
enum { BATCH = 32, PATIENCE_MS = 500, TOO_MANY = 10 };

static char out[BATCH][MESSAGE_ROOM], in[BATCH][MESSAGE_ROOM];
static struct iovec out_iov[BATCH], in_iov[BATCH];
static struct mmsghdr outgoing[BATCH], incoming[BATCH];
static struct template request;
static struct expectation expectation;

static void set_up_batches(void)
{
    for (int i = 0; i < BATCH; i++) {
        out_iov[i].iov_base = out[i];
        in_iov[i] = (struct iovec){in[i], MESSAGE_ROOM};
        outgoing[i].msg_hdr = (struct msghdr){.msg_iov = &out_iov[i], .msg_iovlen = 1};
        incoming[i].msg_hdr = (struct msghdr){.msg_iov = &in_iov[i], .msg_iovlen = 1};
    }
}

static void send_batch(int fd, struct tally *tally, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned number = tally->sent + i;
        out_iov[i].iov_len = template_fill(&request, out[i], number,
                                           endpoint_for(number, tally->endpoints));
    }
    for (unsigned gone = 0; gone < count;) {
        int n = sendmmsg(fd, outgoing + gone, count - gone, 0);
        if (n < 0 && errno != EINTR) {
            perror("sendmmsg");
            exit(1);
        }
        for (int i = 0; i < n; i++, gone++)
            tally_sent(tally);
    }
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: udp_load FD REQUEST EXPECTED REQUESTS ENDPOINTS OUTSTANDING\n");
        return 2;
    }
    int fd = atoi(argv[1]);
    template_read(&request, argv[2]);
    expectation_read(&expectation, argv[3]);
    unsigned window = (unsigned)atoi(argv[6]);
    struct tally tally;
    set_up_batches();
    tally_start(&tally, &expectation, (unsigned)atoi(argv[4]), (unsigned)atoi(argv[5]));
    while (tally.sent < tally.requests || tally_outstanding(&tally) > 0) {
        while (tally.sent < tally.requests && tally_outstanding(&tally) < window) {
            unsigned room = window - tally_outstanding(&tally), left = tally.requests - tally.sent;
            unsigned count = room < left ? room : left;
            send_batch(fd, &tally, count < BATCH ? count : BATCH);
        }
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        if (poll(&readable, 1, PATIENCE_MS) == 0) {
            tally_give_up(&tally);
            if (tally.given_up > tally.requests / TOO_MANY)
                break;
            continue;
        }
        int n = recvmmsg(fd, incoming, BATCH, MSG_DONTWAIT, NULL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            perror("recvmmsg");
            return 1;
        }
        for (int i = 0; i < n; i++)
            tally_answer(&tally, in[i], incoming[i].msg_len);
    }
    tally_print(&tally);
    return 0;
}
