"""Chooses the media type or language for a caller by RFC 9110: of the ranges that match, the most specific one counts.

A header that cannot be read is never an error. A part that cannot be read is left out. A weight that cannot be read
counts as 1, as in a range without a weight.
"""

import re
from collections.abc import Iterator, Sequence

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")

# All our text is UTF-8, so `charset=utf-8` in a range changes nothing.
_OUR_CHARSET = ("charset", "utf-8")

Weights = dict[str, float | None]
"""The weight of each offer; None for an offer that no range matches."""


def media_type(accept: str, offered: Sequence[str]) -> str | None:
    """Return the media type to answer with; None when the caller excludes all of them.

    Of equal weights, the first offer wins. If the header matches no offer, the first offer that it does not exclude by
    the weight 0 is the answer.
    """
    ranges = [(name, weight) for name, parameters, weight in _ranges(accept) if not parameters]
    weights: Weights = {}
    for media in offered:
        # Java's own client writes "*" for "*/*".
        precision = {"*": 1, "*/*": 1, f"{media.split('/')[0]}/*": 2, media: 3}
        matching = [(precision[name], weight) for name, weight in ranges if name in precision]
        weights[media] = max(matching)[1] if matching else None
    return _best(weights)


def language(accept_language: str, offered: Sequence[str]) -> str:
    """Return the language to answer in: the first offer when the caller wants none of them.

    The offers have no regions, so ``es`` and ``es-MX`` are equally precise names of the same offer, and the higher of
    their weights counts. Both are more precise than ``*``.
    """
    ranges = [(re.split("[-_]", name)[0], weight) for name, _, weight in _ranges(accept_language)]
    weights: Weights = {}
    for tag in offered:
        matching = [(name == tag, weight) for name, weight in ranges if name in ("*", tag)]
        weights[tag] = max(matching)[1] if matching else None
    return _best(weights) or offered[0]


def _best(weights: Weights) -> str | None:
    wanted = {offer: weight for offer, weight in weights.items() if weight}
    if wanted:
        return max(wanted, key=wanted.__getitem__)
    return next((offer for offer, weight in weights.items() if weight is None), None)


def _ranges(header: str) -> Iterator[tuple[str, list[tuple[str, str]], float]]:
    """Yield each range in lower case, its parameters, and its weight."""
    for item in _split(header.lower(), ","):
        name, *rest = (part.strip() for part in _split(item, ";"))
        pairs = [(key.strip(), _unquoted(value.strip())) for key, _, value in (part.partition("=") for part in rest)]
        weights = [value for key, value in pairs if key == "q"]
        parameters = [pair for pair in pairs if pair[0] not in ("q", "") and pair != _OUR_CHARSET]
        yield name, parameters, _weight(weights[0]) if weights else 1.0


def _split(text: str, separator: str) -> list[str]:
    """Split where the separator is outside a quoted string.

    Each sign is read once, so a long header costs little time.
    """
    parts, start, quoted, escaped = [], 0, False, False
    for place, sign in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and sign == "\\":
            escaped = True
        elif sign == '"':
            quoted = not quoted
        elif sign == separator and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if quoted else value


def _weight(text: str) -> float:
    return min(max(float(text), 0.0), 1.0) if _NUMBER.fullmatch(text) else 1.0
