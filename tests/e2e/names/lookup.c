/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Prints the addresses of a host as the C library's resolver finds them, one a line. */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (argc != 2)
        return 2;
    int error = getaddrinfo(argv[1], "443", &hints, &found);
    if (error) {
        fprintf(stderr, "%s: %s\n", argv[1], gai_strerror(error));
        return 1;
    }
    for (; found; found = found->ai_next) {
        char address[64];
        if (!getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof address, 0, 0, NI_NUMERICHOST))
            puts(address);
    }
    return 0;
}
