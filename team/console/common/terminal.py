"""What a console says to those who are to log in."""

from __future__ import annotations

import io
from collections.abc import Iterator

from .address import is_near
from .console import ConsoleOptions


def serving(options: ConsoleOptions, address: str) -> Iterator[str]:
    """Yield what a person at the terminal must know: the address, and who can read along."""
    yield f"team console: open {address}"
    yield "The address works once. Enter prints another, Control-C ends the console."
    far = not is_near(options.host)
    if far and not options.tls:
        yield (
            "Whoever shares this network can read all that goes over it, also the login: there is no TLS.\n"
            f"Give --tls CERT KEY; or leave out --host, and on the other machine: ssh -L {options.port}:127.0.0.1:"
            f"{options.port} THIS-MACHINE"
        )
    if far if options.qr is None else options.qr:
        yield qr_code(address)


def qr_code(address: str) -> str:
    """Return the QR code of an address, for a terminal."""
    import segno  # of the extra `console`

    text = io.StringIO()
    segno.make(address, micro=False).terminal(text, compact=True)
    return text.getvalue().rstrip("\n")


def qr_picture(address: str) -> str:
    """Return the QR code of an address, as SVG without a style of its own."""
    import segno

    return segno.make(address, micro=False).svg_inline(scale=4, border=2, dark="#000", light="#fff")
