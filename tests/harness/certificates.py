"""TLS for tests: one authority a process, made on first use, trusted by `client_context()` alone."""

import ssl
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme


@cache
def _authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@cache
def _certificate(*hosts: str) -> trustme.LeafCert:
    return _authority().issue_cert(*hosts, key_type=trustme.KeyType.ECDSA)


def server_context(*hosts: str, alpn: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
    """The server's side, for `hosts` (default: localhost and 127.0.0.1)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _certificate(*(hosts or ("localhost", "127.0.0.1"))).configure_cert(context)
    context.set_alpn_protocols(list(alpn))
    return context


def client_context() -> ssl.SSLContext:
    """The client's side: trusts the tests' authority, checks the host's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority().configure_trust(context)
    return context


@cache
def stranger_context() -> ssl.SSLContext:
    """A client's side that trusts nobody: every certificate of the tests is unknown to it."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def certificate_files(directory: Path, *hosts: str) -> tuple[Path, Path]:
    """Write the server's chain and key as PEM files into `directory`, for servers that want paths."""
    leaf = _certificate(*(hosts or ("localhost", "127.0.0.1")))
    chain, key = directory / "chain.pem", directory / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    key.write_bytes(leaf.private_key_pem.bytes())
    return chain, key


def short_directory() -> TemporaryDirectory[str]:
    """A directory whose path is short enough for a Unix socket in it."""
    return TemporaryDirectory(prefix="ps-")
