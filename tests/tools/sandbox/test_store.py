"""The store of the sandbox, across restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.sandbox.certificates import TlsAuthority
from infra.sandbox.errors import TooManyDevicesError
from infra.sandbox.store import Account, Device, Store, StoreInUseError


def device(index: int) -> Device:
    return Device(
        index=index,
        noise_key=b"\xff" * 32,
        identity_key=b"\x01" * 32,
        registration_id=7,
        platform="test",
        signed_prekey_id=1,
        signed_prekey=b"\x02" * 32,
        prekeys={5: b"\xfe" * 32},
    )


def link(store: Store, account: Account) -> int:
    index = account.next_index()
    store.link(account, device(index))
    return index


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    store = Store(tmp_path)
    account = store.account("34600111222")
    link(store, account)
    root = store.noise_root
    store.close()
    again = Store(tmp_path)
    assert again.noise_root == root
    assert again.accounts == {"34600111222": account}
    assert again.device("34600111222", 1) == account.devices[1]
    assert (tmp_path / "state.json").stat().st_mode & 0o77 == 0


def test_a_torn_write_leaves_the_old_state(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.account("34600111222")
    store.close()
    (tmp_path / "state.json.new").write_bytes(b'{"noise_root": "half')
    again = Store(tmp_path)
    assert list(again.accounts) == ["34600111222"]
    again.account("34600111333")


def test_a_second_process_cannot_open_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreInUseError, match="another sandbox"):
        Store(tmp_path)
    store.close()
    Store(tmp_path).close()


def test_a_new_device_gets_the_next_free_index(tmp_path: Path) -> None:
    store = Store(tmp_path)
    account = store.account("34600111222")
    assert [link(store, account) for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(TooManyDevicesError):
        account.next_index()
    assert store.unlink(account.number, 2)
    assert not store.unlink(account.number, 2)
    assert link(store, account) == 5
    account.last_index = 99
    store.unlink(account.number, 1)
    assert account.next_index() == 1


def test_a_store_with_one_index_gives_it_out_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    account = store.account("34600111222")
    store.link(account, device(account.next_index(1)))
    with pytest.raises(TooManyDevicesError):
        account.next_index(1)
    store.unlink(account.number, 1)
    assert account.next_index(1) == 1


def test_a_restart_keeps_the_certificate_authority(tmp_path: Path) -> None:
    first = TlsAuthority(tmp_path).ca_file.read_bytes()
    TlsAuthority(tmp_path).server_context()
    assert TlsAuthority(tmp_path).ca_file.read_bytes() == first
