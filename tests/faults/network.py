"""What a network does that drops connections, done to the connections of one process."""

from __future__ import annotations

import os
import socket

import psutil


def cut_connections(pid: int) -> int:
    """Shut down every connection of this process to a port that process `pid` listens on; gives how many there were."""
    ports = {
        each.laddr.port for each in psutil.Process(pid).net_connections("tcp") if each.status == psutil.CONN_LISTEN
    }
    ours = [each for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port in ports]
    for connection in ours:
        with socket.socket(fileno=os.dup(connection.fd)) as same:
            same.shutdown(socket.SHUT_RDWR)
    return len(ours)
