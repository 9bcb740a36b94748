"""A program that knows nothing of telemetry: it asks each URL it is given, in the flavour and colour it is told."""

import asyncio
import importlib
import sys

flavour, colour, *urls = sys.argv[1:]
http = importlib.import_module(flavour)


async def ask():
    async with http.AsyncClient() as client:
        for url in urls:
            sys.stdout.write((await client.get(url)).text + "\n")


if colour == "async":
    asyncio.run(ask())
else:
    with http.Client() as client:
        for url in urls:
            sys.stdout.write(client.get(url).text + "\n")
sys.stdout.write(" ".join(sorted({"httpx", "httpx2"} & sys.modules.keys())) + "\n")
