"""Opens a sandbox's way to the network (decision 0020), and becomes the program that comes after.

usage: egress.py DESCRIPTOR PORT,PORT,... PROGRAM ARGUMENT...

Runs in the sandbox's own network namespace, before any code of users, with CAP_NET_ADMIN: makes
every IPv4 address local, listens on the ports, and hands the listeners (and a UDP socket for names)
to the service over DESCRIPTOR, which then stands for whatever is connected to.
"""

import array
import os
import socket
import struct
import sys

RTM_NEWROUTE, NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE = 24, 1, 4, 0x400
RT_TABLE_LOCAL, RTPROT_STATIC, RT_SCOPE_HOST, RTN_LOCAL, RTA_OIF, RTA_TABLE = 255, 4, 254, 2, 4, 15


def make_every_address_local():
    lo = socket.if_nametoindex("lo")
    body = struct.pack("=8BI", socket.AF_INET, 0, 0, 0, RT_TABLE_LOCAL, RTPROT_STATIC, RT_SCOPE_HOST,
                       RTN_LOCAL, 0)  # fmt: skip
    body += struct.pack("=HHI", 8, RTA_OIF, lo) + struct.pack("=HHI", 8, RTA_TABLE, RT_TABLE_LOCAL)
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.sendto(struct.pack("=IHHII", 16 + len(body), RTM_NEWROUTE, flags, 1, 0) + body, (0, 0))
        (error,) = struct.unpack_from("=i", netlink.recv(4096), 16)
    if error:
        raise OSError(-error, os.strerror(-error))


def listener(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", port))
    sock.listen(64)
    return sock


def main():
    make_every_address_local()
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", 53))
    sockets = [names] + [listener(int(port)) for port in sys.argv[2].split(",")]
    with socket.socket(fileno=int(sys.argv[1])) as service:
        fds = array.array("i", [sock.fileno() for sock in sockets])
        service.sendmsg([b"1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    os.execv(sys.argv[3], sys.argv[3:])


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"no way to the network: {error}")
