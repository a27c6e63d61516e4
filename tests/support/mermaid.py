"""Reads the Mermaid diagrams of the documents, so that tests can hold their names to the code.

Each reader knows the part of Mermaid that our documents use. It raises an error for any other line. Otherwise a test
would pass without having seen the whole diagram.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BLOCK = re.compile(r"^```mermaid\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

# The brackets around a label choose the shape of the node.
A_NODE = re.compile(r"""(?P<id>\w+)(?:[\[({]+(?P<label>"[^"]*"|[^\[\](){}"]+)[\])}]+)?""")
A_LINK = re.compile(
    r"""
    <? (?: -- | == | -\. ) (?: \s+(?P<said>[^->|]+?)\s+ (?: -- | == | \.- ) )? [-=.]* [>xo]?
    (?: \|(?P<label>[^|]*)\| )?
    """,
    re.VERBOSE,
)
SUBGRAPH = re.compile(r"subgraph\s+(?P<id>\w+)\s*(?:\[.*\])?$")

PARTICIPANT = re.compile(r"(?:participant|actor)\s+(?P<id>\w+)(?:\s+as\s+(?P<label>.+))?$")
MESSAGE = re.compile(r"(?P<source>\w+)\s*(?:<<)?--?(?:>>|[>x)])\s*[+-]?(?P<target>\w+)\s*:\s*(?P<label>.+)$")
SEQUENCE_NOTE = re.compile(r"note\s+(?:over|left of|right of)\s+(?P<ids>\w+(?:\s*,\s*\w+)*)\s*:", re.IGNORECASE)
SEQUENCE_BLOCK = re.compile(r"(?:loop|alt|else|opt|par|and|critical|option|break|rect|box|end)\b")
ACTIVATION = re.compile(r"(?:de)?activate\s+(?P<id>\w+)$")

STATE = r"\w+|\[\*\]"
TRANSITION = re.compile(rf"(?P<source>{STATE})\s*-->\s*(?P<target>{STATE})\s*(?::\s*(?P<label>.+))?$")
NAMED_STATE = re.compile(r'state\s+"(?P<label>[^"]+)"\s+as\s+(?P<id>\w+)\s*\{?$')
STATE_LINE = re.compile(r"state\s+(?P<id>\w+)\s*(?:<<\w+>>|\{)?$")
DESCRIBED_STATE = re.compile(r"(?P<id>\w+)\s*:\s*(?P<label>.+)$")
STATE_NOTE = re.compile(r"note\s+(?:left|right) of\s+(?P<id>\w+)\s*(?P<text>:.+)?$", re.IGNORECASE)

LAYOUT = re.compile(r"(?:direction|classDef|class|style|linkStyle)\s|autonumber$|--$|\}$")


@dataclass(frozen=True)
class Arrow:
    """One arrow, message or transition, with what is written on it."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True)
class Diagram:
    """The names that a diagram defines, and the arrows between them.

    Attributes
    ----------
    names : dict of str to str
        The label of each node, participant or state that the diagram defines, by its id. Groups are not among them.
    arrows : tuple of Arrow
        In the order of the text. ``[*]`` is the start and the end of a state diagram.
    groups : dict of str to set of str
        The nodes that each subgraph defines, by its id, with those of the subgraphs inside it.
    """

    names: dict[str, str]
    arrows: tuple[Arrow, ...]
    groups: dict[str, set[str]]

    @property
    def undefined(self) -> set[str]:
        """The nodes that have an arrow and no definition. Mermaid would draw each as one more box."""
        ends = {end for arrow in self.arrows for end in (arrow.source, arrow.target)}
        return ends - self.names.keys() - self.groups.keys() - {"[*]"}

    @property
    def each_arrow(self) -> set[tuple[str, str]]:
        """Source and target of each arrow; an arrow of a subgraph counts for each of its nodes."""
        return {
            (source, target)
            for arrow in self.arrows
            for source in self.groups.get(arrow.source, {arrow.source})
            for target in self.groups.get(arrow.target, {arrow.target})
        }

    @property
    def lonely(self) -> set[str]:
        """The nodes that no arrow connects. An arrow of a subgraph connects all its nodes."""
        return self.names.keys() - {end for arrow in self.each_arrow for end in arrow}


def blocks(document: str) -> list[str]:
    """Return the text of each Mermaid diagram of a Markdown document, in order."""
    return [found["text"] for found in BLOCK.finditer(document)]


