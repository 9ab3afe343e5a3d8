"""Elements of SVG as text; what is put into them is escaped. Colours and fonts are those of classes in views.css."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Svg(str):
    """Text that is markup already, which templates write as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return the markup."""
        return str(self)


def element(name: str, inner: str = "", **attributes: object) -> str:
    """Return an element; `inner` is markup, and attributes that are None are left out, `_` in names being `-`."""
    given = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    written = "".join(f' {key}="{escape(_number(value))}"' for key, value in given)
    return f"<{name}{written}>{inner}</{name}>"


def text(words: object, x: float, y: float, kind: str = "", **attributes: object) -> str:
    """Return words at a place."""
    return element("text", escape(str(words)), x=x, y=y, class_=kind or None, **attributes)


def title(words: str) -> str:
    """Return what is shown of an element under the pointer, and read out."""
    return element("title", escape(words))


def link(to: str, inner: str) -> str:
    """Return markup that leads somewhere."""
    return element("a", inner, href=to)


def picture(parts: Iterable[str], width: float, height: float, label: str, kind: str = "") -> Svg:
    """Put parts into a picture of some size; `label` is what it shows, for those who do not see it."""
    inner = title(label) + "".join(parts)
    box = f"0 0 {_number(width)} {_number(height)}"
    return Svg(element("svg", inner, class_=f"picture {kind}".strip(), viewBox=box, width=width, height=height,
                       role="group", aria_label=label))  # fmt: skip


def cut(words: str, most: int) -> str:
    """Shorten a label."""
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
