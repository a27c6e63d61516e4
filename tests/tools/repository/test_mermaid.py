"""The reader of Mermaid diagrams finds every name and arrow, and refuses unknown lines."""

from __future__ import annotations

import pytest

from tests.support.mermaid import Arrow, blocks, flowchart, sequence, states


def test_blocks_are_found_in_order() -> None:
    document = "# A\n```mermaid\nflowchart LR\n  a --> b\n```\ntext\n```sh\nls\n```\n```mermaid\nsequenceDiagram\n```\n"
    assert blocks(document) == ["flowchart LR\n  a --> b\n", "sequenceDiagram\n"]


def test_a_flowchart_has_nodes_groups_and_arrows() -> None:
    found = flowchart("""
        flowchart LR
          %% a comment
          subgraph aws["AWS<br/>account"]
            direction TB
            connect["connect"] -->|starts| workflow{{"workflow"}}
            db[("attempts, devices")]
          end
          connect & status([status]) --> db
          connect -. "every 5 min" .-> db
          connect == said ==> gone --> db
          classDef ours fill:#fff
          class connect,status ours
    """)
    assert found.names == {
        "connect": "connect", "workflow": "workflow", "db": "attempts, devices", "status": "status",
    }  # fmt: skip
    assert found.groups == {"aws": {"connect", "workflow", "db"}}
    assert found.arrows == (
        Arrow("connect", "workflow", "starts"),
        Arrow("connect", "db"),
        Arrow("status", "db"),
        Arrow("connect", "db", "every 5 min"),
        Arrow("connect", "gone", "said"),
        Arrow("gone", "db"),
    )
    assert found.undefined == {"gone"}
    assert found.lonely == set()


def test_an_arrow_of_a_group_counts_for_each_member() -> None:
    found = flowchart('flowchart TD\n subgraph g["G"]\n a["A"]\n b["B"]\n end\n c["C"]\n g --> c\n c --> a')
    assert found.each_arrow == {("a", "c"), ("b", "c"), ("c", "a")}
    assert found.lonely == set()


def test_a_node_without_an_arrow_is_reported() -> None:
    assert flowchart('flowchart TD\n  a["A"] --> b["B"]\n  c["C"]').lonely == {"c"}


def test_a_sequence_has_participants_and_messages() -> None:
    found = sequence("""
        sequenceDiagram
          autonumber
          actor P as Person
          participant L as linker
          participant api
          P->>+api: click
          api-)L: starts
          alt good
            L-->>P: QR
          else bad
            L-xP: error
          end
          Note over P,L: both
          deactivate api
          L->>Q: nobody
    """)
    assert found.names == {"P": "Person", "L": "linker", "api": "api"}
    assert [(arrow.source, arrow.target, arrow.label) for arrow in found.arrows] == [
        ("P", "api", "click"), ("api", "L", "starts"), ("L", "P", "QR"), ("L", "P", "error"), ("L", "Q", "nobody"),
    ]  # fmt: skip
    assert found.undefined == {"Q"}


def test_states_are_those_of_the_transitions() -> None:
    found = states("""
        stateDiagram-v2
          direction LR
          [*] --> connecting : click
          connecting --> waiting_qr: the QR comes
          state "a QR shows" as waiting_qr
          connecting : no QR yet
          state left <<choice>>
          waiting_qr --> left
          note right of left
            any text --> here
          end note
          note left of waiting_qr : one line
          left --> [*]
    """)
    assert found.names == {"connecting": "no QR yet", "waiting_qr": "a QR shows", "left": "left"}
    assert found.arrows == (
        Arrow("[*]", "connecting", "click"),
        Arrow("connecting", "waiting_qr", "the QR comes"),
        Arrow("waiting_qr", "left"),
        Arrow("left", "[*]"),
    )
    assert found.undefined == set()


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (flowchart, "sequenceDiagram\n  A->>B: x"),
        (flowchart, ""),
        (flowchart, 'flowchart LR\n  a["A"] -->'),
        (flowchart, "flowchart LR\n  ??? what"),
        (flowchart, 'flowchart LR\n  a["A"] b["B"]'),
        (sequence, "sequenceDiagram\n  A says B"),
        (sequence, "sequenceDiagram\n  participant A\n  Note over A,B: both"),
        (sequence, "sequenceDiagram\n  activate B"),
        (states, "stateDiagram-v2\n  a -> b"),
        (states, "stateDiagram-v2\n  a --> b\n  note right of c : who"),
    ],
)
def test_an_unknown_line_of_a_diagram_is_an_error(read: object, text: str) -> None:
    assert callable(read)
    with pytest.raises(ValueError, match=r"."):
        read(text)
