/* Closed-loop load over persistent TCP connections, pipelined.
 *
 *     tcp_load REQUEST EXPECTED REQUESTS ENDPOINTS DEPTH FD...
 *
 * Each FD is a connected, non-blocking socket that the caller opened; each keeps DEPTH requests
 * outstanding. Answers are told apart by their branch and may come in any order. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tally.h"

enum { EVENTS = 64, PATIENCE_MS = 3000, IN_ROOM = 64 * 1024 };

struct connection {
    int fd;
    unsigned outstanding;
    char *out; /* room for DEPTH requests */
    size_t out_length, out_sent;
    char in[IN_ROOM];
    size_t in_length;
    bool wants_to_write; /* as epoll has been told */
};

static struct template request;
static struct expectation expectation;
static struct tally tally;
static unsigned depth;
static int poller;

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct connection *connection, int operation, bool writing)
{
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0u),
                                .data.ptr = connection};
    if (epoll_ctl(poller, operation, connection->fd, &event) < 0)
        fail("epoll_ctl");
    connection->wants_to_write = writing;
}

static void flush(struct connection *connection)
{
    while (connection->out_sent < connection->out_length) {
        ssize_t n = write(connection->fd, connection->out + connection->out_sent,
                          connection->out_length - connection->out_sent);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            fail("write");
        connection->out_sent += (size_t)n;
    }
    if (connection->out_sent == connection->out_length)
        connection->out_sent = connection->out_length = 0;
    bool writing = connection->out_length > 0;
    if (writing != connection->wants_to_write)
        watch(connection, EPOLL_CTL_MOD, writing);
}

static void fill_up(struct connection *connection)
{
    if (connection->out_length > 0)
        return; /* the rest of the last batch goes first */
    while (connection->outstanding < depth && tally.sent < tally.requests) {
        connection->out_length +=
            template_fill(&request, connection->out + connection->out_length, tally.sent,
                          endpoint_for(tally.sent, tally.endpoints));
        tally_sent(&tally);
        connection->outstanding++;
    }
    flush(connection);
}

static void take_answers(struct connection *connection)
{
    ssize_t n = read(connection->fd, connection->in + connection->in_length,
                     IN_ROOM - connection->in_length);
    if (n == 0) {
        fprintf(stderr, "the server closed a connection\n");
        exit(1);
    }
    if (n < 0 && errno != EAGAIN)
        fail("read");
    if (n < 0)
        return;
    connection->in_length += (size_t)n;
    char *start = connection->in, *end = connection->in + connection->in_length, *stop;
    /* An answer ends with its empty line: EXPECTED asks for Content-Length 0. */
    while ((stop = memmem(start, (size_t)(end - start), "\r\n\r\n", 4)) != NULL) {
        stop += 4;
        if (tally_answer(&tally, start, (size_t)(stop - start)) >= 0)
            connection->outstanding--;
        start = stop;
    }
    connection->in_length = (size_t)(end - start);
    if (connection->in_length == IN_ROOM) {
        fprintf(stderr, "an answer of more than %d octets\n", IN_ROOM);
        exit(1);
    }
    memmove(connection->in, start, connection->in_length);
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr, "usage: tcp_load REQUEST EXPECTED REQUESTS ENDPOINTS DEPTH FD...\n");
        return 2;
    }
    template_read(&request, argv[1]);
    expectation_read(&expectation, argv[2]);
    depth = (unsigned)atoi(argv[5]);
    int connections = argc - 6;
    poller = epoll_create1(0);
    tally_start(&tally, &expectation, (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
    for (int i = 0; i < connections; i++) {
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL || (connection->out = malloc(depth * MESSAGE_ROOM)) == NULL)
            fail("malloc");
        connection->fd = atoi(argv[6 + i]);
        watch(connection, EPOLL_CTL_ADD, false);
        fill_up(connection);
    }
    while (tally.answered < tally.requests) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(poller, events, EVENTS, PATIENCE_MS);
        if (n < 0 && errno != EINTR)
            fail("epoll_wait");
        if (n == 0)
            break; /* what has not been answered by now is lost */
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                flush(connection);
            if (events[i].events & ~(unsigned)EPOLLOUT)
                take_answers(connection);
            fill_up(connection);
        }
    }
    tally_print(&tally);
    return 0;
}
