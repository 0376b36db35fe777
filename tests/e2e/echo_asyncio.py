#!/usr/bin/env python3
"""echo_asyncio.py - N ROUNDS [ATONCE]: an asyncio echo server and N clients of it in one process, on 127.0.0.1;
ATONCE of them connect at a time"""
import asyncio
import os
import sys


async def serve(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def client(port, rounds, all_open, turn):
    async with turn:
        reader, writer = await asyncio.open_connection('127.0.0.1', port)
    all_open.arrive()
    await all_open.event.wait()
    for _ in range(rounds):
        data = os.urandom(100)
        writer.write(data)
        if await reader.readexactly(len(data)) != data:
            sys.exit('echo differs')
    writer.close()
    await writer.wait_closed()


class Gate:
    """Opens when all have arrived: the connections are open at the same time."""

    def __init__(self, n):
        self.left, self.event = n, asyncio.Event()

    def arrive(self):
        self.left -= 1
        if not self.left:
            self.event.set()


async def main(n, rounds, at_once):
    server = await asyncio.start_server(serve, '127.0.0.1', 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    gate, turn = Gate(n), asyncio.Semaphore(at_once)
    await asyncio.wait_for(asyncio.gather(*(client(port, rounds, gate, turn) for _ in range(n))), 50)
    print(f'{n} connections, {rounds} rounds')


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int((sys.argv + [sys.argv[1]])[3])))