def flowchart(text: str) -> Diagram:
    """Read a flowchart. A node is defined where it has a label.

    Raises
    ------
    ValueError
        A line is not of the part of Mermaid that we use.
    IndexError
        An ``end`` ends no subgraph.
    """
    names: dict[str, str] = {}
    groups: dict[str, set[str]] = {}
    arrows: list[Arrow] = []
    inside: list[str] = []
    for line in _lines(text, "flowchart"):
        if group := SUBGRAPH.match(line):
            inside.append(group["id"])
            groups[group["id"]] = set()
        elif line == "end":
            inside.pop()
        elif not LAYOUT.match(line):
            known = set(names)
            _read_chain(line, names, arrows)
            for group_id in inside:
                groups[group_id] |= names.keys() - known
    return Diagram(names, tuple(arrows), groups)


def sequence(text: str) -> Diagram:
    """Read a sequence diagram. A participant is defined by a line of its own.

    Raises
    ------
    ValueError
        A line is not of the part of Mermaid that we use, or a note or an activation names no participant.
    """
    names: dict[str, str] = {}
    arrows: list[Arrow] = []
    for line in _lines(text, "sequenceDiagram"):
        if found := PARTICIPANT.match(line):
            names[found["id"]] = _plain(found["label"] or found["id"])
        elif found := MESSAGE.match(line):
            arrows.append(Arrow(found["source"], found["target"], _plain(found["label"])))
        elif found := SEQUENCE_NOTE.match(line):
            _expect(names, re.findall(r"\w+", found["ids"]), line)
        elif found := ACTIVATION.match(line):
            _expect(names, [found["id"]], line)
        elif not (SEQUENCE_BLOCK.match(line) or LAYOUT.match(line)):
            raise _unknown(line)
    return Diagram(names, tuple(arrows), {})


def states(text: str) -> Diagram:
    """Read a state diagram. A state is defined by a transition, as in Mermaid; a line of its own may describe it.

    Raises
    ------
    ValueError
        A line is not of the part of Mermaid that we use, or a note names no state.
    """
    names: dict[str, str] = {}
    arrows: list[Arrow] = []
    noted: list[tuple[str, str]] = []
    in_note = False
    for line in _lines(text, "stateDiagram-v2"):
        if in_note:
            in_note = line != "end note"
        elif found := TRANSITION.match(line):
            arrows.append(Arrow(found["source"], found["target"], _plain(found["label"] or "")))
        elif found := STATE_NOTE.match(line):
            noted.append((found["id"], line))
            in_note = not found["text"]
        elif found := NAMED_STATE.match(line) or DESCRIBED_STATE.match(line):
            names[found["id"]] = _plain(found["label"])
        elif found := STATE_LINE.match(line):
            names.setdefault(found["id"], found["id"])
        elif not LAYOUT.match(line):
            raise _unknown(line)
    for arrow in arrows:
        for end in {arrow.source, arrow.target} - {"[*]"}:
            names.setdefault(end, end)
    for state, line in noted:
        _expect(names, [state], line)
    return Diagram(names, tuple(arrows), {})


def _lines(text: str, kind: str) -> list[str]:
    """The lines after the first. The first line must name this kind of diagram."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("%%")]
    if not lines or lines[0].split()[0] != kind:
        raise ValueError(f"no {kind}: {text[:40]!r}")
    return lines[1:]


def _read_chain(line: str, names: dict[str, str], arrows: list[Arrow]) -> None:
    """Read ``a --> b & c -->|label| d``, or one node alone."""
    before: list[str] = []
    label: str | None = None
    at = 0
    while True:
        here, at = _read_nodes(line, at, names)
        if label is not None:
            arrows += [Arrow(source, target, label) for source in before for target in here]
        if at == len(line):
            return
        link = A_LINK.match(line, at)
        if not link or link.end() == len(line):
            raise _unknown(line)
        label = _plain(link["said"] or link["label"] or "")
        before, at = here, _after_spaces(line, link.end())


def _read_nodes(line: str, at: int, names: dict[str, str]) -> tuple[list[str], int]:
    """Read ``a & b["Label"]``; return the ids and where the next part begins."""
    ids = []
    while True:
        node = A_NODE.match(line, at)
        if not node:
            raise _unknown(line)
        ids.append(node["id"])
        if node["label"] is not None:
            names[node["id"]] = _plain(node["label"])
        at = _after_spaces(line, node.end())
        if not line.startswith("&", at):
            return ids, at
        at = _after_spaces(line, at + 1)


def _after_spaces(line: str, at: int) -> int:
    return at + len(line[at:]) - len(line[at:].lstrip())


def _plain(label: str) -> str:
    """The label without quotes, marks and line breaks."""
    return re.sub(r"\s*<br\s*/?>\s*", " ", label.strip().strip('"')).strip()


def _expect(names: dict[str, str], ids: list[str], line: str) -> None:
    if missing := set(ids) - names.keys():
        raise ValueError(f"{sorted(missing)} is not defined: {line!r}")


def _unknown(line: str) -> ValueError:
    return ValueError(f"not of the part of Mermaid that tests/support/mermaid.py reads: {line!r}")
